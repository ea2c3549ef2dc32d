//! The audit log: what policies record with `AuditDetail`, and what the gateway records of itself: one JSON object a line in a file, to
//! the system's log or its journal, or as lines of the ordinary log.
//!
//! Writing never delays a request: lines go to a separate thread, and are dropped and counted if it cannot keep up.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::data::time;
use crate::services::config::AuditTarget;
use crate::services::private::only_owner;
use crate::services::telemetry::plain;
use crate::services::telemetry::throttle::Throttle;

/// Most lines waiting to be written.
const QUEUE: usize = 8192;
/// The name by which the system's log and journal know this program.
const PROGRAM: &str = "portcullis";
/// The facility of records in the system's log: security, not for everybody (RFC 5424, section 6.2.1).
const FACILITY: u8 = 10;

/// How serious a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following a policy closely.
    Finest,
    /// Likewise.
    Finer,
    /// For following a policy step by step.
    Fine,
    /// How things are set.
    Config,
    /// Ordinary.
    Info,
    /// Somebody should check it.
    Warning,
    /// Something is broken.
    Severe,
}

impl Level {
    /// As records have it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Finest => "finest",
            Level::Finer => "finer",
            Level::Fine => "fine",
            Level::Config => "config",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Severe => "severe",
        }
    }

    /// As the system's log has it (RFC 5424, section 6.2.1).
    fn priority(self) -> u8 {
        match self {
            Level::Severe => 3,
            Level::Warning => 4,
            Level::Info | Level::Config => 6,
            Level::Fine | Level::Finer | Level::Finest => 7,
        }
    }
}

/// One record.
#[derive(Clone, Debug)]
pub struct AuditRecord<'a> {
    /// When, milliseconds since the epoch.
    pub time: i64,
    /// How serious.
    pub level: Level,
    /// What happened, in a word; empty for a record that only has a text.
    pub event: &'a str,
    /// Which service, task or command.
    pub service: &'a str,
    /// Which request; empty outside of one.
    pub request: &'a str,
    /// From which address the request came; empty outside of one.
    pub remote: &'a str,
    /// Who records it, where a policy says so.
    pub logger: &'a str,
    /// A text.
    pub detail: &'a str,
    /// Further fields. A member with a name that every record has is ignored.
    pub fields: Map<String, Value>,
}

impl<'a> AuditRecord<'a> {
    /// A record of the gateway itself.
    pub fn own(time: i64, level: Level, event: &'a str, detail: &'a str, fields: Map<String, Value>) -> Self {
        AuditRecord { time, level, event, service: "", request: "", remote: "", logger: "", detail, fields }
    }

    /// As one line of JSON, without its end.
    fn line(&self) -> String {
        let line = serde_json::to_string(self).unwrap_or_default();
        match plain::json(&line) {
            Cow::Borrowed(_) => line,
            Cow::Owned(escaped) => escaped,
        }
    }
}

/// The record is the object that is written.
impl Serialize for AuditRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("time", &time::iso8601(self.time))?;
        line.serialize_entry("level", self.level.word())?;
        let named = [
            ("event", self.event),
            ("service", self.service),
            ("request", self.request),
            ("remote", self.remote),
            ("logger", self.logger),
            ("detail", self.detail),
        ];
        for (name, text) in named {
            // A record without an event is its text, even if empty.
            if !text.is_empty() || (name == "detail" && self.event.is_empty()) {
                line.serialize_entry(name, text)?;
            }
        }
        for (name, value) in self.fields.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str())) {
            line.serialize_entry(name, value)?;
        }
        line.end()
    }
}

/// Names that every record has for itself.
pub const OWN_FIELDS: [&str; 8] = ["time", "level", "event", "service", "request", "remote", "logger", "detail"];

/// The target of records. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Sink, Arc<Throttle>);

#[derive(Clone, Debug, Default)]
enum Sink {
    #[default]
    Off,
    Log,
    Writer(SyncSender<Order>, Arc<AtomicU64>),
}

/// What the writing thread is told.
#[derive(Debug)]
enum Order {
    Write(Level, SmolStr, String),
    Reopen,
    Flush(SyncSender<()>),
}

impl AuditLog {
    /// Opens the target; a relative file name is relative to `home`.
    pub fn open(target: &AuditTarget, home: &Path) -> io::Result<AuditLog> {
        let Some(out) = Out::open(target, home)? else {
            return Ok(AuditLog(if *target == AuditTarget::Log { Sink::Log } else { Sink::Off }, Arc::default()));
        };
        let (queue, orders) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(out, &orders, &lost))?;
        Ok(AuditLog(Sink::Writer(queue, dropped), Arc::default()))
    }

    /// Writes one record before returning, for a process that then ends. The ordinary log belongs to the gateway only.
    pub fn record_once(target: &AuditTarget, home: &Path, record: AuditRecord<'_>) -> io::Result<()> {
        let Some(mut out) = Out::open(target, home)? else { return Ok(()) };
        let (level, event) = (record.level, record.event.to_owned());
        out.write(level, &event, &record.line())?;
        out.flush()
    }

    /// Waits until all records so far are written, for this long at most.
    pub fn flush(&self, patience: Duration) {
        if let Sink::Writer(queue, _) = &self.0 {
            let (done, written) = sync_channel(1);
            if queue.try_send(Order::Flush(done)).is_ok() {
                let _ = written.recv_timeout(patience);
            }
        }
    }

    /// Reopens its file after somebody moved the old one away. Waiting records go to the old one.
    pub fn reopen(&self) {
        if let Sink::Writer(queue, _) = &self.0 {
            let _ = queue.send(Order::Reopen);
        }
    }

    /// Whether a record of this level goes anywhere.
    pub fn wants(&self, level: Level) -> bool {
        match &self.0 {
            Sink::Off => false,
            Sink::Writer(..) => true,
            Sink::Log => wanted_in_log(level),
        }
    }

    /// Records.
    pub fn record(&self, record: AuditRecord<'_>) {
        match &self.0 {
            Sink::Off => {}
            Sink::Log => in_log(record),
            Sink::Writer(queue, dropped) => {
                let order = Order::Write(record.level, record.event.into(), record.line());
                if let Err(TrySendError::Full(_)) = queue.try_send(order)
                    && dropped.fetch_add(1, Ordering::Relaxed) == 0
                {
                    tracing::warn!("the audit log cannot be written fast enough; records are being dropped");
                }
            }
        }
    }

    /// Whether one more record of an event is kept, of which a minute may have `most`. The others are counted.
    pub fn admits(&self, event: &str, most: u64, now_millis: i64) -> bool {
        self.tell_left_out(now_millis);
        self.1.admits(event, most, now_millis)
    }

    /// Records how many records were left out in minutes that are over.
    pub fn tell_left_out(&self, now_millis: i64) {
        for (of, records) in self.1.told(now_millis) {
            let event = "records_left_out";
            let fields = [("of".to_owned(), of.as_str().into()), ("records".to_owned(), records.into())];
            self.record(AuditRecord::own(now_millis, Level::Warning, event, "", fields.into_iter().collect()));
        }
    }

    /// How many records were left out, because strangers caused too many.
    pub fn left_out(&self) -> u64 {
        self.1.left_out()
    }

    /// How many records could not be kept.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Sink::Writer(_, dropped) => dropped.load(Ordering::Relaxed),
            _ => 0,
        }
    }
}

/// Whether the ordinary log takes records of this level.
pub fn wanted_in_log(level: Level) -> bool {
    match level {
        Level::Finest | Level::Finer => tracing::enabled!(target: "audit", tracing::Level::TRACE),
        Level::Fine | Level::Config => tracing::enabled!(target: "audit", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "audit", tracing::Level::INFO),
        Level::Warning => tracing::enabled!(target: "audit", tracing::Level::WARN),
        Level::Severe => tracing::enabled!(target: "audit", tracing::Level::ERROR),
    }
}

/// Records in the ordinary log.
pub fn in_log(record: AuditRecord<'_>) {
    let AuditRecord { level, service, request, detail, fields, .. } = record;
    let [event, logger, remote] = [record.event, record.logger, record.remote].map(|text| (!text.is_empty()).then_some(text));
    // The message may contain text of a request, which must not look like further fields.
    let detail = plain::sentence(detail);
    let told = plain::Members(&fields);
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(target: "audit", event, service, request, remote, logger, ?told, "{detail}")
        };
    }
    match level {
        Level::Finest | Level::Finer => say!(trace),
        Level::Fine | Level::Config => say!(debug),
        Level::Info => say!(info),
        Level::Warning => say!(warn),
        Level::Severe => say!(error),
    }
}

/// Where lines are written.
enum Out {
    Stdout,
    File(BufWriter<File>, PathBuf),
    Syslog(UnixDatagram, PathBuf),
    Journal(UnixDatagram, PathBuf),
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(socket)
}

impl Out {
    /// None for what is not written by a thread of its own.
    fn open(target: &AuditTarget, home: &Path) -> io::Result<Option<Out>> {
        Ok(match target {
            AuditTarget::Off | AuditTarget::Log => None,
            AuditTarget::Stdout => Some(Out::Stdout),
            AuditTarget::File(path) => Some(Out::file(home.join(path))?),
            AuditTarget::Syslog(path) => Some(Out::Syslog(connect(path)?, path.clone())),
            AuditTarget::Journal(path) => Some(Out::Journal(connect(path)?, path.clone())),
        })
    }

    fn file(path: PathBuf) -> io::Result<Out> {
        let file = only_owner(OpenOptions::new().create(true).append(true)).open(&path);
        let file = file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Out::File(BufWriter::new(file), path))
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Out::File(file, path) = self {
            file.flush()?;
            *self = Out::file(path.clone())?;
        }
        Ok(())
    }

    fn write(&mut self, level: Level, event: &str, line: &str) -> io::Result<()> {
        match self {
            Out::Stdout => io::stdout().write_all(format!("{line}\n").as_bytes()),
            Out::File(file, _) => {
                file.write_all(line.as_bytes())?;
                file.write_all(b"\n")
            }
            // As local programs write to it: without time and host, which the system's log knows itself (RFC 3164, section 4.3.3).
            Out::Syslog(socket, path) => {
                let priority = FACILITY * 8 + level.priority();
                send(socket, path, &format!("<{priority}>{PROGRAM}[{}]: {line}", std::process::id()))
            }
            // A field a line; the record has no line ends of its own.
            Out::Journal(socket, path) => {
                let event = if event.is_empty() { String::new() } else { format!("PORTCULLIS_EVENT={event}\n") };
                let priority = level.priority();
                send(socket, path, &format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={PROGRAM}\n{event}MESSAGE={line}\n"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Stdout => io::stdout().flush(),
            Out::File(file, _) => file.flush(),
            Out::Syslog(..) | Out::Journal(..) => Ok(()),
        }
    }
}

/// Sends a datagram; where the other side has been started anew since, over another connection.
fn send(socket: &mut UnixDatagram, path: &Path, text: &str) -> io::Result<()> {
    if socket.send(text.as_bytes()).is_ok() {
        return Ok(());
    }
    *socket = connect(path)?;
    socket.send(text.as_bytes()).map(drop)
}

/// Writes lines as they come; flushes when none is waiting.
fn write(mut out: Out, orders: &Receiver<Order>, lost: &AtomicU64) {
    let mut complained = false;
    let complain = |error: &io::Error, complained: &mut bool| {
        if !std::mem::replace(complained, true) {
            tracing::error!(%error, "the audit log cannot be written");
        }
    };
    while let Ok(first) = orders.recv() {
        let mut next = Some(first);
        let mut waiting = Vec::new();
        let (mut written, mut failed) = (false, false);
        while let Some(order) = next {
            match order {
                Order::Write(level, event, line) => match out.write(level, &event, &line) {
                    Ok(()) => written = true,
                    Err(error) => {
                        failed = true;
                        lost.fetch_add(1, Ordering::Relaxed);
                        complain(&error, &mut complained);
                    }
                },
                Order::Flush(done) => waiting.push(done),
                Order::Reopen => match out.reopen() {
                    Ok(()) => complained = false,
                    Err(error) => complain(&error, &mut complained),
                },
            }
            next = orders.try_recv().ok();
        }
        match out.flush() {
            // Only a record that was written shows that it works again: after an error, there may be nothing left to flush.
            Ok(()) => complained &= failed || !written,
            Err(error) => complain(&error, &mut complained),
        }
        // Whoever waits no longer is told in vain.
        for done in waiting {
            let _ = done.send(());
        }
    }
}

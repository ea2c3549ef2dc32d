//! The audit log: what policies record with `AuditDetail`, one JSON object a line or as lines of the ordinary log.
//!
//! Writing never delays a request: lines go to a separate thread, and are dropped and counted if it cannot keep up.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use serde::Serialize;

use crate::data::time;
use crate::services::config::AuditTarget;
use crate::services::private::only_owner;
use crate::services::telemetry::plain;

/// Most lines waiting to be written.
const QUEUE: usize = 8192;

/// How serious a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For following a policy step by step.
    Fine,
    /// Ordinary.
    Info,
    /// Somebody should check it.
    Warning,
    /// Something is broken.
    Severe,
}

/// One record.
#[derive(Clone, Debug)]
pub struct AuditRecord<'a> {
    /// When, milliseconds since the epoch.
    pub time: i64,
    /// How serious.
    pub level: Level,
    /// Which service, task or command.
    pub service: &'a str,
    /// Which request; empty outside of one.
    pub request: &'a str,
    /// What.
    pub detail: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: Level,
    service: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request: &'a str,
    detail: &'a str,
}

/// The target of records. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Sink);

#[derive(Clone, Debug, Default)]
enum Sink {
    #[default]
    Off,
    Log,
    Writer(SyncSender<String>, Arc<AtomicU64>),
}

impl AuditLog {
    /// Opens the target; a relative file name is relative to `home`.
    pub fn open(target: &AuditTarget, home: &Path) -> io::Result<AuditLog> {
        Ok(AuditLog(match target {
            AuditTarget::Off => Sink::Off,
            AuditTarget::Log => Sink::Log,
            AuditTarget::Stdout => start(io::stdout())?,
            AuditTarget::File(path) => start(only_owner(OpenOptions::new().create(true).append(true)).open(home.join(path))?)?,
        }))
    }

    /// Whether a record of this level goes anywhere.
    pub fn wants(&self, level: Level) -> bool {
        match &self.0 {
            Sink::Off => false,
            Sink::Writer(..) => true,
            Sink::Log => match level {
                Level::Fine => tracing::enabled!(target: "audit", tracing::Level::DEBUG),
                Level::Info => tracing::enabled!(target: "audit", tracing::Level::INFO),
                Level::Warning => tracing::enabled!(target: "audit", tracing::Level::WARN),
                Level::Severe => tracing::enabled!(target: "audit", tracing::Level::ERROR),
            },
        }
    }

    /// Records.
    pub fn record(&self, record: &AuditRecord<'_>) {
        match &self.0 {
            Sink::Off => {}
            Sink::Log => {
                let AuditRecord { service, request, .. } = record;
                // The message may contain text of a request, which must not look like further fields.
                let detail = plain::sentence(record.detail);
                match record.level {
                    Level::Fine => tracing::debug!(target: "audit", service, request, "{detail}"),
                    Level::Info => tracing::info!(target: "audit", service, request, "{detail}"),
                    Level::Warning => tracing::warn!(target: "audit", service, request, "{detail}"),
                    Level::Severe => tracing::error!(target: "audit", service, request, "{detail}"),
                }
            }
            Sink::Writer(queue, dropped) => {
                let line = Line {
                    time: time::iso8601(record.time),
                    level: record.level,
                    service: record.service,
                    request: record.request,
                    detail: record.detail,
                };
                let Ok(line) = serde_json::to_string(&line) else { return };
                let mut line = plain::json(&line).into_owned();
                line.push('\n');
                if let Err(TrySendError::Full(_)) = queue.try_send(line)
                    && dropped.fetch_add(1, Ordering::Relaxed) == 0
                {
                    tracing::warn!("the audit log cannot be written fast enough; records are being dropped");
                }
            }
        }
    }

    /// How many records could not be kept.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Sink::Writer(_, dropped) => dropped.load(Ordering::Relaxed),
            _ => 0,
        }
    }
}

fn start(out: impl Write + Send + 'static) -> io::Result<Sink> {
    let (queue, lines) = sync_channel(QUEUE);
    std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(out, &lines))?;
    Ok(Sink::Writer(queue, Arc::default()))
}

/// Writes lines as they come; flushes when none is waiting.
fn write(out: impl Write, lines: &Receiver<String>) {
    let mut out = BufWriter::new(out);
    let mut complained = false;
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        while let Some(line) = next {
            if let Err(error) = out.write_all(line.as_bytes())
                && !std::mem::replace(&mut complained, true)
            {
                tracing::error!(%error, "the audit log cannot be written");
            }
            next = lines.try_recv().ok();
        }
        if out.flush().is_ok() {
            complained = false;
        }
    }
}

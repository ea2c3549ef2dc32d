//! What the gateway reports about itself: log, metrics, audit records, and the correlation of everything about one request.

mod audit;
mod correlation;
mod families;
mod metrics;
pub mod plain;
mod process;
mod throttle;
mod trace;

use std::io;
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::services::config::{LogFormat, Logging};

pub use audit::{AuditLog, AuditRecord, Level, OWN_FIELDS, in_log, wanted_in_log};
pub use correlation::{Correlation, REQUEST_ID, TRACEPARENT, TRACESTATE, current as current_request};
pub use metrics::{Login, Metrics, Sample, ServiceMetrics};

pub use trace::{Attribute, Side, Span, Tracer, unix_nanos};

/// Overrides `logging.level`, to examine an installation without changing its settings.
pub const LOG_VARIABLE: &str = "PORTCULLIS_LOG";

/// Most log lines waiting to be written. Beyond it, the newest are dropped and counted.
const LINES: usize = 8192;

/// Counts dropped lines, once there is a log.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Changes the level of the running log.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The log of a process. When it is dropped, waiting lines are written if the reader takes them within a second.
#[must_use]
pub struct Log(#[expect(dead_code, reason = "dropping it is what it is for")] WorkerGuard);

/// The requested log level is neither a level nor a filter.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be read.
    #[error("`{wanted}` is not a log level or filter: {error}")]
    Filter {
        /// The text.
        wanted: String,
        /// What is wrong with it.
        error: tracing_subscriber::filter::ParseError,
    },
    /// A word that would be taken for the name of a module, so that nothing else was logged.
    #[error("`{0}` is not a log level: it must be `error`, `warn`, `info`, `debug`, `trace` or `off`")]
    Level(String),
}

/// The filter of a level. A level alone (`debug`) applies to this program's own lines: libraries log only warnings and errors,
/// and access lines appear whenever they are turned on. A filter (`info,h2=debug`) is used as it is.
pub fn filter(wanted: &str) -> Result<EnvFilter, LogError> {
    let level = wanted.trim().to_ascii_lowercase();
    let directives = match level.as_str() {
        "off" => "off".to_owned(),
        "error" | "warn" | "info" | "debug" | "trace" => {
            let others = if level == "error" { "error" } else { "warn" };
            format!("{others},portcullis={level},portcullis_dsl={level},audit={level},access=info")
        }
        _ => wanted.to_owned(),
    };
    // Alone, any other word would be taken for the name of a module, and nothing else was logged.
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_level = |part: &str| part.parse::<tracing::level_filters::LevelFilter>().is_ok();
    if let Some(part) = wanted.split(',').map(str::trim).filter(word).find(|part| !is_level(part)) {
        return Err(LogError::Level(part.to_owned()));
    }
    EnvFilter::try_new(&directives).map_err(|error| LogError::Filter { wanted: wanted.to_owned(), error })
}

fn wanted(settings: &Logging) -> String {
    std::env::var(LOG_VARIABLE).unwrap_or_else(|_| settings.level.clone())
}

/// Starts the log, to standard error. A second call has no effect: the first gateway of a process decides.
///
/// INVARIANT: if a line cannot be written, only that line is lost. A separate thread writes, so nobody waits for a reader that
/// has stopped reading, and a closed pipe is not an error of a request.
pub fn start_log(settings: &Logging) -> Result<Log, LogError> {
    let (filter, handle) = reload::Layer::new(filter(&wanted(settings))?);
    // What waits is written at once.
    let to = io::BufWriter::new(io::stderr());
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES).lossy(true).thread_name("log").finish(to);
    let _ = DROPPED.set(writer.error_counter());
    let lines = fmt::layer().log_internal_errors(false).with_writer(writer);
    let lines = match settings.format {
        LogFormat::Text => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            lines.fmt_fields(plain::Fields).with_target(false).with_ansi(colours).boxed()
        }
        LogFormat::Json => lines.event_format(plain::Json).with_ansi(false).boxed(),
    };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = LEVEL.set(handle);
    }
    Ok(Log(guard))
}

/// Sets the level of the running log from the current settings. A level in the environment still wins.
pub fn set_level(settings: &Logging) -> Result<(), LogError> {
    let filter = filter(&wanted(settings))?;
    if let Some(handle) = LEVEL.get() {
        // It only fails if the log is gone, at the end of the process.
        let _ = handle.reload(filter);
    }
    Ok(())
}

/// How many log lines were dropped because the reader was too slow or has stopped reading.
pub fn dropped_log_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

#[cfg(test)]
mod tests;

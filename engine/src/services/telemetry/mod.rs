//! What the gateway reports about itself: log, metrics, audit details, health.

mod audit;
mod metrics;
pub mod plain;

use std::io;
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::services::config::{LogFormat, Logging};

pub use audit::{AuditLog, AuditRecord, Level};
pub use metrics::{Metrics, ServiceMetrics};

/// Overrides `logging.level`, to examine an installation without changing its settings.
pub const LOG_VARIABLE: &str = "PORTCULLIS_LOG";

/// Most log lines waiting to be written. Beyond it, the newest are dropped and counted.
const LINES: usize = 8192;

/// Counts dropped lines, once there is a log.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The log of a process. When it is dropped, waiting lines are written if the reader takes them within a second.
#[must_use]
pub struct Log(#[expect(dead_code, reason = "dropping it is what it is for")] WorkerGuard);

/// The requested log level is neither a level nor a filter.
#[derive(Debug, thiserror::Error)]
#[error("`{wanted}` is not a log level or filter: {error}")]
pub struct LogError {
    wanted: String,
    error: tracing_subscriber::filter::ParseError,
}

/// Starts the log, to standard error. A second call has no effect: the first gateway of a process decides.
///
/// INVARIANT: if a line cannot be written, only that line is lost. A separate thread writes, so nobody waits for a reader that
/// has stopped reading, and a closed pipe is not an error of a request.
pub fn start_log(settings: &Logging) -> Result<Log, LogError> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| settings.level.clone());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| LogError { wanted, error })?;
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES).lossy(true).thread_name("log").finish(io::stderr());
    let _ = DROPPED.set(writer.error_counter());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let _ = match settings.format {
        LogFormat::Text => builder.fmt_fields(plain::Fields).with_target(false).with_ansi(colours).with_writer(writer).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_writer(move || plain::JsonLines(writer.clone())).try_init(),
    };
    Ok(Log(guard))
}

/// How many log lines were dropped because the reader was too slow or has stopped reading.
pub fn dropped_log_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

#[cfg(test)]
mod tests;

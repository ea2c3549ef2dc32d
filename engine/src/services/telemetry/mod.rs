//! What the gateway tells of itself: log, metrics, audit details, health.

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

/// Overrides `logging.level`, for looking closer at a running installation without touching its settings.
pub const LOG_VARIABLE: &str = "PORTCULLIS_LOG";

/// Lines of the log that may wait to be written. When more come, the newest are dropped and counted.
const LINES: usize = 8192;

/// Counts dropped lines, once there is a log.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The log of a process. When it is dropped, the lines that wait are written, if their reader takes them within a second.
#[must_use]
pub struct Log(#[expect(dead_code, reason = "dropping it is what it is for")] WorkerGuard);

/// The wanted log level is neither a level nor a filter.
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

/// What is wrong with a log level or filter.
pub fn check_level(wanted: &str) -> Result<(), LogError> {
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let level = |part: &str| part.parse::<tracing::level_filters::LevelFilter>().is_ok();
    if let Some(part) = wanted.split(',').map(str::trim).filter(word).find(|part| !level(part)) {
        return Err(LogError::Level(part.to_owned()));
    }
    let wanted = wanted.to_owned();
    EnvFilter::try_new(&wanted).map(|_| ()).map_err(|error| LogError::Filter { wanted, error })
}

/// Starts the log, to standard error. A second call has no effect: the first gateway of a process decides.
///
/// INVARIANT: a line that cannot be written costs that line and nothing else. A thread of its own writes, so nobody waits for a reader that
/// has stopped reading, and a closed pipe is not an error of a request.
pub fn start_log(settings: &Logging) -> Result<Log, LogError> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| settings.level.clone());
    check_level(&wanted)?;
    let filter = EnvFilter::try_new(&wanted).map_err(|error| LogError::Filter { wanted, error })?;
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

/// How many lines of the log were dropped because their reader was too slow or has stopped reading.
pub fn dropped_log_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

#[cfg(test)]
mod tests;

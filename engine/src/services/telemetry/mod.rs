//! What the gateway tells of itself: log, metrics, audit details, health.

mod audit;
mod metrics;
pub mod plain;

use std::io;

use tracing_subscriber::EnvFilter;

use crate::services::config::{LogFormat, Logging};

pub use audit::{AuditLog, AuditRecord, Level};
pub use metrics::{Metrics, ServiceMetrics};

/// Overrides `logging.level`, for looking closer at a running installation without touching its settings.
pub const LOG_VARIABLE: &str = "PORTCULLIS_LOG";

/// A level of the log that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{wanted}` is not a log level or filter: {error}")]
pub struct LogError {
    wanted: String,
    error: tracing_subscriber::filter::ParseError,
}

/// Starts the log, to standard error. A second call has no effect: the first gateway of a process decides.
pub fn start_log(settings: &Logging) -> Result<(), LogError> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| settings.level.clone());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| LogError { wanted, error })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let _ = match settings.format {
        LogFormat::Text => {
            builder.fmt_fields(plain::Fields).with_target(false).with_ansi(colours).with_writer(io::stderr).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).with_writer(|| plain::JsonLines).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests;

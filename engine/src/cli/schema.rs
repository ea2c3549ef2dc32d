//! `portcullis schema`: the JSON schema of `gateway.yaml`, with which editors complete and check it.

use std::process::ExitCode;

use super::{Done, say};
use crate::services::config::Config;

pub fn run() -> Done {
    say(serde_json::to_string_pretty(&Config::schema())?);
    Ok(ExitCode::SUCCESS)
}

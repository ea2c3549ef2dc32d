//! `portcullis schema`: the JSON schema of `gateway.yaml`, for completion and checks in editors.

use std::process::ExitCode;

use super::{Done, say};
use crate::services::config::Config;

pub fn run() -> Done {
    say(serde_json::to_string_pretty(&Config::schema())?);
    Ok(ExitCode::SUCCESS)
}

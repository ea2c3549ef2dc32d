//! `portcullis status`.

use std::process::ExitCode;

use super::{Done, Failure, NO, Place, say};
use crate::front::host::read_status;

pub fn run(place: &Place, json: bool) -> Done {
    let home = place.home()?;
    let Some(status) = read_status(&home) else {
        return Err(Failure { message: format!("no gateway is running on {}", home.root().display()), code: 3 });
    };
    let refused = status.last_reload.as_ref().is_some_and(|last| !last.ok);
    if json {
        say(serde_json::to_string_pretty(&status)?);
    } else {
        say(format!("running since {} (process {}, version {})", status.started, status.pid, status.version));
        for url in [&status.https, &status.http].into_iter().flatten() {
            say(format!("listening {url}"));
        }
        say(format!("policy set {} with {} services, since {}", status.generation, status.services, status.loaded));
        match &status.last_reload {
            Some(last) if !last.ok => {
                say(format!("the change of {} was refused, the previous policies are served:", last.time));
                say(last.report.trim_end());
            }
            Some(last) => say(format!("last change took effect {}", last.time)),
            None => say("no change since the start"),
        }
    }
    Ok(if refused { NO } else { ExitCode::SUCCESS })
}

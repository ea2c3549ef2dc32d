//! `portcullis status`.

use std::process::ExitCode;

use super::{Done, Failure, NO, Place, aligned, say};
use crate::front::host::{Account, control, read_status};

/// A certificate that expires within this number of days is shown.
const SOON: i64 = 30;

pub fn run(place: &Place, json: bool) -> Done {
    let home = place.home()?;
    let Some(status) = read_status(&home) else {
        return Err(Failure { message: format!("no gateway is running on {}", home.root().display()), code: 3 });
    };
    // A gateway that does not answer has still written its last status.
    let account = super::runtime()?.block_on(control::account(&home)).ok().flatten();
    let status = account.as_ref().map_or(&status, |account| &account.status);
    let refused = status.last_reload.as_ref().is_some_and(|last| !last.ok);
    if json {
        say(match &account {
            Some(account) => serde_json::to_string_pretty(account)?,
            None => serde_json::to_string_pretty(status)?,
        });
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
        if !status.pending_restart.is_empty() {
            say(format!("changed, and waiting for a restart: {}", status.pending_restart.join(", ")));
        }
        match &account {
            Some(account) => tell(account),
            None => say("it does not answer questions: its log says why"),
        }
    }
    Ok(if refused { NO } else { ExitCode::SUCCESS })
}

fn tell(account: &Account) {
    if !account.ready {
        say("stopping: it takes no new requests soon");
    }
    for (name, database) in &account.databases {
        say(format!("database {name} ({}): {}", database.kind, database.state));
    }
    for (name, state) in &account.providers {
        say(format!("identity provider {name}: {state}"));
    }
    let cluster = &account.cluster;
    match (cluster.bus.as_str(), cluster.state.as_str()) {
        ("" | "none", _) => say("other gateways: none are told of changes"),
        (bus, "up") => {
            let limits = if cluster.limits == "shared" { "; limits count over all" } else { "; limits count for each" };
            say(format!("other gateways: connected over {bus}, {} heard of{limits}", cluster.others));
        }
        (bus, state) => {
            let error = cluster.last_error.as_deref().unwrap_or("not connected yet");
            say(format!("other gateways: {state} ({bus}: {error})"));
        }
    }
    for (alias, until) in account.certificates.iter().filter(|(_, until)| until.days_left < SOON) {
        say(format!("certificate {alias} ends {} ({} days)", until.not_after, until.days_left));
    }
    let routes: Vec<Vec<String>> = account
        .routes
        .iter()
        .map(|(name, route)| {
            vec![[&[route.path.clone()][..], &route.also].concat().join(" "), route.methods.join(" "), name.clone()]
        })
        .collect();
    say(aligned(&routes));
}

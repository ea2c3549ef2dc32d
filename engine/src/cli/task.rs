//! `portcullis task`: the tasks of the gateway that serves.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Done, Failure, NO, Place, say, table};
use crate::front::home::Home;
use crate::front::host::{Ran, TaskReport, control};

#[derive(Subcommand)]
pub enum TaskCommand {
    /// List tasks: when each runs, its last and next run, and which gateway ran it.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run a task now, in the gateway that serves, and wait for its end.
    Run {
        /// Its name.
        name: String,
    },
}

pub fn run(place: &Place, command: &TaskCommand) -> Done {
    let home = place.home()?;
    match command {
        TaskCommand::List { json } => list(&home, *json),
        TaskCommand::Run { name } => start(&home, name),
    }
}

fn nobody(home: &Home) -> Failure {
    let root = home.root().display();
    Failure { message: format!("no gateway is running on {root}: tasks run only while one serves"), code: 3 }
}

fn list(home: &Home, json: bool) -> Done {
    let account = super::runtime()?.block_on(control::account(home))?.ok_or_else(|| nobody(home))?;
    if json {
        say(serde_json::to_string_pretty(&account.tasks)?);
        return Ok(ExitCode::SUCCESS);
    }
    let head = ["TASK", "WHEN", "LAST RUN", "RESULT", "NEXT RUN", "ON"];
    say(table(&head, account.tasks.iter().map(|(name, task)| row(name, task)).collect()));
    Ok(ExitCode::SUCCESS)
}

fn row(name: &str, task: &TaskReport) -> Vec<String> {
    let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let next = match (task.running, task.enabled) {
        (true, _) => "running".to_owned(),
        (false, true) => match (&task.next_run, &task.next_run_there, &task.at) {
            (Some(next), Some(there), Some(_)) => format!("{next} ({there})"),
            _ => or(&task.next_run, "-"),
        },
        (false, false) => "off".to_owned(),
    };
    let on = if task.everywhere { format!("{} (every gateway)", or(&task.node, "-")) } else { or(&task.node, "-") };
    vec![
        name.to_owned(),
        task.at.as_ref().map_or_else(|| interval(task.every), |times| format!("{times} {}", task.zone)),
        or(&task.last_run, "-"),
        or(&task.result, "-"),
        next,
        on,
    ]
}

/// Milliseconds in the longest unit that fits.
fn interval(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let fitting = units.iter().find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

fn start(home: &Home, name: &str) -> Done {
    match super::runtime()?.block_on(control::run_task(home, name))?.ok_or_else(|| nobody(home))? {
        Ran::Ended(result) if result == "done" => {
            say(format!("{name}: done"));
            Ok(ExitCode::SUCCESS)
        }
        Ran::Ended(result) => {
            say(format!("{name}: {result}; the log of the gateway says why"));
            Ok(NO)
        }
        Ran::Busy => {
            let why = "it is running already, here or on another gateway, or its database cannot be asked";
            Err(format!("{name} was not started: {why}; see `portcullis task list`").into())
        }
        Ran::Unknown(names) => {
            let near = portcullis_dsl::diagnostic::nearest(name, names.iter().map(String::as_str));
            let help = near.map_or_else(|| format!("there are: {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
            Err(format!("there is no task `{name}`; {help}").into())
        }
    }
}

//! `portcullis check`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use portcullis_dsl::Severity;
use portcullis_dsl::diagnostic::render;

use super::{Done, NO, Place, colour, say};
use crate::policy::site::Site;
use crate::services::Services;

/// Options of `check`.
#[derive(Args)]
pub struct CheckArgs {
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
}

pub fn run(place: &Place, args: &CheckArgs) -> Done {
    // Not having started yet is not a mistake: the shipped policies and the settings can be checked all the same.
    let home = place.any_home()?;
    let (mut errors, mut warnings) = (0, 0);
    let config = match home.config() {
        Ok(config) => config,
        Err(error) => {
            errors += 1;
            eprintln!("{error}");
            crate::services::config::Config::default()
        }
    };
    let sources = match home.sources() {
        Ok(sources) => sources,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return Ok(NO);
        }
    };
    let files = sources.files.len();
    let (_, library, diagnostics) =
        Site::build(sources, Arc::new(Services::default()), &config.instance_modifier, &config.enable);
    eprint!("{}", render(&diagnostics, library.sources(), colour()));
    for diagnostic in &diagnostics {
        match diagnostic.severity {
            Severity::Error => errors += 1,
            Severity::Warning => warnings += 1,
        }
    }
    for (what, name) in
        config.enable.iter().map(|name| ("enables", name)).chain(config.disable.iter().map(|name| ("disables", name)))
    {
        if !library.services().any(|service| service.name == *name) {
            warnings += 1;
            let near = portcullis_dsl::diagnostic::nearest(name, library.services().map(|service| service.name.as_str()));
            let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            eprintln!("warning: gateway.yaml {what} `{name}`, but there is no such service{help}");
        }
    }
    for found in home.open_to_others(&config) {
        warnings += 1;
        eprintln!("warning: {found}");
    }
    if let Some(nameless) = config.nameless(&config.listeners) {
        warnings += 1;
        eprintln!("warning: {nameless}");
    }
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let services = library.services().count();
    say(format!(
        "checked {} with {}: {}, {}",
        count(files, "file"),
        count(services, "service"),
        count(errors, "error"),
        count(warnings, "warning")
    ));
    Ok(if errors > 0 || args.strict && warnings > 0 { NO } else { ExitCode::SUCCESS })
}

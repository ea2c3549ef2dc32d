//! `portcullis check`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use portcullis_dsl::diagnostic::render;
use portcullis_dsl::span::{FileId, Lines};
use portcullis_dsl::{Diagnostic, Severity, Sources};
use serde_json::{Value as Json, json};

use super::{Done, Failure, NO, Place, colour, say};
use crate::front::host::{Inspection, Options, inspect};
use crate::services::config::ConfigError;

/// Options of `check`.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 no errors, 1 errors (or, with --strict, warnings), 2 the command line is not understood.")]
pub struct CheckArgs {
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
    /// As JSON, to standard output: `errors`, `warnings`, `files`, `services`, and `findings` with `severity` (`error`, `warning`, `note`), `message` and, where known,
    /// `code`, `help`, `file`, `line`, `column`.
    #[arg(long)]
    json: bool,
}

pub fn run(place: &Place, args: &CheckArgs) -> Done {
    // Not having started yet is not a mistake: the shipped policies and the settings can be checked all the same.
    let home = place.any_home()?;
    if !home.root().is_dir() {
        return Err(Failure { message: format!("--home {}: there is no such directory", home.root().display()), code: 1 });
    }
    let found = inspect(&home, &Options::default());
    let severity = |wanted| found.diagnostics.iter().filter(|diagnostic| diagnostic.severity == wanted).count();
    let errors = found.settings.len() + found.problems.len() + severity(Severity::Error);
    let warnings = found.remarks.len() + severity(Severity::Warning);
    let none = Sources::default();
    let sources = found.policies.as_ref().map_or(&none, |library| library.sources());
    let files = sources.files.len();
    let services = found.policies.as_ref().map_or(0, |library| library.services().count());
    if args.json {
        let findings: Vec<Json> = findings(&found, sources);
        let report =
            json!({ "errors": errors, "warnings": warnings, "files": files, "services": services, "findings": findings });
        say(report);
    } else {
        tell(&found, sources);
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        say(format!(
            "checked {} with {}: {}, {}",
            count(files, "file"),
            count(services, "service"),
            count(errors, "error"),
            count(warnings, "warning")
        ));
    }
    Ok(if errors > 0 || args.strict && warnings > 0 { NO } else { ExitCode::SUCCESS })
}

/// Everything for people, to standard error. A reader that has gone away is not an error.
fn tell(found: &Inspection, sources: &Sources) {
    let mut text = String::new();
    for error in &found.settings {
        text.push_str(&format!("{error}\n"));
    }
    for problem in &found.problems {
        text.push_str(&format!("error: {problem}\n"));
    }
    text.push_str(&render(&found.diagnostics, sources, colour()));
    for remark in &found.remarks {
        text.push_str(&format!("warning: {remark}\n"));
    }
    for note in &found.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Everything for programs.
fn findings(found: &Inspection, sources: &Sources) -> Vec<Json> {
    let sentence = |severity: &'static str| move |message: &String| json!({ "severity": severity, "message": message });
    let mut all: Vec<Json> = found.settings.iter().map(setting).collect();
    all.extend(found.problems.iter().map(sentence("error")));
    let mut lines = HashMap::new();
    all.extend(found.diagnostics.iter().map(|diagnostic| policy(diagnostic, sources, &mut lines)));
    all.extend(found.remarks.iter().map(sentence("warning")));
    all.extend(found.notes.iter().map(sentence("note")));
    all
}

fn setting(error: &ConfigError) -> Json {
    let mut finding = json!({ "severity": "error", "message": error.message, "file": error.path });
    if let Some((line, column)) = error.place {
        finding["line"] = line.into();
        finding["column"] = column.into();
    }
    if let Some(help) = &error.help {
        finding["help"] = help.as_str().into();
    }
    finding
}

fn policy(diagnostic: &Diagnostic, sources: &Sources, lines: &mut HashMap<FileId, Lines>) -> Json {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut finding = json!({ "severity": severity, "code": diagnostic.code, "message": diagnostic.message });
    if let Some(source) = sources.files.get(diagnostic.span.file.0 as usize) {
        let lines = lines.entry(diagnostic.span.file).or_insert_with(|| Lines::new(&source.text));
        let (line, column) = lines.line_column(&source.text, diagnostic.span.start as usize);
        finding["file"] = source.path.as_str().into();
        finding["line"] = line.into();
        finding["column"] = column.into();
    }
    if let Some(help) = &diagnostic.help {
        finding["help"] = help.as_str().into();
    }
    finding
}

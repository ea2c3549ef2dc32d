//! `portcullis check`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use portcullis_dsl::diagnostic::render;
use portcullis_dsl::span::{FileId, Lines};
use portcullis_dsl::{Diagnostic, Severity, Sources};
use serde_json::json;

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
    // A home that was never started is not a mistake: the shipped policies and the settings can still be checked.
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
        let findings = findings(&found, sources);
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

/// What `--json` says of one finding.
#[derive(serde::Serialize)]
struct Finding<'a> {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl<'a> Finding<'a> {
    fn new(severity: &'static str, message: &'a str) -> Self {
        Finding { severity, code: None, message, file: None, line: None, column: None, help: None }
    }

    fn setting(error: &'a ConfigError) -> Self {
        let (line, column) = error.place.unzip();
        Finding { file: Some(&error.path), line, column, help: error.help.as_deref(), ..Finding::new("error", &error.message) }
    }

    fn policy(diagnostic: &'a Diagnostic, sources: &'a Sources, lines: &mut HashMap<FileId, Lines>) -> Self {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let source = sources.files.get(diagnostic.span.file.0 as usize);
        let place = source.map(|source| {
            let lines = lines.entry(diagnostic.span.file).or_insert_with(|| Lines::new(&source.text));
            lines.line_column(&source.text, diagnostic.span.start as usize)
        });
        let (line, column) = place.unzip();
        Finding {
            code: Some(diagnostic.code),
            file: source.map(|source| source.path.as_str()),
            line,
            column,
            help: diagnostic.help.as_deref(),
            ..Finding::new(severity, &diagnostic.message)
        }
    }
}

/// Everything for programs.
fn findings<'a>(found: &'a Inspection, sources: &'a Sources) -> Vec<Finding<'a>> {
    let sentence = |severity: &'static str| move |message: &'a String| Finding::new(severity, message);
    let mut all: Vec<Finding<'a>> = found.settings.iter().map(Finding::setting).collect();
    all.extend(found.problems.iter().map(sentence("error")));
    let mut lines = HashMap::new();
    all.extend(found.diagnostics.iter().map(|diagnostic| Finding::policy(diagnostic, sources, &mut lines)));
    all.extend(found.remarks.iter().map(sentence("warning")));
    all.extend(found.notes.iter().map(sentence("note")));
    all
}

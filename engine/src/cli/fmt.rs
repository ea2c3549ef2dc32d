//! `portcullis fmt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_dsl::diagnostic::render;
use portcullis_dsl::fmt::{FormatError, format};
use portcullis_dsl::{Origin, Sources};

use super::{Done, Failure, NO, Place, colour, say};
use crate::front::home::{CUSTOMIZATIONS, SERVICES};
use crate::services::private;

/// Options of `fmt`.
#[derive(Args)]
pub struct FmtArgs {
    /// Change nothing; list the files that are formatted differently, and exit with 1 if there are any.
    #[arg(long)]
    check: bool,
    /// Files and folders. Default: all policies of the home.
    files: Vec<PathBuf>,
}

pub fn run(place: &Place, args: &FmtArgs) -> Done {
    let mut paths = Vec::new();
    if args.files.is_empty() {
        let home = place.any_home()?;
        let mut folders = vec![CUSTOMIZATIONS, SERVICES];
        if home.is_checkout() {
            folders.extend(["policies", "fragments"]);
        }
        for folder in folders {
            collect(&home.path(folder), &mut paths)?;
        }
    }
    for file in &args.files {
        if !file.exists() {
            return Err(Failure { message: format!("there is no file or folder {}", file.display()), code: 2 });
        }
        collect(file, &mut paths)?;
    }
    paths.sort();
    let (mut wrong, mut different) = (0, 0);
    for path in &paths {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                wrong += 1;
                eprintln!("error: cannot read {}: {error}", path.display());
                continue;
            }
        };
        match format(&text) {
            Ok(formatted) if formatted == text => {}
            Ok(formatted) => {
                different += 1;
                if !args.check {
                    private::replace(path, formatted.as_bytes(), false)?;
                }
                say(format!("{} {}", if args.check { "differs" } else { "formatted" }, path.display()));
            }
            Err(error) => {
                wrong += 1;
                report(path, text, &error);
            }
        }
    }
    if wrong > 0 {
        eprintln!("{wrong} of {} files could not be formatted and are unchanged", paths.len());
    }
    Ok(if wrong > 0 || args.check && different > 0 { NO } else { ExitCode::SUCCESS })
}

fn report(path: &Path, text: String, error: &FormatError) {
    match error {
        FormatError::Syntax(diagnostics) => {
            let mut sources = Sources::default();
            sources.add(path.display().to_string(), text, Origin::Operator);
            eprint!("{}", render(diagnostics, &sources, colour()));
        }
        FormatError::Unsound => eprintln!("error: {}: {error}", path.display()),
    }
}

/// Policy files at and below a path. A file that is named itself may have any name.
fn collect(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        if path.exists() {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() && !entry.is_symlink() || entry.extension().is_some_and(|extension| extension == "policy") {
            collect(&entry, found)?;
        }
    }
    Ok(())
}

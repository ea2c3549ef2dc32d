//! `portcullis test`: runs case files against a home's policies, each with its own gateway, database and clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Args;

use super::{Done, Failure, NO, Place, runtime, say};
use crate::casefile::{Case, Lab};

/// Where cases are in a home or source tree.
const FOLDER: &str = "tests/cases";

/// Options of `test`.
#[derive(Args)]
pub struct TestArgs {
    /// Run only cases whose file or title contains this.
    #[arg(long)]
    only: Option<String>,
    /// Case files and folders with case files. Default: `tests/cases` of the home.
    paths: Vec<PathBuf>,
}

pub fn run(place: &Place, args: &TestArgs) -> Done {
    let home = place.any_home()?;
    let mut files = Vec::new();
    let given = if args.paths.is_empty() { vec![home.path(FOLDER)] } else { args.paths.clone() };
    for path in &given {
        if !path.exists() {
            return Err(Failure { message: format!("there are no cases at {}", path.display()), code: 2 });
        }
        collect(path, &mut files)?;
    }
    files.sort();
    let (mut cases, mut failures) = (Vec::new(), Vec::new());
    for file in &files {
        match Case::read(file) {
            Ok(case) => cases.push(case),
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    if let Some(only) = &args.only {
        cases.retain(|case| case.file.contains(only.as_str()) || case.title.contains(only.as_str()));
    }
    let shipped = if home.is_checkout() { Some(home.root().to_owned()) } else { place.shipped() };
    let base = (!home.is_checkout()).then(|| home.root());
    let lab = runtime()?.block_on(Lab::new(shipped.as_deref(), base)).map_err(|message| Failure { message, code: 1 })?;
    let all = cases.len();
    cases.retain(|case| case.is_about(lab.dialect()));
    let elsewhere = all - cases.len();
    let began = Instant::now();
    let failed = Mutex::new(&mut failures);
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = lab.run(case) {
                        let text = format!("{}\n{failure}", case.title);
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
                    }
                }
            });
        }
    });
    failures.sort();
    for failure in &failures {
        eprintln!("FAILED {failure}\n");
    }
    let skipped = if elsewhere == 0 { String::new() } else { format!(", {elsewhere} about other databases left out") };
    say(format!("{} cases, {} failed{skipped}, in {:.1} s", cases.len(), failures.len(), began.elapsed().as_secs_f32()));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { NO })
}

/// The case files at a path: the file itself, or those in the folder.
pub(super) fn collect(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "case") {
            collect(&entry, found)?;
        }
    }
    Ok(())
}

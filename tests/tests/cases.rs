//! Every `.case` file below `cases/` and `attacks/`, each as its own test. `cargo test -p portcullis-tests --test cases [NAME]`.
//!
//! They run on embedded databases, and again on each server named by `PORTCULLIS_TEST_MYSQL` and `PORTCULLIS_TEST_POSTGRES`;
//! these tests are called `mysql/…` and `postgres/…`. On MySQL those about what is stored run on the toolkit's own tables, too:
//! `mysql-4.2/…` and `mysql-4.6/…`; with `PORTCULLIS_TEST_TABLES=all`, all cases do.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis::{Case, Lab};
use portcullis_tests::case_files;

/// The servers, by the prefix of their tests.
const SERVERS: [(&str, &str); 2] = [("mysql", "PORTCULLIS_TEST_MYSQL"), ("postgres", "PORTCULLIS_TEST_POSTGRES")];

/// The server, the prefix of the tests, and the SQL of the tables that a live toolkit of that version has there.
const TABLES: [(&str, &str, &str); 2] = [
    ("mysql", "mysql-4.2", include_str!("../tables/mysql-4.2.sql")),
    ("mysql", "mysql-4.6", include_str!("../tables/mysql-4.6.sql")),
];
/// Folders of the cases that run on those tables.
const STORED: [&str; 6] = ["clientstore", "tokenstore", "session", "validation", "token", "revoke"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = case_files(root);
    let servers: Vec<(&str, String)> = SERVERS
        .iter()
        .filter_map(|(name, variable)| Some((*name, std::env::var(variable).ok().filter(|url| !url.is_empty())?)))
        .collect();
    let lab = if arguments.list { None } else { Some(lab(root)) };
    let mut all = trials("", &files, root, lab.as_ref());
    for (name, url) in &servers {
        let lab = lab.as_ref().map(|lab| lab.on(url).unwrap_or_else(|message| stop(&format!("{name}: {message}"))));
        all.extend(trials(&format!("{name}/"), &files, root, lab.as_ref()));
        for (_, version, tables) in TABLES.iter().filter(|(server, ..)| server == name) {
            let lab = lab.as_ref().map(|lab| lab.with_tables(tables));
            all.extend(trials(&format!("{version}/"), &stored(&files, root), root, lab.as_ref()));
        }
    }
    libtest_mimic::run(&arguments, all).exit_code()
}

/// Those of the files that run on the toolkit's tables: what needs more characters than their columns know is left out.
fn stored(files: &[PathBuf], root: &Path) -> Vec<PathBuf> {
    let all = std::env::var("PORTCULLIS_TEST_TABLES").is_ok_and(|which| which == "all");
    let about = |file: &&PathBuf| all || STORED.iter().any(|folder| file.starts_with(root.join("cases").join(folder)));
    let fits = |file: &&PathBuf| Case::read(file).map_or(true, |case| !case.needs_all_characters());
    files.iter().filter(about).filter(fits).cloned().collect()
}

fn lab(root: &Path) -> Lab {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let lab = runtime.block_on(Lab::new(Some(&root.join("..")), None));
    lab.unwrap_or_else(|message| stop(&format!("the shipped policies do not start:\n{message}")))
}

fn stop(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1)
}

fn trials(prefix: &str, files: &[PathBuf], root: &Path, lab: Option<&Lab>) -> Vec<Trial> {
    let lab = lab.cloned().map(Arc::new);
    let trial = |file: &PathBuf| {
        let name = file.strip_prefix(root).unwrap_or(file).with_extension("");
        let (file, lab) = (file.clone(), lab.clone());
        Trial::test(format!("{prefix}{}", name.display()), move || {
            let case = Case::read(&file).map_err(|failure| failure.to_string())?;
            let lab = lab.as_ref().ok_or_else(|| Failed::from("tests are only listed"))?;
            if !case.is_about(lab.dialect()) {
                return Ok(());
            }
            lab.run(&case).map_err(|failure| format!("{}\n{failure}", case.title).into())
        })
    };
    files.iter().map(trial).collect()
}

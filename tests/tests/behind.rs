//! The cases of the endpoints for clients and browsers once more, each on two gateways: the first one has no database and asks the second
//! one, by mutual TLS. `cargo test -p portcullis-tests --test behind [NAME]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis::{Case, Lab};
use portcullis_tests::case_files;

/// Folders of cases.
const FOLDERS: [&str; 9] =
    ["account", "authorize", "lifetimes", "manager", "protectedapi", "revoke", "scope", "token", "configuration"];

/// Cases that are about one gateway, and why.
const ONE: [(&str, &str); 8] = [
    (
        "cases/authorize/error-page-way-back",
        "the page knows the client for five minutes, also after it is disabled at the other gateway",
    ),
    ("cases/authorize/posted-again", "it counts seconds, of which two gateways on a busy machine need more"),
    ("cases/configuration/three-databases-race", "a service of its own uses the databases, which only the gateway behind has"),
    ("cases/configuration/store-elsewhere", "it names other hosts itself"),
    ("cases/lifetimes/access-outlives-refresh", "it runs a clean-up, which is for the gateway with the database"),
    ("cases/manager/overview", "it shows the state of a database, which only the gateway behind has"),
    ("cases/manager/overview-languages", "it shows that too"),
    ("cases/revoke/errors", "the revocation knows the client for five minutes, also after it is disabled at the other gateway"),
];

/// What the shipped configuration says of each store, and what stands there in this suite.
const HERE: &str = "_server = \"localhost:8443\"";
const BEHIND: &str = "_server = \"${gateway.case.behind}\"";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = tempfile::tempdir().expect("a folder");
    let lab = if arguments.list { None } else { Some(Arc::new(lab(root, tree.path()))) };
    let trials = case_files(root).into_iter().filter(|file| is_for_two(root, file)).map(|file| trial(root, file, lab.clone()));
    let all: Vec<Trial> = trials.collect();
    libtest_mimic::run(&arguments, all).exit_code()
}

fn is_for_two(root: &Path, file: &Path) -> bool {
    let name = name(root, file);
    FOLDERS.iter().any(|folder| name.starts_with(&format!("cases/{folder}/"))) && !ONE.iter().any(|(one, _)| *one == name)
}

fn name(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).with_extension("").display().to_string()
}

fn trial(root: &Path, file: PathBuf, lab: Option<Arc<Lab>>) -> Trial {
    Trial::test(name(root, &file), move || {
        let case = Case::read(&file).map_err(|failure| failure.to_string())?;
        let lab = lab.as_ref().ok_or_else(|| Failed::from("tests are only listed"))?;
        if !case.is_about(lab.dialect()) {
            return Ok(());
        }
        lab.run(&case).map_err(|failure| format!("{}\n{failure}", case.title).into())
    })
}

/// The shipped policies with the stores elsewhere. An operator says so in a customization, but the cases have their own.
fn lab(root: &Path, tree: &Path) -> Lab {
    for folder in ["policies", "fragments", "customizations"] {
        copy(&root.join("..").join(folder), &tree.join(folder));
    }
    let mut changed = 0;
    for name in ["otk-storage-configuration", "otk-ovp-configuration"] {
        let path = tree.join(format!("fragments/configuration/{name}.policy"));
        let text = std::fs::read_to_string(&path).expect("a policy");
        changed += text.matches(HERE).count();
        std::fs::write(&path, text.replace(HERE, BEHIND)).expect("a policy");
    }
    assert_eq!(changed, 4, "the four hosts have another default");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(Lab::new(Some(tree), None)) {
        Ok(lab) => lab.split(),
        Err(message) => {
            eprintln!("the shipped policies do not start:\n{message}");
            std::process::exit(1)
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

//! Every `.case` file below `cases/` and `attacks/`, each a test of its own. `cargo test -p portcullis-tests --test cases [NAME]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis::casefile::{Case, Lab};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["cases", "attacks"] {
        find(&root.join(folder), &mut files);
    }
    files.sort();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(&files, root, None)).exit_code();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let checkout = root.join("..");
    let lab = runtime.block_on(Lab::new(Some(&checkout), None)).unwrap_or_else(|message| {
        eprintln!("the shipped policies do not start:\n{message}");
        std::process::exit(1)
    });
    libtest_mimic::run(&arguments, trials(&files, root, Some(Arc::new(lab)))).exit_code()
}

fn trials(files: &[PathBuf], root: &Path, lab: Option<Arc<Lab>>) -> Vec<Trial> {
    let trial = |file: &PathBuf| {
        let name = file.strip_prefix(root).unwrap_or(file).with_extension("").display().to_string();
        let (file, lab) = (file.clone(), lab.clone());
        Trial::test(name, move || {
            let case = Case::read(&file).map_err(|failure| failure.to_string())?;
            let lab = lab.as_ref().ok_or_else(|| Failed::from("tests are only listed"))?;
            lab.run(&case).map_err(|failure| format!("{}\n{failure}", case.title).into())
        })
    };
    files.iter().map(trial).collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "case") {
            files.push(path);
        }
    }
}

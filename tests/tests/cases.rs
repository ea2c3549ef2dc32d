//! Every `.case` file below `cases/` and `attacks/`, each a test of its own. `cargo test -p portcullis-tests --test cases [NAME]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis::casefile::{Case, Lab};
use portcullis_tests::case_files;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = case_files(root);
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

//! The gateway as its clients see it. The suites are in `tests/`, the cases in `cases/` and `attacks/`, the load tool in
//! `src/bin`. Here is what several of them need: a gateway process that is started, watched and killed, and a home to run it in.

pub mod browser;
pub mod databases;
pub mod directory;
pub mod grants;
pub mod hostile;
pub mod jwt;
pub mod load;
pub mod pair;
pub mod party;
pub mod process;
pub mod servers;

use std::path::{Path, PathBuf};

/// Writes a file of a home, with the folders above it.
pub fn put(home: &Path, path: &str, text: &str) {
    let target = home.join(path);
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
    // In one step, so that a watching gateway never sees half of it.
    let name = target.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let draft = target.with_file_name(format!(".{name}.draft"));
    std::fs::write(&draft, text).unwrap_or_else(|error| panic!("{}: {error}", draft.display()));
    std::fs::rename(&draft, &target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
}

/// Waits for a future, on its own runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"))
        .block_on(future)
}

/// Every `.case` file below `cases/` and `attacks/` of the test crate at `root`, sorted.
pub fn case_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["cases", "attacks"] {
        find_cases(&root.join(folder), &mut files);
    }
    files.sort();
    files
}

fn find_cases(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            find_cases(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "case") {
            files.push(path);
        }
    }
}

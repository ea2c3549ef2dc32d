//! Embeds `policies/`, `fragments/` and `customizations/` in the binary: tables of path and content, in `$OUT_DIR/shipped.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a build that cannot go on stops"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("..");
    let mut files = Vec::new();
    for folder in ["policies", "fragments", "customizations"] {
        let folder_path = root.join(folder);
        if folder_path.is_dir() {
            // A directory here means everything below it.
            println!("cargo::rerun-if-changed={}", folder_path.display());
            walk(&folder_path, folder, &mut files);
        }
    }
    files.sort();
    let mut table = String::from("/// Path and text of every shipped file, by path.\npub static FILES: &[(&str, &str)] = &[\n");
    let (texts, pictures): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(_, file)| std::fs::read(file).is_ok_and(|bytes| String::from_utf8(bytes).is_ok()));
    for (path, file) in texts {
        writeln!(table, "    ({path:?}, include_str!({file:?})),").expect("a string takes everything");
    }
    table.push_str("];\n\n/// Path and bytes of every shipped picture, by path.\npub static PICTURES: &[(&str, &[u8])] = &[\n");
    for (path, file) in pictures {
        writeln!(table, "    ({path:?}, include_bytes!({file:?})),").expect("a string takes everything");
    }
    table.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo")).join("shipped.rs");
    std::fs::write(out, table).expect("the build directory is writable");
    println!("cargo::rerun-if-changed=build.rs");
}

fn walk(folder: &Path, name: &str, files: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.filter_map(Result::ok) {
        let own = entry.file_name().into_string().unwrap_or_else(|name| panic!("{name:?} is not UTF-8"));
        if own.starts_with('.') || own.ends_with('~') {
            continue;
        }
        let path = format!("{name}/{own}");
        if entry.path().is_dir() {
            walk(&entry.path(), &path, files);
        } else {
            files.push((path, entry.path().canonicalize().unwrap_or_else(|_| entry.path()).display().to_string()));
        }
    }
}

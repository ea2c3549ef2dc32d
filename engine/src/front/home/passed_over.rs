//! Files that somebody wrote as policies or settings, and that nobody reads: a slip in the name, or the wrong folder.

use std::fs;
use std::path::Path;

use portcullis_dsl::diagnostic::nearest;

use super::read::is_folder;
use super::{CUSTOMIZATIONS, Home, SERVICES, is_log};
use crate::services::config::FILE;

/// The same depth limit as for reading policies.
const MAX_DEPTH: usize = 16;
/// Most that are named one by one.
const NAMED: usize = 20;

/// All of them, each as a sentence that says what to do.
pub(super) fn all(home: &Home) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [CUSTOMIZATIONS, SERVICES] {
        walk(
            &home.path(folder),
            folder,
            MAX_DEPTH,
            &mut |path, name| {
                let why = slip(name)?;
                Some(format!("{path} is not read as a policy: {why}"))
            },
            &mut found,
        );
    }
    if !home.is_checkout() {
        let top = |path: &str, name: &str| {
            if name.ends_with(".policy") || slip(name).is_some() {
                return Some(format!("{path} is not read: policies stand in {SERVICES}/ and {CUSTOMIZATIONS}/"));
            }
            let settings = name != FILE && !name.starts_with("gateway.yaml.");
            let near = settings && (name.eq_ignore_ascii_case(FILE) || nearest(name, [FILE]).is_some());
            near.then(|| format!("{path} is not read: the settings are in {FILE}"))
        };
        walk(home.root(), "", 0, &mut { top }, &mut found);
        // Copies of what ships belong into no home.
        for folder in ["policies", "fragments"] {
            walk(
                &home.path(folder),
                folder,
                MAX_DEPTH,
                &mut |path, name| {
                    let stands = format!("{path} is not read: policies stand in {SERVICES}/ and {CUSTOMIZATIONS}/");
                    name.ends_with(".policy").then_some(stands)
                },
                &mut found,
            );
        }
    }
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    if more > 0 {
        found.push(format!("{more} more files are not read"));
    }
    found
}

/// Why a file is no policy although its name says that somebody meant one.
fn slip(name: &str) -> Option<&'static str> {
    if name.ends_with(".policy") {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let (_, end) = lower.rsplit_once('.')?;
    if end == "policy" {
        Some("its name must end in `.policy`, in lower case")
    } else if nearest(end, ["policy"]).is_some() {
        Some("its name must end in `.policy`")
    } else if lower.contains(".policy.") {
        Some("its name goes on behind `.policy`")
    } else {
        None
    }
}

type Judge<'a> = &'a mut dyn FnMut(&str, &str) -> Option<String>;

fn walk(folder: &Path, name: &str, below: usize, judge: Judge<'_>, found: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(own) = entry.file_name().into_string() else { continue };
        // What editors leave is theirs, and what has only an ending is nobody's slip of the pen but a file of such a name.
        let left = own.starts_with('.') && !own.starts_with(".policy") || own.ends_with(['~', '#']) || is_log(&own);
        if left {
            continue;
        }
        let path = if name.is_empty() { own.clone() } else { format!("{name}/{own}") };
        if is_folder(&entry) {
            if below > 0 {
                walk(&entry.path(), &path, below - 1, judge, found);
            }
        } else {
            found.extend(judge(&path, &own));
        }
    }
}

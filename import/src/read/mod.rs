//! From files to one [`Export`]. Damaged input is reported with its place, and the rest is read.

pub mod bundle;
mod code;
mod graphman;
mod project;
mod steps;
pub(crate) mod xml;

use std::sync::Arc;

use crate::model::{Damage, Export, Place, Policy, Role, Step};

pub use steps::policy_steps;

/// The largest file, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The deepest nesting of elements.
pub const MAX_DEPTH: usize = 200;

/// A file to read, under the path that reports name.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its path, `/`-separated, relative to what was named on the command line.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A file as text.
struct File {
    path: Arc<str>,
    text: String,
}

/// Reads files of any known format.
pub fn read(inputs: &[Input]) -> Export {
    let mut export = Export::default();
    let mut files = Vec::new();
    for input in inputs {
        let path: Arc<str> = input.path.as_str().into();
        if input.bytes.len() > MAX_BYTES {
            damaged(&mut export, &path, 0, format!("the file has more than {} MiB", MAX_BYTES >> 20));
            continue;
        }
        files.push(File { text: text_of(&path, &input.bytes, &mut export), path });
    }
    let project = project::Project::of(&files);
    for file in &files {
        let start = file.text.trim_start();
        if project.takes(file) {
            continue;
        }
        if start.starts_with('<') {
            bundle::read(&file.path, &file.text, &mut export);
        } else if start.starts_with(['{', '[']) {
            graphman::read(&file.path, &file.text, &files, &mut export);
        } else if is_policy_code(&file.path) {
            code::loose(&file.path, &file.text, &mut export);
        } else {
            damaged(
                &mut export,
                &file.path,
                1,
                "this is no export: neither XML nor JSON nor a file of a plug-in project".to_owned(),
            );
        }
    }
    project.read(&files, &mut export);
    merge(&mut export);
    export
}

fn damaged(export: &mut Export, file: &Arc<str>, line: usize, why: String) {
    export.damage.push(Damage { place: Place::new(file, line), why });
}

/// UTF-8, with or without a mark at its start; UTF-16 with one. Other bytes are replaced and reported.
fn text_of(path: &Arc<str>, bytes: &[u8], export: &mut Export) -> String {
    let wide = |bytes: &[u8], pair: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).filter_map(|two| two.try_into().ok().map(pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                let line = rest.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
                damaged(export, path, line, "a byte is not UTF-8; such bytes are replaced".to_owned());
                String::from_utf8_lossy(rest).into_owned()
            }
        },
    }
}

/// `name.policy.json`, `name.policy.yaml` and the like, beside or without its entity.
fn is_policy_code(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    [".policy.json", ".policy.yaml", ".policy.yml", ".policy.code", ".policy.xml"].iter().any(|end| name.ends_with(end))
}

/// A policy that came as a file alone: its name and folders are those of the file.
fn loose_policy(path: &Arc<str>, body: Result<Step, Damage>) -> Policy {
    let mut folder: Vec<String> =
        path.split('/').map(str::to_owned).filter(|part| !matches!(part.as_str(), "" | "." | "..")).collect();
    let file = folder.pop().unwrap_or_default();
    let end = file.find(".policy").or_else(|| file.rfind('.')).unwrap_or(file.len());
    let name = file.get(..end).unwrap_or(&file).to_owned();
    Policy {
        guid: String::new(),
        id: String::new(),
        name,
        folder,
        folder_id: String::new(),
        role: Role::Fragment,
        body,
        place: Place::new(path, 1),
        version: String::new(),
        doc: String::new(),
    }
}

/// The same thing in several files counts once: the last is the one that an installation would keep.
fn merge(export: &mut Export) {
    fn last<T>(items: &mut Vec<T>, key: impl Fn(&T) -> String) {
        let mut kept: indexmap::IndexMap<String, T> = indexmap::IndexMap::new();
        for (n, item) in items.drain(..).enumerate() {
            let key = match key(&item) {
                key if key.is_empty() => format!("\u{0}{n}"),
                key => key,
            };
            kept.insert(key, item);
        }
        items.extend(kept.into_values());
    }
    let ids = |guid: &str, id: &str| if guid.is_empty() { id.to_owned() } else { guid.to_owned() };
    last(&mut export.policies, |policy| {
        let key = ids(&policy.guid, &policy.id);
        if key.is_empty() { key } else { format!("{}{key}", matches!(policy.role, Role::Service(_))) }
    });
    last(&mut export.encasses, |encass| ids(&encass.guid, &encass.id));
    last(&mut export.properties, |property| property.name.to_lowercase());
    last(&mut export.databases, |database| database.name.clone());
    last(&mut export.providers, |provider| ids(&provider.id, &provider.name));
    last(&mut export.certificates, |certificate| certificate.name.clone());
    last(&mut export.tasks, |task| task.name.clone());
    last(&mut export.others, |other| format!("{}/{}", other.kind, other.name));
    let renamed = std::mem::take(&mut export.renamed);
    for (kind, id, name) in &renamed {
        rename(export, kind, id, name);
    }
    export.renamed = renamed;
    let ignored = export.ignored.clone();
    let is_ignored = |kind: &str, id: &str| ignored.iter().any(|(own, other)| own == kind && other == id && !id.is_empty());
    export.policies.retain(|policy| {
        let kind = if matches!(policy.role, Role::Service(_)) { "SERVICE" } else { "POLICY" };
        !is_ignored(kind, &policy.id)
    });
    export.encasses.retain(|encass| !is_ignored("ENCAPSULATED_ASSERTION", &encass.id));
    place_in_folders(export);
}

fn rename(export: &mut Export, kind: &str, id: &str, name: &str) {
    match kind {
        "POLICY" | "SERVICE" => {
            let own = export.policies.iter_mut().filter(|policy| policy.id == id || policy.guid == id);
            own.for_each(|policy| policy.name = name.to_owned());
        }
        "ENCAPSULATED_ASSERTION" => {
            let own = export.encasses.iter_mut().filter(|encass| encass.id == id || encass.guid == id);
            own.for_each(|encass| encass.name = name.to_owned());
        }
        _ => {}
    }
}

/// Gives policies the names of their folders. A folder that the export lacks ends the path.
fn place_in_folders(export: &mut Export) {
    let folders = &export.folders;
    for policy in export.policies.iter_mut().filter(|policy| policy.folder.is_empty() && !policy.folder_id.is_empty()) {
        let mut path = Vec::new();
        let mut id = policy.folder_id.clone();
        // A cycle of folders ends, too.
        for _ in 0..MAX_DEPTH {
            let Some((_, name, parent)) = folders.iter().find(|(own, ..)| *own == id) else { break };
            path.push(name.clone());
            id = parent.clone();
        }
        path.reverse();
        policy.folder = path;
    }
}

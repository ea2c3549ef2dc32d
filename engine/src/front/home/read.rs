//! Reads folders that people edit meanwhile: files may vanish, be half-written, or not be files at all.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use portcullis_dsl::picture::{self, MAX_PICTURE_BYTES};
use portcullis_dsl::shared::parts;
use thiserror::Error;

use super::shipped::{Files, Picture, ShippedFile};

/// Largest policy or data file.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Deepest folder; this also ends a link that leads back to its parent.
const MAX_DEPTH: usize = 16;

/// A file that cannot be part of a policy set, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub message: String,
}

impl Unreadable {
    /// What is wrong, as a sentence.
    pub fn sentence(&self) -> String {
        format!("cannot read {}: {}", self.path.display(), self.message)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.sentence())
    }
}

/// Whether a file's name is that of a log (`gateway.log`, `gateway.log.1`), which never belongs to a policy set.
pub fn is_log(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".log") || name.rsplit_once(".log.").is_some_and(|(_, end)| !end.ends_with("policy"))
}

/// Why a file is not read.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Io(std::io::Error),
    #[error("it is a directory, not a file")]
    Directory,
    #[error("it is not a regular file")]
    Irregular,
    #[error("it is too large ({} KiB; at most {} KiB)", .0 >> 10, MAX_FILE_BYTES >> 10)]
    Large(u64),
    #[error("it is binary (it contains zero bytes)")]
    Binary,
    #[error("it is not UTF-8 text (line {0})")]
    NotText(usize),
}

/// Reads a text file; `None` if there is none.
pub(super) fn text(path: &Path) -> Result<Option<String>, FileError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::Io(error)),
    };
    // A pipe would block and a directory cannot be read, so report them instead.
    if metadata.is_dir() {
        return Err(FileError::Directory);
    }
    if !metadata.is_file() {
        return Err(FileError::Irregular);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(FileError::Large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > MAX_FILE_BYTES => Err(FileError::Large(bytes.len() as u64)),
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => Err(FileError::Binary),
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
                let line = 1 + valid.filter(|byte| **byte == b'\n').count();
                Err(FileError::NotText(line))
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::Io(error)),
    }
}

/// Reads a picture. What cannot be used is only told if a policy names it.
fn picture(path: &Path) -> Option<Picture> {
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() {
        return Some(Err(FileError::Irregular.to_string()));
    }
    let most = MAX_PICTURE_BYTES as u64;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    Some(match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(_) if bytes.len() as u64 > most => {
            let (is, most) = (metadata.len().max(most + 1).div_ceil(1 << 10), most >> 10);
            Err(format!("it is too large ({is} KiB; at most {most} KiB, because each page contains it)"))
        }
        Ok(_) => Ok(bytes.into()),
    })
}

/// Reads every policy, text file and picture below `folder`, by path. Skips what editors leave beside a file (`.x.swp`, `x~`, `#x#`),
/// and all other files: nothing could use them.
pub(super) fn folder(folder: &Path, name: &str, files: &mut Files, problems: &mut Vec<Unreadable>) {
    let mut found = Vec::new();
    walk(folder, name, 0, &mut found, files, problems);
    let read = parts(&found, |part| part.iter().map(|file| text(&file.path)).collect::<Vec<_>>());
    for (file, text) in found.into_iter().zip(read.into_iter().flatten()) {
        match text {
            Ok(Some(text)) => files.texts.push(ShippedFile { path: Cow::Owned(file.relative), text: Cow::Owned(text) }),
            Ok(None) => {} // vanished since the folder was listed, or a link to nowhere
            Err(error) if file.relative.ends_with(POLICY) => {
                problems.push(Unreadable { path: file.path, message: error.to_string() });
            }
            Err(_) => {}
        }
    }
    files.texts.sort_by(|a, b| a.path.cmp(&b.path));
}

/// What may be a text.
struct Found {
    path: PathBuf,
    /// The path as policies name it.
    relative: String,
}

/// How the names of policies end.
const POLICY: &str = ".policy";

/// Whether this is a folder, or a link to one. Of all but links the listing has told it, so the system is not asked again.
pub(super) fn is_folder(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

fn walk(folder: &Path, name: &str, depth: usize, found: &mut Vec<Found>, files: &mut Files, problems: &mut Vec<Unreadable>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return problems.push(Unreadable { path: folder.to_owned(), message: error.to_string() }),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(Unreadable { path: folder.to_owned(), message: error.to_string() });
                continue;
            }
        };
        let path = entry.path();
        let Some(own) = path.file_name().and_then(|own| own.to_str()) else {
            problems.push(Unreadable { path, message: "its name is not UTF-8".to_owned() });
            continue;
        };
        if own.starts_with('.') || own.ends_with(['~', '#']) || is_log(own) {
            continue;
        }
        let relative = format!("{name}/{own}");
        if !own.ends_with(POLICY) && is_folder(&entry) {
            if depth < MAX_DEPTH {
                walk(&path, &relative, depth + 1, found, files, problems);
            } else {
                problems.push(Unreadable {
                    path,
                    message: format!("folders are nested more than {MAX_DEPTH} deep here (a link to itself?)"),
                });
            }
            continue;
        }
        if picture::is_picture(own) {
            files.pictures.extend(self::picture(&path).map(|picture| (relative, picture)));
            continue;
        }
        found.push(Found { path, relative });
    }
}

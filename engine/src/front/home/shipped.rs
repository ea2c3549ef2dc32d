//! The read-only files: embedded in the binary, or for development read from a source tree.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::read::{self, Unreadable};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
}

/// The folders that ship.
pub(super) const FOLDERS: [&str; 3] = ["policies", "fragments", "customizations"];

/// Where shipped files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// The binary.
    Embedded,
    /// A source tree: its `policies/`, `fragments/` and `customizations/`.
    Directory(PathBuf),
}

/// A file by its path relative to the tree or home, `/`-separated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedFile {
    /// Path, e.g. `policies/hello.policy`.
    pub path: Cow<'static, str>,
    /// Text.
    pub text: Cow<'static, str>,
}

/// A picture's bytes, or why they cannot be used.
pub(super) type Picture = Result<Arc<[u8]>, String>;

/// The files of some folders.
#[derive(Debug, Default)]
pub struct Files {
    /// Policies and other texts, by path.
    pub texts: Vec<ShippedFile>,
    /// Pictures by path.
    pub(super) pictures: BTreeMap<String, Picture>,
}

impl Shipped {
    /// All shipped files, by path.
    pub fn files(&self) -> Result<Files, Unreadable> {
        match self {
            Shipped::Embedded => {
                let text = |(path, text): &(&'static str, &'static str)| ShippedFile {
                    path: Cow::Borrowed(*path),
                    text: Cow::Borrowed(*text),
                };
                let picture = |(path, bytes): &(&str, &'static [u8])| ((*path).to_owned(), Ok(Arc::from(*bytes)));
                Ok(Files {
                    texts: embedded::FILES.iter().map(text).collect(),
                    pictures: embedded::PICTURES.iter().map(picture).collect(),
                })
            }
            Shipped::Directory(dir) => {
                let (mut files, mut problems) = (Files::default(), Vec::new());
                for folder in FOLDERS {
                    read::folder(&dir.join(folder), folder, &mut files, &mut problems);
                }
                match problems.into_iter().next() {
                    None => Ok(files),
                    Some(problem) => Err(problem),
                }
            }
        }
    }

    /// One shipped file.
    pub fn file(&self, path: &str) -> Result<Option<ShippedFile>, Unreadable> {
        match self {
            Shipped::Embedded => {
                let found = embedded::FILES.binary_search_by(|(own, _)| (*own).cmp(path)).ok();
                let found = found.and_then(|index| embedded::FILES.get(index));
                Ok(found.map(|(path, text)| ShippedFile { path: Cow::Borrowed(path), text: Cow::Borrowed(text) }))
            }
            Shipped::Directory(dir) => match read::text(&dir.join(path)) {
                Ok(text) => Ok(text.map(|text| ShippedFile { path: Cow::Owned(path.to_owned()), text: Cow::Owned(text) })),
                Err(error) => Err(Unreadable { path: dir.join(path), message: error.to_string() }),
            },
        }
    }
}

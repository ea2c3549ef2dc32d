//! The place of a piece of text: a file and two byte offsets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Index of a source file in a [`Sources`] table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct FileId(pub u32);

/// A byte range in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span over `start..end` of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Span { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both; both must be of one file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A node with its span. Equality looks only at the node, so trees of differently formatted texts compare equal.
#[derive(Clone, Default)]
pub struct Spanned<T> {
    /// The node.
    pub node: T,
    /// Its span.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts `node` at `span`.
    pub fn new(node: T, span: Span) -> Self {
        Spanned { node, span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.node
    }
}

/// The part of the installation that a file belongs to. It decides what the file may declare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Read-only: `policies/` and `fragments/`, embedded in the binary.
    Shipped,
    /// `customizations/`: `customize` and `extension` only.
    Customization,
    /// `services/`: an operator's own services, fragments, assertions, tasks and commands.
    Operator,
}

/// The text of a file. That of a shipped one is where the program keeps it, and not copied.
pub type Text = Cow<'static, str>;

/// One source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as the author knows it, `/`-separated, e.g. `customizations/configuration/#otk-storage-configuration.policy`.
    pub path: String,
    /// Its text.
    pub text: Text,
    /// Which part of the installation it belongs to.
    pub origin: Origin,
}

/// All files of a policy set, policies and the data files (`html file "…"`) they name.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Policy files; a [`FileId`] is an index here.
    pub files: Vec<Source>,
    /// Data files by path: text that a policy pulls in with `file "…"`.
    pub data: BTreeMap<String, Text>,
    /// Pictures by path, for `data_uri file "…"`: their bytes, or why they cannot be used.
    pub pictures: BTreeMap<String, Result<Arc<[u8]>, String>>,
}

impl Sources {
    /// Adds a policy file.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<Text>, origin: Origin) -> FileId {
        self.files.push(Source { path: path.into(), text: text.into(), origin });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file behind an id.
    #[expect(
        clippy::indexing_slicing,
        reason = "INVARIANT: files are only added, and whoever adds one gets its id from the same list"
    )]
    pub fn get(&self, id: FileId) -> &Source {
        &self.files[id.0 as usize]
    }

    /// `path:line:column`, both counted from one, column in characters.
    pub fn place(&self, span: Span) -> String {
        let source = self.get(span.file);
        let (line, column) = line_column(&source.text, span.start as usize);
        format!("{}:{line}:{column}", source.path)
    }

    /// Resolves the path in `file "…"` against the folder of the policy that names it: an own data file first, then a shipped one of
    /// the same relative path.
    pub fn data_path(&self, from: FileId, path: &str) -> Option<&str> {
        self.beside(from, path).iter().find_map(|path| self.data.get_key_value(path).map(|(path, _)| path.as_str()))
    }

    /// The picture of `data_uri file "…"`, found in the same way. One that is text, such as SVG, is among the data files.
    pub fn picture(&self, from: FileId, path: &str) -> Option<Result<&[u8], &str>> {
        self.beside(from, path).iter().find_map(|path| {
            let text = || self.data.get(path).map(|text| Ok(text.as_bytes()));
            self.pictures.get(path).map(|picture| picture.as_deref().map_err(String::as_str)).or_else(text)
        })
    }

    /// The paths that one in a policy file may mean, the nearest first.
    fn beside(&self, from: FileId, path: &str) -> [String; 2] {
        let folder = self.get(from).path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let own = if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
        [own, path.to_owned()]
    }
}

/// Where the lines of a text begin: for whoever asks for many places in it.
#[derive(Clone, Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// The lines of this text.
    pub fn new(text: &str) -> Self {
        Lines(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte offset, counted from one.
    pub fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset)
    }

    /// The byte offset where a line begins, counted from one; `None` behind the last.
    pub fn begin(&self, line: usize) -> Option<usize> {
        self.0.get(line.checked_sub(1)?).copied()
    }

    /// The same as [`line_column`] for the text that these are the lines of.
    pub fn line_column(&self, text: &str, offset: usize) -> (usize, usize) {
        let offset = text.floor_char_boundary(offset);
        let line = self.line(offset);
        let before = self.begin(line).and_then(|begin| text.get(begin..offset)).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

/// Line and column of a byte offset, counted from one, the column in characters. An offset after the end counts as the end.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    // An offset inside a character counts as that of the character: a wrong offset must not prevent the report.
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_for_every_offset() {
        let text = "a\né\u{1f600}b";
        let places: Vec<(usize, usize)> = (0..=text.len() + 2).map(|offset| line_column(text, offset)).collect();
        let expected = [(1, 1), (1, 2), (2, 1), (2, 1), (2, 2), (2, 2), (2, 2), (2, 2), (2, 3), (2, 4), (2, 4), (2, 4)];
        assert_eq!(places, expected);
        let lines = Lines::new(text);
        let places: Vec<(usize, usize)> = (0..=text.len() + 2).map(|offset| lines.line_column(text, offset)).collect();
        assert_eq!(places, expected);
    }
}

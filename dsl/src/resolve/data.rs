//! The data files that `file "…"` names: found, parsed once as templates, and walked like templates in a policy.

use hashbrown::HashMap;

use crate::ast::{Expr, ExprKind, Json, Part, Syntax};
use crate::diagnostic::Diagnostic;
use crate::parse::{parse_json_template, parse_template};
use crate::resolve::index::Policy;
use crate::resolve::visit::{self, Visit};
use crate::span::{FileId, Sources};

/// One data file.
#[derive(Debug)]
struct DataFile {
    path: String,
    id: FileId,
    /// Read as text with `${…}`.
    parts: Option<Vec<Part>>,
    /// Read as a JSON template.
    json: Option<Json>,
}

/// All data files that policies name.
#[derive(Debug, Default)]
pub(crate) struct DataFiles {
    files: Vec<DataFile>,
    by_reference: HashMap<FileId, HashMap<String, usize>>,
}

/// A `file "…"` in a policy.
pub(crate) struct Reference<'a> {
    pub(crate) syntax: Syntax,
    pub(crate) path: &'a str,
}

#[derive(Default)]
struct References<'a> {
    found: Vec<Reference<'a>>,
}

impl<'a> Visit<'a> for References<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        if let ExprKind::File(syntax, path) = &*expr.kind {
            self.found.push(Reference { syntax: *syntax, path });
        }
        visit::walk_expr(self, expr);
    }
}

/// Every `file "…"` of a declaration.
pub(crate) fn references(policy: &Policy) -> Vec<Reference<'_>> {
    let mut references = References::default();
    visit::walk_item(&mut references, &policy.item);
    for param in policy.params() {
        param.default.iter().for_each(|value| references.expr(value));
    }
    references.found
}

impl DataFiles {
    /// Reads every data file that a policy names. The files join `sources`, so that diagnostics can point into them.
    pub(crate) fn read(policies: &[Policy], sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) -> DataFiles {
        let mut all = DataFiles::default();
        let mut by_path: HashMap<String, usize> = HashMap::new();
        for policy in policies {
            for reference in references(policy) {
                let Some(path) = sources.data_path(policy.file, reference.path).map(str::to_owned) else { continue };
                let at = *by_path.entry(path).or_insert_with_key(|path| {
                    let text = sources.data.get(path).cloned().unwrap_or_default();
                    let id = sources.add(path.clone(), text, policy.origin);
                    all.files.push(DataFile { path: path.clone(), id, parts: None, json: None });
                    all.files.len() - 1
                });
                all.by_reference.entry(policy.file).or_default().insert(reference.path.to_owned(), at);
                if let Some(data) = all.files.get_mut(at) {
                    data.parse(&sources.get(data.id).text, reference.syntax, diagnostics);
                }
            }
        }
        all
    }

    fn get(&self, from: FileId, path: &str) -> Option<&DataFile> {
        let at = self.by_reference.get(&from)?.get(path)?;
        self.files.get(*at)
    }

    /// Path and place among the sources of the file that `path` means in the policy file `from`.
    pub(crate) fn found(&self, from: FileId, path: &str) -> Option<(&str, FileId)> {
        self.get(from, path).map(|file| (file.path.as_str(), file.id))
    }

    /// The file as text with variables.
    pub(crate) fn template(&self, from: FileId, path: &str) -> Option<&[Part]> {
        self.get(from, path)?.parts.as_deref()
    }

    /// The file as a JSON template.
    pub(crate) fn json(&self, from: FileId, path: &str) -> Option<&Json> {
        self.get(from, path)?.json.as_ref()
    }

    /// Walks the file as the kind of template it is used as.
    pub(crate) fn walk<'a>(&'a self, from: FileId, syntax: Syntax, path: &str, visitor: &mut impl Visit<'a>) {
        match syntax {
            Syntax::Json => self.json(from, path).into_iter().for_each(|json| visitor.json(json)),
            Syntax::Text | Syntax::Xml | Syntax::Html | Syntax::Url | Syntax::Sql => {
                self.template(from, path).into_iter().for_each(|parts| visitor.parts(parts));
            }
        }
    }
}

impl DataFile {
    fn parse(&mut self, text: &str, syntax: Syntax, diagnostics: &mut Vec<Diagnostic>) {
        match syntax {
            Syntax::Json if self.json.is_none() => {
                let (json, found) = parse_json_template(self.id, text);
                diagnostics.extend(found);
                self.json = Some(json);
            }
            Syntax::Text | Syntax::Xml | Syntax::Html | Syntax::Url | Syntax::Sql if self.parts.is_none() => {
                let (parts, found) = parse_template(self.id, text);
                diagnostics.extend(found);
                self.parts = Some(parts);
            }
            _ => {}
        }
    }
}

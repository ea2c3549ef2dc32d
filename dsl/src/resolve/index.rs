//! Which policies there are, by kind and name.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::ast::{Expr, Item, ItemKind, Param};
use crate::span::{FileId, Origin, Span};

/// Number of a declaration, in the order of files and of declarations in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u32);

impl PolicyId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One declaration and its origin.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name; of a customization or extension: the name of what it fills.
    pub name: String,
    /// Its number.
    pub id: PolicyId,
    /// The declaration.
    pub item: Arc<Item>,
    /// The file it stands in.
    pub file: FileId,
    /// The part of the installation that file belongs to.
    pub origin: Origin,
    /// What `connection …` at the top of that file says.
    pub connection: Option<Arc<Expr>>,
    /// Whether there is anything in its body, also where that is not kept.
    pub(crate) has_body: bool,
}

impl Policy {
    /// The parameters of an assertion or command; of all others, none.
    pub fn params(&self) -> &[Param] {
        self.item.params()
    }

    /// The output that `fail` sets, of an assertion or command that `fails with` one.
    pub fn failure(&self) -> Option<&Param> {
        self.params().iter().find(|param| param.failure)
    }

    /// Whether it has variables of its own: everything but fragments, customizations and extensions.
    pub fn owns_frame(&self) -> bool {
        match self.item.kind {
            ItemKind::Assertion(_) | ItemKind::Service(_) | ItemKind::Task(_) | ItemKind::Command(_) => true,
            ItemKind::Before | ItemKind::After => true,
            ItemKind::Fragment | ItemKind::Customize | ItemKind::Extension => false,
        }
    }

    /// Its documentation on one line.
    pub fn doc(&self) -> String {
        let mut doc = String::new();
        for comment in self.item.leading.iter().filter(|comment| comment.doc) {
            // Indented text, such as a table or an example, keeps its lines.
            match comment.text.strip_prefix("     ") {
                Some(line) => doc.push_str(&format!("\n    {line}")),
                None if doc.is_empty() => doc.push_str(comment.text.trim()),
                None => doc.push_str(&format!(" {}", comment.text.trim())),
            }
        }
        doc.trim_end().to_owned()
    }

    /// The span of its name.
    pub(crate) fn name_span(&self) -> Span {
        self.item.name.span
    }

    pub(crate) fn has_body(&self) -> bool {
        self.has_body
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of(&self.item.kind)
    }
}

/// The kinds of declaration, as a key.
pub(crate) use crate::words::Declaration as Kind;

impl Kind {
    pub(crate) fn of(kind: &ItemKind) -> Kind {
        match kind {
            ItemKind::Fragment => Kind::Fragment,
            ItemKind::Assertion(_) => Kind::Assertion,
            ItemKind::Service(_) => Kind::Service,
            ItemKind::Task(_) => Kind::Task,
            ItemKind::Command(_) => Kind::Command,
            ItemKind::Customize => Kind::Customize,
            ItemKind::Extension => Kind::Extension,
            ItemKind::Before => Kind::Before,
            ItemKind::After => Kind::After,
        }
    }
}

/// The form in which names are compared: case is ignored.
pub(crate) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// Whether two names are the same.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one == other || fold(one) == fold(other)
}

/// Declarations by kind and name, ignoring case; of two with the same name, the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    by_kind: HashMap<Kind, HashMap<String, (String, PolicyId)>>,
}

impl Index {
    /// Adds a policy, unless its name is taken.
    pub(crate) fn add(&mut self, policy: &Policy) {
        let names = self.by_kind.entry(policy.kind()).or_default();
        names.entry(fold(&policy.name)).or_insert_with(|| (policy.name.clone(), policy.id));
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<PolicyId> {
        self.by_kind.get(&kind)?.get(&fold(name)).map(|(_, id)| *id)
    }

    /// All names of a kind.
    pub(crate) fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.by_kind.get(&kind).into_iter().flat_map(|names| names.values().map(|(name, _)| name.as_str()))
    }
}

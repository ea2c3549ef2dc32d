//! An outline of a policy: what it includes and calls, in the order of evaluation, with the surrounding conditions.

use crate::ast::{Block, Call, Callee, GroupKind, Stmt, StmtKind};
use crate::resolve::Library;
use crate::resolve::index::{Kind, Policy, PolicyId};
use crate::resolve::visit::{self, Visit};

/// One line of an outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its depth: 0 for what the policy does itself.
    pub depth: usize,
    /// `include "N"`, `"N"`, `if …`, a label.
    pub text: String,
    /// What the fragment or assertion is for: the first sentence of its documentation.
    pub doc: String,
}

impl Library {
    /// The outline of a policy. Statements that neither include nor call anything are left out, and so are blocks of only such
    /// statements.
    pub fn steps<'a>(&'a self, policy: &'a Policy) -> Vec<Step> {
        let mut outline = Outline { library: self, steps: Vec::new(), depth: 0, opened: vec![policy.id] };
        outline.block(&policy.item.body);
        outline.steps
    }
}

struct Outline<'a> {
    library: &'a Library,
    steps: Vec<Step>,
    depth: usize,
    opened: Vec<PolicyId>,
}

impl<'a> Outline<'a> {
    fn push(&mut self, text: String, doc: String) {
        self.steps.push(Step { depth: self.depth, text, doc });
    }

    /// A heading with its contents, unless there are none.
    fn under(&mut self, heading: String, below: impl FnOnce(&mut Self)) {
        let at = self.steps.len();
        self.push(heading, String::new());
        self.depth += 1;
        below(self);
        self.depth -= 1;
        if self.steps.len() == at + 1 {
            self.steps.truncate(at);
        }
    }

    /// An arm of an `if`. Gives whether it has steps.
    fn arm(&mut self, heading: String, body: &'a Block) -> bool {
        self.push(heading, String::new());
        let at = self.steps.len();
        self.depth += 1;
        self.block(body);
        self.depth -= 1;
        self.steps.len() > at
    }

    fn include(&mut self, name: &str) {
        if let Some(target) = name.strip_prefix('#') {
            self.push(format!("customize \"{target}\""), String::new());
            return;
        }
        let doc = self.doc(Kind::Fragment, name);
        self.push(format!("include \"{name}\""), doc);
        // A policy that is already open above is not opened again, so cycles end.
        if let Some(fragment) = self.library.by_name(Kind::Fragment, name)
            && !self.opened.contains(&fragment.id)
        {
            self.opened.push(fragment.id);
            self.depth += 1;
            self.block(&fragment.item.body);
            self.depth -= 1;
        }
    }

    fn doc(&self, kind: Kind, name: &str) -> String {
        self.library.by_name(kind, name).map_or_else(String::new, |policy| first_sentence(&policy.doc()))
    }
}

/// Conditions are walked for their assertions.
impl<'a> Visit<'a> for Outline<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Include(name) => self.include(name),
            StmtKind::IncludeExtension(name) => {
                let doc = self.doc(Kind::Extension, name);
                self.push(format!("include extension \"{}\"", **name), doc);
            }
            StmtKind::Group { kind, label: Some(label), body } => {
                let word = if *kind == GroupKind::AtLeastOne { "AtLeastOne" } else { "All" };
                self.under(format!("{word} \"{}\"", **label), |outline| outline.block(body));
            }
            StmtKind::Group { kind: GroupKind::AtLeastOne, body, .. } => {
                self.under("AtLeastOne".to_owned(), |outline| outline.block(body));
            }
            StmtKind::If { arms, otherwise } => {
                let at = self.steps.len();
                let mut head = stmt.span.span;
                let mut any = false;
                for (_, body) in arms {
                    head.end = body.span.span.start;
                    any |= self.arm(self.library.one_line(head), body);
                    head.start = body.span.span.end;
                }
                any |= otherwise.as_ref().is_some_and(|body| self.arm("else".to_owned(), body));
                // An arm without steps is kept if another has some, because "else" alone would be meaningless.
                if !any {
                    self.steps.truncate(at);
                }
            }
            StmtKind::ForEach { prefix, body, .. } => {
                self.under(format!("ForEach {}", **prefix), |outline| outline.block(body));
            }
            StmtKind::HandleErrors { body, handler, .. } => {
                self.block(body);
                if let Some(handler) = handler {
                    self.under("on error".to_owned(), |outline| outline.block(handler));
                }
            }
            StmtKind::Else(first, second) => {
                self.stmt(first);
                self.under("else".to_owned(), |outline| outline.stmt(second));
            }
            _ => visit::walk_stmt(self, stmt),
        }
    }

    fn call(&mut self, call: &'a Call) {
        if let Callee::Encapsulated(name) = &call.callee {
            let doc = self.doc(Kind::Assertion, name);
            self.push(format!("\"{}\"", **name), doc);
        }
        if let Some(block) = &call.block {
            self.under(call.callee.name().to_string(), |outline| outline.block(block));
        }
    }
}

fn first_sentence(text: &str) -> String {
    text.split_once(". ").map_or_else(|| text.to_owned(), |(sentence, _)| format!("{sentence}."))
}

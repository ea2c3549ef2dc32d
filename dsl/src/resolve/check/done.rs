//! `Done` ends the service, task or command around it. It is not allowed in an assertion, which returns to its caller, nor in the
//! block of an assertion such as a transaction, which decides its result at its own end.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's id is made by the set, and indexes the tables that are as long as the set"
)]

use hashbrown::{HashMap, HashSet};

use crate::ast::{Block, Call, ItemKind, Stmt, StmtKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::index::{Kind, Policy, PolicyId};
use crate::resolve::visit::{self, Visit};
use crate::span::Span;

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let has_done = |policy: &Policy| {
        let mut walk = Found(false);
        walk.block(&policy.item.body);
        walk.0
    };
    // Few policies have one; only those are walked.
    if !set.policies.iter().any(has_done) {
        return;
    }
    let mut wrong: HashMap<(Span, &str), Diagnostic> = HashMap::new();
    for (owner, _) in set.spaces() {
        let mut walk = Walk { set, owner, within: None, seen: HashSet::new(), way: Vec::new(), wrong: &mut wrong };
        walk.block(&owner.item.body);
    }
    found.extend(wrong.into_values());
}

struct Found(bool);

impl<'a> Visit<'a> for Found {
    fn stmt(&mut self, stmt: &'a Stmt) {
        self.0 |= matches!(stmt.kind, StmtKind::Done);
        visit::walk_stmt(self, stmt);
    }
}

struct Walk<'w, 's> {
    set: &'w Set<'s>,
    owner: &'w Policy,
    /// The call whose block is being walked.
    within: Option<(&'w str, Span)>,
    seen: HashSet<(PolicyId, bool)>,
    way: Vec<Span>,
    wrong: &'w mut HashMap<(Span, &'static str), Diagnostic>,
}

impl<'w> Walk<'w, '_> {
    fn include(&mut self, kind: Kind, name: &str, span: Span) {
        let Some(id) = self.set.index.get(kind, name) else { return };
        if self.seen.insert((id, self.within.is_some())) {
            self.way.push(span);
            let body: &'w Block = &self.set.policies[id.index()].item.body;
            self.block(body);
            self.way.pop();
        }
    }

    fn done(&mut self, span: Span) {
        let error = if matches!(self.owner.item.kind, ItemKind::Assertion(_)) {
            let message = format!("`Done` is not allowed in assertion `{}`", self.owner.name);
            let error = Diagnostic::error(codes::DONE_IN_ASSERTION, message, span);
            error.help("it ends a service, task or command; set an output and let the caller decide")
        } else if let Some((name, place)) = self.within {
            let message = format!("`Done` cannot leave the block of `{name}`, which must run to its own end");
            let error = Diagnostic::error(codes::DONE_IN_BLOCK, message, span);
            error.help("put it after the block").related(place, "the block")
        } else {
            return;
        };
        self.wrong.entry((span, error.code)).or_insert(error.included_by(self.way.iter().rev().copied()));
    }
}

impl<'w> Visit<'w> for Walk<'w, '_> {
    fn stmt(&mut self, stmt: &'w Stmt) {
        match &stmt.kind {
            StmtKind::Done => self.done(stmt.span.span),
            StmtKind::Include(name) => match name.strip_prefix('#') {
                Some(target) => self.include(Kind::Customize, target, stmt.span.span),
                None => self.include(Kind::Fragment, name, stmt.span.span),
            },
            StmtKind::IncludeExtension(name) => self.include(Kind::Extension, name, stmt.span.span),
            _ => visit::walk_stmt(self, stmt),
        }
    }

    fn call(&mut self, call: &'w Call) {
        let before = self.within.replace((call.callee.name(), call.callee.name().span));
        visit::walk_call(self, call);
        self.within = before;
    }
}

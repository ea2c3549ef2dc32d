//! The codes with which an assertion can fail: those of its own `fail`s, and those of the assertions whose failure it passes on.

use std::collections::BTreeSet;

use hashbrown::HashSet;

use crate::ast::{Block, Call, Callee, Cond, Expr, ExprKind, GroupKind, Stmt, StmtKind};
use crate::resolve::Library;
use crate::resolve::check::{End, end};
use crate::resolve::index::{Kind, Policy, PolicyId};

impl Library {
    /// The codes with which an assertion can fail, in order. A code that is not literal is given as written. Empty without
    /// `fails with`.
    pub fn codes(&self, policy: &Policy) -> BTreeSet<String> {
        let mut codes = BTreeSet::new();
        if let Some(failure) = policy.failure() {
            let seen = HashSet::from([(policy.id, true)]);
            let mut walk = Walk { library: self, failure: &failure.name, seen, codes: &mut codes };
            walk.block(policy, &policy.item.body, true);
        }
        codes
    }
}

struct Walk<'w> {
    library: &'w Library,
    /// The name of the output.
    failure: &'w str,
    /// The policies already walked, and whether their failure passes: each once, however often it is included.
    seen: HashSet<(PolicyId, bool)>,
    codes: &'w mut BTreeSet<String>,
}

impl<'w> Walk<'w> {
    /// `passes`: a failure of the block fails the assertion.
    fn block(&mut self, policy: &'w Policy, block: &'w Block, passes: bool) {
        block.stmts.iter().for_each(|stmt| self.stmt(policy, stmt, passes));
    }

    fn stmt(&mut self, policy: &'w Policy, stmt: &'w Stmt, passes: bool) {
        match &stmt.kind {
            StmtKind::Fail(code) => {
                let own = self.is_own(code);
                if !own {
                    let written = code.literal().map(str::to_owned);
                    let sources = self.library.sources();
                    let text =
                        || sources.get(code.span.span.file).text.get(code.span.span.start as usize..code.span.span.end as usize);
                    self.codes.extend(written.or_else(|| text().map(str::to_owned)));
                }
            }
            StmtKind::Call(call) => self.call(policy, call, passes),
            StmtKind::Check(cond) => self.cond(policy, cond, passes),
            StmtKind::Group { kind: GroupKind::All | GroupKind::Bare, body, .. } => self.block(policy, body, passes),
            StmtKind::Group { kind: GroupKind::AtLeastOne, body, .. } => {
                for (at, stmt) in body.stmts.iter().enumerate() {
                    let mut later = body.stmts.iter().skip(at + 1);
                    let goes_on = later.all(|later| passes && may_fail_silently(later) || self.passes_on(later));
                    self.stmt(policy, stmt, (passes || at + 1 < body.stmts.len()) && goes_on);
                }
            }
            StmtKind::Else(first, second) => {
                let passed_on = self.passes_on(second);
                self.stmt(policy, first, passed_on || passes && may_fail_silently(second));
                self.stmt(policy, second, passes);
            }
            StmtKind::If { arms, otherwise } => {
                let blocks = arms.iter().map(|(_, block)| block).chain(otherwise);
                blocks.for_each(|block| self.block(policy, block, passes));
            }
            StmtKind::ForEach { body, .. } => self.block(policy, body, passes),
            StmtKind::HandleErrors { body, handler, .. } => {
                self.block(policy, body, passes);
                handler.iter().for_each(|handler| self.block(policy, handler, passes));
            }
            StmtKind::Include(name) => {
                let included = match name.strip_prefix('#') {
                    Some(target) => self.library.by_name(Kind::Customize, target),
                    None => self.library.by_name(Kind::Fragment, name),
                };
                self.included(included, passes);
            }
            StmtKind::IncludeExtension(name) => self.included(self.library.by_name(Kind::Extension, name), passes),
            StmtKind::Set { target, value, .. } | StmtKind::Default { target, value, .. } => {
                let own = target.eq_ignore_ascii_case(self.failure);
                self.codes.extend(value.literal().filter(|_| own).map(str::to_owned));
            }
            StmtKind::Declare { .. } | StmtKind::Raise(_) | StmtKind::Continue | StmtKind::Stop | StmtKind::Done => {}
        }
    }

    fn is_own(&self, code: &Expr) -> bool {
        matches!(&*code.kind, ExprKind::Var(var) if var.name.eq_ignore_ascii_case(self.failure))
    }

    /// Whether a statement ends by failing with the code that is already set.
    fn passes_on(&self, stmt: &Stmt) -> bool {
        match &stmt.kind {
            StmtKind::Fail(code) => self.is_own(code),
            StmtKind::Group { kind: GroupKind::All | GroupKind::Bare, body, .. } => {
                body.stmts.last().is_some_and(|last| self.passes_on(last))
            }
            _ => false,
        }
    }

    fn included(&mut self, policy: Option<&'w Policy>, passes: bool) {
        if let Some(policy) = policy.filter(|policy| self.seen.insert((policy.id, passes))) {
            self.block(policy, &policy.item.body, passes);
        }
    }

    fn call(&mut self, policy: &'w Policy, call: &'w Call, passes: bool) {
        call.block.iter().for_each(|block| self.block(policy, block, passes));
        let Callee::Encapsulated(name) = &call.callee else { return };
        let Some(callee) = self.library.assertion(name).filter(|_| passes) else { return };
        let same = callee.failure().is_some_and(|failure| failure.name.eq_ignore_ascii_case(self.failure));
        if same {
            self.included(Some(callee), true);
        }
    }

    /// Calls in a condition used as a statement. A failure of a negated call is not a failure.
    fn cond(&mut self, policy: &'w Policy, cond: &'w Cond, passes: bool) {
        match cond {
            Cond::Or(conds) | Cond::And(conds) => conds.iter().for_each(|cond| self.cond(policy, cond, passes)),
            Cond::Group(cond) => self.cond(policy, cond, passes),
            Cond::Call(call) => self.call(policy, call, passes),
            Cond::Not(_) | Cond::Compare(_) | Cond::Truth(_) => {}
        }
    }
}

/// Whether a statement can fail and leave the code of the earlier failure unchanged.
fn may_fail_silently(stmt: &Stmt) -> bool {
    match end(stmt) {
        End::Open | End::Fails => true,
        End::Holds | End::Leaves => false,
    }
}

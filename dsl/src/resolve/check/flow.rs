//! Statements that never run, or whose result is known beforehand: mistakes that do no harm but that the author should know
//! about.

use crate::ast::{Block, Comparison, Direction, GroupKind, Param, Stmt, StmtKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::{Set, values};
use crate::resolve::index::{Kind, Policy};
use crate::resolve::summary::{Event, SetBy};
use crate::resolve::visit::{self, Visit};
use crate::span::Span;

pub(crate) fn check(set: &Set<'_>, policy: &Policy, found: &mut Vec<Diagnostic>) {
    let mut flow = Flow { policy, found };
    flow.block(&policy.item.body);
    shadowed_inputs(set, policy, found);
}

struct Flow<'f> {
    policy: &'f Policy,
    found: &'f mut Vec<Diagnostic>,
}

/// How a statement ends, as far as the text shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It depends.
    Open,
    /// It always succeeds.
    Holds,
    /// It always fails.
    Fails,
    /// It always leaves the block, whatever is around it.
    Leaves,
}

impl Flow<'_> {
    fn sequence(&mut self, stmts: &[Stmt], first_success_ends: bool) {
        for (stmt, next) in stmts.iter().zip(stmts.iter().skip(1)) {
            let why = match (end(stmt), first_success_ends) {
                (End::Leaves, _) => "this never returns",
                (End::Fails, false) => "always fails, which ends the block here",
                (End::Holds, true) => "always succeeds, which ends the `AtLeastOne` here",
                _ => continue,
            };
            let warning = Diagnostic::warning(codes::UNREACHABLE, "this is never reached", next.span.span);
            self.found.push(warning.related(stmt.span.span, why));
            return;
        }
    }
}

impl Flow<'_> {
    /// Setting an output to the reason and then `Stop`, in an assertion or command: `fail` does both.
    fn by_hand(&mut self, stmts: &[Stmt]) {
        for (set, stop) in stmts.iter().zip(stmts.iter().skip(1)) {
            let (StmtKind::Set { target, ty: None, value }, StmtKind::Stop) = (&set.kind, &stop.kind) else { continue };
            let same = |param: &&Param| param.direction == Direction::Out && param.name.eq_ignore_ascii_case(target);
            let Some(param) = self.policy.params().iter().find(same).filter(|_| values::is_literal(value)) else { continue };
            if !param.failure && self.policy.failure().is_some() {
                continue;
            }
            let span = set.span.span.to(stop.span.span);
            let message = format!("`fail` sets `{}` and stops, in one statement", **target);
            let help = match param.failure {
                true => "write `fail` and the value".to_owned(),
                false => format!("write `fail` and the value, and `fails with {}` after the parameters", *param.name),
            };
            self.found.push(Diagnostic::warning(codes::FAIL_BY_HAND, message, span).help(help));
        }
    }
}

impl<'a> Visit<'a> for Flow<'_> {
    fn block(&mut self, block: &'a Block) {
        self.sequence(&block.stmts, false);
        if matches!(self.policy.kind(), Kind::Assertion | Kind::Command) {
            self.by_hand(&block.stmts);
        }
        visit::walk_block(self, block);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        if let StmtKind::Group { kind: GroupKind::AtLeastOne, body, .. } = &stmt.kind {
            if body.stmts.is_empty() {
                let warning = Diagnostic::warning(codes::EMPTY_GROUP, "an empty `AtLeastOne` always fails", stmt.span.span);
                self.found.push(warning.help("write `Stop`, or the alternatives"));
            }
            self.sequence(&body.stmts, true);
            visit::walk_block(self, body);
        } else {
            visit::walk_stmt(self, stmt);
        }
    }

    fn comparison(&mut self, comparison: &'a Comparison) {
        let constant =
            values::is_literal(&comparison.left) && visit::operand(&comparison.predicate).is_none_or(values::is_literal);
        if constant {
            let message = "both sides are fixed, so the result is too";
            let warning = Diagnostic::warning(codes::CONSTANT_COMPARISON, message, comparison.span.span);
            self.found.push(match comparison.left.literal() {
                Some(name) if crate::parse::is_variable_name(name) => warning.help(format!("for a variable write `${{{name}}}`")),
                _ => warning.help("write `Continue` or `Stop`, or compare a variable"),
            });
        }
        visit::walk_comparison(self, comparison);
    }
}

/// How a statement ends.
pub(crate) fn end(stmt: &Stmt) -> End {
    match &stmt.kind {
        StmtKind::Stop => End::Fails,
        StmtKind::Fail(_) | StmtKind::Raise(_) | StmtKind::Done => End::Leaves,
        StmtKind::Continue => End::Holds,
        StmtKind::Group { kind: GroupKind::All | GroupKind::Bare, body, .. } => all(&body.stmts),
        StmtKind::Group { kind: GroupKind::AtLeastOne, body, .. } => any(body.stmts.iter()),
        StmtKind::Else(first, second) => any([first.as_ref(), second.as_ref()].into_iter()),
        StmtKind::If { arms, otherwise: Some(otherwise) } => {
            let mut ends = arms.iter().map(|(_, block)| block).chain([otherwise]).map(|block| all(&block.stmts));
            let first = ends.next().unwrap_or(End::Open);
            ends.fold(first, |one, other| match (one, other) {
                (one, other) if one == other => one,
                (End::Fails, End::Leaves) | (End::Leaves, End::Fails) => End::Fails,
                _ => End::Open,
            })
        }
        StmtKind::Set { .. }
        | StmtKind::Default { .. }
        | StmtKind::Declare { .. }
        | StmtKind::Include(_)
        | StmtKind::IncludeExtension(_)
        | StmtKind::Call(_)
        | StmtKind::If { otherwise: None, .. }
        | StmtKind::ForEach { .. }
        | StmtKind::HandleErrors { .. }
        | StmtKind::Check(_) => End::Open,
    }
}

fn all(stmts: &[Stmt]) -> End {
    let mut holds = true;
    for stmt in stmts {
        match end(stmt) {
            // What comes before may fail first; in either case the block fails.
            End::Leaves if holds => return End::Leaves,
            End::Leaves | End::Fails => return End::Fails,
            End::Open => holds = false,
            End::Holds => {}
        }
    }
    if holds { End::Holds } else { End::Open }
}

fn any<'a>(stmts: impl Iterator<Item = &'a Stmt>) -> End {
    let mut fails = true;
    for stmt in stmts {
        match end(stmt) {
            End::Leaves if fails => return End::Leaves,
            End::Holds if fails => return End::Holds,
            End::Fails => {}
            End::Leaves | End::Holds | End::Open => fails = false,
        }
    }
    if fails { End::Fails } else { End::Open }
}

/// An input that is set before anything reads it: the caller's value is lost, which is hardly intended.
#[expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: there are as many lists of events as policies, whose ids are places in them"
)]
fn shadowed_inputs(set: &Set<'_>, policy: &Policy, found: &mut Vec<Diagnostic>) {
    let inputs = policy.params().iter().filter(|param| param.direction == Direction::In);
    for param in inputs {
        let Some(name) = set.names.get(&param.name) else { continue };
        // The first thing that happens to it after its declaration. An include ends the search, because its contents are not
        // examined.
        let first = set.events[policy.id.index()].iter().find_map(|event| match event {
            Event::Read { name: read, .. } if set.names.chain(*read).any(|read| read == name) => Some(None),
            Event::Include { .. } => Some(None),
            Event::Set { by: SetBy::Param(_), .. } => None,
            Event::Set { name: target, by: SetBy::Assignment, span, .. } if *target == name => Some(Some(*span)),
            Event::Set { name: target, .. } if *target == name => Some(None),
            _ => None,
        });
        if let Some(Some(span)) = first
            && unconditional(&policy.item.body, span)
        {
            let message = format!("input `{}` is overwritten before anything reads it", *param.name);
            let warning = Diagnostic::warning(codes::SHADOWED_INPUT, message, span);
            found.push(warning.help("keep it with `default`, or use another name").related(param.name.span, "the input"));
        }
    }
}

/// Whether the statement that sets `target` runs whenever the block runs that far.
fn unconditional(block: &Block, target: Span) -> bool {
    block.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Set { target: name, .. } => name.span == target,
        StmtKind::Group { kind: GroupKind::All | GroupKind::Bare, body, .. } => unconditional(body, target),
        _ => false,
    })
}

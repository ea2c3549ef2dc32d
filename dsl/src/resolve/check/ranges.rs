//! Checks literals against the types, bounds and choices of outputs and declared variables, wherever in the frame they are set. This
//! matters most in customizations, where an operator learns of a mistake before it has any effect.

use hashbrown::HashSet;

use crate::ast::{Allowed, Expr, Stmt, StmtKind, Type};
use crate::diagnostic::Diagnostic;
use crate::resolve::build::Space;
use crate::resolve::check::{Set, values};
use crate::resolve::summary::Event;
use crate::resolve::visit::{self, Visit};
use crate::span::Span;

/// The declaration of a variable of a frame.
struct Declared<'a> {
    name: &'a str,
    ty: Type,
    allowed: Option<&'a Allowed>,
    span: Span,
}

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    // A fragment that many policies include is reported once.
    let mut reported = HashSet::new();
    for (_, space) in set.spaces() {
        let declared = declared(set, space);
        if declared.is_empty() {
            continue;
        }
        for (place, member) in space.members.iter().enumerate() {
            let mut walk = Walk { declared: &declared, found: Vec::new() };
            walk.block(&set.policy(member.policy).item.body);
            let new = walk.found.into_iter().filter(|wrong| reported.insert(wrong.span));
            found.extend(new.map(|wrong| wrong.included_by(space.chain(place))));
        }
    }
}

fn declared<'a>(set: &'a Set<'_>, space: &Space) -> Vec<Declared<'a>> {
    let events = space.members.iter().filter_map(|member| set.events.get(member.policy.index())).flatten();
    events
        .filter_map(|event| match event {
            Event::Declare { name, span, ty: Some(ty), allowed, .. } => {
                Some(Declared { name: set.names.text(*name), ty: *ty, allowed: allowed.as_ref(), span: *span })
            }
            _ => None,
        })
        .collect()
}

struct Walk<'d> {
    declared: &'d [Declared<'d>],
    found: Vec<Diagnostic>,
}

impl<'a> Visit<'a> for Walk<'_> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        if let StmtKind::Set { target, value, .. } | StmtKind::Default { target, value, .. } = &stmt.kind {
            let declared = self.declared.iter().filter(|declared| declared.name.eq_ignore_ascii_case(target));
            let wrong =
                declared.filter_map(|declared| Some(problem(target, value, declared)?.related(declared.span, "declared here")));
            self.found.extend(wrong);
        }
        visit::walk_stmt(self, stmt);
    }
}

fn problem(target: &str, value: &Expr, declared: &Declared<'_>) -> Option<Diagnostic> {
    if let Some(wrong) = values::conversion(value, declared.ty, target) {
        let whole = || declared.allowed.map_or_else(String::new, |allowed| format!(" {}", allowed.words()));
        let has_unit = value.literal().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
        return Some(match declared.ty {
            Type::Int if has_unit => wrong.help(format!("write a whole number{}, without a unit", whole())),
            Type::Int => wrong.help(format!("write a whole number{}", whole())),
            _ => wrong,
        });
    }
    values::allowed(value, declared.ty, declared.allowed?, target)
}

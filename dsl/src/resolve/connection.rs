//! `connection ${name} from "Policy"`: which connection that is, known when the policies load, so that all that is known of a literal is
//! known of it too.

use std::sync::Arc;

use crate::ast::{Expr, ExprKind, Name, Stmt, StmtKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::index::{Index, Kind, Policy, same};
use crate::resolve::visit::{self, Visit};
use crate::span::FileId;

/// What sets a variable.
struct Sets<'a> {
    name: &'a str,
    values: Vec<&'a Expr>,
}

impl<'a> Visit<'a> for Sets<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Set { target, value, .. } | StmtKind::Default { target, value, .. } if same(target, self.name) => {
                self.values.push(value);
            }
            _ => visit::walk_stmt(self, stmt),
        }
    }
}

fn sets<'a>(policy: &'a Policy, name: &'a str) -> Vec<&'a Expr> {
    let mut sets = Sets { name, values: Vec::new() };
    sets.block(&policy.item.body);
    sets.values
}

/// Puts the names of connections into the places of the variables that stand for them.
pub(super) fn settle(
    policies: &mut [Policy],
    index: &Index,
    derived: Vec<(FileId, Expr, Name)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (file, variable, from) in derived {
        let name = settled(policies, index, &variable, &from).unwrap_or_else(|diagnostic| {
            diagnostics.push(diagnostic);
            // A name that nobody asks about, so that one mistake is told once.
            Expr::new(ExprKind::Raw(String::new()), variable.span.span)
        });
        let name = Some(Arc::new(name));
        policies.iter_mut().filter(|policy| policy.file == file).for_each(|policy| policy.connection.clone_from(&name));
    }
}

fn settled(policies: &[Policy], index: &Index, variable: &Expr, from: &Name) -> Result<Expr, Diagnostic> {
    let error = |message: String, span| Diagnostic::error(codes::UNKNOWN_CONNECTION, message, span);
    let ExprKind::Var(name) = &*variable.kind else {
        return Err(error("this is no variable".to_owned(), variable.span.span));
    };
    let name = name.name.as_str();
    let kinds = [Kind::Fragment, Kind::Assertion];
    let find = |kind: Kind| index.get(kind, from).and_then(|id| policies.get(id.index()));
    let Some(policy) = kinds.into_iter().find_map(find) else {
        let names = kinds.into_iter().flat_map(|kind| index.names(kind));
        return Err(error(format!("there is no fragment or assertion `{}`", **from), from.span).suggest(from, names));
    };
    // Where a customization sets it, its word counts.
    let customized = find(Kind::Customize).map(|hook| sets(hook, name)).filter(|values| !values.is_empty());
    let values = customized.unwrap_or_else(|| sets(policy, name));
    let Some(last) = values.last() else {
        let message = format!("`{}` does not set `{name}`", policy.name);
        return Err(error(message, variable.span.span).related(policy.name_span(), "declared here"));
    };
    let literals: Option<Vec<&str>> = values.iter().map(|value| value.literal()).collect();
    match literals.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|other| other == first) && !first.is_empty() => {
            Ok(Expr::new(ExprKind::Raw((*first).to_owned()), last.span.span))
        }
        _ => {
            let message = format!("`{name}` must be one name in quotes, because connections are known when the policies load");
            Err(error(message, last.span.span))
        }
    }
}

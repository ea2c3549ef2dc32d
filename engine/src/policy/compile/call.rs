//! The compiler's interface for the builder of an assertion.

use std::sync::Arc;

use portcullis_dsl::Diagnostic;
use portcullis_dsl::ast::{self, Part};
use smol_str::SmolStr;

use super::{Compiler, Scope, note};
use crate::data::pattern::Written;
use crate::policy::build::BuildHost;
use crate::policy::ctx::Slot;
use crate::policy::expr::{Expr, Piece};
use crate::policy::reads::Reads;

/// The compiler in the scope of one call.
pub(super) struct BuildSite<'c, 'a> {
    pub compiler: &'c mut Compiler<'a>,
    pub scope: Scope<'a>,
}

impl BuildHost for BuildSite<'_, '_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.compiler.report(diagnostic);
    }

    fn expr(&mut self, expr: &ast::Expr) -> Expr {
        self.compiler.expr(expr, self.scope)
    }

    fn file_connection(&mut self) -> Option<Expr> {
        let connection = self.scope.policy.connection.as_deref()?;
        Some(self.compiler.expr(connection, self.scope))
    }

    fn pieces(&mut self, parts: &[Part]) -> Vec<Piece> {
        self.compiler.pieces(parts, self.scope)
    }

    fn file_parts(&self, path: &str) -> Option<Vec<Part>> {
        self.compiler.library.template(self.scope.file(), path).map(<[Part]>::to_vec)
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        self.scope.frame.slot(name).map(|slot| self.compiler.hand_out(slot))
    }

    fn reads(&mut self) -> &mut Reads {
        &mut self.compiler.reads
    }

    fn with_prefix(&self, prefix: &str) -> Vec<(String, Slot)> {
        self.scope.frame.with_prefix(prefix).into_iter().map(|(rest, slot)| (rest, self.compiler.hand_out(slot))).collect()
    }

    fn regex(&mut self, pattern: &str, ignore_case: bool) -> Result<Arc<Written>, regex::Error> {
        self.compiler.regex(pattern, ignore_case)
    }

    fn own_cookie(&mut self, pattern: SmolStr) {
        note(&mut self.compiler.cookies, pattern);
    }
}

//! Conditions: short-circuit wiring, and comparisons evaluated as far as their text allows.

use portcullis_dsl::Diagnostic;
use portcullis_dsl::ast::{self, Comparison, Cond, Multi, Predicate};

use super::code::Label;
use super::{Compiler, Scope};
use crate::policy::codes;
use crate::policy::exec::compare::{Compare, Condition, Test};
use crate::policy::exec::program::Op;

impl<'a> Compiler<'a> {
    /// Wires a condition. Negation is pushed down to the comparisons, where an undefined left side fails, negated or not.
    pub(super) fn cond(&mut self, cond: &'a Cond, scope: Scope<'a>, negate: bool, ok: Label, no: Label) {
        match (cond, negate) {
            (Cond::Group(inner), _) => self.cond(inner, scope, negate, ok, no),
            (Cond::Not(inner), _) => self.cond(inner, scope, !negate, ok, no),
            (Cond::And(conds), false) | (Cond::Or(conds), true) => {
                for (i, cond) in conds.iter().enumerate() {
                    if i + 1 == conds.len() {
                        return self.cond(cond, scope, negate, ok, no);
                    }
                    let next = self.code.label();
                    self.cond(cond, scope, negate, next, no);
                    self.code.place(next);
                }
            }
            (Cond::Or(conds), false) | (Cond::And(conds), true) => {
                for (i, cond) in conds.iter().enumerate() {
                    if i + 1 == conds.len() {
                        return self.cond(cond, scope, negate, ok, no);
                    }
                    let next = self.code.label();
                    self.cond(cond, scope, negate, ok, next);
                    self.code.place(next);
                }
            }
            (Cond::Truth(value), _) => {
                let compare = self.truth(value, scope, negate);
                self.code.emit(Op::Test(compare), value.span.span, ok, no);
            }
            (Cond::Call(call), false) => self.call(call, scope, ok, no),
            (Cond::Call(call), true) => self.call(call, scope, no, ok),
            (Cond::Compare(comparison), _) => {
                let span = comparison.span.span;
                match self.comparison(comparison, scope, negate) {
                    Some(compare) => self.code.emit(Op::Test(compare), span, ok, no),
                    // The error was reported, so these policies never run. If they did, this would be a fault, not a success.
                    None => self.code.emit(Op::Defect, span, no, no),
                }
            }
        }
    }

    /// A condition as a value.
    pub(super) fn condition(&mut self, cond: &Cond, scope: Scope<'a>, negate: bool) -> Option<Condition> {
        match (cond, negate) {
            (Cond::Group(inner), _) => self.condition(inner, scope, negate),
            (Cond::Not(inner), _) => self.condition(inner, scope, !negate),
            (Cond::And(conds), _) | (Cond::Or(conds), _) => {
                let conds = conds.iter().map(|cond| self.condition(cond, scope, negate)).collect::<Option<Box<[_]>>>()?;
                let all = matches!(cond, Cond::And(_)) != negate;
                Some(if all { Condition::All(conds) } else { Condition::Any(conds) })
            }
            (Cond::Compare(comparison), _) => self.comparison(comparison, scope, negate).map(Condition::Test),
            (Cond::Truth(value), _) => Some(Condition::Test(self.truth(value, scope, negate))),
            (Cond::Call(call), _) => {
                self.report(codes::defect("an assertion inside a value", call.span.span));
                None
            }
        }
    }

    fn truth(&mut self, value: &ast::Expr, scope: Scope<'a>, negate: bool) -> Compare {
        Compare::new(Multi::All, self.expr(value, scope), None, Test::True).negated(negate)
    }

    fn comparison(&mut self, comparison: &Comparison, scope: Scope<'a>, negate: bool) -> Option<Compare> {
        let left = self.expr(&comparison.left, scope);
        let mut negate = negate;
        let test = match &comparison.predicate {
            Predicate::Binary(op, right) => Test::Binary(*op, self.expr(right, scope)),
            Predicate::Empty => Test::Empty,
            Predicate::NotEmpty => {
                negate = !negate;
                Test::Empty
            }
            Predicate::Contains(right) => Test::Contains(self.expr(right, scope)),
            Predicate::ContainsAll(right) => Test::ContainsAll(self.expr(right, scope)),
            Predicate::ContainsAny(right) => Test::ContainsAny(self.expr(right, scope)),
            Predicate::In(right) => Test::In(self.expr(right, scope)),
            Predicate::StartsWith(right) => Test::StartsWith(self.expr(right, scope)),
            Predicate::EndsWith(right) => Test::EndsWith(self.expr(right, scope)),
            Predicate::Length(bounds) => Test::Length(*bounds),
            Predicate::Count(bounds) => Test::Count(*bounds),
            Predicate::Matches(right) => match right.literal() {
                Some(pattern) => match self.regex(pattern, comparison.ignore_case) {
                    Ok(regex) => Test::Matches(regex),
                    Err(error) => {
                        let span = right.span.span;
                        self.report(
                            Diagnostic::error(codes::BAD_REGEX, "this regular expression does not compile", span)
                                .help(error.to_string()),
                        );
                        return None;
                    }
                },
                None => Test::MatchesText(self.expr(right, scope)),
            },
        };
        let ty = comparison.ty.as_ref().map(|ty| ty.node);
        Some(Compare::new(comparison.mode, left, ty, test).negated(negate).ignoring_case(comparison.ignore_case))
    }
}

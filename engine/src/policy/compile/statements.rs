//! Statements: wires each to what follows its success and its failure.

use std::sync::Arc;

use portcullis_dsl::ast::{Block, Call, Callee, Cond, GroupKind, Stmt, StmtKind};
use portcullis_dsl::span::Span;

use super::call::BuildSite;
use super::code::Label;
use super::{Compiler, FailTo, Scope};
use crate::policy::assertion::{BlockEnd, Build, Entry, Runnable};
use crate::policy::codes;
use crate::policy::ctx::Slot;
use crate::policy::exec::bounds::Bounds;
use crate::policy::exec::program::{Loop, Op};
use portcullis_dsl::Policy;

impl<'a> Compiler<'a> {
    /// A block is an `All` of its statements.
    pub(super) fn block(&mut self, block: &'a Block, scope: Scope<'a>, ok: Label, no: Label) {
        let stmts: Vec<&Stmt> = block.stmts.iter().filter(|stmt| self.is_present(stmt)).collect();
        self.all(&stmts, scope, ok, no, block.span.span);
    }

    fn all(&mut self, stmts: &[&'a Stmt], scope: Scope<'a>, ok: Label, no: Label, span: Span) {
        let Some((last, before)) = stmts.split_last() else {
            return self.code.emit(Op::Jump, span, ok, ok);
        };
        for stmt in before {
            let next = self.code.label();
            self.stmt(stmt, scope, next, no);
            self.code.place(next);
        }
        self.stmt(last, scope, ok, no);
    }

    fn at_least_one(&mut self, stmts: &[&'a Stmt], scope: Scope<'a>, ok: Label, no: Label, span: Span) {
        let Some((last, before)) = stmts.split_last() else {
            return self.code.emit(Op::Jump, span, no, no);
        };
        for stmt in before {
            let next = self.code.label();
            self.stmt(stmt, scope, ok, next);
            self.code.place(next);
        }
        self.stmt(last, scope, ok, no);
    }

    /// An unfilled hook is absent: it does nothing in an `All`, and an `AtLeastOne` skips it.
    fn is_present(&self, stmt: &Stmt) -> bool {
        match &stmt.kind {
            StmtKind::Include(name) | StmtKind::IncludeExtension(name) => {
                self.included(name, matches!(stmt.kind, StmtKind::IncludeExtension(_))).is_some()
            }
            _ => true,
        }
    }

    /// What an `include` brings in.
    fn included(&self, name: &str, extension: bool) -> Option<&'a Policy> {
        if extension {
            self.library.extension(name)
        } else if let Some(target) = name.strip_prefix('#') {
            self.library.hook(target)
        } else {
            self.library.fragment(name)
        }
    }

    pub(super) fn stmt(&mut self, stmt: &'a Stmt, scope: Scope<'a>, ok: Label, no: Label) {
        let span = stmt.span.span;
        match &stmt.kind {
            StmtKind::Set { target, ty, value } => {
                let (value, place) = (self.expr(value, scope), value.span.span);
                let slot = self.slot(target, scope);
                self.flow.set(slot, &value, place, self.origin(place));
                let op = Op::Set(slot, value, ty.as_ref().map(|ty| ty.node));
                self.assigned(op, slot, scope, span, ok, no);
            }
            StmtKind::Default { target, ty, value } => {
                let (value, place) = (self.expr(value, scope), value.span.span);
                let slot = self.slot(target, scope);
                self.flow.set(slot, &value, place, self.origin(place));
                let op = Op::Default(slot, value, ty.as_ref().map(|ty| ty.node));
                self.assigned(op, slot, scope, span, ok, no);
            }
            // It only gives the variable its slot, which the frame already has.
            StmtKind::Declare { .. } => self.code.emit(Op::Jump, span, ok, ok),
            StmtKind::Include(name) => self.include(name, false, scope, ok, no, span),
            StmtKind::IncludeExtension(name) => self.include(name, true, scope, ok, no, span),
            StmtKind::Call(call) => self.call(call, scope, ok, no),
            StmtKind::Group { kind, body, .. } => match kind {
                GroupKind::All | GroupKind::Bare => self.block(body, scope, ok, no),
                GroupKind::AtLeastOne => {
                    let stmts: Vec<&Stmt> = body.stmts.iter().filter(|stmt| self.is_present(stmt)).collect();
                    self.at_least_one(&stmts, scope, ok, no, span);
                }
            },
            StmtKind::If { arms, otherwise } => {
                for (cond, body) in arms {
                    let (then, next) = (self.code.label(), self.code.label());
                    self.cond(cond, scope, false, then, next);
                    self.code.place(then);
                    self.block(body, scope, ok, no);
                    self.code.place(next);
                }
                match otherwise {
                    Some(body) => self.block(body, scope, ok, no),
                    None => self.code.emit(Op::Jump, span, ok, ok),
                }
            }
            StmtKind::ForEach { prefix, list, limit, body } => {
                let mut slot = |part: &str| self.slot(&format!("{}.{part}", prefix.node), scope);
                let data = Loop {
                    item: scope.frame.item(prefix).map(|slot| Slot(slot as u32)),
                    current: Some(slot("current")),
                    iterations: Some(slot("iterations")),
                    stop: slot("break"),
                    exceeded: slot("exceededlimit"),
                    limit: limit.as_ref().map(|limit| limit.node.max(0) as usize).filter(|limit| *limit > 0),
                };
                let place = list.span.span;
                let list = self.expr(list, scope);
                for slot in data.item.into_iter().chain(data.current) {
                    self.flow.set(slot, &list, place, self.origin(place));
                }
                let (next, round, failed) = (self.code.label(), self.code.label(), self.code.label());
                self.code.emit(Op::LoopBegin(list), span, next, next);
                self.code.place(next);
                self.code.emit(Op::LoopNext(data), span, round, ok);
                self.code.place(round);
                self.block(body, scope, next, failed);
                self.code.place(failed);
                self.code.emit(Op::LoopLeave, span, no, no);
            }
            StmtKind::HandleErrors { prefix, body, handler } => {
                let prefix = prefix.as_ref().map_or("handleError", |prefix| prefix.node.as_str());
                let message = self.slot(&format!("{prefix}.message"), scope);
                let (start, caught) = (self.code.label(), self.code.label());
                let (held, failed) = (self.code.label(), self.code.label());
                self.code.emit(Op::PushHandler(message), span, start, caught);
                self.code.place(start);
                self.block(body, scope, held, failed);
                self.code.place(held);
                self.code.emit(Op::PopHandler, span, ok, ok);
                self.code.place(failed);
                self.code.emit(Op::PopHandler, span, no, no);
                self.code.place(caught);
                match handler {
                    Some(handler) => self.block(handler, scope, ok, no),
                    None => self.code.emit(Op::Jump, span, ok, ok),
                }
            }
            StmtKind::Raise(text) => {
                let text = self.expr(text, scope);
                self.code.emit(Op::Raise(text), span, ok, no);
            }
            StmtKind::Continue => self.code.emit(Op::Jump, span, ok, ok),
            StmtKind::Stop => self.code.emit(Op::Jump, span, no, no),
            StmtKind::Done => match scope.done {
                Some(held) => self.code.emit(Op::Done, span, held, held),
                // The resolver refuses it.
                None => self.defective("a `Done` in an assertion", span),
            },
            StmtKind::Fail(code) => {
                let code = self.expr(code, scope);
                match scope.fail {
                    Some(FailTo::Service(tail, slot)) => self.code.emit(Op::Fail(slot, code), span, tail, tail),
                    Some(FailTo::Assertion(tail, slot)) => self.code.emit(Op::FailCall(slot, code), span, tail, tail),
                    // The resolver refuses it.
                    None => self.defective("a `fail` that nobody hears", span),
                }
            }
            StmtKind::Check(cond) => self.cond(cond, scope, false, ok, no),
            StmtKind::Else(first, second) => {
                if self.is_present(first) {
                    let next = self.code.label();
                    self.stmt(first, scope, ok, next);
                    self.code.place(next);
                }
                self.stmt(second, scope, ok, no);
            }
        }
    }

    fn include(&mut self, name: &str, extension: bool, scope: Scope<'a>, ok: Label, no: Label, span: Span) {
        match self.included(name, extension) {
            Some(policy) => self.block(&policy.item.body, Scope { policy, ..scope }, ok, no),
            None => self.code.emit(Op::Jump, span, ok, ok),
        }
    }

    pub(super) fn call(&mut self, call: &'a Call, scope: Scope<'a>, ok: Label, no: Label) {
        let span = call.span.span;
        match &call.callee {
            Callee::Encapsulated(_) => {
                let Some(callee) = self.callee(call) else { return self.defective("the assertion is missing", span) };
                let site = self.call_site(call, &callee, scope);
                let origin = self.origin(span);
                self.flow.calls(&callee.changes, span, origin);
                self.code.emit(Op::Call(Arc::new(site)), span, ok, no);
            }
            Callee::Native(name) => {
                let Some(entry) = self.entry(name) else {
                    return self.defective("the assertion is missing", span);
                };
                self.uses_names(entry.spec, call, scope);
                let connection = self.connection_of(entry.spec, call, scope);
                self.touched();
                let mut host = BuildSite { compiler: self, scope };
                let built = (entry.build)(&mut Build { compiler: &mut host, spec: entry.spec, call });
                let touched = self.touched();
                match built {
                    Ok(Runnable::Sync(assertion)) => {
                        self.code.touches(&touched);
                        self.code.emit(Op::Sync(assertion, entry.spec.repeatable), span, ok, no);
                    }
                    Ok(Runnable::Async(assertion)) => {
                        if let Some(connection) = connection.filter(|_| assertion.changes_database()) {
                            self.flow.changes(connection);
                        }
                        self.code.touches(&touched);
                        self.code.emit(Op::Async(assertion, entry.spec.repeatable), span, ok, no);
                    }
                    Ok(Runnable::Block(assertion)) => {
                        let (body, held, failed) = (self.code.label(), self.code.label(), self.code.label());
                        self.code.touches(&touched);
                        self.code.emit(Op::Begin(assertion), span, body, no);
                        // Where the executor continues if the block is skipped: the instruction after `Begin`.
                        self.code.emit(Op::Jump, span, ok, ok);
                        self.code.place(body);
                        let transaction = connection.map(|connection| self.flow.begins(connection)).is_some();
                        match &call.block {
                            Some(block) => self.block(block, scope, held, failed),
                            None => return self.defective("the block is missing", span),
                        }
                        if transaction {
                            self.flow.ends();
                        }
                        self.code.place(held);
                        self.code.touches(&touched);
                        self.code.emit(Op::EndBlock(BlockEnd::Held), span, ok, no);
                        self.code.place(failed);
                        self.code.touches(&touched);
                        self.code.emit(Op::EndBlock(BlockEnd::Failed), span, no, no);
                    }
                    Err(diagnostic) => {
                        self.report(diagnostic);
                        self.code.emit(Op::Defect, span, no, no);
                    }
                }
            }
        }
    }

    /// An assignment, and the check of its variable's declared bounds or choices.
    fn assigned(&mut self, assignment: Op, slot: Slot, scope: Scope<'a>, span: Span, ok: Label, no: Label) {
        let Some(bounds) = bounds(slot, scope) else { return self.code.emit(assignment, span, ok, no) };
        let set = self.code.label();
        self.code.emit(assignment, span, set, no);
        self.code.place(set);
        self.code.emit(Op::Within(Arc::new(bounds)), span, ok, no);
    }

    /// The catalogue assertion of this name, ignoring case.
    fn entry(&self, name: &str) -> Option<&'a Entry> {
        let exact = self.entries.get(name).copied();
        exact.or_else(|| self.entries.values().copied().find(|entry| entry.spec.name.eq_ignore_ascii_case(name)))
    }

    /// Compiles what a body calls before the body itself.
    pub(super) fn callees(&mut self, block: &'a Block) {
        for stmt in &block.stmts {
            self.callees_of(stmt);
        }
    }

    fn callees_of(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Call(call) => self.callees_of_call(call),
            StmtKind::Include(name) | StmtKind::IncludeExtension(name) => {
                if let Some(included) = self.included(name, matches!(stmt.kind, StmtKind::IncludeExtension(_))) {
                    self.callees(&included.item.body);
                }
            }
            StmtKind::Group { body, .. } | StmtKind::ForEach { body, .. } => self.callees(body),
            StmtKind::If { arms, otherwise } => {
                for (cond, body) in arms {
                    self.callees_of_cond(cond);
                    self.callees(body);
                }
                otherwise.iter().for_each(|body| self.callees(body));
            }
            StmtKind::HandleErrors { body, handler, .. } => {
                self.callees(body);
                handler.iter().for_each(|body| self.callees(body));
            }
            StmtKind::Check(cond) => self.callees_of_cond(cond),
            StmtKind::Else(first, second) => {
                self.callees_of(first);
                self.callees_of(second);
            }
            StmtKind::Set { .. }
            | StmtKind::Default { .. }
            | StmtKind::Declare { .. }
            | StmtKind::Raise(_)
            | StmtKind::Continue
            | StmtKind::Stop
            | StmtKind::Done
            | StmtKind::Fail(_) => {}
        }
    }

    fn callees_of_call(&mut self, call: &'a Call) {
        if let Callee::Encapsulated(_) = call.callee {
            self.callee(call);
        }
        call.block.iter().for_each(|body| self.callees(body));
    }

    fn callees_of_cond(&mut self, cond: &'a Cond) {
        match cond {
            Cond::Or(conds) | Cond::And(conds) => conds.iter().for_each(|cond| self.callees_of_cond(cond)),
            Cond::Not(cond) | Cond::Group(cond) => self.callees_of_cond(cond),
            Cond::Call(call) => self.callees_of_call(call),
            Cond::Compare(_) | Cond::Truth(_) => {}
        }
    }

    /// Reports a selector that no kind of value has.
    pub(super) fn unknown_selector(&mut self, name: &str, rest: &str, span: Span, scope: Scope<'a>) {
        let names: Vec<&str> = (0..scope.frame.slots()).map(|slot| scope.frame.name(slot)).collect();
        let variable = &name[..name.len() - rest.len() - 1];
        let diagnostic = portcullis_dsl::Diagnostic::error(
            codes::UNKNOWN_SELECTOR,
            format!("nothing sets `{name}`, and `{variable}` has no part `{rest}`"),
            span,
        );
        self.report(match portcullis_dsl::diagnostic::nearest(name, names.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => match diagnostic.suggest(rest, crate::policy::vars::Selector::WORDS.iter().copied()) {
                diagnostic if diagnostic.help.is_some() => diagnostic,
                diagnostic => diagnostic.help("only JSON has members: declare it, `in x: json`, or `set x: json = …`"),
            },
        });
    }
}

/// The declared bounds or choices of a variable.
pub(super) fn bounds(slot: Slot, scope: Scope<'_>) -> Option<Bounds> {
    let (ty, allowed) = scope.frame.bounds(slot.0 as usize)?;
    Some(Bounds { slot, ty, allowed: allowed.clone(), name: scope.frame.name(slot.0 as usize).into() })
}

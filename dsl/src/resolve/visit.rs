//! One walk over statements, conditions and expressions in the order of evaluation. The resolver's steps, and other readers of
//! trees, override the methods they need.

use crate::ast::{Block, Call, Comparison, Cond, Expr, ExprKind, Item, ItemKind, Json, Part, Predicate, Stmt, StmtKind, VarRef};

/// Called for every node; an overridden method calls its `walk_…` function to go deeper.
pub trait Visit<'a> {
    /// Braces with statements.
    fn block(&mut self, block: &'a Block) {
        walk_block(self, block);
    }
    /// A statement.
    fn stmt(&mut self, stmt: &'a Stmt) {
        walk_stmt(self, stmt);
    }
    /// A condition.
    fn cond(&mut self, cond: &'a Cond) {
        walk_cond(self, cond);
    }
    /// A comparison.
    fn comparison(&mut self, comparison: &'a Comparison) {
        walk_comparison(self, comparison);
    }
    /// A call of either kind.
    fn call(&mut self, call: &'a Call) {
        walk_call(self, call);
    }
    /// An expression.
    fn expr(&mut self, expr: &'a Expr) {
        walk_expr(self, expr);
    }
    /// The parts of a text or template.
    fn parts(&mut self, parts: &'a [Part]) {
        walk_parts(self, parts);
    }
    /// A JSON template.
    fn json(&mut self, json: &'a Json) {
        walk_json(self, json);
    }
    /// A reference to a variable; `raw` if it opts out of escaping.
    fn var(&mut self, _var: &'a VarRef, _raw: bool) {}
}

/// The head and the body of a declaration, without the parameters, whose defaults belong to the caller.
pub fn walk_item<'a, V: Visit<'a> + ?Sized>(v: &mut V, item: &'a Item) {
    if let ItemKind::Service(head) = &item.kind
        && let Some(errors) = &head.errors
    {
        v.call(errors);
    }
    v.block(&item.body);
}

/// The statements of a block.
pub fn walk_block<'a, V: Visit<'a> + ?Sized>(v: &mut V, block: &'a Block) {
    for stmt in &block.stmts {
        v.stmt(stmt);
    }
}

/// What a statement consists of.
pub fn walk_stmt<'a, V: Visit<'a> + ?Sized>(v: &mut V, stmt: &'a Stmt) {
    match &stmt.kind {
        StmtKind::Set { value, .. } | StmtKind::Default { value, .. } => v.expr(value),
        StmtKind::Call(call) => v.call(call),
        StmtKind::Group { body, .. } => v.block(body),
        StmtKind::If { arms, otherwise } => {
            for (cond, block) in arms {
                v.cond(cond);
                v.block(block);
            }
            if let Some(block) = otherwise {
                v.block(block);
            }
        }
        StmtKind::ForEach { list, body, .. } => {
            v.expr(list);
            v.block(body);
        }
        StmtKind::HandleErrors { body, handler, .. } => {
            v.block(body);
            if let Some(handler) = handler {
                v.block(handler);
            }
        }
        StmtKind::Raise(value) | StmtKind::Fail(value) => v.expr(value),
        StmtKind::Check(cond) => v.cond(cond),
        StmtKind::Else(first, second) => {
            v.stmt(first);
            v.stmt(second);
        }
        StmtKind::Declare { .. }
        | StmtKind::Include(_)
        | StmtKind::IncludeExtension(_)
        | StmtKind::Continue
        | StmtKind::Stop
        | StmtKind::Done => {}
    }
}

/// The parts of a condition.
pub fn walk_cond<'a, V: Visit<'a> + ?Sized>(v: &mut V, cond: &'a Cond) {
    match cond {
        Cond::Or(conds) | Cond::And(conds) => conds.iter().for_each(|cond| v.cond(cond)),
        Cond::Not(cond) | Cond::Group(cond) => v.cond(cond),
        Cond::Compare(comparison) => v.comparison(comparison),
        Cond::Truth(value) => v.expr(value),
        Cond::Call(call) => v.call(call),
    }
}

/// Both sides of a comparison.
pub fn walk_comparison<'a, V: Visit<'a> + ?Sized>(v: &mut V, comparison: &'a Comparison) {
    v.expr(&comparison.left);
    if let Some(right) = operand(&comparison.predicate) {
        v.expr(right);
    }
}

/// The right side of a comparison.
pub fn operand(predicate: &Predicate) -> Option<&Expr> {
    match predicate {
        Predicate::Binary(_, expr)
        | Predicate::Contains(expr)
        | Predicate::ContainsAll(expr)
        | Predicate::ContainsAny(expr)
        | Predicate::In(expr)
        | Predicate::Matches(expr)
        | Predicate::StartsWith(expr)
        | Predicate::EndsWith(expr) => Some(expr),
        Predicate::Empty | Predicate::NotEmpty | Predicate::Length(_) | Predicate::Count(_) => None,
    }
}

/// The arguments of a call, then its block.
pub fn walk_call<'a, V: Visit<'a> + ?Sized>(v: &mut V, call: &'a Call) {
    for arg in &call.args {
        v.expr(&arg.value);
    }
    if let Some(block) = &call.block {
        v.block(block);
    }
}

/// What an expression consists of.
pub fn walk_expr<'a, V: Visit<'a> + ?Sized>(v: &mut V, expr: &'a Expr) {
    match &*expr.kind {
        ExprKind::Text(parts) | ExprKind::Template(_, parts) => v.parts(parts),
        ExprKind::List(items) | ExprKind::Function(_, items) => items.iter().for_each(|item| v.expr(item)),
        ExprKind::Var(var) => v.var(var, false),
        ExprKind::Arithmetic(_, left, right) => {
            v.expr(left);
            v.expr(right);
        }
        ExprKind::Group(inner) => v.expr(inner),
        ExprKind::Condition(cond) => v.cond(cond),
        ExprKind::Json(json) => v.json(json),
        ExprKind::Raw(_)
        | ExprKind::Int(_)
        | ExprKind::Decimal(_)
        | ExprKind::Bool(_)
        | ExprKind::Duration(_)
        | ExprKind::File(..)
        | ExprKind::DataUri(_) => {}
    }
}

/// The variables of a text.
pub fn walk_parts<'a, V: Visit<'a> + ?Sized>(v: &mut V, parts: &'a [Part]) {
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Var(var) => v.var(var, false),
            Part::RawVar(var) => v.var(var, true),
            Part::Expr(expr) => v.expr(expr),
        }
    }
}

/// The members of a JSON template.
pub fn walk_json<'a, V: Visit<'a> + ?Sized>(v: &mut V, json: &'a Json) {
    match json {
        Json::Object(members) => {
            for member in members {
                v.parts(&member.key);
                v.json(&member.value);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| v.json(item)),
        Json::Value(expr) => v.expr(expr),
        Json::Null => {}
    }
}

//! Finds the nodes at a place of a file: for tools that follow a cursor, such as a language server.

use crate::ast::{Arg, Block, Call, Comparison, Expr, File, Item, Param, Stmt, VarRef};
use crate::span::Span;
use crate::visit::{self, Visit};

/// A part of a tree.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// A declaration.
    Item(&'a Item),
    /// An input or output.
    Param(&'a Param),
    /// A statement.
    Stmt(&'a Stmt),
    /// A call of an assertion.
    Call(&'a Call),
    /// An argument of a call.
    Arg(&'a Arg),
    /// A comparison.
    Comparison(&'a Comparison),
    /// A value.
    Expr(&'a Expr),
    /// A variable in a value, text or template.
    Var(&'a VarRef),
}

impl Node<'_> {
    /// Its text. Of parameters and variables: their name.
    pub fn span(&self) -> Span {
        match self {
            Node::Item(item) => item.span,
            Node::Param(param) => param.name.span,
            Node::Stmt(stmt) => stmt.span.span,
            Node::Call(call) => call.span.span,
            Node::Arg(arg) => arg.name.span.to(arg.value.span.span),
            Node::Comparison(comparison) => comparison.span.span,
            Node::Expr(expr) => expr.span.span,
            Node::Var(var) => var.name.span,
        }
    }
}

/// The nodes that contain the byte at `offset`, from the declaration inwards. Empty between declarations.
pub fn nodes_at(file: &File, offset: u32) -> Vec<Node<'_>> {
    let mut search = Search { offset, found: Vec::new() };
    if let Some(connection) = &file.connection {
        search.expr(&connection.value);
    }
    for item in &file.items {
        if search.enter(Node::Item(item)) {
            search.params(item.params());
            visit::walk_item(&mut search, item);
        }
    }
    search.found
}

struct Search<'a> {
    offset: u32,
    found: Vec<Node<'a>>,
}

impl<'a> Search<'a> {
    fn holds(&self, span: Span) -> bool {
        (span.start..span.end).contains(&self.offset)
    }

    fn enter(&mut self, node: Node<'a>) -> bool {
        let inside = self.holds(node.span());
        if inside {
            self.found.push(node);
        }
        inside
    }

    fn params(&mut self, params: &'a [Param]) {
        for param in params {
            self.enter(Node::Param(param));
            if let Some(default) = &param.default {
                self.expr(default);
            }
        }
    }
}

impl<'a> Visit<'a> for Search<'a> {
    fn block(&mut self, block: &'a Block) {
        if self.holds(block.span.span) {
            visit::walk_block(self, block);
        }
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        if self.enter(Node::Stmt(stmt)) {
            visit::walk_stmt(self, stmt);
        }
    }

    fn comparison(&mut self, comparison: &'a Comparison) {
        if self.enter(Node::Comparison(comparison)) {
            visit::walk_comparison(self, comparison);
        }
    }

    fn call(&mut self, call: &'a Call) {
        if self.enter(Node::Call(call)) {
            for arg in &call.args {
                if self.enter(Node::Arg(arg)) {
                    self.expr(&arg.value);
                }
            }
        }
        // A call's span ends at its parenthesis; its block comes after that.
        if let Some(block) = &call.block {
            self.block(block);
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        if self.enter(Node::Expr(expr)) {
            visit::walk_expr(self, expr);
        }
    }

    fn var(&mut self, var: &'a VarRef, _raw: bool) {
        self.enter(Node::Var(var));
    }
}

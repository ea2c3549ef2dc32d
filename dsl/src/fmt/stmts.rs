//! Statements and blocks.

use super::doc::{Doc, INDENT, concat, group, indent, text};
use super::exprs::{type_word, typed};
use super::{Printer, WIDTH, texts};
use crate::ast::*;
use crate::span::Spanned;

/// Where a statement begins.
#[derive(Clone, Copy)]
pub struct At {
    /// Blanks before the first statement of its line.
    pub indent: usize,
    /// Characters before it on its line.
    pub column: usize,
    /// It is part of a line that is measured as a whole, on one line or not at all. Otherwise nested blocks would be laid out in
    /// both ways at each level.
    one_line: bool,
}

impl At {
    /// At the start of a line.
    pub fn line(indent: usize) -> At {
        At { indent, column: indent, one_line: false }
    }

    fn fits(self, doc: &Doc) -> bool {
        self.one_line || doc.flat_width().is_some_and(|width| self.column + width <= WIDTH)
    }
}

impl Printer<'_> {
    /// `{ … }` with one statement a line.
    pub fn broken(&self, block: &Block, at: At) -> Doc {
        concat([text("{"), self.after_brace(block, at)])
    }

    /// What follows the opening brace of a broken block.
    pub fn after_brace(&self, block: &Block, at: At) -> Doc {
        let inside = At::line(at.indent + INDENT);
        if block.stmts.is_empty() && block.trailing.is_empty() {
            return text("}");
        }
        let mut docs = Vec::new();
        for stmt in &block.stmts {
            docs.push(Doc::Hard);
            if stmt.blank_before {
                docs.push(Doc::Hard);
            }
            docs.extend(texts::leading(&stmt.leading));
            docs.push(self.stmt(stmt, inside));
            docs.extend(stmt.trailing.as_ref().map(texts::trailing));
        }
        for comment in &block.trailing {
            docs.push(Doc::Hard);
            if comment.blank_before {
                docs.push(Doc::Hard);
            }
            docs.push(Doc::Comment(texts::comment(comment)));
        }
        concat([indent(Doc::Concat(docs)), Doc::Hard, text("}")])
    }

    /// `{ a; b }`, when the author wrote it on one line.
    pub fn inline(&self, block: &Block) -> Option<Doc> {
        if self.source(block.span.span).contains('\n') || !block.trailing.is_empty() {
            return None;
        }
        if block.stmts.is_empty() {
            return Some(text("{}"));
        }
        if self.built && !matches!(block.stmts.as_slice(), [Stmt { kind, .. }] if is_short(kind)) {
            return None;
        }
        let mut docs = vec![text("{ ")];
        for (n, stmt) in block.stmts.iter().enumerate() {
            if n > 0 {
                docs.push(text("; "));
            }
            if stmt.trailing.is_some() || !stmt.leading.is_empty() {
                return None;
            }
            docs.push(self.stmt(stmt, At { one_line: true, ..At::line(0) }));
        }
        docs.push(text(" }"));
        let doc = Doc::Concat(docs);
        (!doc.must_break()).then_some(doc)
    }

    /// A head with its block: on one line if the author wrote it so and it fits.
    fn with_block(&self, head: Doc, block: &Block, at: At) -> Doc {
        let flat = self.inline(block).map(|body| concat([head.clone(), body]));
        match flat.filter(|doc| at.fits(doc)) {
            Some(doc) => doc,
            None if at.one_line => Doc::Hard,
            None => concat([head, self.broken(block, at)]),
        }
    }

    pub fn stmt(&self, stmt: &Stmt, at: At) -> Doc {
        match &stmt.kind {
            StmtKind::Set { target, ty, value } => self.assignment("set", target, ty, value),
            StmtKind::Default { target, ty, value } => self.assignment("default", target, ty, value),
            StmtKind::Declare { target, ty, allowed } => text(format!("declare {}{}", target.node, typed(ty, allowed))),
            StmtKind::Include(name) => text(format!("include {}", texts::quoted(name))),
            StmtKind::IncludeExtension(name) => text(format!("include extension {}", texts::quoted(name))),
            StmtKind::Call(call) => match &call.block {
                Some(block) => self.with_block(concat([self.call(call), text(" ")]), block, at),
                None => self.call(call),
            },
            StmtKind::Group { kind, label, body } => {
                let label = label.as_ref().map_or(String::new(), |label| format!("{} ", texts::quoted(label)));
                let head = match kind {
                    GroupKind::All => format!("All {label}"),
                    GroupKind::AtLeastOne => format!("AtLeastOne {label}"),
                    GroupKind::Bare => String::new(),
                };
                self.with_block(text(head), body, at)
            }
            StmtKind::If { arms, otherwise } => self.if_stmt(stmt, arms, otherwise.as_ref(), at),
            StmtKind::ForEach { prefix, list, limit, body } => {
                let limit = limit.as_ref().map_or(String::new(), |limit| format!(" limit {}", limit.node));
                let head = concat([text(format!("ForEach {} in ", prefix.node)), self.expr(list), text(format!("{limit} "))]);
                self.with_block(head, body, at)
            }
            StmtKind::HandleErrors { prefix, body, handler } => {
                let prefix = prefix.as_ref().map_or(String::new(), |prefix| format!("{} ", texts::quoted(prefix)));
                let head = text(format!("HandleErrors {prefix}"));
                let Some(handler) = handler else { return self.with_block(head, body, at) };
                let flat = self.inline(body).zip(self.inline(handler)).filter(|_| !self.source(stmt.span.span).contains('\n'));
                let flat = flat.map(|(body, handler)| concat([head.clone(), body, text(" on error "), handler]));
                match flat.filter(|doc| at.fits(doc)) {
                    Some(doc) => doc,
                    None if at.one_line => Doc::Hard,
                    None => concat([head, self.broken(body, at), text(" on error "), self.broken(handler, at)]),
                }
            }
            StmtKind::Raise(value) => concat([text("Raise "), self.expr(value)]),
            StmtKind::Continue => text("Continue"),
            StmtKind::Stop => text("Stop"),
            StmtKind::Done => text("Done"),
            StmtKind::Fail(value) => concat([text("fail "), self.expr(value)]),
            StmtKind::Check(cond) => group(indent(self.cond(cond))),
            StmtKind::Else(..) => self.else_chain(stmt, at),
        }
    }

    fn assignment(&self, word: &str, target: &Name, ty: &Option<Spanned<Type>>, value: &Expr) -> Doc {
        let ty = ty.as_ref().map_or(String::new(), |ty| format!(": {}", type_word(ty.node)));
        concat([text(format!("{word} {}{ty} = ", target.node)), self.expr(value)])
    }

    /// Arms with short blocks have a line each, or one line for all. If one is long, all blocks are broken.
    fn if_stmt(&self, stmt: &Stmt, arms: &[(Cond, Block)], otherwise: Option<&Block>, at: At) -> Doc {
        let head = |n: usize, cond: &Cond| {
            let word = if n == 0 { "if " } else { "else if " };
            concat([text(word), self.head_cond(cond), text(" ")])
        };
        let mut blocks: Vec<(Doc, &Block)> = arms.iter().enumerate().map(|(n, (cond, block))| (head(n, cond), block)).collect();
        blocks.extend(otherwise.map(|block| (text("else "), block)));
        let inline: Option<Vec<Doc>> =
            blocks.iter().map(|(head, block)| self.inline(block).map(|body| concat([head.clone(), body]))).collect();
        if let Some(inline) = inline {
            let widths: Option<Vec<usize>> = inline.iter().map(Doc::flat_width).collect();
            let widths = widths.unwrap_or_else(|| vec![WIDTH + 1]);
            let one_line = at.one_line
                || !self.source(stmt.span.span).contains('\n')
                    && at.column + widths.iter().map(|width| width + 1).sum::<usize>() <= WIDTH;
            if one_line || widths.iter().all(|width| at.column + width <= WIDTH) {
                return join(inline, if one_line { text(" ") } else { Doc::Hard });
            }
        }
        if at.one_line {
            return Doc::Hard;
        }
        join(blocks.into_iter().map(|(head, block)| concat([head, self.broken(block, at)])).collect(), text(" "))
    }

    /// `a else b else c`, on one line or with a line for each `else`.
    fn else_chain(&self, stmt: &Stmt, at: At) -> Doc {
        let mut links = Vec::new();
        let mut next = stmt;
        while let StmtKind::Else(left, right) = &next.kind {
            links.push(&**left);
            next = right;
        }
        links.push(next);
        let mut docs: Vec<Doc> = Vec::new();
        for link in links {
            let before = docs.iter().map(|doc| doc.flat_width().unwrap_or(0) + 6).sum::<usize>();
            docs.push(self.stmt(link, At { column: at.column + before, ..at }));
        }
        let long = docs.iter().any(|doc| doc.flat_width().is_none_or(|width| at.column + width > WIDTH));
        if long {
            return join(docs, text(" else "));
        }
        let mut docs = docs.into_iter();
        let first = docs.next().unwrap_or(text(""));
        let rest = docs.flat_map(|doc| [Doc::Line, text("else "), doc]);
        group(concat([first, indent(Doc::Concat(rest.collect()))]))
    }
}

/// A statement without blocks, of which one fits between braces on a line.
fn is_short(kind: &StmtKind) -> bool {
    match kind {
        StmtKind::Group { .. } | StmtKind::If { .. } | StmtKind::ForEach { .. } | StmtKind::HandleErrors { .. } => false,
        StmtKind::Call(call) => call.block.is_none(),
        StmtKind::Else(left, right) => is_short(&left.kind) && is_short(&right.kind),
        StmtKind::Set { .. }
        | StmtKind::Default { .. }
        | StmtKind::Declare { .. }
        | StmtKind::Include(_)
        | StmtKind::IncludeExtension(_)
        | StmtKind::Raise(_)
        | StmtKind::Continue
        | StmtKind::Stop
        | StmtKind::Done
        | StmtKind::Fail(_)
        | StmtKind::Check(_) => true,
    }
}

fn join(docs: Vec<Doc>, separator: Doc) -> Doc {
    let mut joined = Vec::new();
    for (n, doc) in docs.into_iter().enumerate() {
        if n > 0 {
            joined.push(separator.clone());
        }
        joined.push(doc);
    }
    Doc::Concat(joined)
}

//! Blocks: statements with the comments and blank lines around them, and chains of `else`.

use super::items::unreachable_rule;
use super::stmts::plain;
use pest::iterators::Pairs;

use super::comments::join_comments;
use super::{Lower, Node, Rule, explain};
use crate::ast::{Block, Comment, Stmt, StmtKind};
use crate::codes;
use crate::parse::MAX_CHAIN;
use crate::span::{Span, Spanned};

impl Lower<'_> {
    pub fn block(&mut self, node: Node<'_>) -> Block {
        let span = Spanned::new((), self.span(&node));
        let mut stmts: Vec<Stmt> = Vec::new();
        let mut pending: Vec<Comment> = Vec::new();
        // The end of the last statement in the tree, as long as nothing came after it.
        let mut last_end: Option<u32> = None;
        self.loosen_before(span.span.start);
        for child in node.into_inner() {
            let child_span = self.span(&child);
            self.between_lines(child_span.start, last_end.take(), &mut stmts, &mut pending);
            match child.as_rule() {
                Rule::line => {
                    let blank = self.lines_before(child_span.start) > 1;
                    if let Some(mut stmt) = self.line(child) {
                        let mut leading = std::mem::take(&mut pending);
                        if let Some(last) = leading.last_mut() {
                            last.blank_after = blank;
                        }
                        stmt.blank_before = match leading.first_mut() {
                            Some(first) => std::mem::take(&mut first.blank_before),
                            None => blank && !stmts.is_empty(),
                        };
                        stmt.leading = join_comments(leading, std::mem::take(&mut stmt.leading));
                        stmts.push(stmt);
                        last_end = Some(child_span.end);
                    }
                }
                Rule::junk => self.explain_junk(&child),
                rule => unreachable_rule(rule),
            }
            self.drop_before(child_span.end);
        }
        self.between_lines(span.span.end, last_end, &mut stmts, &mut pending);
        Block { stmts, trailing: pending, span }
    }

    /// Comments before `end`: the first one beside a statement that ended at `last_end` belongs to that one, the others to the next.
    fn between_lines(&mut self, end: u32, mut last_end: Option<u32>, stmts: &mut [Stmt], pending: &mut Vec<Comment>) {
        while let Some((start, comment)) = self.comment_before(end) {
            let beside = last_end.take().is_some_and(|end| self.same_line(end, start));
            match stmts.last_mut().filter(|_| beside) {
                Some(stmt) => stmt.trailing = Some(Comment { blank_before: false, ..comment }),
                None => {
                    let first = stmts.is_empty() && pending.is_empty();
                    pending.push(Comment { blank_before: comment.blank_before && !first, ..comment });
                }
            }
        }
    }

    /// A statement, and what follows on its line without belonging to it.
    fn line(&mut self, node: Node<'_>) -> Option<Stmt> {
        let said = self.out.len();
        let mut stmt = None;
        let mut stmt_text = "";
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::stmt => {
                    stmt_text = child.as_str();
                    stmt = self.stmt(child);
                }
                Rule::rest => {
                    let rest = child.as_str().trim_end();
                    let start = child.as_span().start();
                    let place = |from: usize, to: usize| self.range(start + from, start + to);
                    if let Some(diagnostic) = explain::known_rest(stmt_text, rest, place) {
                        self.out.truncate(said);
                        self.out.push(diagnostic);
                    } else if self.out.len() == said {
                        let diagnostic = explain::rest(rest, place);
                        self.out.push(diagnostic);
                    }
                    stmt = None;
                }
                rule => unreachable_rule(rule),
            }
        }
        stmt
    }

    /// A statement, or several that `else` joins.
    fn stmt(&mut self, node: Node<'_>) -> Option<Stmt> {
        let span = self.span(&node);
        let before = std::mem::take(&mut self.loose);
        let mut inner = node.into_inner();
        let made = if inner.len() == 1 { inner.next().and_then(|only| self.simple(only)) } else { self.chain(inner, span) };
        self.loosen_before(span.end);
        let leading = self.take_loose(before);
        Some(Stmt { leading, span: Spanned::new((), span), ..made? })
    }

    /// `a else b else c`: to the right.
    fn chain(&mut self, inner: Pairs<'_, Rule>, span: Span) -> Option<Stmt> {
        // An `else` stands between two statements.
        let count = inner.len().div_ceil(2);
        if count > MAX_CHAIN {
            self.error(
                codes::TOO_DEEP,
                format!("more than {MAX_CHAIN} statements are joined by `else`"),
                span,
                "put them into an `AtLeastOne`",
            );
            return None;
        }
        let mut made: Vec<Option<Stmt>> = Vec::with_capacity(count);
        for child in inner {
            if child.as_rule() == Rule::kw_else {
                self.word(&child);
                continue;
            }
            let (rule, place) = (child.as_rule(), self.span(&child));
            let mut stmt = self.simple(child);
            let last = made.len() + 1 == count;
            if rule == Rule::if_stmt && !last {
                let help = "write `else { … }`; an `if` has one `else`, at its end";
                self.error(
                    codes::BAD_ELSE,
                    "the `else` of an `if` takes a block",
                    Span { start: place.end, end: span.end, ..span },
                    help,
                );
                stmt = None;
            }
            made.push(stmt);
        }
        let mut stmts = made.into_iter().collect::<Option<Vec<Stmt>>>()?.into_iter().rev();
        let last = stmts.next()?;
        Some(stmts.fold(last, |right, left| {
            let span = left.span.span.to(right.span.span);
            plain(StmtKind::Else(Box::new(left), Box::new(right)), span)
        }))
    }
}

//! Grammar to tree. Only this folder names `Rule`, and each rule has one function. No function guesses the meaning of text that
//! it does not know: errors are reported and left out of the tree.

mod allowed;
mod blocks;
mod calls;
mod comments;
mod conds;
mod exprs;
mod items;
mod json;
mod lists;
mod stmts;
mod words;

use pest::Parser;
use pest::iterators::Pair;
use pest_derive::Parser;

use super::explain;
use super::scan::Scan;
use crate::ast::{Comment, Expr, ExprKind, File, Json, Part};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span, Spanned};

#[derive(Parser)]
#[grammar = "grammar.pest"]
struct Grammar;

type Node<'i> = Pair<'i, Rule>;

/// Builds the tree of a file whose brackets are paired.
pub fn file(file: FileId, text: &str, scan: &Scan, out: &mut Vec<Diagnostic>) -> File {
    let mut lower = Lower::new(file, text, scan, out);
    match Grammar::parse(Rule::file, &scan.text) {
        Ok(pairs) => lower.file(pairs),
        Err(error) => {
            lower.unreadable(&error);
            File::default()
        }
    }
}

/// Builds the tree of a JSON data file.
pub fn json_file(file: FileId, text: &str, scan: &Scan, out: &mut Vec<Diagnostic>) -> Option<Json> {
    let mut lower = Lower::new(file, text, scan, out);
    match Grammar::parse(Rule::json_file, &scan.text) {
        Ok(mut pairs) => {
            let node = pairs.find(|node| node.as_rule() != Rule::EOI)?;
            lower.json_value(node)
        }
        Err(error) => {
            let (at, expected) = words::expectation(&error);
            let diagnostic = explain::unexpected(&scan.text, at, &expected, |from, to| Span::new(file, from, to));
            lower.out.push(diagnostic);
            None
        }
    }
}

/// Reads a function or a calculation inside `${…}`. Its spans, and those of its diagnostics, begin at 0. `None` if it is neither.
pub fn inside(file: FileId, text: &str, out: &mut Vec<Diagnostic>) -> Option<Expr> {
    let scan = super::scan::scan(file, text);
    if !scan.diagnostics.is_empty() || !scan.readable || !scan.comments.is_empty() {
        return None;
    }
    let node = Grammar::parse(Rule::lone_sum, &scan.text).ok()?.next()?;
    let mut lower = Lower { inside: true, ..Lower::new(file, text, &scan, out) };
    lower.sum(node).filter(is_short)
}

/// Whether it contains only what is allowed inside `${…}`.
fn is_short(expr: &Expr) -> bool {
    match &*expr.kind {
        ExprKind::Int(_) | ExprKind::Decimal(_) | ExprKind::Bool(_) | ExprKind::Duration(_) | ExprKind::Var(_) => true,
        ExprKind::Text(parts) => parts.iter().all(|part| matches!(part, Part::Text(_))),
        ExprKind::List(items) | ExprKind::Function(_, items) => items.iter().all(is_short),
        ExprKind::Arithmetic(_, left, right) => is_short(left) && is_short(right),
        ExprKind::Group(inner) => is_short(inner),
        _ => false,
    }
}

/// The state while lowering one file.
struct Lower<'a> {
    file: FileId,
    /// The author's text.
    text: &'a str,
    /// Its repaired copy, which the grammar has parsed.
    scan: &'a Scan,
    out: &'a mut Vec<Diagnostic>,
    /// How many of the comments have their place in the tree: lowering goes through the text in order.
    placed: usize,
    /// Comments at places that have none in the tree; the enclosing statement or entry takes them.
    loose: Vec<Comment>,
    /// Whether this is the inside of `${…}`, where names are variables.
    inside: bool,
}

impl<'a> Lower<'a> {
    fn new(file: FileId, text: &'a str, scan: &'a Scan, out: &'a mut Vec<Diagnostic>) -> Self {
        Lower { file, text, scan, out, placed: 0, loose: Vec::new(), inside: false }
    }
}

impl Lower<'_> {
    fn error(&mut self, code: &'static str, message: impl Into<String>, span: Span, help: impl Into<String>) {
        self.out.push(Diagnostic::error(code, message, span).help(help));
    }

    /// The span of a node, without the blanks that the grammar may have read after it.
    fn span(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        let blanks = span.as_str().bytes().rev().take_while(u8::is_ascii_whitespace).count();
        self.range(span.start(), span.end() - blanks)
    }

    /// A range of the repaired copy as a span in the author's text, of whole characters: the copy may have one byte of a character replaced.
    fn range(&self, start: usize, end: usize) -> Span {
        if self.scan.is_faithful() {
            return Span::new(self.file, start, end);
        }
        let (start, end) = (self.scan.original(start), self.scan.original(end));
        Span::new(self.file, self.text.floor_char_boundary(start), self.text.ceil_char_boundary(end))
    }

    fn spanned<T>(&self, value: T, node: &Node<'_>) -> Spanned<T> {
        Spanned::new(value, self.span(node))
    }

    /// A node's children without keywords and punctuation.
    fn children<'i>(&mut self, node: Node<'i>) -> Vec<Node<'i>> {
        node.into_inner().filter(|child| !self.is_word(child)).collect()
    }

    /// The only one of a node's children that is neither keyword nor punctuation.
    fn part<'i>(&mut self, node: Node<'i>) -> Option<Node<'i>> {
        node.into_inner().filter(|child| !self.is_word(child)).last()
    }

    /// What consists of keywords only.
    fn words(&mut self, node: Node<'_>) {
        node.into_inner().for_each(|child| self.word(&child));
    }

    /// A keyword or punctuation, where nothing else can be.
    fn word(&mut self, node: &Node<'_>) {
        if !self.is_word(node) {
            items::unreachable_rule(node.as_rule());
        }
    }

    /// Whether this is a keyword or punctuation. The case of keywords is checked.
    fn is_word(&mut self, node: &Node<'_>) -> bool {
        if let Some(spelling) = words::keyword(node.as_rule()) {
            self.spelling(node, spelling);
            return true;
        }
        matches!(node.as_rule(), Rule::colon | Rule::assign_sign | Rule::comma | Rule::paren_end)
    }

    /// Reports a word that differs from `spelling` in case.
    fn spelling(&mut self, node: &Node<'_>, spelling: &str) {
        if node.as_str() != spelling {
            let span = self.span(node);
            self.error(
                codes::WRONG_CASE,
                format!("`{}` is spelled `{spelling}`", node.as_str()),
                span,
                format!("write `{spelling}`"),
            );
        }
    }

    /// Line breaks between an offset of the author's text and the text before it.
    fn lines_before(&self, offset: u32) -> usize {
        let before = &self.text[..offset as usize];
        before[before.trim_end().len()..].matches('\n').count()
    }

    /// Whether two offsets of the author's text are on one line.
    fn same_line(&self, from: u32, to: u32) -> bool {
        from <= to && !self.text[from as usize..to as usize].contains('\n')
    }

    /// The grammar accepts any text; only its own limits (the stack) stop it.
    fn unreadable(&mut self, error: &pest::error::Error<Rule>) {
        let (at, _) = words::expectation(error);
        let span = self.range(at, at);
        self.error(
            codes::TOO_DEEP,
            "this is nested too deeply to be read",
            span,
            "move inner parts to a `fragment` and `include` it",
        );
    }

    /// Explains text that matches nothing: parses it again as a statement, to see how far that gets.
    fn explain_junk(&mut self, node: &Node<'_>) {
        let start = node.as_span().start();
        let text = node.as_str().trim_end();
        let failure = Grammar::parse(Rule::lone_stmt, text).err().map(|error| words::expectation(&error));
        let diagnostic = explain::statement(text, failure, |from, to| self.range(start + from, start + to));
        self.out.push(diagnostic);
    }

    /// Explains text between declarations.
    fn explain_stray(&mut self, node: &Node<'_>) {
        let start = node.as_span().start();
        let text = node.as_str().trim_end();
        let failure = Grammar::parse(Rule::lone_item, text).err().map(|error| words::expectation(&error));
        let diagnostic = explain::declaration(text, failure, |from, to| self.range(start + from, start + to));
        self.out.push(diagnostic);
    }
}

/// The only child of a node; `None` if there are more.
fn only<'i>(node: &Node<'i>) -> Option<Node<'i>> {
    let mut inner = node.clone().into_inner();
    if inner.len() == 1 { inner.next() } else { None }
}

//! Statements, one function each.

use super::items::unreachable_rule;
use super::{Lower, Node, Rule, explain, only};
use crate::ast::{Block, Callee, Comment, Cond, GroupKind, Stmt, StmtKind};
use crate::codes;
use crate::diagnostic::nearest;
use crate::span::{Span, Spanned};
use crate::words::{BLOCKS, STATEMENTS};

impl Lower<'_> {
    pub fn simple(&mut self, node: Node<'_>) -> Option<Stmt> {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::set => self.assignment(node, false),
            Rule::default => self.assignment(node, true),
            Rule::declare => self.declare(node),
            Rule::include => {
                let name = self.part(node)?;
                self.name(name).map(StmtKind::Include)
            }
            Rule::include_extension => {
                let name = self.part(node)?;
                self.name(name).map(StmtKind::IncludeExtension)
            }
            Rule::if_stmt => self.if_stmt(node),
            Rule::for_each => self.for_each(node),
            Rule::handle_errors => self.handle_errors(node),
            Rule::raise => {
                let value = self.part(node)?;
                self.expr(value).map(StmtKind::Raise)
            }
            Rule::fail => {
                let value = self.part(node)?;
                self.expr(value).map(StmtKind::Fail)
            }
            Rule::continue_stmt => {
                self.words(node);
                Some(StmtKind::Continue)
            }
            Rule::stop_stmt => {
                self.words(node);
                Some(StmtKind::Stop)
            }
            Rule::done_stmt => {
                self.words(node);
                Some(StmtKind::Done)
            }
            Rule::group => self.group(node),
            Rule::assign => self.missing_set(node),
            Rule::check => self.check(node),
            Rule::block => {
                let body = self.block(node);
                Some(StmtKind::Group { kind: GroupKind::Bare, label: None, body })
            }
            rule => {
                unreachable_rule(rule);
                None
            }
        };
        kind.map(|kind| plain(kind, span))
    }

    fn assignment(&mut self, node: Node<'_>, default: bool) -> Option<StmtKind> {
        let (mut target, mut ty, mut value) = (None, None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::variable_name => target = Some(self.spanned(child.as_str().to_owned(), &child)),
                Rule::var | Rule::bare_var => {
                    let word = if default { "default" } else { "set" };
                    self.name_in_braces(&child, "set", |name| format!("{word} {name} = …"));
                }
                Rule::type_word => ty = self.ty(&child),
                Rule::value => value = self.expr(child),
                _ => self.word(&child),
            }
        }
        let (target, value) = (target?, value?);
        Some(if default { StmtKind::Default { target, ty, value } } else { StmtKind::Set { target, ty, value } })
    }

    /// `set ${x} = …`: what is set or declared is a name, not a value.
    fn name_in_braces(&mut self, node: &Node<'_>, what: &str, statement: impl Fn(&str) -> String) {
        let name = node.as_str().trim_start_matches(['$', '{']).trim_end_matches('}').trim();
        let (message, help) =
            (format!("a variable that is {what} is named without `${{}}`"), format!("write `{}`", statement(name)));
        let span = self.span(node);
        self.error(codes::BAD_NAME, message, span, help);
    }

    fn declare(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let (mut target, mut ty, mut allowed) = (None, None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::variable_name => target = Some(self.spanned(child.as_str().to_owned(), &child)),
                Rule::var | Rule::bare_var => {
                    self.name_in_braces(&child, "declared", |name| format!("declare {name}"));
                }
                Rule::type_word => ty = self.ty(&child),
                Rule::range => allowed = self.range_of(&child, ty.as_ref()),
                Rule::choices => allowed = self.choices_of(child, &mut ty),
                _ => self.word(&child),
            }
        }
        Some(StmtKind::Declare { target: target?, ty, allowed })
    }

    fn missing_set(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let target = node.into_inner().next()?;
        let span = self.span(&target);
        let text = target.as_str();
        if target.as_rule() == Rule::var {
            let name = text.trim_start_matches("${").trim_end_matches('}').trim();
            let help = format!("write `set {name} = …` to assign, `{text} == …` to compare");
            self.error(codes::MISSING_SET, "`=` alone neither assigns nor compares", span, help);
        } else {
            self.error(
                codes::MISSING_SET,
                format!("the assignment to `{text}` lacks `set`"),
                span,
                format!("write `set {text} = …`"),
            );
        }
        None
    }

    fn if_stmt(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let mut arms: Vec<(Option<Cond>, Block)> = Vec::new();
        let mut otherwise: Option<Block> = None;
        let mut cond: Option<Option<Cond>> = None;
        let mut is_else = false;
        // Comments between two blocks: one beside a closing brace belongs to that block, the others to the next.
        let mut between: Vec<Comment> = Vec::new();
        let mut last_end: Option<u32> = None;
        for child in node.into_inner() {
            let place = self.span(&child);
            if let Some(end) = last_end {
                while let Some((start, comment)) = self.comment_before(place.start) {
                    let comment = Comment { blank_before: false, ..comment };
                    let beside = between.is_empty() && self.same_line(end, start);
                    match arms.last_mut().filter(|_| beside) {
                        Some((_, block)) => block.trailing.push(comment),
                        None => between.push(comment),
                    }
                }
            }
            match child.as_rule() {
                Rule::kw_else => {
                    self.word(&child);
                    is_else = true;
                }
                Rule::else_if => {
                    let text = child.as_str().trim_end().to_owned();
                    let has_wrong_word = child.clone().into_inner().any(|word| word.as_rule() == Rule::kw_elseif);
                    if has_wrong_word {
                        self.error(codes::ELSEIF, format!("there is no `{text}`"), place, "write `else if`");
                    } else {
                        self.words(child);
                    }
                }
                Rule::value => {
                    last_end = None;
                    cond = Some(self.cond(child));
                }
                Rule::block => {
                    let mut block = self.block(child);
                    prepend(&mut block, std::mem::take(&mut between));
                    last_end = Some(place.end);
                    match cond.take() {
                        Some(cond) => arms.push((cond, block)),
                        None if is_else => otherwise = Some(block),
                        None => unreachable_rule(Rule::block),
                    }
                }
                _ => self.word(&child),
            }
        }
        let arms = arms.into_iter().map(|(cond, block)| cond.map(|cond| (cond, block))).collect::<Option<Vec<_>>>()?;
        Some(StmtKind::If { arms, otherwise })
    }

    fn for_each(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let (mut prefix, mut list, mut limit, mut body) = (None, None, None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::variable_name => prefix = Some(self.spanned(child.as_str().to_owned(), &child)),
                Rule::sum => list = self.sum(child),
                Rule::limit => {
                    let number = self.part(child)?;
                    let value = number.as_str().parse::<i64>().ok().filter(|n| *n > 0);
                    if value.is_none() {
                        let span = self.span(&number);
                        let help = "write a whole number, at least 1";
                        self.error(codes::NUMBER_RANGE, format!("`{}` is not a number of rounds", number.as_str()), span, help);
                    }
                    limit = value.map(|value| self.spanned(value, &number));
                }
                Rule::block => body = Some(self.block(child)),
                _ => self.word(&child),
            }
        }
        Some(StmtKind::ForEach { prefix: prefix?, list: list?, limit, body: body? })
    }

    fn handle_errors(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let (mut prefix, mut body, mut handler) = (None, None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::string => prefix = self.name(child),
                Rule::block => body = Some(self.block(child)),
                Rule::on_error => handler = self.part(child).map(|block| self.block(block)),
                _ => self.word(&child),
            }
        }
        Some(StmtKind::HandleErrors { prefix, body: body?, handler })
    }

    fn group(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let (mut kind, mut label, mut body) = (None, None, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::group_word => kind = self.group_kind(&child),
                Rule::string => label = self.plain_text(&child),
                Rule::block => body = Some(self.block(child)),
                _ => self.word(&child),
            }
        }
        Some(StmtKind::Group { kind: kind?, label, body: body? })
    }

    fn group_kind(&mut self, node: &Node<'_>) -> Option<GroupKind> {
        let word = node.as_str();
        match word {
            "All" => return Some(GroupKind::All),
            "AtLeastOne" => return Some(GroupKind::AtLeastOne),
            _ => {}
        }
        let span = self.span(node);
        let near = BLOCKS.into_iter().find(|known| known.eq_ignore_ascii_case(word));
        if let Some(known) = near {
            self.error(codes::WRONG_CASE, format!("`{word}` is spelled `{known}`"), span, format!("write `{known} {{`"));
            return None;
        }
        let near = nearest(word, BLOCKS.into_iter().chain(["if", "else"]));
        let (code, message, help) = match (word, near) {
            ("on", _) => (
                codes::UNKNOWN_STATEMENT,
                "`on error` without a `HandleErrors`".to_owned(),
                "put it directly after that block".to_owned(),
            ),
            ("any" | "Any" | "or" | "OneOf", _) => {
                (codes::UNKNOWN_STATEMENT, format!("there is no statement `{word} {{ }}`"), "write `AtLeastOne {`".to_owned())
            }
            ("and", _) => (codes::UNKNOWN_STATEMENT, "there is no statement `and { }`".to_owned(), "write `All {`".to_owned()),
            (_, Some(near)) => {
                (codes::UNKNOWN_STATEMENT, format!("there is no statement `{word}`"), format!("did you mean `{near}`?"))
            }
            _ if word.starts_with(|c: char| c.is_ascii_uppercase()) => {
                (codes::MISSING_PARENTHESES, format!("`{word}` lacks its parentheses"), format!("write `{word}() {{`"))
            }
            _ => (
                codes::UNKNOWN_STATEMENT,
                format!("there is no statement `{word}`"),
                "blocks are `All { }`, `AtLeastOne { }` and `if … { }`".to_owned(),
            ),
        };
        self.error(code, message, span, help);
        None
    }

    /// A bare condition. If it is only a call, it becomes a call, which may have a block.
    fn check(&mut self, node: Node<'_>) -> Option<StmtKind> {
        let mut children = node.into_inner();
        let cond = self.checked(children.next()?);
        let block = children.next().map(|block| self.block(block));
        match (cond?, block) {
            (Cond::Call(mut call), block) => {
                if let (Callee::Encapsulated(_), Some(block)) = (&call.callee, &block) {
                    let help = "only some assertions of the gateway take one";
                    self.error(codes::UNEXPECTED, "an encapsulated assertion takes no block", block.span.span, help);
                    return None;
                }
                call.block = block;
                Some(StmtKind::Call(*call))
            }
            (cond, None) => Some(StmtKind::Check(cond)),
            (_, Some(block)) => {
                let help = "write `if` before the condition";
                self.error(codes::UNEXPECTED, "a condition alone takes no block", block.span.span, help);
                None
            }
        }
    }

    /// What a statement checks that begins with no keyword.
    fn checked(&mut self, value: Node<'_>) -> Option<Cond> {
        match self.lone(&value) {
            Some(node) if node.as_rule() == Rule::string => {
                let span = self.span(&value);
                let help = format!("to call the assertion of this name write `{} ()`", node.as_str());
                self.error(codes::MISSING_PARENTHESES, "a text alone does nothing", span, help);
                None
            }
            Some(node) if node.as_rule() == Rule::bare_word => {
                self.unknown_statement(&node);
                None
            }
            _ => self.cond(value),
        }
    }

    /// The single node of which a value consists, if there is only one.
    pub fn lone<'i>(&self, node: &Node<'i>) -> Option<Node<'i>> {
        let mut node = node.clone();
        loop {
            let first = only(&node)?;
            match first.as_rule() {
                Rule::comparison | Rule::sum => node = first,
                _ => return Some(first),
            }
        }
    }

    /// A line that begins with an unknown word.
    fn unknown_statement(&mut self, node: &Node<'_>) {
        let word = node.as_str();
        let span = self.span(node);
        let (code, message) = (codes::UNKNOWN_STATEMENT, format!("there is no statement `{word}`"));
        if let Some(help) = explain::foreign_word(&word.to_ascii_lowercase()) {
            self.error(code, message, span, help);
        } else if let Some(near) = nearest(word, STATEMENTS) {
            self.error(code, message, span, format!("did you mean `{near}`?"));
        } else if word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.contains(['.', '-']) {
            self.error(codes::MISSING_PARENTHESES, format!("`{word}` lacks its parentheses"), span, format!("write `{word}()`"));
        } else {
            let help = format!("assertions are `Name(…)` and `\"Name\" (…)`; a variable is `${{{word}}}`");
            self.error(code, message, span, help);
        }
    }
}

/// A statement without comments.
pub fn plain(kind: StmtKind, span: Span) -> Stmt {
    Stmt { leading: Vec::new(), trailing: None, blank_before: false, kind, span: Spanned::new((), span) }
}

/// Puts comments at the start of a block.
fn prepend(block: &mut Block, comments: Vec<Comment>) {
    let slot = match block.stmts.first_mut() {
        Some(stmt) => &mut stmt.leading,
        None => &mut block.trailing,
    };
    slot.splice(0..0, comments);
}

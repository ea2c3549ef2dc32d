//! Declarations and their heads.

use pest::iterators::Pairs;

use super::{Lower, Node, Rule, join_comments};
use crate::ast::{
    Block, Call, Callee, Comment, Comments, Direction, DurationLit, File, Item, ItemKind, Name, Param, ServiceHead,
};
use crate::codes;
use crate::diagnostic::nearest;
use crate::span::{Span, Spanned};

const KINDS: [&str; 7] = ["fragment", "assertion", "service", "task", "command", "customize", "extension"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The clauses of a head as they were written.
#[derive(Default)]
struct Clauses {
    params: Option<(Vec<Param>, Span)>,
    at: Option<(Spanned<String>, Span)>,
    every: Option<(Spanned<DurationLit>, Span)>,
    methods: Option<(Vec<Spanned<String>>, Span)>,
    errors: Option<(Call, Span)>,
    paths: Option<((), Span)>,
    fails: Option<(Name, Span)>,
    disabled: Option<((), Span)>,
    /// `every` or `at` was there, but could not be read; that it is missing need not be said.
    unread: bool,
}

impl Lower<'_> {
    pub fn file(&mut self, nodes: Pairs<'_, Rule>) -> File {
        let mut file = File::default();
        let mut leading: Vec<Comment> = Vec::new();
        for node in nodes {
            match node.as_rule() {
                Rule::comment => {
                    let comment = self.comment(&node);
                    let blank_before = comment.blank_before && !leading.is_empty();
                    leading.push(Comment { blank_before, ..comment });
                }
                Rule::item => {
                    let mut above = std::mem::take(&mut leading);
                    let blank = self.lines_before(self.span(&node).start) > 1;
                    if let Some(last) = above.last_mut() {
                        last.blank_after = blank;
                    }
                    file.items.extend(self.item(node, above));
                }
                Rule::stray => {
                    leading.clear();
                    self.explain_stray(&node);
                }
                Rule::EOI => {}
                rule => unreachable_rule(rule),
            }
        }
        file.trailing = leading;
        file
    }

    fn item(&mut self, node: Node<'_>, leading: Vec<Comment>) -> Option<Item> {
        let span = self.span(&node);
        let mut kind_word: Option<Node<'_>> = None;
        let mut name: Option<Name> = None;
        let mut clauses = Clauses::default();
        let mut body: Option<Block> = None;
        let before = std::mem::take(&mut self.loose);
        let mut named = false;
        for child in self.children(node) {
            match child.as_rule() {
                Rule::item_kind => kind_word = Some(child),
                Rule::string | Rule::single_quoted | Rule::bare_name => {
                    named = true;
                    name = self.name(child);
                }
                Rule::params => {
                    let span = self.span(&child);
                    let params = self.params(child);
                    self.once(&mut clauses.params, params, span, "parameters");
                }
                Rule::at => {
                    let span = self.span(&child);
                    match self.path(child) {
                        Some(path) => self.once(&mut clauses.at, path, span, "at"),
                        None => clauses.unread = true,
                    }
                }
                Rule::every => {
                    let span = self.span(&child);
                    let duration = self.children(child).pop().and_then(|child| self.duration(&child));
                    match duration {
                        Some(duration) => self.once(&mut clauses.every, duration, span, "every"),
                        None => clauses.unread = true,
                    }
                }
                Rule::methods => {
                    let span = self.span(&child);
                    let methods = self.methods(child);
                    self.once(&mut clauses.methods, methods, span, "methods");
                }
                Rule::errors => {
                    let span = self.span(&child);
                    if let Some(call) = self.errors(child) {
                        self.once(&mut clauses.errors, call, span, "errors");
                    }
                }
                Rule::paths => {
                    let span = self.span(&child);
                    if self.paths(child) {
                        self.once(&mut clauses.paths, (), span, "paths");
                    }
                }
                Rule::fails => {
                    let span = self.span(&child);
                    match self.children(child).pop() {
                        Some(name) => {
                            let name = self.spanned(name.as_str().to_owned(), &name);
                            self.once(&mut clauses.fails, name, span, "fails with");
                        }
                        None => {
                            let help = "name the output that tells the caller why: `fails with error.code`";
                            self.error(codes::BAD_CLAUSE, "`fails` does not say with what", span, help);
                        }
                    }
                }
                Rule::disabled => {
                    let span = self.span(&child);
                    self.children(child);
                    self.once(&mut clauses.disabled, (), span, "disabled");
                }
                Rule::block => body = Some(self.block(child)),
                rule => unreachable_rule(rule),
            }
        }
        let loose = self.take_loose(before);
        let kind = self.kind(&kind_word?, clauses);
        let (kind, body) = (kind?, body?);
        debug_assert!(named);
        Some(Item { leading: join_comments(leading, loose), kind, name: name?, body, span })
    }

    fn once<T>(&mut self, slot: &mut Option<(T, Span)>, value: T, span: Span, what: &str) {
        if slot.is_some() {
            self.error(codes::BAD_CLAUSE, format!("`{what}` is said twice"), span, "remove one of the two");
        } else {
            *slot = Some((value, span));
        }
    }

    /// The kind of a declaration with the clauses that belong to it.
    fn kind(&mut self, word: &Node<'_>, clauses: Clauses) -> Option<ItemKind> {
        let text = word.as_str();
        let lower = text.to_ascii_lowercase();
        let Some(kind) = KINDS.iter().find(|kind| **kind == lower) else {
            let help = match nearest(text, KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("a file holds declarations: {}", KINDS.map(|kind| format!("`{kind}`")).join(", ")),
            };
            let span = self.span(word);
            self.error(codes::UNKNOWN_DECLARATION, format!("there is no declaration `{text}`"), span, help);
            return None;
        };
        self.spelling(word, kind);
        let Clauses { params, at, every, methods, errors, paths, disabled, fails, unread } = clauses;
        let takes_params = matches!(*kind, "assertion" | "command");
        let is_service = *kind == "service";
        let refused = [
            params.as_ref().filter(|_| !takes_params).map(|(_, span)| ("parameters", *span)),
            at.as_ref().filter(|_| !is_service).map(|(_, span)| ("`at`", *span)),
            methods.as_ref().filter(|_| !is_service).map(|(_, span)| ("`methods`", *span)),
            errors.as_ref().filter(|_| !is_service).map(|(_, span)| ("`errors`", *span)),
            paths.as_ref().filter(|_| !is_service).map(|(_, span)| ("`paths`", *span)),
            disabled.as_ref().filter(|_| !is_service).map(|(_, span)| ("`disabled`", *span)),
            fails.as_ref().filter(|_| !takes_params).map(|(_, span)| ("`fails with`", *span)),
            every.as_ref().filter(|_| *kind != "task").map(|(_, span)| ("`every`", *span)),
        ];
        for (what, span) in refused.into_iter().flatten() {
            let help = match what {
                "parameters" => "a fragment shares its caller's variables; an `assertion` has parameters",
                "`every`" => "only a `task` has it",
                "`fails with`" => "only an `assertion` or a `command` has it; in a service `fail` answers through its `errors`",
                _ => "only a `service` has it",
            };
            self.error(codes::BAD_CLAUSE, format!("a `{kind}` has no {what}"), span, help);
        }
        let mut params = params.map(|(params, _)| params).unwrap_or_default();
        params.extend(fails.map(|(name, _)| Param {
            direction: Direction::Out,
            name,
            failure: true,
            ty: None,
            default: None,
            leading: Vec::new(),
            trailing: None,
        }));
        match *kind {
            "fragment" => Some(ItemKind::Fragment),
            "assertion" => Some(ItemKind::Assertion(params)),
            "command" => Some(ItemKind::Command(params)),
            "customize" => Some(ItemKind::Customize),
            "extension" => Some(ItemKind::Extension),
            "task" => match every {
                Some((every, _)) => Some(ItemKind::Task { every }),
                None if unread => None,
                None => {
                    let span = self.span(word);
                    self.error(codes::BAD_CLAUSE, "this task does not say when it runs", span, "add `every 5m` after its name");
                    None
                }
            },
            "service" => match at {
                Some((path, _)) => Some(ItemKind::Service(ServiceHead {
                    path,
                    methods: methods.map(|(methods, _)| methods).unwrap_or_default(),
                    errors: errors.map(|(call, _)| call),
                    raw_paths: paths.is_some(),
                    disabled: disabled.is_some(),
                })),
                None => {
                    let span = self.span(word);
                    self.error(
                        codes::BAD_CLAUSE,
                        "this service does not say where it is",
                        span,
                        "add `at \"/path\"` after its name",
                    );
                    None
                }
            },
            _ => None,
        }
    }

    /// A name in quotes, without variables.
    pub fn name(&mut self, node: Node<'_>) -> Option<Name> {
        let span = self.span(&node);
        let text = node.as_str().trim();
        match node.as_rule() {
            Rule::string => {
                let name = self.plain_text(&node)?;
                if name.node.trim().is_empty() {
                    self.error(codes::BAD_NAME, "this name is empty", span, "write a name between the quotes");
                    return None;
                }
                Some(name)
            }
            Rule::single_quoted => {
                self.single_quotes(&node);
                Some(Spanned::new(text.trim_matches('\'').to_owned(), span))
            }
            Rule::bare_name => {
                self.error(codes::MISSING_QUOTES, format!("the name `{text}` needs quotes"), span, format!("write `\"{text}\"`"));
                Some(Spanned::new(text.to_owned(), span))
            }
            rule => {
                unreachable_rule(rule);
                None
            }
        }
    }

    /// A text in quotes that may hold no variable.
    pub fn plain_text(&mut self, node: &Node<'_>) -> Option<Spanned<String>> {
        let expr = self.string(node);
        match expr.literal() {
            Some(text) => Some(self.spanned(text.to_owned(), node)),
            None => {
                let span = self.span(node);
                self.error(
                    codes::BAD_NAME,
                    "no variables can stand here",
                    span,
                    "write it out: it is settled when the policy loads",
                );
                None
            }
        }
    }

    /// Whether the word after `paths` is `raw`, the only form there is to choose.
    fn paths(&mut self, node: Node<'_>) -> bool {
        let span = self.span(&node);
        let Some(form) = self.children(node).into_iter().find(|child| child.as_rule() == Rule::paths_form) else {
            self.error(codes::BAD_CLAUSE, "`paths` does not say which", span, "write `paths raw`");
            return false;
        };
        if form.as_str().eq_ignore_ascii_case("raw") {
            self.spelling(&form, "raw");
            return true;
        }
        let span = self.span(&form);
        self.error(codes::BAD_CLAUSE, format!("paths cannot be `{}`", form.as_str()), span, "write `paths raw`, or leave it out");
        false
    }

    fn path(&mut self, node: Node<'_>) -> Option<Spanned<String>> {
        let text = self.children(node).pop()?;
        let path = self.plain_text(&text)?;
        let star = path.find('*');
        let good_star = star.is_none_or(|at| at + 1 == path.len() && path[..at].ends_with('/'));
        if !path.starts_with('/') {
            self.error(
                codes::BAD_ROUTE,
                format!("the path `{}` does not start at the root", path.node),
                path.span,
                "begin it with `/`",
            );
        } else if !good_star {
            let help = "`*` stands alone, as the last segment: `/path/*`";
            self.error(codes::BAD_ROUTE, format!("the path `{}` has `*` inside", path.node), path.span, help);
        }
        Some(path)
    }

    fn methods(&mut self, node: Node<'_>) -> Vec<Spanned<String>> {
        let mut methods: Vec<Spanned<String>> = Vec::new();
        for child in self.children(node) {
            let span = self.span(&child);
            let upper = child.as_str().to_ascii_uppercase();
            let known = METHODS.contains(&upper.as_str());
            if !known {
                let help = match nearest(&upper, METHODS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("methods are {}", METHODS.join(", ")),
                };
                self.error(codes::BAD_ROUTE, format!("there is no method `{}`", child.as_str()), span, help);
            } else {
                self.spelling(&child, &upper);
                methods.push(Spanned::new(upper, span));
            }
        }
        methods
    }

    fn errors(&mut self, node: Node<'_>) -> Option<Call> {
        let span = Spanned::new((), self.span(&node));
        let mut callee = None;
        let mut args = Vec::new();
        for child in self.children(node) {
            match child.as_rule() {
                Rule::string => callee = self.name(child),
                Rule::arguments => args = self.named_arguments(child),
                rule => unreachable_rule(rule),
            }
        }
        let callee = callee?;
        let span = Spanned::new((), Span { start: callee.span.start, ..span.span });
        Some(Call { callee: Callee::Encapsulated(callee), args, block: None, span })
    }

    fn params(&mut self, node: Node<'_>) -> Vec<Param> {
        struct Entry(Param, Comments);
        let entries = self.entries(
            node,
            |lower, node| lower.param(node).map(|param| Entry(param, Comments::default())),
            |entry| &mut entry.1,
        );
        entries
            .into_iter()
            .map(|Entry(param, mut comments)| {
                comments.leading.append(&mut comments.after);
                Param { leading: comments.leading, trailing: comments.trailing, ..param }
            })
            .collect()
    }

    fn param(&mut self, node: Node<'_>) -> Option<Param> {
        let span = self.span(&node);
        let (mut direction, mut name, mut ty, mut default) = (None, None, None, None);
        for child in self.children(node) {
            match child.as_rule() {
                Rule::direction => {
                    direction = match child.as_str().to_ascii_lowercase().as_str() {
                        "in" => Some(Direction::In),
                        "out" => Some(Direction::Out),
                        _ => None,
                    };
                    match direction {
                        Some(Direction::In) => self.spelling(&child, "in"),
                        Some(Direction::Out) => self.spelling(&child, "out"),
                        None => {
                            let help = "a parameter that goes both ways is named twice: `in a, out a`";
                            let place = self.span(&child);
                            self.error(
                                codes::MISSING_DIRECTION,
                                format!("there is no direction `{}`", child.as_str()),
                                place,
                                help,
                            );
                            return None;
                        }
                    }
                }
                Rule::variable_name => name = Some(self.spanned(child.as_str().to_owned(), &child)),
                Rule::type_word => ty = self.ty(&child),
                Rule::value => default = self.expr(child),
                rule => unreachable_rule(rule),
            }
        }
        let name: Name = name?;
        if direction.is_none() {
            let message = format!("the parameter `{}` does not say which way it goes", name.node);
            self.error(codes::MISSING_DIRECTION, message, span, format!("write `in {0}` or `out {0}`", name.node));
        }
        Some(Param { direction: direction?, name, failure: false, ty, default, leading: Vec::new(), trailing: None })
    }
}

/// The grammar cannot put this rule here. Nothing is made of it, so no text gains a meaning; tests would notice.
pub fn unreachable_rule(rule: Rule) {
    debug_assert!(false, "no place for {rule:?}");
}

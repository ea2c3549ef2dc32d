//! Declarations and their heads.

use pest::iterators::Pairs;

use super::comments::join_comments;
use super::{Lower, Node, Rule};
use crate::ast::{
    Allowed, Block, Call, Callee, Comment, Comments, Direction, DurationLit, Expr, ExprKind, File, FileConnection, Item,
    ItemKind, Name, Param, Schedule, ServiceHead,
};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::span::{Span, Spanned};
use crate::words::{Declaration, METHODS};

/// The clauses of a head as written.
#[derive(Default)]
struct Clauses {
    params: Option<(Vec<Param>, Span)>,
    at: Option<(Vec<Spanned<String>>, Span)>,
    every: Option<(Spanned<DurationLit>, Span)>,
    methods: Option<(Vec<Spanned<String>>, Span)>,
    errors: Option<(Call, Span)>,
    paths: Option<((), Span)>,
    fails: Option<(Name, Span)>,
    disabled: Option<((), Span)>,
    /// `every` or `at` was present but could not be read, so it must not also be reported as missing.
    unread: bool,
}

impl Lower<'_> {
    pub fn file(&mut self, nodes: Pairs<'_, Rule>) -> File {
        let mut file = File::default();
        let mut leading: Vec<Comment> = Vec::new();
        let mut connection_ends: Option<u32> = None;
        for node in nodes {
            let span = self.span(&node);
            while let Some((start, comment)) = self.comment_before(span.start) {
                let beside = connection_ends.take().is_some_and(|end| self.same_line(end, start));
                match file.connection.as_mut().filter(|_| beside) {
                    Some(connection) => connection.trailing = Some(Comment { blank_before: false, ..comment }),
                    None => {
                        let blank_before = comment.blank_before && !leading.is_empty();
                        leading.push(Comment { blank_before, ..comment });
                    }
                }
            }
            match node.as_rule() {
                Rule::connection => {
                    let above = std::mem::take(&mut leading);
                    connection_ends = file.connection.is_none().then_some(span.end);
                    self.connection(node, above, &mut file);
                }
                Rule::item => {
                    let mut above = std::mem::take(&mut leading);
                    let blank = self.lines_before(span.start) > 1;
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
            self.drop_before(span.end);
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
        for child in node.into_inner() {
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
                    let is_task = kind_word.as_ref().is_some_and(|word| word.as_str().eq_ignore_ascii_case("task"));
                    let read: Vec<_> = if is_task { self.times(child).into_iter().collect() } else { self.service_paths(child) };
                    match read.is_empty() {
                        false => self.once(&mut clauses.at, read, span, "at"),
                        true => clauses.unread = true,
                    }
                }
                Rule::every => {
                    let span = self.span(&child);
                    let duration = self.part(child).and_then(|child| self.duration(&child));
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
                    match self.part(child) {
                        Some(name) => {
                            let name = self.spanned(name.as_str().to_owned(), &name);
                            self.once(&mut clauses.fails, name, span, "fails with");
                        }
                        None => {
                            let help = "name the output that tells the caller why: `fails with error.code`";
                            self.error(codes::BAD_CLAUSE, "`fails` does not name an output", span, help);
                        }
                    }
                }
                Rule::disabled => {
                    let span = self.span(&child);
                    self.words(child);
                    self.once(&mut clauses.disabled, (), span, "disabled");
                }
                Rule::block => body = Some(self.block(child)),
                _ => self.word(&child),
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
            let help = match what {
                "at" => "remove one of the two; the paths of a service stand after one `at`: `at \"/a\" \"/b\"`",
                _ => "remove one of the two",
            };
            self.error(codes::BAD_CLAUSE, format!("`{what}` appears twice"), span, help);
        } else {
            *slot = Some((value, span));
        }
    }

    /// The kind of a declaration with the clauses that belong to it.
    fn kind(&mut self, word: &Node<'_>, clauses: Clauses) -> Option<ItemKind> {
        let text = word.as_str();
        let lower = text.to_ascii_lowercase();
        let Some(kind) = Declaration::of_keyword(&lower) else {
            let help = match nearest(text, Declaration::KEYWORDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => Declaration::listed(),
            };
            let span = self.span(word);
            self.error(codes::UNKNOWN_DECLARATION, format!("there is no declaration `{text}`"), span, help);
            return None;
        };
        self.spelling(word, kind.keyword());
        let Clauses { params, at, every, methods, errors, paths, disabled, fails, unread } = clauses;
        let takes_params = matches!(kind, Declaration::Assertion | Declaration::Command);
        let is_service = kind == Declaration::Service;
        let refused = [
            params.as_ref().filter(|_| !takes_params).map(|(_, span)| ("parameters", *span)),
            at.as_ref().filter(|_| !is_service && kind != Declaration::Task).map(|(_, span)| ("`at`", *span)),
            methods.as_ref().filter(|_| !is_service).map(|(_, span)| ("`methods`", *span)),
            errors.as_ref().filter(|_| !is_service).map(|(_, span)| ("`errors`", *span)),
            paths.as_ref().filter(|_| !is_service).map(|(_, span)| ("`paths`", *span)),
            disabled.as_ref().filter(|_| !is_service).map(|(_, span)| ("`disabled`", *span)),
            fails.as_ref().filter(|_| !takes_params).map(|(_, span)| ("`fails with`", *span)),
            every.as_ref().filter(|_| kind != Declaration::Task).map(|(_, span)| ("`every`", *span)),
        ];
        for (what, span) in refused.into_iter().flatten() {
            let help = match what {
                "parameters" => "a fragment shares its caller's variables; an `assertion` has parameters",
                "`every`" => "only a `task` has it",
                "`at`" => "a `service` has it, for its path, and a `task`, for its times",
                "`fails with`" => "only an `assertion` or a `command` has it; in a service `fail` answers through its `errors`",
                _ => "only a `service` has it",
            };
            self.error(codes::BAD_CLAUSE, format!("a `{}` has no {what}", kind.keyword()), span, help);
        }
        let mut params = params.map(|(params, _)| params).unwrap_or_default();
        params.extend(fails.map(|(name, _)| Param {
            direction: Direction::Out,
            name,
            failure: true,
            optional: false,
            ty: None,
            allowed: None,
            default: None,
            leading: Vec::new(),
            trailing: None,
        }));
        match kind {
            Declaration::Fragment => Some(ItemKind::Fragment),
            Declaration::Assertion => Some(ItemKind::Assertion(params)),
            Declaration::Command => Some(ItemKind::Command(params)),
            Declaration::Customize => Some(ItemKind::Customize),
            Declaration::Extension => Some(ItemKind::Extension),
            Declaration::Before => Some(ItemKind::Before),
            Declaration::After => Some(ItemKind::After),
            Declaration::Task => match (every, at) {
                (Some(_), Some((_, span))) => {
                    self.error(codes::BAD_CLAUSE, "this task says twice when it runs", span, "write `every` or `at`");
                    None
                }
                (Some((every, _)), None) => Some(ItemKind::Task(Schedule::Every(every))),
                (None, Some((times, _))) => Some(ItemKind::Task(Schedule::At(times.into_iter().next()?))),
                (None, None) if unread => None,
                (None, None) => {
                    let span = self.span(word);
                    let help = "add `every 5m` after its name, or times like `at \"0 3 * * *\"`";
                    self.error(codes::BAD_CLAUSE, "this task does not say when it runs", span, help);
                    None
                }
            },
            Declaration::Service => match at {
                Some((all, _)) => Some(ItemKind::Service(ServiceHead {
                    paths: all,
                    methods: methods.map(|(methods, _)| methods).unwrap_or_default(),
                    errors: errors.map(|(call, _)| call),
                    raw_paths: paths.is_some(),
                    disabled: disabled.is_some(),
                })),
                None if unread => None,
                None => {
                    let span = self.span(word);
                    self.error(codes::BAD_CLAUSE, "this service has no path", span, "add `at \"/path\"` after its name");
                    None
                }
            },
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

    /// A text in quotes that must not contain a variable.
    pub fn plain_text(&mut self, node: &Node<'_>) -> Option<Spanned<String>> {
        let expr = self.string(node);
        match expr.literal() {
            Some(text) => Some(self.spanned(text.to_owned(), node)),
            None => {
                let span = self.span(node);
                self.error(
                    codes::BAD_NAME,
                    "variables are not allowed here",
                    span,
                    "write it out: it is read when the policy loads",
                );
                None
            }
        }
    }

    /// Whether the word after `paths` is `raw`, the only choice.
    fn paths(&mut self, node: Node<'_>) -> bool {
        let span = self.span(&node);
        let Some(form) = self.children(node).into_iter().find(|child| child.as_rule() == Rule::paths_form) else {
            self.error(codes::BAD_CLAUSE, "`paths` needs a word after it", span, "write `paths raw`");
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

    /// The times of a task; the engine reads them.
    fn times(&mut self, node: Node<'_>) -> Option<Spanned<String>> {
        let mut texts = self.children(node).into_iter();
        let times = self.plain_text(&texts.next()?);
        if let Some(more) = texts.next() {
            let span = self.span(&more);
            self.error(
                codes::BAD_CLAUSE,
                "a task has one text with its times",
                span,
                "several times are in one: `at \"0 3,15 * * *\"`",
            );
        }
        times
    }

    /// The paths of a service, each once.
    fn service_paths(&mut self, node: Node<'_>) -> Vec<Spanned<String>> {
        let mut paths: Vec<Spanned<String>> = Vec::new();
        for text in self.children(node) {
            let Some(path) = self.path(&text) else { continue };
            if paths.contains(&path) {
                let message = format!("the path `{}` appears twice", path.node);
                self.error(codes::BAD_ROUTE, message, path.span, "remove one of the two");
            } else {
                paths.push(path);
            }
        }
        paths
    }

    fn path(&mut self, text: &Node<'_>) -> Option<Spanned<String>> {
        let path = self.plain_text(text)?;
        let star = path.find('*');
        let good_star = star.is_none_or(|at| at + 1 == path.len() && path[..at].ends_with('/'));
        if !path.starts_with('/') {
            self.error(
                codes::BAD_ROUTE,
                format!("the path `{}` does not begin with `/`", path.node),
                path.span,
                "begin it with `/`",
            );
        } else if !good_star {
            let help = "`*` is only allowed as the whole last segment: `/path/*`";
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
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::string => callee = self.name(child),
                Rule::arguments => args = self.named_arguments(child),
                _ => self.word(&child),
            }
        }
        let callee = callee?;
        let span = Spanned::new((), Span { start: callee.span.start, ..span.span });
        Some(Call { callee: Callee::Encapsulated(callee), optional: None, args, block: None, span })
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
        let (mut optional, mut allowed) = (None, None);
        for child in node.into_inner() {
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
                            let help = "name a parameter that goes both ways twice: `in a, out a`";
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
                Rule::optional_mark => optional = Some(self.span(&child)),
                Rule::type_word => ty = self.ty(&child),
                Rule::range => allowed = self.range_of(&child, ty.as_ref()),
                Rule::choices => allowed = self.choices_of(child, &mut ty),
                Rule::value => default = self.expr(child),
                _ => self.word(&child),
            }
        }
        let name: Name = name?;
        let optional = optional.is_some_and(|mark| self.may_be_optional(&name, direction, default.as_ref(), mark));
        if let (Some(found), Some(Direction::In)) = (&allowed, direction) {
            let (what, test) = match found.node {
                Allowed::Range(_) => ("bounds", "as int >= 1"),
                Allowed::Choice(_) => ("choices", "in [\"a\", \"b\"]"),
            };
            let help = format!("test it in the body: `${{{}}} {test} else Stop`", name.node);
            self.error(codes::BAD_BOUNDS, format!("{what} are for outputs"), found.span, help);
            allowed = None;
        }
        if direction.is_none() {
            let message = format!("the parameter `{}` has no direction", name.node);
            self.error(codes::MISSING_DIRECTION, message, span, format!("write `in {0}` or `out {0}`", name.node));
        }
        Some(Param {
            direction: direction?,
            name,
            failure: false,
            optional,
            ty,
            allowed,
            default,
            leading: Vec::new(),
            trailing: None,
        })
    }
}

impl Lower<'_> {
    /// Whether a `?` after a parameter's name is allowed.
    fn may_be_optional(&mut self, name: &Name, direction: Option<Direction>, default: Option<&Expr>, mark: Span) -> bool {
        if direction == Some(Direction::Out) {
            let message = format!("the output `{}` needs no `?`", name.node);
            self.error(codes::BAD_ARGUMENT, message, mark, "remove it: an output that is not set stays undefined");
            return false;
        }
        if default.is_some() {
            let message = format!("`{}?` also has a default", name.node);
            self.error(codes::BAD_ARGUMENT, message, mark, "keep one: `?` leaves it undefined, `=` gives it a value");
            return false;
        }
        true
    }

    /// `connection …` at the top of a file.
    fn connection(&mut self, node: Node<'_>, leading: Vec<Comment>, file: &mut File) {
        let span = self.span(&node);
        let (mut value, mut from, mut derived) = (None, None, None);
        for child in node.into_inner() {
            let place = self.span(&child);
            match child.as_rule() {
                Rule::kw_connection => self.spelling(&child, "connection"),
                Rule::kw_from => {
                    self.spelling(&child, "from");
                    derived = Some(place);
                }
                _ if derived.is_some() => from = self.name(child),
                Rule::colon | Rule::assign_sign => {
                    let help = "write the name after a blank: `connection \"Main\"`";
                    self.error(codes::BAD_CLAUSE, "`connection` takes no sign before its name", place, help);
                }
                Rule::string => value = self.name(child).map(|name| Expr::new(ExprKind::Raw(name.node), name.span)),
                Rule::var => value = self.primary(child),
                Rule::single_quoted => self.single_quotes(&child),
                _ => {
                    let help = format!(
                        "write `connection \"{}\"`, or a variable: `connection ${{name}}`",
                        child.as_str().trim_matches('$')
                    );
                    self.error(codes::MISSING_QUOTES, "the name of a connection needs quotes", place, help);
                }
            }
        }
        if let Some(first) = &file.connection {
            let error = Diagnostic::error(codes::BAD_CLAUSE, "`connection` appears twice", span);
            self.out.push(
                error.help("a file has one connection; a call may name another").related(first.span.span, "first said here"),
            );
        } else if !file.items.is_empty() {
            self.error(
                codes::BAD_CLAUSE,
                "`connection` belongs at the top of the file",
                span,
                "move it before the first declaration",
            );
        } else {
            if let (Some(place), Some(ExprKind::Raw(_))) = (derived, value.as_ref().map(|value| &*value.kind)) {
                let help = "write `connection \"Main\"`, or `connection ${name} from \"Policy\"`";
                self.error(codes::BAD_CLAUSE, "only a variable can be `from` a policy", place, help);
            }
            let span = Spanned::new((), span);
            file.connection = value.map(|value| FileConnection { leading, value, from, trailing: None, span });
        }
    }
}

/// The grammar never puts this rule here. If it did, the text would get no meaning, and tests would notice.
pub fn unreachable_rule(rule: Rule) {
    debug_assert!(false, "no place for {rule:?}");
}

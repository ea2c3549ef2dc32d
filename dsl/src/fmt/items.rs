//! Files and declarations.

use super::doc::{Doc, concat, group, indent, list, text};
use super::exprs::{entry, joined, typed};
use super::stmts::At;
use super::{Printer, texts};
use crate::ast::*;

impl Printer<'_> {
    pub fn file(&self, file: &File) -> Doc {
        let mut docs = Vec::new();
        if let Some(connection) = &file.connection {
            docs.extend(texts::leading(&connection.leading));
            docs.extend([text("connection "), self.connection_name(&connection.value)]);
            docs.extend(connection.from.as_ref().map(|from| text(format!(" from {}", texts::quoted(from)))));
            docs.extend(connection.trailing.as_ref().map(texts::trailing));
            docs.push(Doc::Hard);
            if !file.items.is_empty() || !file.trailing.is_empty() {
                docs.push(Doc::Hard);
            }
        }
        for (n, item) in file.items.iter().enumerate() {
            if n > 0 {
                docs.push(Doc::Hard);
            }
            docs.extend(texts::leading(&item.leading));
            docs.extend([self.item(item), Doc::Hard]);
        }
        if !file.trailing.is_empty() {
            if !file.items.is_empty() {
                docs.push(Doc::Hard);
            }
            docs.extend(texts::leading(&file.trailing));
        }
        Doc::Concat(docs)
    }

    fn connection_name(&self, value: &Expr) -> Doc {
        match &*value.kind {
            ExprKind::Raw(name) => text(texts::quoted(name)),
            _ => self.expr(value),
        }
    }

    fn item(&self, item: &Item) -> Doc {
        let name = texts::quoted(&item.name);
        let plain = |word: &str| text(format!("{word} {name} "));
        let head = match &item.kind {
            ItemKind::Fragment => plain("fragment"),
            ItemKind::Customize => plain("customize"),
            ItemKind::Extension => plain("extension"),
            ItemKind::Before => plain("before"),
            ItemKind::After => plain("after"),
            ItemKind::Task(Schedule::Every(every)) => text(format!("task {name} every {} ", **every)),
            ItemKind::Task(Schedule::At(times)) => text(format!("task {name} at {} ", texts::quoted(times))),
            ItemKind::Assertion(params) | ItemKind::Command(params) => {
                let word = if matches!(item.kind, ItemKind::Command(_)) { "command" } else { "assertion" };
                let (failure, params): (Vec<_>, Vec<_>) = params.iter().partition(|param| param.failure);
                let fails = failure.iter().map(|param| text(format!("fails with {} ", param.name.node)));
                concat([plain(word), self.params(&params)].into_iter().chain(fails))
            }
            ItemKind::Service(service) => return self.service(&name, service, item),
        };
        let (open, broken) = (self.inline(&item.body), self.broken(&item.body, At::line(0)));
        let flat = open
            .map(|body| concat([head.clone(), body]))
            .filter(|doc| doc.flat_width().is_some_and(|width| width <= super::WIDTH));
        flat.unwrap_or_else(|| concat([head, broken]))
    }

    /// `(in a, out b) `; nothing when there are none.
    fn params(&self, params: &[&Param]) -> Doc {
        if params.is_empty() {
            return text("");
        }
        let has_comment = |param: &Param| !param.leading.is_empty() || param.trailing.is_some();
        let broken = params.iter().copied().any(has_comment) || params.first().is_some_and(|first| self.param_on_new_line(first));
        let entries = params.iter().map(|param| {
            let comments = Comments { leading: param.leading.clone(), trailing: param.trailing.clone(), after: Vec::new() };
            entry(&comments, self.param(param))
        });
        concat([list("(", ")", entries.collect(), false, broken), text(" ")])
    }

    fn param(&self, param: &Param) -> Doc {
        let direction = match param.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        let mark = if param.optional { "?" } else { "" };
        let head = format!("{direction} {}{mark}{}", param.name.node, typed(&param.ty, &param.allowed));
        match &param.default {
            Some(value) => joined(format!("{head} = "), self.expr(value)),
            None => text(head),
        }
    }

    /// The name of a parameter has a span, the word before it has none.
    fn param_on_new_line(&self, param: &Param) -> bool {
        let before = self.text.get(..param.name.span.start as usize).unwrap_or("").trim_end();
        let word = before.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        self.on_new_line(word.len() as u32)
    }

    fn service(&self, name: &str, service: &ServiceHead, item: &Item) -> Doc {
        let paths: Vec<String> = service.paths.iter().map(|path| texts::quoted(path)).collect();
        let mut start = format!("service {name} at {}", paths.first().map_or("", String::as_str));
        let mut clauses = Vec::new();
        // Several paths that do not fit in one line go below each other, and the methods below them.
        let most = super::WIDTH / 2;
        let long = paths.len() > 1 && paths.iter().map(|path| path.len() + 1).sum::<usize>() > most;
        let mut add = |more: String| match long {
            true => clauses.extend([Doc::Line, text(more)]),
            false => start.push_str(&format!(" {more}")),
        };
        paths.iter().skip(1).for_each(|path| add(path.clone()));
        if !service.methods.is_empty() {
            let methods: Vec<&str> = service.methods.iter().map(|method| method.node.as_str()).collect();
            add(format!("methods {}", methods.join(" ")));
        }
        if service.raw_paths {
            add("paths raw".to_owned());
        }
        if let Some(call) = &service.errors {
            let name = texts::quoted(call.callee.name());
            let errors = if call.args.is_empty() {
                text(format!("errors {name}"))
            } else {
                self.arguments(&format!("errors {name} ("), &call.args)
            };
            clauses.extend([Doc::Line, errors]);
        }
        if service.disabled {
            clauses.extend([Doc::Line, text("disabled")]);
        }
        let head = |end: Doc| group(concat([text(start.as_str()), indent(Doc::Concat(clauses.clone())), end]));
        if let Some(body) = self.inline(&item.body) {
            let flat = concat([head(text(" ")), body]);
            if flat.flat_width().is_some_and(|width| width <= super::WIDTH) {
                return flat;
            }
        }
        // The body's brace goes on a line of its own when the clauses do.
        concat([head(concat([Doc::Line, text("{")])), self.after_brace(&item.body, At::line(0))])
    }
}

//! One walk over a declaration that passes each call, expression and template to its check.

use hashbrown::HashSet;

use crate::ast::{
    Call, Callee, Comparison, Direction, Expr, ExprKind, Item, ItemKind, Json, Param, Part, Predicate, Stmt, StmtKind, Syntax,
    VarRef,
};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::resolve::check::{Set, calls, routes, templates, values};
use crate::resolve::index::Policy;
use crate::resolve::picture;
use crate::resolve::visit::{self, Visit};
use crate::span::Origin;
use crate::words::DATA_URI;

pub(crate) fn check(set: &Set<'_>, policy: &Policy, found: &mut Vec<Diagnostic>) {
    let mut walk = Local { set, policy, found, template: None };
    walk.head(&policy.item);
    walk.block(&policy.item.body);
}

struct Local<'s, 'a> {
    set: &'s Set<'a>,
    policy: &'s Policy,
    found: &'s mut Vec<Diagnostic>,
    /// The syntax of the template that is being walked.
    template: Option<Syntax>,
}

impl<'s> Local<'s, '_> {
    fn head(&mut self, item: &'s Item) {
        self.params(self.policy.params());
        if let ItemKind::Service(head) = &item.kind {
            for path in &head.paths {
                if let Some(problem) = routes::path_problem(path) {
                    self.found.push(Diagnostic::error(codes::INVALID_PATH, problem, path.span));
                }
            }
            if let Some(errors) = &head.errors {
                self.errors(errors);
            }
        }
    }

    /// `fail CODE` and faults give the error assertion its first input, so the clause may leave it out.
    fn errors(&mut self, errors: &'s Call) {
        if let Callee::Encapsulated(name) = &errors.callee {
            calls::encapsulated(self.set, errors, name, true, self.found);
        }
        errors.args.iter().for_each(|arg| self.expr(&arg.value));
    }

    fn params(&mut self, params: &'s [Param]) {
        // A name may be input and output at once: then its final value is returned.
        let mut seen = HashSet::new();
        for param in params {
            if !seen.insert((param.name.to_ascii_lowercase(), param.direction == Direction::In)) {
                let message = format!("parameter `{}` is declared twice", *param.name);
                let first = params
                    .iter()
                    .find(|first| first.direction == param.direction && first.name.eq_ignore_ascii_case(&param.name));
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, message, param.name.span);
                self.found
                    .push(first.into_iter().fold(error, |error, first| error.related(first.name.span, "first declared here")));
            }
            let Some(default) = &param.default else { continue };
            if param.direction == Direction::Out {
                let message = format!("output `{}` cannot have a default", *param.name);
                let error = Diagnostic::error(codes::WRONG_TYPE, message, default.span.span);
                self.found.push(error.help("set it in the body"));
            }
            if let Some(ty) = &param.ty {
                self.found.extend(values::conversion(default, ty.node, &param.name));
            }
            self.expr(default);
        }
    }

    fn checked_template(&mut self, syntax: Syntax, parts: &'s [Part]) {
        templates::check(self.set, syntax, parts, self.found);
        let before = self.template.replace(syntax);
        self.parts(parts);
        self.template = before;
    }

    /// A data file is checked where a policy uses it, and its diagnostics name that policy.
    fn file(&mut self, syntax: Syntax, path: &'s crate::span::Spanned<String>) {
        let (set, from) = (self.set, self.policy.file);
        if set.data.found(from, path).is_none() {
            let files: Vec<_> = set.sources.data.keys().map(|full| relative(&set.sources.get(from).path, full)).collect();
            let message = format!("there is no file `{}`", **path);
            let near = nearest(path, files.iter().map(String::as_str));
            let error = Diagnostic::error(codes::UNKNOWN_FILE, message, path.span);
            self.found.push(match near {
                _ if set.sources.picture(from, path).is_some() => {
                    let error = Diagnostic::error(codes::UNKNOWN_FILE, format!("the file `{}` is not text", **path), path.span);
                    error.help(format!("write `{DATA_URI} file \"{}\"` for the address of a picture", **path))
                }
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help("paths are relative to the folder of the policy"),
            });
            return;
        }
        let known = self.found.len();
        match syntax {
            Syntax::Json => set.data.json(from, path).into_iter().for_each(|json| self.json(json)),
            Syntax::Text | Syntax::Xml | Syntax::Html | Syntax::Url | Syntax::Sql => {
                set.data.template(from, path).into_iter().for_each(|parts| self.checked_template(syntax, parts));
            }
        }
        for diagnostic in self.found.iter_mut().skip(known) {
            diagnostic.included_by.push(path.span);
        }
    }
}

/// `full` as a policy in the same folder as `from` would write it.
fn relative(from: &str, full: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    match full.strip_prefix(folder).map(|rest| rest.strip_prefix('/').unwrap_or(rest)) {
        Some(rest) => rest.to_owned(),
        None => full.to_owned(),
    }
}

impl<'s> Visit<'s> for Local<'s, '_> {
    fn stmt(&mut self, stmt: &'s Stmt) {
        if let StmtKind::Set { target, ty: Some(ty), value } | StmtKind::Default { target, ty: Some(ty), value } = &stmt.kind {
            self.found.extend(values::conversion(value, ty.node, target));
        }
        visit::walk_stmt(self, stmt);
    }

    fn comparison(&mut self, comparison: &'s Comparison) {
        if let Predicate::Matches(pattern) = &comparison.predicate {
            self.found.extend(values::regex(pattern));
        }
        visit::walk_comparison(self, comparison);
    }

    fn call(&mut self, call: &'s Call) {
        match &call.callee {
            Callee::Native(name) => calls::native(self.set, self.policy, call, name, self.found),
            Callee::Encapsulated(name) => calls::encapsulated(self.set, call, name, false, self.found),
        }
        visit::walk_call(self, call);
    }

    fn expr(&mut self, expr: &'s Expr) {
        match &*expr.kind {
            ExprKind::Function(name, args) => {
                self.found.extend(calls::function(self.set, name, args, expr.span.span));
                visit::walk_expr(self, expr);
            }
            ExprKind::Template(syntax, parts) => self.checked_template(*syntax, parts),
            ExprKind::File(syntax, path) => self.file(*syntax, path),
            ExprKind::DataUri(path) => self.found.extend(picture::find(self.set.sources, self.policy.file, path).err()),
            _ => visit::walk_expr(self, expr),
        }
    }

    fn json(&mut self, json: &'s Json) {
        let before = self.template.replace(Syntax::Json);
        visit::walk_json(self, json);
        self.template = before;
    }

    fn var(&mut self, var: &'s VarRef, raw: bool) {
        let escapes = !matches!(self.template, None | Some(Syntax::Text));
        if raw && escapes && self.policy.origin == Origin::Customization {
            let message = format!("`raw` puts `{}` here without escaping", *var.name);
            let warning = Diagnostic::warning(codes::RAW_IN_CUSTOMIZATION, message, var.name.span);
            self.found.push(warning.help(format!("write `${{{}}}`, unless nobody outside can decide its value", *var.name)));
        }
    }
}

//! Compiles expressions and templates: names become slots or accessors, constants are folded, templates become pieces.

use std::sync::Arc;

use portcullis_dsl::ast::{self, ExprKind, Json, Part, PathStep, Syntax, VarRef};
use portcullis_dsl::span::Span;
use portcullis_dsl::{Access, Diagnostic};

use super::{Compiler, Scope};
use crate::data::encoding::Encoding;
use crate::data::json::Path;
use crate::data::value::Value;
use crate::policy::codes;
use crate::policy::expr::{Expr, JsonNode, Piece};
use crate::policy::function::{self, Args, Function};
use crate::policy::vars::{Accessor, MessageSelector, Selector, builtins};

impl<'a> Compiler<'a> {
    pub(super) fn expr(&mut self, expr: &ast::Expr, scope: Scope<'a>) -> Expr {
        let span = expr.span.span;
        match &*expr.kind {
            ExprKind::Text(parts) => self.text(parts, scope),
            ExprKind::Raw(text) => Expr::constant(text.as_str()),
            ExprKind::Int(number) => Expr::Const(Value::Int(*number)),
            ExprKind::Decimal(text) => Expr::Const(text.parse().map_or(Value::Undefined, Value::Decimal)),
            ExprKind::Bool(value) => Expr::Const(Value::Bool(*value)),
            // A duration is its seconds, whole or decimal.
            ExprKind::Duration(duration) => Expr::Const(match duration.millis() {
                millis if millis % 1000 == 0 => Value::Int((millis / 1000) as i64),
                millis => Value::Decimal(millis as f64 / 1000.0),
            }),
            ExprKind::List(items) => {
                let items: Vec<Expr> = items.iter().map(|item| self.expr(item, scope)).collect();
                match items.iter().map(|item| item.as_const().cloned()).collect::<Option<Vec<Value>>>() {
                    Some(values) => Expr::Const(Value::list(values)),
                    None => Expr::List(items.into()),
                }
            }
            ExprKind::Var(variable) => self.variable(variable, scope),
            ExprKind::Function(name, args) => {
                let args: Vec<Expr> = args.iter().map(|arg| self.expr(arg, scope)).collect();
                match function::get(&name.node) {
                    Some(function) => {
                        let known: Vec<Value> = args.iter().map(|arg| arg.as_const().cloned().unwrap_or_default()).collect();
                        if let Some(why) = function.refuses(&Args(&known)) {
                            self.error(codes::BAD_PROPERTY, &why, span);
                        }
                        call(function, args)
                    }
                    // The resolver has reported it.
                    None => Expr::Const(Value::Undefined),
                }
            }
            ExprKind::Arithmetic(op, left, right) => {
                Expr::Arithmetic(*op, Box::new((self.expr(left, scope), self.expr(right, scope))))
            }
            ExprKind::Group(inner) => self.expr(inner, scope),
            ExprKind::Condition(cond) => match self.condition(cond, scope, false) {
                Some(condition) => Expr::Condition(Arc::new(condition)),
                // The error was reported, so these policies never run.
                None => Expr::Const(Value::Undefined),
            },
            ExprKind::Json(json) => folded(self.json(json, scope)),
            ExprKind::Template(syntax, parts) => self.template(*syntax, parts, scope, span),
            ExprKind::File(syntax, path) => self.data_file(*syntax, path, scope, span),
            ExprKind::DataUri(path) => match self.library.picture(scope.file(), path) {
                Some((media_type, bytes)) => {
                    Expr::constant(format!("data:{media_type};base64,{}", Encoding::Base64.encode(bytes)).as_str())
                }
                None => Expr::Const(Value::Undefined),
            },
        }
    }

    /// The default of an input: its variables are the caller's (undefined if the caller lacks them).
    pub(super) fn default_input(&mut self, expr: &ast::Expr, scope: Scope<'a>) -> Expr {
        if let ExprKind::Var(variable) = &*expr.kind
            && matches!(scope.frame.access(&variable.name), Access::Unknown)
        {
            return Expr::Const(Value::Undefined);
        }
        self.expr(expr, scope)
    }

    fn data_file(&mut self, syntax: Syntax, path: &portcullis_dsl::Spanned<String>, scope: Scope<'a>, span: Span) -> Expr {
        if syntax == Syntax::Json {
            return match self.library.json_template(scope.file(), path) {
                Some(json) => folded(self.json(json, scope)),
                None => Expr::Const(Value::Undefined),
            };
        }
        match self.library.template(scope.file(), path) {
            Some(parts) => self.template(syntax, parts, scope, span),
            None => Expr::Const(Value::Undefined),
        }
    }

    fn template(&mut self, syntax: Syntax, parts: &[Part], scope: Scope<'a>, span: Span) -> Expr {
        match syntax {
            Syntax::Text => self.text(parts, scope),
            Syntax::Sql => {
                self.error(codes::BAD_TEMPLATE, "an `sql` template is not a value: give it to a `query` property", span);
                Expr::Const(Value::Undefined)
            }
            _ => {
                let places = portcullis_dsl::address_places(syntax, parts);
                let pieces = self.pieces(parts, scope).into_iter().zip(places).map(|(piece, place)| match (piece, place) {
                    (Piece::Value(expr), Some(place)) => Piece::Address(expr, place),
                    (piece, _) => piece,
                });
                let pieces: Vec<Piece> = pieces.collect();
                match &pieces[..] {
                    [] => Expr::Const(Value::empty()),
                    [Piece::Literal(text)] => Expr::Const(match syntax {
                        Syntax::Xml | Syntax::Html => Value::Markup(syntax, text.clone()),
                        _ => Value::Text(text.clone()),
                    }),
                    _ => Expr::Template(syntax, pieces.into()),
                }
            }
        }
    }

    fn text(&mut self, parts: &[Part], scope: Scope<'a>) -> Expr {
        let pieces = self.pieces(parts, scope);
        match &pieces[..] {
            [] => Expr::Const(Value::empty()),
            [Piece::Literal(text)] => Expr::Const(Value::Text(text.clone())),
            _ => Expr::Text(pieces.into()),
        }
    }

    pub(super) fn pieces(&mut self, parts: &[Part], scope: Scope<'a>) -> Vec<Piece> {
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Piece::Literal(text.as_str().into()),
                Part::Var(variable) => Piece::Value(self.variable(variable, scope)),
                Part::RawVar(variable) => Piece::Raw(self.variable(variable, scope)),
                Part::Expr(expr) => Piece::Value(self.expr(expr, scope)),
            })
            .collect()
    }

    fn json(&mut self, json: &Json, scope: Scope<'a>) -> JsonNode {
        match json {
            Json::Object(members) => JsonNode::Object(
                members
                    .iter()
                    .map(|member| (self.pieces(&member.key, scope), member.optional, self.json(&member.value, scope)))
                    .collect(),
            ),
            Json::Array(items) => JsonNode::Array(items.iter().map(|item| self.json(item, scope)).collect()),
            Json::Value(expr) => JsonNode::Value(self.expr(expr, scope)),
            Json::Null => JsonNode::Null,
        }
    }

    /// A variable with its index and delimiter.
    pub(super) fn variable(&mut self, variable: &VarRef, scope: Scope<'a>) -> Expr {
        let mut expr = self.named(&variable.name, scope, variable.name.span);
        for step in &variable.path {
            expr = match step {
                PathStep::Index(index) => Expr::Index(Box::new(expr), *index),
                PathStep::Member(name) => {
                    if !scope.frame.is_json(&variable.name) && !is_body(&expr) {
                        let message = format!("`{}` is not known to hold JSON, and only JSON has members", *variable.name);
                        let error = Diagnostic::error(codes::UNKNOWN_SELECTOR, message, variable.name.span);
                        self.report(error.help("declare it, `in x: json`, or `set x: json = …`"));
                    }
                    Expr::Member(Box::new(expr), Arc::new(Path::Dotted(name.clone())))
                }
            };
        }
        if let Some(delimiter) = &variable.delimiter {
            expr = Expr::Joined(Box::new(expr), delimiter.as_str().into());
        }
        expr
    }

    fn selected(&mut self, slot: usize, selector: Selector) -> Expr {
        if let Selector::Message(part) = &selector {
            self.reads.selected(part);
        }
        Expr::Selected(self.touch(slot), selector)
    }

    /// What a dotted name means while the variable of this name is undefined: the part of a shorter variable with the same
    /// spelling. That never includes members of JSON, because they are data: a variable that a policy left undefined must not
    /// come from what a client sent.
    fn behind(&mut self, name: &str, scope: Scope<'a>) -> Option<Expr> {
        name.rmatch_indices('.')
            .find_map(|(dot, _)| {
                let slot = scope.frame.slot(&name[..dot])?;
                Some((slot, Selector::parse(&name[dot + 1..])?))
            })
            .map(|(slot, selector)| self.selected(slot, selector))
    }

    fn builtin(&mut self, name: &str) -> Option<Accessor> {
        self.flow.reads(name);
        Accessor::parse(name, &mut self.reads)
    }

    fn named(&mut self, name: &str, scope: Scope<'a>, span: Span) -> Expr {
        match scope.frame.access(name) {
            Access::Slot(slot) => {
                let variable = Expr::Slot(self.touch(slot));
                match self.behind(name, scope) {
                    Some(part) => Expr::Either(Box::new((variable, part))),
                    None => variable,
                }
            }
            Access::Selector(slot, rest) => match Selector::parse(&rest) {
                Some(selector) => self.selected(slot, selector),
                None => {
                    self.unknown_selector(name, &rest, span, scope);
                    Expr::Const(Value::Undefined)
                }
            },
            Access::Member(slot, name) => Expr::Member(Box::new(Expr::Slot(self.touch(slot))), Arc::new(Path::Dotted(name))),
            Access::Builtin(_) => match self.builtin(name) {
                Some(Accessor::PolicyName) => Expr::constant(scope.policy.name.as_str()),
                Some(accessor) => Expr::Builtin(accessor),
                None => {
                    let names = builtins().map(|builtin| builtin.name);
                    self.report(
                        Diagnostic::error(codes::UNKNOWN_BUILTIN, format!("there is no built-in `{name}`"), span)
                            .suggest(name, names),
                    );
                    Expr::Const(Value::Undefined)
                }
            },
            // The resolver has reported it.
            Access::Unknown => Expr::Const(Value::Undefined),
        }
    }
}

/// Whether it comes from the JSON body of a message.
fn is_body(expr: &Expr) -> bool {
    match expr {
        Expr::Selected(_, Selector::Message(MessageSelector::Json(_))) => true,
        Expr::Builtin(Accessor::Request(part) | Accessor::Response(part)) => matches!(part, MessageSelector::Json(_)),
        Expr::Index(inner, _) | Expr::Member(inner, _) => is_body(inner),
        _ => false,
    }
}

/// A call; constant arguments are evaluated here.
fn call(function: &'static Function, args: Vec<Expr>) -> Expr {
    if function.spec.name == "json_get"
        && let [source, path] = &args[..]
        && let Some(path) = path.as_const().and_then(|path| Path::parse(&path.as_text()))
    {
        return Expr::Member(Box::new(source.clone()), Arc::new(path));
    }
    Expr::Call(function, args.into())
}

/// A JSON template without variables is a constant.
fn folded(node: JsonNode) -> Expr {
    match node.constant() {
        Some(tree) => Expr::Const(Value::json(tree)),
        None => Expr::Json(Arc::new(node)),
    }
}

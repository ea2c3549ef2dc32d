//! The interface for an assertion's builder: reads properties as written and returns what the run needs.

use std::sync::Arc;

use portcullis_dsl::Diagnostic;
use portcullis_dsl::ast::{self, Call, Callee, ExprKind, Part, Syntax};
use portcullis_dsl::spec::{Kind, Literal, Need, Prop, Spec};
use smol_str::SmolStr;

use crate::data::pattern::Written;
use crate::data::value::Value;
use crate::policy::codes;
use crate::policy::ctx::{MessageRef, Slot};
use crate::policy::expr::{Expr, Piece};
use crate::policy::pattern::Pattern;
use crate::policy::reads::Reads;

/// The properties of one use of an assertion.
pub struct Build<'b> {
    pub(crate) compiler: &'b mut dyn BuildHost,
    pub(crate) spec: &'static Spec,
    pub(crate) call: &'b Call,
}

/// What the compiler provides for a builder.
pub(crate) trait BuildHost {
    fn expr(&mut self, expr: &ast::Expr) -> Expr;
    /// The connection named at the top of the call's file.
    fn file_connection(&mut self) -> Option<Expr>;
    fn pieces(&mut self, parts: &[Part]) -> Vec<Piece>;
    fn file_parts(&self, path: &str) -> Option<Vec<Part>>;
    fn slot(&self, name: &str) -> Option<Slot>;
    fn with_prefix(&self, prefix: &str) -> Vec<(String, Slot)>;
    fn reads(&mut self) -> &mut Reads;
    fn regex(&mut self, pattern: &str, ignore_case: bool) -> Result<Arc<Written>, regex::Error>;
    fn own_cookie(&mut self, pattern: SmolStr);
    fn report(&mut self, diagnostic: Diagnostic);
}

/// An SQL statement whose variables are bound parameters.
#[derive(Clone)]
pub struct SqlTemplate {
    /// Texts around the parameters: one more than there are parameters.
    pub texts: Vec<String>,
    /// Parameters in order.
    pub params: Vec<Expr>,
}

impl<'b> Build<'b> {
    /// The spec of a property. Asking for an unknown one is a bug of the assertion, and policies that use it do not load.
    fn prop(&mut self, name: &str) -> Option<&'static Prop> {
        let prop = self.spec.prop(name);
        if prop.is_none() {
            let what = format!("`{}` asks for `{name}`, which its spec lacks", self.spec.name);
            self.compiler.report(codes::defect(&what, self.call.span.span));
        }
        prop
    }

    fn arg(&self, name: &str) -> Option<&'b ast::Expr> {
        self.call.args.iter().find(|arg| arg.name.node == name).map(|arg| &arg.value)
    }

    /// Whether the author gave this property.
    pub fn has(&self, name: &str) -> bool {
        self.arg(name).is_some()
    }

    /// A property's expression: as given or its default. `None` only for properties without a default.
    pub fn optional(&mut self, name: &str) -> Option<Expr> {
        match self.arg(name) {
            Some(arg) => Some(self.compiler.expr(arg)),
            None => match self.prop(name)? {
                Prop { kind: Kind::Connection, .. } => self.compiler.file_connection(),
                Prop { need: Need::Default(default), .. } => Some(Expr::Const(literal(*default))),
                Prop { need: Need::Required | Need::Absent, .. } => None,
            },
        }
    }

    /// A property's expression; undefined if it is neither given nor has a default.
    pub fn value(&mut self, name: &str) -> Expr {
        self.optional(name).unwrap_or(Expr::Const(Value::Undefined))
    }

    /// Whether the call is `Name?(…)`, so that the case in the spec's `optional` is fine.
    pub fn is_optional(&self) -> bool {
        self.call.optional.is_some()
    }

    /// The literal text of a property or of its default. An error if the author gave something other than a literal.
    pub fn literal(&mut self, name: &str) -> Result<String, Diagnostic> {
        match self.optional_literal(name)? {
            Some(text) => Ok(text),
            None => Err(self.refuse(name, "it must be given")),
        }
    }

    /// Like [`Build::literal`]; `None` if the property is not given and has no default.
    pub fn optional_literal(&mut self, name: &str) -> Result<Option<String>, Diagnostic> {
        match self.arg(name) {
            Some(arg) => match (arg.literal(), &*arg.kind) {
                (Some(text), _) => Ok(Some(text.to_owned())),
                (None, ExprKind::Bool(value)) => Ok(Some(value.to_string())),
                (None, ExprKind::Int(number)) => Ok(Some(number.to_string())),
                _ => Err(self.refuse(name, "it must be a literal, without variables")),
            },
            None => Ok(match self.prop(name).map(|prop| prop.need) {
                Some(Need::Default(default)) => Some(literal(default).as_text().into_owned()),
                Some(Need::Required | Need::Absent) | None => None,
            }),
        }
    }

    /// A boolean literal.
    pub fn flag(&mut self, name: &str) -> Result<bool, Diagnostic> {
        match self.optional_literal(name)?.as_deref() {
            Some("true") => Ok(true),
            Some("false") | None => Ok(false),
            Some(_) => Err(self.refuse(name, "it must be `true` or `false`")),
        }
    }

    /// A whole number literal.
    pub fn int(&mut self, name: &str) -> Result<i64, Diagnostic> {
        let text = self.literal(name)?;
        text.parse().map_err(|_| self.refuse(name, "it must be a whole number"))
    }

    /// A status that an answer can have; as a literal it is looked at now.
    pub fn status(&mut self, name: &str) -> Result<Expr, Diagnostic> {
        let status = self.value(name);
        match status.as_const().map(Value::to_int) {
            Some(number) if number.is_none_or(|number| !(200..600).contains(&number)) => {
                Err(self.refuse(name, "it must be a status of 200 to 599"))
            }
            _ => Ok(status),
        }
    }

    /// The meaning of a literal word of a property's list. Every word must have a meaning here, so that no default applies to a
    /// word that somebody adds later.
    pub fn choice<T: Copy>(&mut self, name: &str, meanings: &[(&str, T)]) -> Result<T, Diagnostic> {
        let text = self.literal(name)?;
        let defect = |what: &str| codes::defect(&format!("`{}`, property `{name}`: {what}", self.spec.name), self.call.span.span);
        let Some(Kind::OneOf(words)) = self.prop(name).map(|prop| prop.kind) else {
            return Err(defect("the spec has no list of words"));
        };
        let known = |word: &&str| meanings.iter().any(|(own, _)| own == word);
        if words.len() != meanings.len() || !words.iter().all(known) {
            return Err(defect("the spec lists other words"));
        }
        meanings.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let all = words.join("`, `");
            self.refuse(name, &format!("it must be one of `{all}`"))
        })
    }

    /// A literal regular expression.
    pub fn regex(&mut self, name: &str, case_insensitive: bool) -> Result<Arc<Written>, Diagnostic> {
        let text = self.literal(name)?;
        self.compiler.regex(&text, case_insensitive).map_err(|error| {
            let span = self.arg(name).map_or(self.call.span.span, |arg| arg.span.span);
            Diagnostic::error(codes::BAD_REGEX, "this regular expression does not compile", span).help(error.to_string())
        })
    }

    /// A regular expression: read now if it is a literal, otherwise on each run.
    pub fn pattern(&mut self, name: &str, ignore_case: bool) -> Result<Pattern, Diagnostic> {
        match (self.arg(name), self.optional_literal(name)) {
            (Some(arg), Err(_)) => Ok(Pattern::Text(self.compiler.expr(arg), ignore_case)),
            _ => self.regex(name, ignore_case).map(Pattern::Fixed),
        }
    }

    /// Whether a property's value is constant.
    pub fn is_literal(&mut self, name: &str) -> bool {
        self.optional_literal(name).is_ok()
    }

    /// A JSON template without variables.
    pub fn json(&mut self, name: &str) -> Result<Option<serde_json::Value>, Diagnostic> {
        let Some(expr) = self.optional(name) else { return Ok(None) };
        let fixed = match &expr {
            Expr::Json(node) => node.constant(),
            Expr::Const(value) => Some(value.to_json()),
            _ => None,
        };
        fixed.map(Some).ok_or_else(|| self.refuse(name, "it must be JSON without variables"))
    }

    /// The variable that a `Target` property names. `None` if it is not given.
    pub fn optional_target(&mut self, name: &str) -> Result<Option<Slot>, Diagnostic> {
        let Some(target) = self.optional_literal(name)? else { return Ok(None) };
        Ok(self.compiler.slot(&target))
    }

    /// The variable that a required `Target` property names.
    pub fn target(&mut self, name: &str) -> Result<Slot, Diagnostic> {
        self.optional_target(name)?.ok_or_else(|| self.refuse(name, "it must name a variable"))
    }

    /// Literal texts: one, or a list of them.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, Diagnostic> {
        let given = self.arg(name).map(|arg| (arg, &*arg.kind));
        let texts: Option<Vec<String>> = match given {
            Some((_, ExprKind::List(items))) => items.iter().map(|item| item.literal().map(str::to_owned)).collect(),
            Some((arg, _)) => arg.literal().map(|text| vec![text.to_owned()]),
            None => None,
        };
        texts.filter(|texts| !texts.is_empty()).ok_or_else(|| self.refuse(name, "it must be texts in quotes, without variables"))
    }

    /// The variables that a `Variables` property names.
    pub fn variables(&mut self, name: &str) -> Result<Vec<Slot>, Diagnostic> {
        let given = self.arg(name).map(|arg| (arg, &*arg.kind));
        let names: Option<Vec<&str>> = match given {
            Some((_, ExprKind::List(items))) => items.iter().map(ast::Expr::literal).collect(),
            Some((arg, _)) => arg.literal().map(|name| vec![name]),
            None => None,
        };
        let slots = names.and_then(|names| names.iter().map(|name| self.compiler.slot(name)).collect::<Option<Vec<Slot>>>());
        slots.filter(|slots| !slots.is_empty()).ok_or_else(|| self.refuse(name, "it must name variables, in quotes"))
    }

    /// The slot of a variable by its full name; `None` if nobody reads it.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.compiler.slot(name)
    }

    /// Slots of all variables `<prefix>.<rest>`, with the rest in lower case. Only those that somebody reads exist.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, Slot)> {
        self.compiler.with_prefix(prefix)
    }

    /// Where an assertion records what it reads of the request by itself, so that something unreadable never counts as absent.
    pub fn reads(&mut self) -> &mut Reads {
        self.compiler.reads()
    }

    /// The message that a `MessageName` property names.
    pub fn message(&mut self, name: &str) -> Result<MessageRef, Diagnostic> {
        let text = match self.arg(name).map(|arg| &*arg.kind) {
            // `${x}` and `"x"` both name the variable.
            Some(ExprKind::Var(variable)) if variable.path.is_empty() => variable.name.node.clone(),
            _ => self.literal(name)?,
        };
        if let Some(slot) = self.compiler.slot(&text) {
            return Ok(MessageRef::Slot(slot));
        }
        match text.to_ascii_lowercase().as_str() {
            "request" => Ok(MessageRef::Request),
            "response" => Ok(MessageRef::Response),
            _ => Err(self.refuse(name, "it must be `request`, `response` or a variable")),
        }
    }

    /// The statement of an `sql` property.
    pub fn sql(&mut self, name: &str) -> Result<SqlTemplate, Diagnostic> {
        let Some(arg) = self.arg(name) else { return Err(self.refuse(name, "it must be given")) };
        let parts = match &*arg.kind {
            ExprKind::Template(Syntax::Sql, parts) => parts.clone(),
            ExprKind::File(Syntax::Sql, path) => {
                self.compiler.file_parts(path).ok_or_else(|| self.refuse(name, "the file is missing"))?
            }
            _ => return Err(self.refuse(name, "it must be an `sql` template")),
        };
        let mut sql = SqlTemplate { texts: Vec::new(), params: Vec::new() };
        let mut text = String::new();
        for piece in self.compiler.pieces(&parts) {
            match piece {
                Piece::Literal(literal) => text.push_str(&literal),
                Piece::Value(expr) | Piece::Address(expr, _) => {
                    sql.params.push(expr);
                    sql.texts.push(std::mem::take(&mut text));
                }
                // INVARIANT: no text of a request ever becomes SQL.
                Piece::Raw(_) => return Err(self.refuse(name, "`raw` is not allowed in SQL: values are always bound")),
            }
        }
        sql.texts.push(text);
        Ok(sql)
    }

    /// Records that a cookie is this gateway's own, by its name or by the `Set-Cookie` field that sets it. If the name varies,
    /// its constant prefix counts; if there is none, `outbound.own_cookies` has to name it.
    pub fn own_cookie(&mut self, name: &Expr) {
        let end = |text: &str| text.split(['=', ';']).next().unwrap_or("").trim().to_owned();
        let pattern = match name {
            Expr::Const(value) => end(&value.as_text()),
            Expr::Text(pieces) => match pieces.first() {
                Some(Piece::Literal(text)) if text.contains(['=', ';']) => end(text),
                Some(Piece::Literal(text)) => format!("{text}*"),
                _ => return,
            },
            _ => return,
        };
        if !pattern.is_empty() {
            self.compiler.own_cookie(pattern.into());
        }
    }

    /// A diagnostic at a property, or at the call if the property is not given.
    pub fn refuse(&self, name: &str, why: &str) -> Diagnostic {
        let span = self.arg(name).map_or(self.call.span.span, |arg| arg.span.span);
        let assertion = match &self.call.callee {
            Callee::Native(name) | Callee::Encapsulated(name) => name.node.as_str(),
        };
        Diagnostic::error(codes::BAD_PROPERTY, format!("`{assertion}` does not accept this as `{name}`"), span).help(why)
    }
}

/// A default as a value; durations count in seconds.
fn literal(literal: Literal) -> Value {
    match literal {
        Literal::Text(text) => Value::text(text),
        Literal::Int(number) => Value::Int(number),
        Literal::Bool(value) => Value::Bool(value),
        Literal::Seconds(seconds) => Value::Int(i64::from(seconds)),
    }
}

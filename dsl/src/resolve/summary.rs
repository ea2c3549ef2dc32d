//! What one declaration does with names, in the order of evaluation: variables it reads and sets, policies it includes and calls.
//! Collected once for each declaration; frames, cycles, `explain` and the checks of variables read these lists, never the tree.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's and a name's id are made by the set, and index the tables that are as long as the set"
)]

use smol_str::SmolStr;

use crate::ast::{
    Allowed, Arg, Block, Call, Callee, Direction, Expr, ExprKind, GroupKind, ItemKind, Name, Stmt, StmtKind, Syntax, Type, VarRef,
};
use crate::parse::is_variable_name;
use crate::resolve::data::DataFiles;
use crate::resolve::index::{Index, Kind, Policy, PolicyId, same};
use crate::resolve::names::{Names, Sym};
use crate::resolve::visit::{self, Visit};
use crate::span::{Span, Spanned};
use crate::spec::{Gives, Kind as PropKind, Literal, Need, Spec};

/// One thing that happens to a name.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A variable is read. `soft`: if nothing sets it, it is simply undefined. `file`: where the policy names the data file that
    /// reads it.
    Read { name: Sym, span: Span, soft: bool, file: Option<Span> },
    /// A variable is set. `maybe`: only on some paths through the policy.
    Set { name: Sym, spelling: SmolStr, span: Span, value: Option<Span>, by: SetBy, maybe: bool, holds: Holds },
    /// A variable is declared, by a statement or as an output, but not set.
    Declare { name: Sym, spelling: SmolStr, span: Span, ty: Option<Type>, allowed: Option<Allowed> },
    /// All variables with this prefix count as set.
    Wildcard { prefix: Sym },
    /// Members of the JSON document in this variable may be read by their names.
    Document { variable: Sym },
    /// Another policy's statements run here, in the same frame. `nesting` counts the blocks around.
    Include { to: PolicyId, span: Span, nesting: u32, maybe: bool },
    /// An encapsulated assertion is called.
    Call { to: PolicyId, span: Span, nesting: u32 },
    /// `fail`; `value` is the place of its code.
    Fail { span: Span, value: Span, maybe: bool },
    /// Something here does not exist, and might have set any variable.
    Unresolved,
}

/// What a variable holds after it is set, as far as the text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A JSON document.
    Json,
    /// The value of one of these variables, or a part of it.
    From(Box<[Sym]>),
    /// Anything.
    Open,
    /// Certainly not a document, but this.
    Other(&'static str),
}

/// How a variable is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetBy {
    /// A parameter of the frame's owner.
    Param(Direction),
    /// `set`
    Assignment,
    /// `default`
    Default,
    /// `ForEach`, `HandleErrors`
    Statement,
    /// `ForEach`, as the item itself: only if nothing else has this name.
    Item,
    /// An assertion of the catalogue, into a variable that a property names.
    Target,
    /// An assertion of the catalogue, always under this name.
    Native,
    /// An output of an encapsulated assertion.
    Output,
}

/// What a summary is built from.
pub(crate) struct Gather<'a> {
    pub(crate) policies: &'a [Policy],
    pub(crate) index: &'a Index,
    pub(crate) data: &'a DataFiles,
    pub(crate) names: &'a mut Names,
}

impl Gather<'_> {
    /// The events of one declaration.
    pub(crate) fn events(&mut self, policy: &Policy) -> Vec<Event> {
        let mut walk = Walk { all: self, policy, events: Vec::new(), soft: false, nesting: 0, maybe: false, file: None };
        for param in policy.params() {
            let by = SetBy::Param(param.direction);
            let holds = match (&param.ty, &param.default) {
                (Some(ty), _) => typed(ty.node),
                // The default's variables are the caller's.
                (None, Some(default)) => Some(walk.holds(default)).filter(|holds| *holds == Holds::Json).unwrap_or(Holds::Open),
                (None, None) => Holds::Open,
            };
            walk.set(&param.name, param.name.span, param.default.as_ref().map(|value| value.span.span), by, holds);
            if param.direction == Direction::Out {
                walk.declare(&param.name, param.ty.as_ref(), param.allowed.as_ref());
            }
        }
        if let ItemKind::Command(params) = &policy.item.kind {
            let defaults = params.iter().filter_map(|param| param.default.as_ref());
            defaults.for_each(|value| walk.softly(value));
        }
        visit::walk_item(&mut walk, &policy.item);
        walk.events
    }
}

struct Walk<'w, 'a> {
    all: &'w mut Gather<'a>,
    policy: &'w Policy,
    events: Vec<Event>,
    soft: bool,
    /// Blocks around the current place.
    nesting: u32,
    /// Whether only some paths lead to the current place.
    maybe: bool,
    /// Where the policy names the data file that is being walked.
    file: Option<Span>,
}

impl<'w> Walk<'w, '_> {
    fn set(&mut self, spelling: &str, span: Span, value: Option<Span>, by: SetBy, holds: Holds) {
        let name = self.all.names.intern(spelling);
        self.events.push(Event::Set { name, spelling: spelling.into(), span, value, by, maybe: self.maybe, holds });
    }

    /// What a value is.
    fn holds(&mut self, value: &Expr) -> Holds {
        match &*value.kind {
            ExprKind::Json(_) | ExprKind::File(Syntax::Json, _) => Holds::Json,
            ExprKind::Var(var) if var.delimiter.is_none() => Holds::From([self.all.names.intern(&var.name)].into()),
            ExprKind::Group(inner) => self.holds(inner),
            ExprKind::List(items) => self.any_of(items),
            ExprKind::Function(name, args) => match self.all.names.catalogue().function(name).map(|function| function.gives) {
                Some(Gives::Json) => Holds::Json,
                Some(Gives::Argument) => self.any_of(args),
                Some(Gives::Other) | None => Holds::Open,
            },
            ExprKind::Int(_) | ExprKind::Decimal(_) | ExprKind::Duration(_) | ExprKind::Arithmetic(..) => {
                Holds::Other("a number")
            }
            ExprKind::Bool(_) | ExprKind::Condition(_) => Holds::Other("`true` or `false`"),
            ExprKind::Raw(_) | ExprKind::Text(_) => match value.literal() {
                // An empty text stands for "no value", and JSON may be written as a text.
                Some(text) if !text.is_empty() && !text.trim_start().starts_with(['{', '[']) => Holds::Other("a text"),
                _ => Holds::Open,
            },
            ExprKind::Template(Syntax::Text, _) | ExprKind::File(..) | ExprKind::Var(_) => Holds::Open,
            ExprKind::Template(..) => Holds::Other("a template"),
            ExprKind::DataUri(_) => Holds::Other("a text"),
        }
    }

    /// A value that is one of these, or a part of one.
    fn any_of(&mut self, values: &[Expr]) -> Holds {
        let mut from = Vec::new();
        for value in values {
            match self.holds(value) {
                Holds::Json => return Holds::Json,
                Holds::From(more) => from.extend(more),
                Holds::Open | Holds::Other(_) => {}
            }
        }
        if from.is_empty() { Holds::Open } else { Holds::From(from.into()) }
    }

    fn assigned(&mut self, ty: &Option<Spanned<Type>>, value: &Expr) -> Holds {
        match ty {
            Some(ty) if ty.node != Type::List => typed(ty.node),
            _ => self.holds(value),
        }
    }

    fn declare(&mut self, target: &Name, ty: Option<&Spanned<Type>>, allowed: Option<&Spanned<Allowed>>) {
        let name = self.all.names.intern(target);
        let (ty, allowed) = (ty.map(|ty| ty.node), allowed.map(|allowed| allowed.node.clone()));
        self.events.push(Event::Declare { name, spelling: target.as_str().into(), span: target.span, ty, allowed });
    }

    fn read(&mut self, name: &str, span: Span) {
        let name = self.all.names.intern(name);
        self.events.push(Event::Read { name, span, soft: self.soft, file: self.file });
    }

    /// Reads in an expression of another scope: variables that this frame lacks are undefined there.
    fn softly(&mut self, value: &Expr) {
        let before = std::mem::replace(&mut self.soft, true);
        self.foreign_expr(value);
        self.soft = before;
    }

    /// Walks an expression that lives outside the declaration at hand (a default, a data file).
    fn foreign_expr(&mut self, value: &Expr) {
        let mut reads = Reads::default();
        reads.expr(value);
        self.take(reads);
    }

    fn take(&mut self, reads: Reads<'_>) {
        for var in reads.vars {
            self.read(&var.name, var.name.span);
        }
    }

    /// A data file's variables are read where the file is named; their spans are in the file.
    fn file(&mut self, syntax: Syntax, path: &Spanned<String>) {
        let mut reads = Reads::default();
        let data = self.all.data;
        data.walk(self.policy.file, syntax, path, &mut reads);
        self.file = Some(path.span);
        self.take(reads);
        self.file = None;
    }

    fn include(&mut self, kind: Kind, name: &str, span: Span) {
        let Some(to) = self.all.index.get(kind, name) else {
            if kind == Kind::Fragment {
                self.events.push(Event::Unresolved);
            }
            return;
        };
        // An absent hook or extension does nothing; an empty fragment is walked like any other.
        if kind == Kind::Fragment || self.all.policies[to.index()].has_body() {
            self.events.push(Event::Include { to, span, nesting: self.nesting, maybe: self.maybe });
        }
    }

    fn native(&mut self, call: &'w Call, spec: &'static Spec) {
        for arg in &call.args {
            if let (Some(PropKind::MessageName), Some(name)) = (spec.prop(&arg.name).map(|prop| prop.kind), arg.value.literal())
                && is_variable_name(name)
            {
                // A message that the assertion itself creates need not exist before.
                let made = spec.sets.iter().any(|sets| sets.name.strip_prefix('{') == Some(&format!("{}}}", *arg.name)));
                let name = self.all.names.intern(name);
                self.events.push(Event::Read { name, span: arg.value.span.span, soft: self.soft || made, file: None });
            }
        }
        if let Some(connection) = self.policy.connection.as_deref().filter(|_| takes_file_connection(call, spec)) {
            self.file = Some(call.callee.name().span);
            self.foreign_expr(connection);
            self.file = None;
        }
        if let Some(block) = &call.block {
            self.block(block);
        }
        let sets = |name: &str| {
            spec.sets.iter().any(|sets| sets.name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) == Some(name))
        };
        let is_list = |arg: &&Arg| spec.prop(&arg.name).is_some_and(|prop| prop.kind == PropKind::Variables);
        // Variables that an assertion itself sets, by a list of their names.
        for name in call.args.iter().filter(|arg| is_list(arg) && sets(&arg.name)).flat_map(|arg| names(&arg.value)) {
            if let Some(text) = name.literal().filter(|text| is_variable_name(text)) {
                self.set(text, name.span.span, Some(call.span.span), SetBy::Native, Holds::Open);
            }
        }
        let named = call.args.iter().filter(|arg| is_list(arg) && !sets(&arg.name));
        for name in named.flat_map(|arg| names(&arg.value)) {
            if let Some(text) = name.literal().filter(|text| is_variable_name(text)) {
                let span = name.span.span;
                // The span between the quotes, so that a diagnostic shows only the name.
                self.read(text, Span { start: span.start + 1, end: span.end - 1, ..span });
            }
        }
        let is_listed = |pattern: &str| {
            let prop = pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).and_then(|name| spec.prop(name));
            prop.is_some_and(|prop| prop.kind == PropKind::Variables)
        };
        for sets in spec.sets.iter().filter(|sets| !is_listed(sets.name)) {
            let Some((name, arg)) = expand(sets.name, call, spec) else {
                self.events.extend(lacks_name(sets.name, call).then_some(Event::Unresolved));
                continue;
            };
            let span = arg.map_or(call.callee.name().span, |arg| arg.value.span.span);
            match name.strip_suffix(".*") {
                Some(prefix) => {
                    let prefix = self.all.names.intern(prefix);
                    self.events.push(match sets.data {
                        true => Event::Document { variable: prefix },
                        false => Event::Wildcard { prefix },
                    });
                }
                None if is_variable_name(&name) => {
                    let prop = arg.and_then(|arg| spec.prop(&arg.name)).map(|prop| prop.kind);
                    let (by, holds) = match prop {
                        Some(PropKind::Target(Type::Json)) => (SetBy::Target, Holds::Json),
                        Some(PropKind::Target(Type::Message)) => (SetBy::Target, Holds::Other("a message")),
                        Some(PropKind::Target(_)) => (SetBy::Target, Holds::Open),
                        _ => (SetBy::Native, Holds::Open),
                    };
                    self.set(&name, span, Some(call.span.span), by, if sets.json { Holds::Json } else { holds });
                }
                None => {}
            }
        }
    }

    fn encapsulated(&mut self, call: &'w Call, name: &str) {
        let Some(to) = self.all.index.get(Kind::Assertion, name) else {
            self.events.push(Event::Unresolved);
            return;
        };
        let span = call.callee.name().span;
        let callee = &self.all.policies[to.index()];
        let item = callee.item.clone();
        let ItemKind::Assertion(params) = &item.kind else { return };
        for param in params.iter().filter(|param| param.direction == Direction::In) {
            let given = call.args.iter().any(|arg| arg.name.eq_ignore_ascii_case(&param.name));
            if let (false, Some(value)) = (given, &param.default) {
                self.softly(value);
            }
        }
        self.events.push(Event::Call { to, span, nesting: self.nesting });
        for param in params.iter().filter(|param| param.direction == Direction::Out) {
            let holds = param.ty.as_ref().map_or(Holds::Open, |ty| typed(ty.node));
            self.set(&param.name, span, Some(call.span.span), SetBy::Output, holds);
        }
    }
}

/// What a declared type says.
fn typed(ty: Type) -> Holds {
    match ty {
        Type::Json => Holds::Json,
        // A list may hold documents.
        Type::List => Holds::Open,
        Type::String => Holds::Other("a text"),
        Type::Int | Type::Decimal => Holds::Other("a number"),
        Type::Boolean => Holds::Other("`true` or `false`"),
        Type::DateTime => Holds::Other("a moment"),
        Type::Message => Holds::Other("a message"),
        Type::Certificate => Holds::Other("a certificate"),
    }
}

/// The values of a list, or the one value.
fn names(value: &Expr) -> &[Expr] {
    match &*value.kind {
        ExprKind::List(items) => items,
        _ => std::slice::from_ref(value),
    }
}

/// Whether a call uses the connection of its file: it takes one and names none.
pub(crate) fn takes_file_connection(call: &Call, spec: &Spec) -> bool {
    let mut connections = spec.props.iter().filter(|prop| prop.kind == PropKind::Connection);
    connections.any(|prop| call.args.iter().all(|arg| *arg.name != prop.name))
}

/// Whether a name is missing because an argument is not a literal although it must be. The check of the call reports that.
fn lacks_name(pattern: &str, call: &Call) -> bool {
    pattern.split('{').skip(1).filter_map(|rest| rest.split('}').next()).any(|prop| call.args.iter().any(|arg| *arg.name == prop))
}

/// Fills the placeholders of a `Sets` name with the literals of a call. `None` if one of them is absent or not a literal. Also
/// returns the argument that gave the name.
fn expand<'c>(pattern: &str, call: &'c Call, spec: &Spec) -> Option<(String, Option<&'c Arg>)> {
    let Some((before, rest)) = pattern.split_once('{') else { return Some((pattern.to_owned(), None)) };
    let (prop, after) = rest.split_once('}')?;
    let (after, _) = if after.contains('{') { expand(after, call, spec)? } else { (after.to_owned(), None) };
    let arg = call.args.iter().find(|arg| arg.name.node == prop);
    let value = match (arg, spec.prop(prop).map(|prop| prop.need)) {
        (Some(arg), _) => arg.value.literal()?,
        (None, Some(Need::Default(Literal::Text(default)))) => default,
        (None, Some(Need::Default(_) | Need::Required | Need::Absent) | None) => return None,
    };
    Some((format!("{before}{value}{after}"), arg))
}

impl<'w> Visit<'w> for Walk<'w, '_> {
    fn block(&mut self, block: &'w Block) {
        self.nesting += 1;
        visit::walk_block(self, block);
        self.nesting -= 1;
    }

    fn stmt(&mut self, stmt: &'w Stmt) {
        let maybe = self.maybe;
        self.maybe |= match &stmt.kind {
            StmtKind::If { .. } | StmtKind::ForEach { .. } | StmtKind::HandleErrors { .. } | StmtKind::Else(..) => true,
            StmtKind::Group { kind, .. } => *kind == GroupKind::AtLeastOne,
            _ => false,
        };
        match &stmt.kind {
            StmtKind::Set { target, ty, value } => {
                self.expr(value);
                let holds = self.assigned(ty, value);
                self.set(target, target.span, Some(value.span.span), SetBy::Assignment, holds);
            }
            StmtKind::Default { target, ty, value } => {
                self.expr(value);
                let holds = self.assigned(ty, value);
                self.set(target, target.span, Some(value.span.span), SetBy::Default, holds);
            }
            StmtKind::Declare { target, ty, allowed } => self.declare(target, ty.as_ref(), allowed.as_ref()),
            StmtKind::Include(name) => match name.strip_prefix('#') {
                Some(own) if same(own, &self.policy.name) && self.policy.kind() != Kind::Customize => {
                    self.include(Kind::Customize, own, stmt.span.span);
                }
                Some(_) => {}
                None => self.include(Kind::Fragment, name, stmt.span.span),
            },
            StmtKind::IncludeExtension(name) => self.include(Kind::Extension, name, stmt.span.span),
            StmtKind::ForEach { prefix, list, body, .. } => {
                self.expr(list);
                let holds = self.holds(list);
                self.set(prefix, prefix.span, Some(list.span.span), SetBy::Item, holds.clone());
                self.set(&format!("{}.current", **prefix), prefix.span, Some(list.span.span), SetBy::Statement, holds);
                for rest in ["iterations", "break", "exceededlimit"] {
                    let name = format!("{}.{rest}", **prefix);
                    self.set(&name, prefix.span, Some(list.span.span), SetBy::Statement, Holds::Open);
                }
                self.block(body);
            }
            StmtKind::HandleErrors { prefix, body, handler } => {
                self.block(body);
                let (name, span) =
                    prefix.as_ref().map_or(("handleError", stmt.span.span), |prefix| (prefix.as_str(), prefix.span));
                self.set(&format!("{name}.message"), span, None, SetBy::Statement, Holds::Open);
                if let Some(handler) = handler {
                    self.block(handler);
                }
            }
            StmtKind::Fail(value) => {
                self.expr(value);
                self.events.push(Event::Fail { span: stmt.span.span, value: value.span.span, maybe: self.maybe });
            }
            StmtKind::Call(_)
            | StmtKind::Group { .. }
            | StmtKind::If { .. }
            | StmtKind::Raise(_)
            | StmtKind::Continue
            | StmtKind::Stop
            | StmtKind::Done
            | StmtKind::Check(_)
            | StmtKind::Else(..) => visit::walk_stmt(self, stmt),
        }
        self.maybe = maybe;
    }

    fn call(&mut self, call: &'w Call) {
        for arg in &call.args {
            self.expr(&arg.value);
        }
        match &call.callee {
            Callee::Native(name) => match self.all.names.catalogue().get(name) {
                Some(spec) => self.native(call, spec),
                None => {
                    self.events.push(Event::Unresolved);
                    call.block.iter().for_each(|block| self.block(block));
                }
            },
            Callee::Encapsulated(name) => {
                self.encapsulated(call, name);
                call.block.iter().for_each(|block| self.block(block));
            }
        }
    }

    fn expr(&mut self, expr: &'w Expr) {
        match &*expr.kind {
            ExprKind::File(syntax, path) => self.file(*syntax, path),
            _ => visit::walk_expr(self, expr),
        }
    }

    fn var(&mut self, var: &'w VarRef, _raw: bool) {
        self.read(&var.name, var.name.span);
    }
}

/// Collects the variables of a piece of tree.
#[derive(Default)]
pub(crate) struct Reads<'a> {
    pub(crate) vars: Vec<&'a VarRef>,
}

impl<'a> Visit<'a> for Reads<'a> {
    fn var(&mut self, var: &'a VarRef, _raw: bool) {
        self.vars.push(var);
    }
}

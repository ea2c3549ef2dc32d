//! Names of `gateway.yaml` that policies use: connections, identity providers, keys. What a policy will ask for is known where the name is
//! written in the call, or in what sets the variable that the call names: then a name that is not there is told before anybody asks.

use std::collections::HashMap;

use portcullis_dsl::ast::Call;
use portcullis_dsl::diagnostic::nearest;
use portcullis_dsl::span::Span;
use portcullis_dsl::spec::{Kind, Spec};
use portcullis_dsl::{Diagnostic, Origin};
use smol_str::SmolStr;

use super::{Compiler, Scope};
use crate::data::value::Value;
use crate::policy::codes;
use crate::policy::ctx::Slot;
use crate::policy::expr::Expr;
use crate::services::Services;
use crate::services::store::Dialect;

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named {
    /// `connections` of `gateway.yaml`.
    Connection,
    /// `identity_providers`.
    Provider,
    /// A kind of database.
    Dialect,
    /// A key in `keys/`, or one of `keys` that is made at the next start.
    Key,
    /// A file in `keys/trusted/`.
    Trust,
}

/// A name that a policy will ask for.
#[derive(Clone, Debug)]
pub struct UsedName {
    /// What it is of.
    pub named: Named,
    /// The name.
    pub name: SmolStr,
    /// Where it is written.
    pub span: Span,
}

/// The built-in variable that lists the identity providers there are.
const PROVIDERS: &str = "gateway.identityProviders";

/// How often a variable may stand for another on the way to a name.
const MAX_STEPS: usize = 4;

/// What is known of one frame's variables: what sets them, as far as it is no calculation.
#[derive(Default)]
pub(super) struct Flow {
    sets: HashMap<Slot, Vec<Source>>,
    uses: Vec<(Named, Source)>,
    /// Whether the frame asks which providers there are: then one that is not there is no mistake.
    asks: bool,
    /// The connections of the transactions around what is being compiled.
    open: Vec<Source>,
    /// The connections that are changed.
    changed: Vec<Source>,
    /// A transaction's connection, and another one that is changed within it, perhaps.
    across: Vec<(Source, Source)>,
}

#[derive(Clone)]
pub(super) struct Source {
    from: From,
    span: Span,
    origin: Origin,
}

#[derive(Clone)]
enum From {
    Texts(Vec<SmolStr>),
    Variable(Slot),
    Unknown,
}

impl Source {
    fn new(value: &Expr, span: Span, origin: Origin) -> Source {
        let from = match value {
            Expr::Const(value) => From::Texts(texts(value)),
            Expr::Slot(slot) => From::Variable(*slot),
            Expr::Either(both) => return Source::new(&both.0, span, origin),
            _ => From::Unknown,
        };
        Source { from, span, origin }
    }
}

fn texts(value: &Value) -> Vec<SmolStr> {
    let texts = value.values().iter().map(|value| SmolStr::new(value.as_text())).collect::<Vec<_>>();
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

impl Flow {
    /// Notes what sets a variable.
    pub(super) fn set(&mut self, slot: Slot, value: &Expr, span: Span, origin: Origin) {
        self.sets.entry(slot).or_default().push(Source::new(value, span, origin));
    }

    /// Notes that a built-in variable is read.
    pub(super) fn reads(&mut self, builtin: &str) {
        self.asks |= builtin.eq_ignore_ascii_case(PROVIDERS);
    }

    /// A database is changed.
    pub(super) fn changes(&mut self, connection: Source) {
        self.across.extend(self.open.iter().map(|open| (open.clone(), connection.clone())));
        self.changed.push(connection);
    }

    /// What is called changes these.
    pub(super) fn calls(&mut self, changed: &[SmolStr], span: Span, origin: Origin) {
        let source = |name: &SmolStr| Source { from: From::Texts(vec![name.clone()]), span, origin };
        changed.iter().for_each(|name| self.changes(source(name)));
    }

    /// A transaction begins.
    pub(super) fn begins(&mut self, connection: Source) {
        self.changes(connection.clone());
        self.open.push(connection);
    }

    /// The innermost one ends.
    pub(super) fn ends(&mut self) {
        self.open.pop();
    }

    fn connections(&self, source: &Source) -> Vec<SmolStr> {
        let mut found = Vec::new();
        self.follow(Named::Connection, source, MAX_STEPS, &mut found);
        found.into_iter().map(|used| used.name).collect()
    }

    /// Names of the connections that the frame changes.
    pub(super) fn changed(&self) -> Vec<SmolStr> {
        let mut names: Vec<SmolStr> = self.changed.iter().flat_map(|source| self.connections(source)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A warning for each change of a database inside the transaction of another one.
    pub(super) fn torn(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        // The shipped policies look twice where databases are apart.
        for (outer, inner) in self.across.iter().filter(|(_, inner)| inner.origin != Origin::Shipped) {
            let around = self.connections(outer);
            let Some(other) = self.connections(inner).into_iter().find(|name| !around.is_empty() && !around.contains(name))
            else {
                continue;
            };
            let message =
                format!("this changes connection `{other}` inside a transaction of connection `{}`", around.join("`, `"));
            let help = "no transaction is on two connections: this change stays, even if the transaction is rolled back; move it out \
                        of the block, to where either half alone does no harm";
            found.push(Diagnostic::warning(codes::TORN_TRANSACTION, message, inner.span).help(help));
        }
        found
    }

    /// The names that the frame will ask for.
    pub(super) fn names(&self) -> Vec<UsedName> {
        let mut found = Vec::new();
        for (named, source) in self.uses.iter().filter(|(named, _)| !(self.asks && *named == Named::Provider)) {
            self.follow(*named, source, MAX_STEPS, &mut found);
        }
        found
    }

    fn follow(&self, named: Named, source: &Source, steps: usize, found: &mut Vec<UsedName>) {
        match &source.from {
            From::Texts(texts) => {
                found.extend(texts.iter().map(|name| UsedName { named, name: name.clone(), span: source.span }));
            }
            From::Variable(slot) if steps > 0 => {
                let sets = self.sets.get(slot).map_or(&[][..], Vec::as_slice);
                // Where a customization sets it, its word counts and not what it replaces.
                let customized = sets.iter().any(|set| set.origin == Origin::Customization);
                let counts = |set: &&Source| !customized || set.origin == Origin::Customization;
                sets.iter().filter(counts).for_each(|set| self.follow(named, set, steps - 1, found));
            }
            From::Variable(_) | From::Unknown => {}
        }
    }
}

impl<'a> Compiler<'a> {
    /// Notes the names that a call asks for.
    pub(super) fn uses_names(&mut self, spec: &'static Spec, call: &'a Call, scope: Scope<'a>) {
        for prop in spec.props {
            let named = match prop.kind {
                Kind::Connection => Named::Connection,
                Kind::Provider => Named::Provider,
                Kind::Key => Named::Key,
                Kind::Trust => Named::Trust,
                Kind::Dialect => Named::Dialect,
                _ => continue,
            };
            let given = call.args.iter().find(|arg| arg.name.node == prop.name).map(|arg| &arg.value);
            let of_file = scope.policy.connection.as_deref().filter(|_| named == Named::Connection);
            let Some(given) = given.or(of_file) else { continue };
            let value = self.expr(given, scope);
            let source = Source::new(&value, given.span.span, self.origin(given.span.span));
            self.flow.uses.push((named, source));
        }
    }

    /// The connection that a call names, as the connection of what stands at the call.
    pub(super) fn connection_of(&mut self, spec: &'static Spec, call: &'a Call, scope: Scope<'a>) -> Option<Source> {
        let prop = spec.props.iter().find(|prop| matches!(prop.kind, Kind::Connection))?;
        let given = call.args.iter().find(|arg| arg.name.node == prop.name).map(|arg| &arg.value);
        let value = self.expr(given.or(scope.policy.connection.as_deref())?, scope);
        Some(Source::new(&value, call.span.span, self.origin(call.span.span)))
    }

    pub(super) fn origin(&self, span: Span) -> Origin {
        self.library.sources().get(span.file).origin
    }
}

/// Names that these services do not have, each as an error where it is written.
pub fn unknown(names: &[UsedName], services: &Services) -> Vec<Diagnostic> {
    let connections: Vec<&str> = services.connections.iter().map(|connection| connection.name().as_str()).collect();
    let providers: Vec<&str> = services.identity.names().collect();
    let aliases = services.keys.aliases();
    let keys: Vec<&str> = aliases.iter().map(SmolStr::as_str).collect();
    let anchors = services.keys.anchor_names();
    let anchors: Vec<&str> = anchors.iter().map(SmolStr::as_str).collect();
    let dialects = Dialect::ALL.map(Dialect::word);
    let mut found = Vec::new();
    let mut told = std::collections::HashSet::new();
    for used in names {
        let (known, what, help): (&[&str], _, _) = match used.named {
            Named::Dialect => {
                (&dialects, "driver for databases of the kind", "there are `sqlite`, `mysql` (and MariaDB), `postgres`")
            }
            Named::Connection => (&connections, "connection", "add it to `connections` in gateway.yaml"),
            Named::Provider => (&providers, "identity provider", "add it to `identity_providers` in gateway.yaml"),
            Named::Key => (&keys, "private key", "add it to `keys` in gateway.yaml, or its files to keys/"),
            Named::Trust => (&anchors, "trusted certificate", "`portcullis key trust add NAME FILE` adds it"),
        };
        if known.contains(&used.name.as_str()) || !told.insert((used.named, &used.name, used.span)) {
            continue;
        }
        let message = format!("there is no {what} `{}`", used.name);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_NAME, message, used.span);
        found.push(match nearest(&used.name, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(help),
        });
    }
    found
}

//! What the language knows about an assertion: one description for checking, the reference pages, completion and the tests. The
//! engine provides one per assertion and passes them in as a [`Catalogue`].

use std::fmt;

use crate::ast::{Syntax, Type};

/// Description of one assertion.
#[derive(Debug)]
pub struct Spec {
    /// Name as policies spell it, `UpperCamelCase`.
    pub name: &'static str,
    /// Group on the reference page: `logic`, `message`, `crypto`, `access`, `data`, `routing`, `traffic`, `audit`.
    pub category: &'static str,
    /// One sentence: what it does and when it succeeds.
    pub summary: &'static str,
    /// Properties in the order of the reference page.
    pub props: &'static [Prop],
    /// Variables it sets.
    pub sets: &'static [Sets],
    /// Why it fails; empty = never.
    pub fails: &'static [&'static str],
    /// Takes a block: `Transaction(…) { … }`.
    pub block: bool,
    /// When `Name?(…)` succeeds in addition; without it, the assertion takes no `?`.
    pub optional: Option<&'static str>,
    /// Running it twice is the same as running it once, but for variables. A transaction in which everything is so can be tried again.
    pub repeatable: bool,
    /// What it is called where policies are trees that one clicks together, for those who come from there.
    pub also: &'static [&'static str],
    /// Former properties, each with what to write instead.
    pub former: &'static [(&'static str, &'static str)],
    /// Examples; the engine's tests run them.
    pub examples: &'static [Example],
}

impl Spec {
    /// The common case, for `Spec { name: …, ..Spec::PLAIN }`.
    pub const PLAIN: Spec = Spec {
        name: "",
        category: "",
        summary: "",
        props: &[],
        sets: &[],
        fails: &[],
        block: false,
        optional: None,
        repeatable: false,
        also: &[],
        former: &[],
        examples: &[],
    };

    /// The property of this name.
    pub fn prop(&self, name: &str) -> Option<&Prop> {
        self.props.iter().find(|prop| prop.name == name)
    }
}

/// A property of an assertion.
#[derive(Debug)]
pub struct Prop {
    /// Name as written before the colon.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether it may be left out, and what applies then.
    pub need: Need,
    /// One sentence.
    pub doc: &'static str,
}

impl Prop {
    /// A property that must be given.
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Prop {
        Prop { name, kind, need: Need::Required, doc }
    }

    /// A property with a default.
    pub const fn optional(name: &'static str, kind: Kind, default: Literal, doc: &'static str) -> Prop {
        Prop { name, kind, need: Need::Default(default), doc }
    }

    /// A property whose absence means that its feature is off.
    pub const fn absent(name: &'static str, kind: Kind, doc: &'static str) -> Prop {
        Prop { name, kind, need: Need::Absent, doc }
    }
}

/// A default. It prints as an author would write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `"text"`; also a word, a name and a prefix.
    Text(&'static str),
    /// `10`
    Int(i64),
    /// `true`
    Bool(bool),
    /// `30s`
    Seconds(u32),
}

impl Literal {
    /// Whether a property of this kind accepts it.
    pub fn fits(self, kind: Kind) -> bool {
        match (kind, self) {
            (Kind::OneOf(words), Literal::Text(word)) => words.contains(&word),
            (Kind::Int, Literal::Int(_)) | (Kind::Bool, Literal::Bool(_)) | (Kind::Duration, Literal::Seconds(_)) => true,
            (Kind::Int | Kind::Bool | Kind::Duration | Kind::OneOf(_), _) => false,
            (Kind::Value, _) => true,
            (_, Literal::Text(_)) => true,
            (_, Literal::Int(_) | Literal::Bool(_) | Literal::Seconds(_)) => false,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "\"{text}\""),
            Literal::Int(number) => number.fmt(f),
            Literal::Bool(value) => value.fmt(f),
            Literal::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

/// Whether a property may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be given.
    Required,
    /// If it is not given, this literal applies.
    Default(Literal),
    /// Its absence has its own meaning, described in `doc`.
    Absent,
}

/// What values a property takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any expression; evaluated on each run.
    Value,
    /// Text, usually with variables; evaluated on each run.
    Text,
    /// An integer literal or expression.
    Int,
    /// `true` / `false` or an expression.
    Bool,
    /// A duration literal, or an expression that gives seconds.
    Duration,
    /// One of these words, as a literal or an expression.
    OneOf(&'static [&'static str]),
    /// The name of a variable to write, as a literal.
    Target(Type),
    /// The literal prefix of the variables it sets.
    Prefix,
    /// The literal names of variables that its block sets: `"a"` or `["a", "b"]`.
    Variables,
    /// A variable that holds a message, by name: `request`, `response` or the policy's own. Read, or also written by assertions
    /// that change messages.
    MessageName,
    /// A template of exactly this syntax (`sql "…"`).
    Template(Syntax),
    /// A literal regular expression, compiled when the policy loads.
    Regex,
    /// The name of an identity provider in `gateway.yaml`, literally or by an expression.
    Provider,
    /// The alias of a private key of the gateway, literally or by an expression.
    Key,
    /// The literal names of trusted certificates of the gateway: `"a"` or `["a", "b"]`.
    Trust,
    /// The name of a connection in `gateway.yaml`, as a literal or an expression. A call that leaves it out uses its file's.
    Connection,
    /// The word for a kind of database, literally or by an expression.
    Dialect,
    /// A JSON object template or expression: `headers: json { "X-A": "b" }`.
    Object,
}

/// A variable that an assertion sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets {
    /// Its name. `{prop}` stands for that property's literal: `{target}`, `{prefix}.count`, `{prefix}.*` (any name with this start).
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// For `….*`: the star stands for a name from data. The variable's name ends before it, and its case counts.
    pub data: bool,
    /// It holds a JSON document, whose members are read by name.
    pub json: bool,
}

/// Short form of `Sets`.
pub const fn sets(name: &'static str, doc: &'static str) -> Sets {
    Sets { name, doc, data: false, json: false }
}

/// Members of the JSON document that the variable before `.*` holds.
pub const fn members(name: &'static str, doc: &'static str) -> Sets {
    Sets { name, doc, data: true, json: true }
}

/// A variable that holds a JSON document.
pub const fn document(name: &'static str, doc: &'static str) -> Sets {
    Sets { name, doc, data: false, json: true }
}

/// A runnable example.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What it shows.
    pub title: &'static str,
    /// Statements; all but the last prepare, the last calls the assertion.
    pub source: &'static str,
    /// The expected outcome.
    pub expect: Expect,
}

/// The outcome of an example.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// It succeeds.
    Holds,
    /// It fails.
    Fails,
    /// It succeeds, and the variable then prints as this text.
    Sets(&'static str, &'static str),
}

/// Short form of an example.
pub const fn example(title: &'static str, source: &'static str, expect: Expect) -> Example {
    Example { title, source, expect }
}

/// The assertions and functions that policies may use.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    specs: std::collections::BTreeMap<&'static str, &'static Spec>,
    functions: std::collections::BTreeMap<&'static str, &'static FunctionSpec>,
    builtins: Vec<&'static Builtin>,
    /// The built-ins by their names in lower case, without [`OPEN`].
    roots: std::collections::HashMap<String, &'static Builtin>,
}

impl Catalogue {
    /// A catalogue of these assertions, pure functions and built-in variables.
    pub fn new(
        specs: impl IntoIterator<Item = &'static Spec>,
        functions: impl IntoIterator<Item = &'static FunctionSpec>,
        builtins: impl IntoIterator<Item = &'static Builtin>,
    ) -> Self {
        let builtins: Vec<&'static Builtin> = builtins.into_iter().collect();
        // Of a name with members and without them, the longer form, which comes later, counts for both.
        let mut by_length = builtins.clone();
        by_length.sort_by_key(|builtin| builtin.name.len());
        Catalogue {
            specs: specs.into_iter().map(|spec| (spec.name, spec)).collect(),
            functions: functions.into_iter().map(|spec| (spec.name, spec)).collect(),
            roots: by_length
                .into_iter()
                .map(|builtin| (builtin.name.trim_end_matches(OPEN).to_ascii_lowercase(), builtin))
                .collect(),
            builtins,
        }
    }

    /// The assertion of this name, ignoring case.
    pub fn get(&self, name: &str) -> Option<&'static Spec> {
        let exact = self.specs.get(name).copied();
        exact.or_else(|| self.specs.values().copied().find(|spec| spec.name.eq_ignore_ascii_case(name)))
    }

    /// All assertions by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Spec> + '_ {
        self.specs.values().copied()
    }

    /// The pure function of this name.
    pub fn function(&self, name: &str) -> Option<&'static FunctionSpec> {
        self.functions.get(name).copied()
    }

    /// All functions by name.
    pub fn functions(&self) -> impl Iterator<Item = &'static FunctionSpec> + '_ {
        self.functions.values().copied()
    }

    /// All built-in variables.
    pub fn builtins(&self) -> impl Iterator<Item = &'static Builtin> + '_ {
        self.builtins.iter().copied()
    }

    /// The built-in that `name` (in any case) is or starts with; the rest is a selector. The longest wins.
    pub fn builtin(&self, name: &str) -> Option<&'static Builtin> {
        let name = name.to_ascii_lowercase();
        let whole = self.roots.get(name.as_str());
        let starts = name.rmatch_indices('.').filter_map(|(dot, _)| self.roots.get(name.get(..dot)?));
        whole.copied().or_else(|| starts.copied().find(|builtin| builtin.name.ends_with(OPEN)))
    }
}

/// How the name of a built-in ends that has members.
const OPEN: &str = ".*";

/// A pure function: the right side of `set` and of comparisons. It cannot fail and does no I/O.
#[derive(Debug)]
pub struct FunctionSpec {
    /// Name, `snake_case`.
    pub name: &'static str,
    /// Parameter names; if the last one ends in `…`, it may occur any number of times, or not at all.
    pub params: &'static [&'static str],
    /// How many of them must be given.
    pub required: usize,
    /// One sentence.
    pub doc: &'static str,
    /// The kind of its result.
    pub gives: Gives,
}

/// What kind of value a function gives, as far as that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A JSON document, or a part of one.
    Json,
    /// One of its arguments, or a part of one.
    Argument,
    /// Something else.
    Other,
}

/// A built-in variable, or a family of them (`request.http.header.*`).
#[derive(Debug)]
pub struct Builtin {
    /// Name; `.*` at the end: a family.
    pub name: &'static str,
    /// What it holds, unless it is undefined. For a family: what most of its members hold.
    pub ty: Type,
    /// Whether policies may assign it.
    pub writable: bool,
    /// One sentence.
    pub doc: &'static str,
}

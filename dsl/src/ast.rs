//! The tree that `parse` makes and that `fmt`, the resolver and the engine's compiler read.
//!
//! Every node keeps its span; comments are part of the tree, so that `fmt` still has them. Names keep the author's spelling;
//! comparing names is the resolver's work (variables are case-insensitive, policy names are not).

use crate::span::{Span, Spanned};

/// A name in the author's spelling.
pub type Name = Spanned<String>;

/// A policy file: declarations in order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    /// `connection …` at the top.
    pub connection: Option<FileConnection>,
    /// Declarations.
    pub items: Vec<Item>,
    /// Comments after the last one.
    pub trailing: Vec<Comment>,
}

/// `connection "Main"` or `connection ${storage.tokens}`: what all calls in the file use that take a connection and name none.
#[derive(Clone, Debug, PartialEq)]
pub struct FileConnection {
    /// Comments before it.
    pub leading: Vec<Comment>,
    /// A name, literally or in a variable.
    pub value: Expr,
    /// Comment at the end of its line.
    pub trailing: Option<Comment>,
    /// Its text.
    pub span: Spanned<()>,
}

/// `// text` or `/// text` on a line of its own or at a line's end.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Comment {
    /// The text after the slashes, with the blank that usually follows them, without trailing blanks.
    pub text: String,
    /// `///`: documentation of what follows.
    pub doc: bool,
    /// A blank line stands before it.
    pub blank_before: bool,
    /// It is the last one before something, and a blank line stands between the two.
    pub blank_after: bool,
}

/// Comments around an argument, parameter or JSON member.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Comments {
    /// On the lines before it.
    pub leading: Vec<Comment>,
    /// At the end of its line.
    pub trailing: Option<Comment>,
    /// On the lines after it; only the last of a list has these.
    pub after: Vec<Comment>,
}

impl Comments {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.leading.is_empty() && self.trailing.is_none() && self.after.is_empty()
    }
}

/// One declaration.
#[derive(Clone, Debug)]
pub struct Item {
    /// Comments and documentation before it.
    pub leading: Vec<Comment>,
    /// What it declares.
    pub kind: ItemKind,
    /// The quoted name: of the policy itself, or of the customized target.
    pub name: Name,
    /// Its body.
    pub body: Block,
    /// From keyword to closing brace.
    pub span: Span,
}

/// Without the place, as for every node.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        let Item { leading, kind, name, body, span: _ } = self;
        (leading, kind, name, body) == (&other.leading, &other.kind, &other.name, &other.body)
    }
}

/// The seven kinds of declaration.
#[expect(clippy::large_enum_variant, reason = "a file has few declarations")]
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `fragment "N" { }`: shares its includer's variables.
    Fragment,
    /// `assertion "N" (in a, out b) fails with c { }`: an encapsulated assertion, with variables of its own.
    Assertion(Vec<Param>),
    /// `service "N" at "/path" methods GET POST errors "E"(…) { }`.
    Service(ServiceHead),
    /// `task "N" every 13m { }`: runs on a schedule.
    Task {
        /// Milliseconds between two runs.
        every: Spanned<DurationLit>,
    },
    /// `command "client add" (in name, out key) fails with error { }`: a subcommand of the command line.
    Command(Vec<Param>),
    /// `customize "N" { }`: the `#policy` of read-only policy N.
    Customize,
    /// `extension "N" { }`: the body of extension N.
    Extension,
}

/// What a service says before its body.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceHead {
    /// Path; a last segment `*` matches any rest. The instance modifier is put before it by configuration.
    pub path: Spanned<String>,
    /// Methods it answers, upper case; empty = any. Others get 405 with `Allow`.
    pub methods: Vec<Spanned<String>>,
    /// The encapsulated assertion that writes this service's error answers.
    pub errors: Option<Call>,
    /// `paths raw`: it also takes paths that servers read in different ways: with empty segments, with `;`, with escaped `/`.
    pub raw_paths: bool,
    /// `disabled`: declared but not served until an operator enables it (`gateway.yaml`, `enable: ["name"]`).
    pub disabled: bool,
}

/// An input or output of an assertion or command.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `in` or `out`.
    pub direction: Direction,
    /// Variable name.
    pub name: Name,
    /// `fails with name`: the output that `fail` sets. It stands after the parentheses, and there is one at most.
    pub failure: bool,
    /// `in name?`: undefined when the call leaves it out.
    pub optional: bool,
    /// Declared type; a value that cannot be converted fails the call.
    pub ty: Option<Spanned<Type>>,
    /// Of an output: between which bounds its value lies.
    pub range: Option<Spanned<Range>>,
    /// Value when the call passes none. Variables in it are the *caller's*; one that the caller lacks is undefined.
    pub default: Option<Expr>,
    /// Documentation.
    pub leading: Vec<Comment>,
    /// Comment at the end of its line.
    pub trailing: Option<Comment>,
}

/// Which way a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Given by the caller.
    In,
    /// Copied back to the caller, also when the assertion fails.
    Out,
}

/// Statements between braces.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Block {
    /// Statements in order.
    pub stmts: Vec<Stmt>,
    /// Comments after the last one.
    pub trailing: Vec<Comment>,
    /// The braces and what is between.
    pub span: Spanned<()>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Comments on the lines before it.
    pub leading: Vec<Comment>,
    /// Comment at the end of its line.
    pub trailing: Option<Comment>,
    /// A blank line stands before it (and before its leading comments).
    pub blank_before: bool,
    /// What it does.
    pub kind: StmtKind,
    /// Its text.
    pub span: Spanned<()>,
}

/// The statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `set name: type = value`. With a type, a value that cannot be converted fails the statement.
    Set {
        /// Variable.
        target: Name,
        /// Type to convert to.
        ty: Option<Spanned<Type>>,
        /// Value.
        value: Expr,
    },
    /// `default name: type = value`: sets when undefined or empty.
    Default {
        /// Variable.
        target: Name,
        /// Type to convert to.
        ty: Option<Spanned<Type>>,
        /// Value.
        value: Expr,
    },
    /// `declare name: type range`: the variable exists, and is undefined until something sets it.
    Declare {
        /// Variable.
        target: Name,
        /// Type that values set here must have.
        ty: Option<Spanned<Type>>,
        /// Between which bounds they lie.
        range: Option<Spanned<Range>>,
    },
    /// `include "N"` (a fragment), or `include "#N"` (the hook of N's `#policy`, in N only).
    Include(Name),
    /// `include extension "N"`: the place of extension N; absent unless an extension of that name has a body.
    IncludeExtension(Name),
    /// `Name(prop: value)` or `"Name" (input: value)`, the former with a block when the assertion takes one.
    Call(Call),
    /// `All "label" { }`, `AtLeastOne "label" { }`, or a bare block after `else`.
    Group {
        /// How results combine.
        kind: GroupKind,
        /// What the branch is for.
        label: Option<Name>,
        /// Children.
        body: Block,
    },
    /// `if c { } else if c { } else { }`.
    If {
        /// Conditions with their blocks.
        arms: Vec<(Cond, Block)>,
        /// The last `else`.
        otherwise: Option<Block>,
    },
    /// `ForEach item in ${list} limit 100 { }`: sets `item.current`, `item.iterations`; `item.break` = true ends it.
    ForEach {
        /// Prefix of the loop's variables.
        prefix: Name,
        /// What to walk over.
        list: Expr,
        /// Most rounds; reaching it sets `<prefix>.exceededlimit` = true.
        limit: Option<Spanned<i64>>,
        /// One round.
        body: Block,
    },
    /// `HandleErrors "prefix" { } on error { }`: a raised error or a fault inside sets `<prefix>.message`, runs the handler.
    HandleErrors {
        /// Prefix; `handleError` when none is given.
        prefix: Option<Name>,
        /// What is watched.
        body: Block,
        /// Runs after an error; without it the statement then holds.
        handler: Option<Block>,
    },
    /// `Raise "text"`: unwinds to the nearest `HandleErrors`.
    Raise(Expr),
    /// `Continue`: holds.
    Continue,
    /// `Stop`: fails.
    Stop,
    /// `Done`: ends the service, task or command well, with the answer drafted so far.
    Done,
    /// `fail CODE`: final; the service's error assertion answers with this code. In an assertion that `fails with` an output, it ends the
    /// assertion as failed with this output.
    Fail(Expr),
    /// A bare condition: holds when it is true.
    Check(Cond),
    /// `x else y`: `AtLeastOne { x; y }`.
    Else(Box<Stmt>, Box<Stmt>),
}

/// How a group combines its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// First failure ends it.
    All,
    /// First success ends it.
    AtLeastOne,
    /// `{ }` after `else`: an `All` without the word.
    Bare,
}

/// A call of a catalogue assertion or of an encapsulated one.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Whom.
    pub callee: Callee,
    /// `SqlQuery?(…)`: finding nothing is fine. Its place is that of the `?`.
    pub optional: Option<Spanned<()>>,
    /// `name: value` in order.
    pub args: Vec<Arg>,
    /// Block of an assertion that takes one (`Transaction(…) { }`).
    pub block: Option<Block>,
    /// From name to closing parenthesis.
    pub span: Spanned<()>,
}

/// Whom a call addresses.
#[derive(Clone, Debug, PartialEq)]
pub enum Callee {
    /// `SqlQuery(…)`: an assertion of the catalogue.
    Native(Name),
    /// `"OTK Client Validation" (…)`: an `assertion` of the policy set.
    Encapsulated(Name),
}

impl Callee {
    /// The name, whichever kind.
    pub fn name(&self) -> &Name {
        match self {
            Callee::Native(name) | Callee::Encapsulated(name) => name,
        }
    }
}

/// One argument. `name` alone is read as `name: ${name}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// Property or input name.
    pub name: Name,
    /// Value.
    pub value: Expr,
    /// Comments around it.
    pub comments: Comments,
}

impl Arg {
    /// Whether the name alone says it: the value is nothing but the variable of the same name.
    pub fn is_shorthand(&self) -> bool {
        let same = matches!(&*self.value.kind, ExprKind::Var(VarRef { name, path, delimiter: None }) if path.is_empty() && *name == self.name);
        same && !matches!(self.name.to_ascii_lowercase().as_str(), "true" | "false")
    }
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Cond {
    /// `a or b or c`.
    Or(Vec<Cond>),
    /// `a and b and c`.
    And(Vec<Cond>),
    /// `not a`. Of a comparison whose left side is undefined this is not a success, as in the gateway (except `is empty`).
    Not(Box<Cond>),
    /// A comparison.
    Compare(Box<Comparison>),
    /// `${x}`: a variable that is true or false.
    Truth(Expr),
    /// An assertion asked as a question.
    Call(Box<Call>),
    /// `(a)`.
    Group(Box<Cond>),
}

/// `any ${x} as int >= 5 ignoring case`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Which values of a list must pass.
    pub mode: Multi,
    /// Left side.
    pub left: Expr,
    /// Type both sides are converted to; fails where impossible.
    pub ty: Option<Spanned<Type>>,
    /// The test.
    pub predicate: Predicate,
    /// `ignoring case`.
    pub ignore_case: bool,
    /// Its text.
    pub span: Spanned<()>,
}

/// Multivalued modes of the left side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multi {
    /// Every value (the default; also the word `all`).
    All,
    /// `any`: at least one value.
    Any,
    /// `first`.
    First,
    /// `last`.
    Last,
    /// `single`: fails when there is more than one value.
    Single,
}

/// What is tested.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    Binary(BinaryOp, Expr),
    /// `is empty`: undefined, the empty text, or a list of nothing else.
    Empty,
    /// `is not empty`.
    NotEmpty,
    /// `contains x`: substring; on a list see `mode`.
    Contains(Expr),
    /// `contains all x`: the left list holds each value of x.
    ContainsAll(Expr),
    /// `contains any x`: the left list holds some value of x.
    ContainsAny(Expr),
    /// `in [a, b]` or `in ${list}`.
    In(Expr),
    /// `matches "regex"`: found anywhere in the text.
    Matches(Expr),
    /// `starts with x`.
    StartsWith(Expr),
    /// `ends with x`.
    EndsWith(Expr),
    /// `length 43..128` (characters); either bound may be left out: `length 1..`, `length ..10`, `length 5`.
    Length(Bounds),
    /// `count 1..1`: number of values.
    Count(Bounds),
}

/// Inclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Least.
    pub min: Option<u64>,
    /// Most.
    pub max: Option<u64>,
}

/// `1..`, `1..3600`, `..10` after a type: inclusive bounds of a number, or of the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Least.
    pub min: Option<i64>,
    /// Most.
    pub max: Option<i64>,
}

impl Range {
    /// Whether a number lies in it.
    pub fn holds(self, number: i64) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    /// As written: `1..3600`.
    pub fn word(self) -> String {
        let bound = |bound: Option<i64>| bound.map_or_else(String::new, |bound| bound.to_string());
        format!("{}..{}", bound(self.min), bound(self.max))
    }

    /// In a sentence: "from 1 to 3600".
    pub fn words(self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("from {min} on"),
            (None, Some(max)) => format!("up to {max}"),
            (None, None) => "of any size".to_owned(),
        }
    }
}

/// Binary operators of comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// Data types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Text.
    String,
    /// 64-bit integer.
    Int,
    /// Decimal number.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A moment.
    DateTime,
    /// Several values.
    List,
    /// Headers, status, body.
    Message,
    /// JSON document.
    Json,
    /// X.509 certificate.
    Certificate,
}

impl Type {
    /// All types with the words that name them.
    pub const ALL: &[(&'static str, Type)] = &[
        ("string", Type::String),
        ("int", Type::Int),
        ("decimal", Type::Decimal),
        ("boolean", Type::Boolean),
        ("datetime", Type::DateTime),
        ("list", Type::List),
        ("message", Type::Message),
        ("json", Type::Json),
        ("certificate", Type::Certificate),
    ];
}

/// A duration literal; the unit is kept for `fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationLit {
    /// How many.
    pub count: u64,
    /// Of what.
    pub unit: DurationUnit,
}

/// Units of a duration literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationUnit {
    /// `ms`
    Millis,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
    /// `d`
    Days,
}

impl DurationLit {
    /// Milliseconds, saturating.
    pub fn millis(self) -> u64 {
        let unit = match self.unit {
            DurationUnit::Millis => 1,
            DurationUnit::Seconds => 1_000,
            DurationUnit::Minutes => 60_000,
            DurationUnit::Hours => 3_600_000,
            DurationUnit::Days => 86_400_000,
        };
        self.count.saturating_mul(unit)
    }
}

/// As written.
impl std::fmt::Display for DurationLit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            DurationUnit::Millis => "ms",
            DurationUnit::Seconds => "s",
            DurationUnit::Minutes => "m",
            DurationUnit::Hours => "h",
            DurationUnit::Days => "d",
        };
        write!(f, "{}{unit}", self.count)
    }
}

/// A value's expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Box<ExprKind>,
    /// Its text.
    pub span: Spanned<()>,
}

impl Expr {
    /// An expression at a span.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Expr { kind: Box::new(kind), span: Spanned::new((), span) }
    }

    /// The text of a string literal without variables.
    pub fn literal(&self) -> Option<&str> {
        match &*self.kind {
            ExprKind::Raw(text) => Some(text),
            ExprKind::Text(parts) => match parts.as_slice() {
                [] => Some(""),
                [Part::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `"text with ${variables}"`; escapes `\" \\ \n \r \t \$ \u{…}` are already undone in the parts.
    Text(Vec<Part>),
    /// `r"…"`: no escapes, no variables; for regular expressions.
    Raw(String),
    /// `42`
    Int(i64),
    /// `1.5` (kept as written)
    Decimal(String),
    /// `true`, `false`
    Bool(bool),
    /// `300s`, `5m`
    Duration(DurationLit),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `${name}` alone: keeps its type, lists stay lists.
    Var(VarRef),
    /// `split(${x}, " ")`
    Function(Name, Vec<Expr>),
    /// `a + b`, integers only.
    Arithmetic(ArithmeticOp, Expr, Expr),
    /// `(a)`
    Group(Expr),
    /// `(${a} == "x" and not ${b})`: true or false. It asks no assertion.
    Condition(Cond),
    /// `json { … }` or `json [ … ]`
    Json(Json),
    /// `xml """…"""`, `html """…"""`, `url "…"`, `sql "…"`, and plain `text """…"""`.
    Template(Syntax, Vec<Part>),
    /// `html file "login.html"`, with any syntax word; `json file` reads a JSON template.
    File(Syntax, Spanned<String>),
}

/// Integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

/// The syntaxes a template escapes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Nothing to escape.
    Text,
    /// JSON, for `json file`.
    Json,
    /// XML text and attribute values.
    Xml,
    /// HTML text and quoted attribute values.
    Html,
    /// Percent-encoded URL components.
    Url,
    /// Bound SQL parameters.
    Sql,
}

impl Syntax {
    /// The word before a template.
    pub fn word(self) -> &'static str {
        match self {
            Syntax::Text => "text",
            Syntax::Json => "json",
            Syntax::Xml => "xml",
            Syntax::Html => "html",
            Syntax::Url => "url",
            Syntax::Sql => "sql",
        }
    }
}

/// A piece of a text or template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// `${name}`, escaped or bound for the template's syntax.
    Var(VarRef),
    /// `${raw(name)}`: as it is. The one way to opt out of escaping.
    RawVar(VarRef),
    /// `${now() - 5}`: a function or a calculation, escaped or bound like a variable. Variables in it have no braces of their own.
    Expr(Expr),
}

/// `name`, `name[0]`, `name[0].city`, `name|; ` inside `${…}`.
#[derive(Clone, Debug, PartialEq)]
pub struct VarRef {
    /// Name in the author's spelling; may hold dots, and with them selectors and members of JSON.
    pub name: Name,
    /// What follows the first `[`: the way into a list or a JSON document.
    pub path: Vec<PathStep>,
    /// Text after `|`: what joins the values of a list (default `, `).
    pub delimiter: Option<String>,
}

/// A step into a list or a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `[i]`, counted from zero.
    Index(u32),
    /// `.name`, or several at once: `.name.first`. Case counts.
    Member(String),
}

/// A JSON template.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `{ "a": 1, "b"?: ${x} }`
    Object(Vec<JsonMember>),
    /// `[ … ]`
    Array(Vec<Json>),
    /// A string (with variables), number, boolean, `${var}`, or function call.
    Value(Expr),
    /// `null`
    Null,
}

/// A member of a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonMember {
    /// Its key.
    pub key: Vec<Part>,
    /// `"key"?:` leaves the member out when its value is undefined or empty.
    pub optional: bool,
    /// Its value.
    pub value: Json,
    /// Comments around it.
    pub comments: Comments,
    /// From key to value.
    pub span: Spanned<()>,
}

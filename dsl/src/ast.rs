//! The tree that `parse` builds. `fmt`, the resolver and the engine's compiler read it.
//!
//! Every node keeps its span. Comments are part of the tree, because `fmt` needs them. Names keep the author's spelling; the
//! resolver compares names.

mod conds;
mod values;

pub use self::conds::{BinaryOp, Bounds, Comparison, Cond, Multi, Predicate};
pub use self::values::{
    Allowed, ArithmeticOp, DurationLit, DurationUnit, Expr, ExprKind, Json, JsonMember, Part, PathStep, Range, Syntax, Type,
    VarRef,
};
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

/// `connection "Main"`, `connection ${storage.tokens}` or `connection ${storage.tokens} from "Storage"`: the connection of all calls in
/// the file that need one and name none.
#[derive(Clone, Debug, PartialEq)]
pub struct FileConnection {
    /// Comments before it.
    pub leading: Vec<Comment>,
    /// Its name: a literal or a variable.
    pub value: Expr,
    /// The policy whose literal value of that variable counts. Without it, the variable is one of each declaration in the file.
    pub from: Option<Name>,
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
    /// It is the last comment before a node, and a blank line follows it.
    pub blank_after: bool,
}

/// Comments around an argument, parameter or JSON member.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Comments {
    /// On the lines before it.
    pub leading: Vec<Comment>,
    /// At the end of its line.
    pub trailing: Option<Comment>,
    /// On the lines after it; only the last entry of a list has these.
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

impl Item {
    /// The same with an empty body.
    pub(crate) fn without_body(&self) -> Item {
        let body = Block { span: self.body.span.clone(), ..Block::default() };
        Item { leading: self.leading.clone(), kind: self.kind.clone(), name: self.name.clone(), body, span: self.span }
    }

    /// The parameters of an assertion or command; of all others, none.
    pub fn params(&self) -> &[Param] {
        match &self.kind {
            ItemKind::Assertion(params) | ItemKind::Command(params) => params,
            _ => &[],
        }
    }
}

/// Ignores the span, as for every node.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        let Item { leading, kind, name, body, span: _ } = self;
        (leading, kind, name, body) == (&other.leading, &other.kind, &other.name, &other.body)
    }
}

/// The kinds of declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `fragment "N" { }`: shares its includer's variables.
    Fragment,
    /// `assertion "N" (in a, out b) fails with c { }`: an encapsulated assertion, with variables of its own.
    Assertion(Vec<Param>),
    /// `service "N" at "/path" methods GET POST errors "E"(…) { }`.
    Service(ServiceHead),
    /// `task "N" every 13m { }`, `task "N" at "0 3 * * *" { }`: runs on a schedule.
    Task(Schedule),
    /// `command "client add" (in name, out key) fails with error { }`: a subcommand of the command line.
    Command(Vec<Param>),
    /// `customize "N" { }`: the `#policy` of read-only policy N.
    Customize,
    /// `extension "N" { }`: the body of extension N.
    Extension,
    /// `before "N" { }`: runs before each service's policy, and may answer instead of it.
    Before,
    /// `after "N" { }`: runs after each answer of a service, which it sees and cannot change.
    After,
}

/// When a task runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Again and again, with so much time between the beginnings of two runs.
    Every(Spanned<DurationLit>),
    /// At these times, in the notation of cron.
    At(Spanned<String>),
}

/// What a service says before its body.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceHead {
    /// Paths, at least one; a last segment `*` matches any rest. The instance modifier is put before each by configuration.
    pub paths: Vec<Spanned<String>>,
    /// Methods it answers, upper case; empty = any. Others get 405 with `Allow`.
    pub methods: Vec<Spanned<String>>,
    /// The encapsulated assertion that writes this service's error answers.
    pub errors: Option<Call>,
    /// `paths raw`: also accepts paths that servers read in different ways: with empty segments, `;` or an escaped `/`.
    pub raw_paths: bool,
    /// `disabled`: declared but not served until an operator enables it (`gateway.yaml`, `enable: ["name"]`).
    pub disabled: bool,
}

impl ServiceHead {
    /// The first path, which says of the service where it is.
    pub fn path(&self) -> &str {
        self.paths.first().map_or("", |path| path.node.as_str())
    }

    /// All paths, with blanks between them.
    pub fn listed(&self) -> String {
        self.paths.iter().map(|path| path.node.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// An input or output of an assertion or command.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `in` or `out`.
    pub direction: Direction,
    /// Variable name.
    pub name: Name,
    /// `fails with name` after the parentheses: the output that `fail` sets. There is at most one.
    pub failure: bool,
    /// `in name?`: undefined when the call leaves it out.
    pub optional: bool,
    /// Declared type; a value that cannot be converted fails the call.
    pub ty: Option<Spanned<Type>>,
    /// The values that an output may have.
    pub allowed: Option<Spanned<Allowed>>,
    /// Value if the call passes none. Variables in it are the *caller's*; one that the caller lacks is undefined.
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
    /// Copied back to the caller, even when the assertion fails.
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
    /// `declare name: type range`, `declare name: "a" | "b"`: declares a variable, which is undefined until something sets it.
    Declare {
        /// Variable.
        target: Name,
        /// Type that values set here must have.
        ty: Option<Spanned<Type>>,
        /// Which of these values.
        allowed: Option<Spanned<Allowed>>,
    },
    /// `include "N"` (a fragment), or `include "#N"` (the hook of N's `#policy`, in N only).
    Include(Name),
    /// `include extension "N"`: the place of extension N; absent unless an extension of that name has a body.
    IncludeExtension(Name),
    /// `Name(prop: value)`, with a block if the assertion takes one, or `"Name" (input: value)`.
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
        /// Runs after an error. Without it, the statement succeeds after an error.
        handler: Option<Block>,
    },
    /// `Raise "text"`: unwinds to the nearest `HandleErrors`.
    Raise(Expr),
    /// `Continue`: succeeds.
    Continue,
    /// `Stop`: fails.
    Stop,
    /// `Done`: ends the service, task or command with success and the answer drafted so far.
    Done,
    /// `fail CODE`: final; the service's error assertion answers with this code. In an assertion that `fails with` an output,
    /// `fail` sets this output and the assertion fails.
    Fail(Expr),
    /// A bare condition: succeeds if it is true.
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
    /// What is called.
    pub callee: Callee,
    /// `SqlQuery?(…)`: finding nothing is fine. The span is that of the `?`.
    pub optional: Option<Spanned<()>>,
    /// `name: value` in order.
    pub args: Vec<Arg>,
    /// Block of an assertion that takes one (`Transaction(…) { }`).
    pub block: Option<Block>,
    /// From name to closing parenthesis.
    pub span: Spanned<()>,
}

/// What a call calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Callee {
    /// `SqlQuery(…)`: an assertion of the catalogue.
    Native(Name),
    /// `"OTK Client Validation" (…)`: an `assertion` of the policy set.
    Encapsulated(Name),
}

impl Callee {
    /// The name, of either kind.
    pub fn name(&self) -> &Name {
        match self {
            Callee::Native(name) | Callee::Encapsulated(name) => name,
        }
    }
}

/// One argument. `name` alone means `name: ${name}`.
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
    /// Whether the name alone is enough, because the value is just the variable of the same name.
    pub fn is_shorthand(&self) -> bool {
        let same = matches!(&*self.value.kind, ExprKind::Var(VarRef { name, path, delimiter: None }) if path.is_empty() && *name == self.name);
        same && !matches!(self.name.to_ascii_lowercase().as_str(), "true" | "false")
    }
}

//! The words of the language that are chosen from lists: one table for the parser, the explanations and the resolver. The
//! spelling of the grammar's keywords is in `parse/lower/words.rs`; types are in [`crate::ast::Type::ALL`].

use crate::ast::Syntax;

/// The kinds of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Declaration {
    Fragment,
    Assertion,
    Service,
    Task,
    Command,
    Customize,
    Extension,
    Before,
    After,
}

impl Declaration {
    /// The words that begin declarations.
    pub(crate) const KEYWORDS: [&'static str; 9] =
        ["fragment", "assertion", "service", "task", "command", "customize", "extension", "before", "after"];

    /// All kinds, in the order of their keywords.
    const ALL: [Declaration; 9] = [
        Declaration::Fragment,
        Declaration::Assertion,
        Declaration::Service,
        Declaration::Task,
        Declaration::Command,
        Declaration::Customize,
        Declaration::Extension,
        Declaration::Before,
        Declaration::After,
    ];

    /// The kind that a word in lower case begins.
    pub(crate) fn of_keyword(word: &str) -> Option<Declaration> {
        Declaration::ALL.into_iter().find(|kind| kind.keyword() == word)
    }

    /// The word that begins it.
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Declaration::Customize => "customize",
            Declaration::Before => "before",
            Declaration::After => "after",
            other => other.word(),
        }
    }

    /// The word a message uses, with its article.
    pub(crate) fn article(self) -> &'static str {
        match self {
            Declaration::Fragment => "a fragment",
            Declaration::Assertion => "an assertion",
            Declaration::Service => "a service",
            Declaration::Task => "a task",
            Declaration::Command => "a command",
            Declaration::Customize => "a customization",
            Declaration::Extension => "an extension",
            Declaration::Before => "a policy before services",
            Declaration::After => "a policy after services",
        }
    }

    /// The word a message uses.
    pub(crate) fn word(self) -> &'static str {
        self.article().split_once(' ').map_or("", |(_, word)| word)
    }

    /// All kinds, for a message that says what a file may contain.
    pub(crate) fn listed() -> String {
        format!("a file holds declarations: {}", Self::KEYWORDS.map(|kind| format!("`{kind}`")).join(", "))
    }
}

/// Words that begin statements.
pub(crate) const STATEMENTS: [&str; 14] = [
    "set",
    "default",
    "declare",
    "include",
    "if",
    "fail",
    "ForEach",
    "HandleErrors",
    "Raise",
    "Continue",
    "Stop",
    "Done",
    "All",
    "AtLeastOne",
];

/// Statements that consist of a word and a block.
pub(crate) const BLOCKS: [&str; 4] = ["All", "AtLeastOne", "HandleErrors", "ForEach"];

/// Words that begin what is tested in a comparison.
pub(crate) const PREDICATES: [&str; 10] =
    ["is", "in", "contains", "matches", "starts", "ends", "length", "count", "ignoring", "as"];

/// Methods that a service can answer.
pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The syntaxes of templates, by the word before one.
pub(crate) const SYNTAXES: [Syntax; 6] = [Syntax::Text, Syntax::Json, Syntax::Xml, Syntax::Html, Syntax::Url, Syntax::Sql];

/// The word before `file` for a picture.
pub(crate) const DATA_URI: &str = "data_uri";

/// Statement words of other languages, and what to write here.
pub(crate) const FOREIGN: [(&[&str], &str); 12] = [
    (&["return"], "a policy returns no value: `Stop` fails, `Continue` succeeds, `set` stores a value"),
    (&["for", "while", "loop"], "write `ForEach item in ${list} { … }`"),
    (&["let", "var", "const"], "write `set name = …`"),
    (&["throw"], "write `Raise \"…\"`"),
    (&["call"], "an assertion is called by its name: `\"Name\" (…)` or `Name(…)`"),
    (&["assert", "check", "require"], "a condition alone is an assertion: write it without this word"),
    (&["switch", "case", "match"], "write `if … { } else if … { } else { }`"),
    (&["try", "catch"], "write `HandleErrors { … } on error { … }`"),
    (&["break"], "write `set item.break = true`, with the name of the loop for `item`"),
    (&["import", "use"], "write `include \"…\"`"),
    (&["exit", "end"], "`Stop` fails; `Done` ends a service, task or command with success"),
    (&["unless"], "write `if not … { }`"),
];

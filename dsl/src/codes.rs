//! Every diagnostic code, in one place. A number keeps its meaning forever, so that a runbook can name it: it may be retired, but
//! is never reused.
//!
//! `P01xx`: syntax. `P02xx`: names, and how policies connect. `P03xx`: values and control flow.

/// The file is larger than a policy file may be.
pub const FILE_TOO_LARGE: &str = "P0100";
/// Brackets, or a chain of operators, are nested too deep.
pub const TOO_DEEP: &str = "P0101";
/// A bracket is opened and never closed.
pub const UNCLOSED: &str = "P0102";
/// A bracket is closed that was never opened.
pub const STRAY_CLOSER: &str = "P0103";
/// A text in quotes does not end on its line, or a `"""` text does not end at all.
pub const UNCLOSED_TEXT: &str = "P0104";
/// Text that matches nothing in the language.
pub const UNEXPECTED: &str = "P0105";
/// A declaration of no known kind.
pub const UNKNOWN_DECLARATION: &str = "P0106";
/// A keyword in the wrong case.
pub const WRONG_CASE: &str = "P0107";
/// A statement that begins with an unknown word.
pub const UNKNOWN_STATEMENT: &str = "P0108";
/// A name without its quotes.
pub const MISSING_QUOTES: &str = "P0109";
/// Single quotes.
pub const SINGLE_QUOTES: &str = "P0110";
/// `$name` instead of `${name}`.
pub const MISSING_BRACES: &str = "P0111";
/// An assertion's name without parentheses.
pub const MISSING_PARENTHESES: &str = "P0112";
/// `=` or another foreign operator where a comparison belongs.
pub const WRONG_OPERATOR: &str = "P0113";
/// An assignment without `set`.
pub const MISSING_SET: &str = "P0114";
/// `&&`, `||` and `!` instead of words.
pub const OPERATOR_SIGNS: &str = "P0115";
/// `elseif` and its relatives.
pub const ELSEIF: &str = "P0116";
/// An unknown escape in a text.
pub const UNKNOWN_ESCAPE: &str = "P0117";
/// A duration in an unknown unit.
pub const UNKNOWN_UNIT: &str = "P0118";
/// An unknown type.
pub const UNKNOWN_TYPE: &str = "P0119";
/// Something other than a variable between `${` and `}`.
pub const BAD_VARIABLE: &str = "P0120";
/// A number that is too large.
pub const NUMBER_RANGE: &str = "P0121";
/// A value where a condition belongs.
pub const NOT_A_CONDITION: &str = "P0122";
/// A condition or an assertion where a value belongs.
pub const NOT_A_VALUE: &str = "P0123";
/// An argument without a name, with a name where none belongs, or with `=` instead of `:`.
pub const BAD_ARGUMENT: &str = "P0124";
/// A bare word where a value belongs.
pub const BARE_WORD: &str = "P0125";
/// An `else` of an `if` without braces, or a second one.
pub const BAD_ELSE: &str = "P0126";
/// A comma is missing between two things.
pub const MISSING_COMMA: &str = "P0127";
/// A JSON member name without quotes.
pub const BARE_KEY: &str = "P0128";
/// A parameter without `in` or `out`.
pub const MISSING_DIRECTION: &str = "P0129";
/// A clause of a declaration that does not belong there, is missing, or appears twice.
pub const BAD_CLAUSE: &str = "P0130";
/// A word before a text that names no template syntax.
pub const UNKNOWN_SYNTAX: &str = "P0131";
/// A name that is empty or contains variables.
pub const BAD_NAME: &str = "P0132";
/// Bounds that no value can meet.
pub const BAD_BOUNDS: &str = "P0133";
/// A service path or a method that HTTP does not have.
pub const BAD_ROUTE: &str = "P0134";

/// An `include` names no fragment.
pub const UNKNOWN_FRAGMENT: &str = "P0201";
/// A quoted call names no assertion.
pub const UNKNOWN_ASSERTION: &str = "P0202";
/// A call names nothing in the catalogue.
pub const UNKNOWN_NATIVE: &str = "P0203";
/// A property that the assertion does not have.
pub const UNKNOWN_PROPERTY: &str = "P0204";
/// A property that must be given is missing.
pub const MISSING_PROPERTY: &str = "P0205";
/// An argument is given twice.
pub const DUPLICATE_ARGUMENT: &str = "P0206";
/// An encapsulated assertion has no such input.
pub const UNKNOWN_INPUT: &str = "P0207";
/// An input without default is missing.
pub const MISSING_INPUT: &str = "P0208";
/// `include "#X"` outside X.
pub const FOREIGN_HOOK: &str = "P0209";
/// A customization of a policy without hook.
pub const NO_HOOK: &str = "P0210";
/// A customization or extension of something that does not exist.
pub const UNKNOWN_TARGET: &str = "P0211";
/// Two declarations have the same name.
pub const DUPLICATE_NAME: &str = "P0212";
/// A declaration in a part of the installation where it is not allowed.
pub const WRONG_PLACE: &str = "P0213";
/// Policies include or call each other in a cycle.
pub const CYCLE: &str = "P0214";
/// Includes and calls are nested too deep or make a policy too large.
pub const TOO_LARGE: &str = "P0215";
/// A variable is read that nothing can set.
pub const UNKNOWN_VARIABLE: &str = "P0216";
/// A function that does not exist.
pub const UNKNOWN_FUNCTION: &str = "P0217";
/// Too few or too many arguments of a function.
pub const WRONG_ARITY: &str = "P0218";
/// A built-in variable that policies may not assign.
pub const READ_ONLY: &str = "P0219";
/// Two services answer the same requests.
pub const DUPLICATE_ROUTE: &str = "P0220";
/// A path that a service cannot have.
pub const INVALID_PATH: &str = "P0221";
/// `file "…"` names no file.
pub const UNKNOWN_FILE: &str = "P0222";
/// Two parameters have the same name.
pub const DUPLICATE_PARAM: &str = "P0223";
/// A fragment that nothing includes.
pub const NEVER_INCLUDED: &str = "P0224";

/// `connection …` at the top of a file in which nothing uses it.
pub const UNUSED_CONNECTION: &str = "P0225";

/// `data_uri file "…"` names a file that is no picture, or too large.
pub const BAD_PICTURE: &str = "P0227";

/// A name in another case than its declaration.
pub const NAME_CASE: &str = "P0226";
/// `connection … from "Policy"` where the policy does not say which connection that is.
pub const UNKNOWN_CONNECTION: &str = "P0227";

/// A literal is of the wrong type.
pub const WRONG_TYPE: &str = "P0301";
/// A word that is not one of the allowed ones.
pub const UNKNOWN_WORD: &str = "P0302";
/// A name is needed, literally.
pub const NAME_NEEDED: &str = "P0303";
/// A template of another syntax is needed.
pub const WRONG_SYNTAX: &str = "P0304";
/// A regular expression that does not compile.
pub const INVALID_REGEX: &str = "P0305";
/// A block given to an assertion that takes none.
pub const UNEXPECTED_BLOCK: &str = "P0306";
/// An assertion lacks its block.
pub const MISSING_BLOCK: &str = "P0307";
/// `fail` in an `assertion` without `fails with`.
pub const FAIL_IN_ASSERTION: &str = "P0308";
/// `fail` in a service without `errors`.
pub const FAIL_WITHOUT_ERRORS: &str = "P0309";
/// A variable in a place where no escaping makes it safe.
pub const UNSAFE_PLACE: &str = "P0310";
/// A variable that decides the host or scheme of a URL.
pub const UNSAFE_URL: &str = "P0311";
/// A bound parameter inside a quoted SQL literal or a comment.
pub const QUOTED_PARAMETER: &str = "P0312";
/// A member of a variable that is JSON in one place and something else in another.
pub const NOT_ALWAYS_JSON: &str = "P0313";
/// A literal outside of the bounds that its variable was declared with.
pub const OUT_OF_RANGE: &str = "P0314";
/// A variable that may be other than true or false, where a condition belongs.
pub const NOT_BOOLEAN: &str = "P0315";
/// `Done` in an `assertion`.
pub const DONE_IN_ASSERTION: &str = "P0316";
/// `Done` in the block of an assertion.
pub const DONE_IN_BLOCK: &str = "P0317";
/// Opting out of escaping in an operator's file.
pub const RAW_IN_CUSTOMIZATION: &str = "P0320";
/// An assignment that nothing reads.
pub const NEVER_READ: &str = "P0321";
/// A statement that can never run.
pub const UNREACHABLE: &str = "P0322";
/// An input is overwritten before it is read.
pub const SHADOWED_INPUT: &str = "P0323";
/// An `AtLeastOne` without children: it always fails.
pub const EMPTY_GROUP: &str = "P0324";
/// A comparison whose result is known.
pub const CONSTANT_COMPARISON: &str = "P0325";
/// A call that names the connection of its file again.
pub const REPEATED_CONNECTION: &str = "P0326";
/// A loop's prefix is also the name of something else.
pub const LOOP_NAME_TAKEN: &str = "P0327";
/// An output and a `Stop`, where `fail` does both.
pub const FAIL_BY_HAND: &str = "P0330";
/// A code of `fail` for which the service's error answer has no words.
pub const UNKNOWN_CODE: &str = "P0332";
/// A variable that is true or false, compared with `true` or `false`.
pub const COMPARED_BOOLEAN: &str = "P0331";

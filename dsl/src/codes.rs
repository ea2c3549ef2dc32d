//! Every diagnostic code, in one place. A number keeps its meaning for ever: it is retired, never reused, so that a runbook can name it.
//!
//! `P01xx`: what the text says (syntax).

/// The file is larger than a policy file may be.
pub const FILE_TOO_LARGE: &str = "P0100";
/// Brackets, or a chain of operators, go deeper than anything an author would write.
pub const TOO_DEEP: &str = "P0101";
/// A bracket is opened and never closed.
pub const UNCLOSED: &str = "P0102";
/// A bracket is closed that was never opened.
pub const STRAY_CLOSER: &str = "P0103";
/// A text in quotes does not end on its line, or a `"""` text does not end at all.
pub const UNCLOSED_TEXT: &str = "P0104";
/// Text that fits nothing the language has.
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
/// An escape that texts do not have.
pub const UNKNOWN_ESCAPE: &str = "P0117";
/// A duration in an unknown unit.
pub const UNKNOWN_UNIT: &str = "P0118";
/// An unknown type.
pub const UNKNOWN_TYPE: &str = "P0119";
/// Something other than a variable between `${` and `}`.
pub const BAD_VARIABLE: &str = "P0120";
/// A number that does not fit.
pub const NUMBER_RANGE: &str = "P0121";
/// A value where a condition belongs.
pub const NOT_A_CONDITION: &str = "P0122";
/// A condition or an assertion where a value belongs.
pub const NOT_A_VALUE: &str = "P0123";
/// An argument without a name, with a name that it should not have, or with `=` for `:`.
pub const BAD_ARGUMENT: &str = "P0124";
/// A bare word where a value belongs.
pub const BARE_WORD: &str = "P0125";
/// An `else` of an `if` without braces, or a second one.
pub const BAD_ELSE: &str = "P0126";
/// A comma is missing between two things.
pub const MISSING_COMMA: &str = "P0127";
/// A member name in JSON without quotes.
pub const BARE_KEY: &str = "P0128";
/// A parameter that does not say `in` or `out`.
pub const MISSING_DIRECTION: &str = "P0129";
/// A declaration's clause that does not belong there, is missing, or comes twice.
pub const BAD_CLAUSE: &str = "P0130";
/// A word before a text that names no template syntax.
pub const UNKNOWN_SYNTAX: &str = "P0131";
/// A name that is empty or holds variables.
pub const BAD_NAME: &str = "P0132";
/// Bounds that no value can meet.
pub const BAD_BOUNDS: &str = "P0133";
/// A service path, or a method, that HTTP does not have.
pub const BAD_ROUTE: &str = "P0134";

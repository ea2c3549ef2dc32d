//! Explains text that the grammar does not accept: what the author probably meant.

use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::span::Span;
use crate::words::{Declaration, FOREIGN, PREDICATES, STATEMENTS};

/// Where the grammar stopped inside a text, and what it expected.
pub type Failure = (usize, Vec<&'static str>);

/// Explains a line that is not a statement.
pub fn statement(text: &str, failure: Option<Failure>, place: impl Fn(usize, usize) -> Span) -> Diagnostic {
    let word = first_word(text);
    let (at, expected) = failure.unwrap_or((0, Vec::new()));
    let lower = word.to_ascii_lowercase();
    let error =
        |code, message: String, from: usize, to: usize, help: &str| Diagnostic::error(code, message, place(from, to)).help(help);
    if word == "else" || lower == "else" {
        let help = "`else` follows a statement on its line or a closing brace";
        return error(codes::BAD_ELSE, "this `else` has nothing before it".to_owned(), 0, 4, help);
    }
    if matches!(lower.as_str(), "elseif" | "elsif" | "elif") {
        return error(codes::ELSEIF, format!("there is no `{word}`"), 0, word.len(), "write `} else if … {`");
    }
    if lower == "on" {
        return error(
            codes::UNKNOWN_STATEMENT,
            "`on error` without a `HandleErrors`".to_owned(),
            0,
            2,
            "put it directly after that block",
        );
    }
    let rest = text.get(at..).unwrap_or("");
    if matches!(lower.as_str(), "set" | "default") && rest.starts_with('=') && text[..at].ends_with(':') {
        return error(codes::WRONG_OPERATOR, "`:=` does not assign".to_owned(), at - 1, at + 1, "write `=`");
    }
    let ends_here = rest.trim().is_empty();
    if matches!(lower.as_str(), "set" | "default") && at > 0 && expected.contains(&"`=`") && rest.starts_with([':', '=']) {
        let sign = rest.split([' ', '"', '$']).next().unwrap_or("");
        return error(codes::WRONG_OPERATOR, format!("`{sign}` does not assign"), at, at + sign.len(), "write `=`");
    }
    if lower == "if" && expected.contains(&"`{`") && !expected.contains(&"a comparison") || (lower == "if" && ends_here) {
        let to = text.trim_end().len();
        return error(
            codes::UNEXPECTED,
            "this `if` has no block".to_owned(),
            0,
            to.min(2),
            "write `if … { … }`, the brace on the same line",
        );
    }
    if at == 0 && !matches!(lower.as_str(), "set" | "default" | "include" | "if" | "foreach" | "handleerrors" | "raise" | "fail")
    {
        return unexpected_token(text, 0, &[], place);
    }
    unexpected(text, if at == 0 { word.len() } else { at }, &expected, place)
}

/// Explains what follows a statement on its line, if it is a known mistake.
pub fn known_rest(stmt: &str, rest: &str, place: impl Fn(usize, usize) -> Span) -> Option<Diagnostic> {
    let word = first_word(rest);
    let stmt_word = first_word(stmt);
    let is_value = stmt.starts_with("${")
        || stmt.ends_with(['}', ')', '"']) && !matches!(stmt_word, "set" | "default" | "include" | "All" | "AtLeastOne");
    let error = |code, message: String, to: usize, help: String| Some(Diagnostic::error(code, message, place(0, to)).help(help));
    if word == "is" && is_value {
        let help = "values are compared with `==` and `!=`; `is` goes with `empty` and `not empty`".to_owned();
        return error(codes::WRONG_OPERATOR, "`is` does not compare values".to_owned(), 2, help);
    }
    if matches!(word, "starts" | "ends") && is_value {
        return error(codes::WRONG_OPERATOR, format!("`{word}` lacks `with`"), word.len(), format!("write `{word} with …`"));
    }
    if word == "else" {
        return error(
            codes::BAD_ELSE,
            "this `else` has nothing after it".to_owned(),
            4,
            "write a statement or a block after it".to_owned(),
        );
    }
    if matches!(word, "equals" | "eq" | "equal") && is_value {
        return error(codes::WRONG_OPERATOR, format!("there is no comparison `{word}`"), word.len(), "write `==`".to_owned());
    }
    if !word.is_empty() && is_value && !word.starts_with(|c: char| c.is_ascii_uppercase()) {
        if PREDICATES.contains(&word) {
            return error(
                codes::WRONG_OPERATOR,
                format!("`{word}` has nothing to compare with"),
                word.len(),
                predicate_help(word),
            );
        }
        let help = match nearest(word, PREDICATES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "comparisons are `==`, `is empty`, `contains`, `in`, `matches`, `starts with`, `ends with`, `length`, `count`"
                    .to_owned()
            }
        };
        return error(codes::WRONG_OPERATOR, format!("there is no comparison `{word}`"), word.len(), help);
    }
    None
}

fn predicate_help(word: &str) -> String {
    match word {
        "length" | "count" => format!("write `{word} 1..10`, `{word} 1..` or `{word} 5`"),
        "as" => "write a type after it: `as int`".to_owned(),
        "ignoring" => "write `ignoring case`".to_owned(),
        _ => format!("write a value after `{word}`"),
    }
}

/// What to write instead of a statement word of other languages.
pub fn foreign_word(word: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(words, _)| words.contains(&word)).map(|(_, help)| *help)
}

/// Explains what follows a statement on its line.
pub fn rest(rest: &str, place: impl Fn(usize, usize) -> Span) -> Diagnostic {
    let token = token(rest, 0);
    if matches!(token, "+" | "-" | "*" | "/" | "%") {
        let message = format!("`{token}` has nothing on its right side");
        return Diagnostic::error(codes::UNEXPECTED, message, place(0, token.len())).help("write a value after it");
    }
    let message = format!("`{token}` does not belong to this statement");
    let help = "a statement ends with its line or with `;`";
    Diagnostic::error(codes::UNEXPECTED, message, place(0, token.len())).help(help)
}

/// Explains text between declarations.
pub fn declaration(text: &str, failure: Option<Failure>, place: impl Fn(usize, usize) -> Span) -> Diagnostic {
    let word = first_word(text);
    let kinds = Declaration::KEYWORDS;
    let is_kind = kinds.contains(&word);
    let called = !word.is_empty() && text[word.len()..].trim_start().starts_with(['(', '=']);
    if !is_kind && (STATEMENTS.contains(&word) || called || text.starts_with(['"', '$'])) {
        let token = token(text, 0);
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, "a statement must be inside a declaration", place(0, token.len()));
        return diagnostic.help("put it into a `fragment \"…\" { }`, or `customize \"…\" { }` in a customization");
    }
    match failure {
        Some((at, expected)) if is_kind => unexpected(text, if at == 0 { word.len() } else { at }, &expected, place),
        _ => {
            let token = token(text, 0);
            let help = match nearest(word, kinds) {
                Some(near) if !word.is_empty() => format!("did you mean `{near}`?"),
                _ => Declaration::listed(),
            };
            Diagnostic::error(codes::UNKNOWN_DECLARATION, format!("there is no declaration `{token}`"), place(0, token.len()))
                .help(help)
        }
    }
}

/// What the grammar found at `at`, and what it expected.
pub fn unexpected(text: &str, at: usize, expected: &[&str], place: impl Fn(usize, usize) -> Span) -> Diagnostic {
    let skipped = text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r']).len();
    unexpected_token(text, at + skipped, expected, place)
}

fn unexpected_token(text: &str, at: usize, expected: &[&str], place: impl Fn(usize, usize) -> Span) -> Diagnostic {
    let token = token(text, at);
    let expected = match expected {
        [] => String::new(),
        [one] => format!("expected {one}"),
        [first @ .., last] => format!("expected {} or {last}", first.join(", ")),
    };
    if token.is_empty() {
        let to = text[..at.min(text.len())].trim_end().len();
        let from = to - text[..to].chars().next_back().map_or(0, char::len_utf8);
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, "something is missing after this", place(from, to));
        return diagnostic.help(if expected.is_empty() { "the statement ends too early".to_owned() } else { expected });
    }
    let diagnostic = Diagnostic::error(codes::UNEXPECTED, format!("`{token}` does not fit here"), place(at, at + token.len()));
    diagnostic.help(if expected.is_empty() { "this is not a statement of the language".to_owned() } else { expected })
}

/// The word at the start of a text.
fn first_word(text: &str) -> &str {
    &text[..text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()]
}

/// The word, quoted text or sign at an offset; nothing at a line's end.
fn token(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    let word = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')).count();
    if word > 0 {
        return &rest[..word];
    }
    if rest.starts_with("${") {
        return &rest[..rest.find(['}', '\n']).map_or(2, |end| end + 1)];
    }
    if let Some(inner) = rest.strip_prefix('"') {
        return &rest[..inner.find(['"', '\n']).map_or(1, |end| end + 2)];
    }
    let signs = rest.bytes().take_while(|b| matches!(b, b'=' | b'&' | b'|' | b'<' | b'>' | b'!' | b'+' | b'*' | b':')).count();
    if signs > 0 {
        return &rest[..signs];
    }
    match rest.chars().next() {
        Some(c) if c != '\n' => &rest[..c.len_utf8()],
        _ => "",
    }
}

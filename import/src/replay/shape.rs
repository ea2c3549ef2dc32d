//! Values by their shape: what differs by nature, and what is not shown.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Shortest text that is taken for a token.
const TOKEN: usize = 16;
/// Shortest value of a name in `NAMES` that is taken for one.
const NAMED: usize = 8;
/// Names of values that are made anew each time, and that nobody else may see.
const NAMES: [&str; 22] = [
    "access_token",
    "refresh_token",
    "id_token",
    "id_token_hint",
    "token",
    "code",
    "code_verifier",
    "device_code",
    "user_code",
    "client_secret",
    "client_assertion",
    "assertion",
    "secret",
    "session",
    "sessionid",
    "sessiondata",
    "session_state",
    "csrf",
    "jti",
    "sid",
    "api_key",
    "apikey",
];
/// Names of values that are not shown, but are no different each time.
const SECRET: [&str; 9] = ["password", "passwd", "pwd", "authorization", "cookie", "bearer", "basic", "nonce", "x-api-key"];
/// Names of keys, which each gateway names and numbers as it likes.
const KEYS: [&str; 3] = ["kid", "x5t", "x5t#S256"];
/// Names of lifetimes: what is left of them depends on the moment.
const LIFETIMES: [&str; 4] = ["expires_in", "max-age", "age", "expires"];
/// Seconds by which two lifetimes may differ because of the moment.
const MOMENT: f64 = 30.0;

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Jwt,
    Uuid,
    Date,
    Token,
}

fn is_one(names: &[&str], name: &str) -> bool {
    names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The shape of a whole value.
pub(super) fn shape(text: &str) -> Option<Shape> {
    if jwt(text).is_some() {
        return Some(Shape::Jwt);
    }
    if text.len() == 36 && fits(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
        return Some(Shape::Uuid);
    }
    let date = fits(text, "9999-99-99") && (text.len() == 10 || fits(text, "9999-99-99T99:99") || fits(text, "9999-99-99 99:99"));
    let clock = text.len() <= 12 && fits(text, "99:99");
    let words: Vec<&str> = text.split(' ').collect();
    let http = matches!(words.as_slice(), [day, _, _, _, time, "GMT" | "gmt"] if day.ends_with(',') && fits(time, "99:99:99"));
    if date || clock || http || text.parse().is_ok_and(is_moment) {
        return Some(Shape::Date);
    }
    is_token(text).then_some(Shape::Token)
}

/// Whether a text begins like a pattern: `9` is a digit, `x` a hexadecimal one.
fn fits(text: &str, pattern: &str) -> bool {
    text.len() >= pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(own, wanted)| match wanted {
            b'9' => own.is_ascii_digit(),
            b'x' => own.is_ascii_hexdigit(),
            wanted => own == wanted,
        })
}

/// Seconds or milliseconds since 1970, between 2001 and 2100.
pub(super) fn is_moment(number: f64) -> bool {
    (1e9..4.2e9).contains(&number) || (1e12..4.2e12).contains(&number)
}

/// Random texts change between letters and digits, and between large and small letters, far more often than words do.
fn is_token(text: &str) -> bool {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let own = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/=".contains(&byte);
    if text.len() < TOKEN || text.starts_with('/') || !text.bytes().all(own) || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let kinds: Vec<u8> = text.bytes().map(kind).filter(|kind| *kind < 3).collect();
    let changes = kinds.iter().zip(kinds.iter().skip(1)).filter(|(one, next)| one != next).count();
    changes * 6 >= kinds.len() && kinds.len() * 4 >= text.len() * 3
}

/// The header and the claims of a JWT; of an encrypted one the header alone.
pub(super) fn jwt(text: &str) -> Option<(Value, Value)> {
    let parts: Vec<&str> = text.split('.').collect();
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    match parts.as_slice() {
        [header, claims, _] => Some((json(header).filter(Value::is_object)?, json(claims).filter(Value::is_object)?)),
        [header, _, _, _, _] => Some((json(header).filter(Value::is_object)?, Value::Null)),
        _ => None,
    }
}

/// Whether two numbers differ only because of the moment.
pub(super) fn same_but_for_the_moment(name: &str, left: f64, right: f64) -> bool {
    (is_moment(left) && is_moment(right)) || (is_one(&LIFETIMES, name) && (left - right).abs() <= MOMENT)
}

/// If two texts differ only by nature: the values that do, those that later requests may carry.
pub(super) fn natural(name: &str, left: &str, right: &str) -> Option<Vec<(String, String)>> {
    let carried = || Some(vec![(left.to_owned(), right.to_owned())]);
    match (shape(left), shape(right)) {
        (Some(Shape::Date), Some(Shape::Date)) => return Some(Vec::new()),
        (Some(one), Some(other)) if one == other => return carried(),
        // A token that tells something, and one that does not, are different things.
        (Some(Shape::Jwt), _) | (_, Some(Shape::Jwt)) => return None,
        _ if is_one(&NAMES, name) && left.len() >= NAMED && right.len() >= NAMED => return carried(),
        _ if is_one(&KEYS, name) => return Some(Vec::new()),
        _ => {}
    }
    if let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>()) {
        return same_but_for_the_moment(name, left, right).then(Vec::new);
    }
    by_words(left, right)
}

/// The same for texts that contain such values.
fn by_words(left: &str, right: &str) -> Option<Vec<(String, String)>> {
    let (left, right) = (pieces(left), pieces(right));
    if left.len() != right.len() || left.len() < 2 {
        return None;
    }
    let (mut values, mut name) = (Vec::new(), "");
    for ((one, is_word), (other, _)) in left.iter().zip(&right) {
        if one != other {
            if !is_word {
                return None;
            }
            match (shape(one), shape(other)) {
                (Some(Shape::Date), Some(Shape::Date)) => {}
                (Some(own), Some(others)) if own == others => values.push(((*one).to_owned(), (*other).to_owned())),
                (None, None) if is_one(&NAMES, name) && one.len() >= NAMED && other.len() >= NAMED => {
                    values.push(((*one).to_owned(), (*other).to_owned()));
                }
                _ => return None,
            }
        }
        if *is_word {
            name = one;
        }
    }
    Some(values)
}

/// A text cut into words and what is between them. A colon between digits belongs to a time.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let in_word = |at: usize, byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-_.~+".contains(&byte)
            || byte >= 0x80
            || (byte == b':' && digit(at.checked_sub(1)) && digit(Some(at + 1)))
    };
    let mut pieces = Vec::new();
    let (mut begin, mut before) = (0, None);
    for (at, byte) in text.bytes().enumerate() {
        let now = in_word(at, byte);
        if let Some(before) = before
            && before != now
        {
            pieces.push((text.get(begin..at).unwrap_or(""), before));
            begin = at;
        }
        before = Some(now);
    }
    if let Some(before) = before {
        pieces.push((text.get(begin..).unwrap_or(""), before));
    }
    pieces
}

/// A text as reports show it: without tokens, passwords and the like.
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The name before a value, and what stands between them.
    let (mut name, mut between) = ("", "");
    for (piece, is_word) in pieces(text) {
        if !is_word {
            out.push_str(piece);
            between = piece;
            continue;
        }
        out.push_str(if hidden_shape(piece) || (belongs(name, between) && hides(name, piece)) { "***" } else { piece });
        name = piece;
    }
    out
}

/// Whether a value may belong to the name before it. After a blank alone only credentials do: `token is` is prose.
fn belongs(name: &str, between: &str) -> bool {
    let blank = between.trim().is_empty() && !between.contains('\n');
    let joined = between.len() <= 5 && between.contains(['=', ':', '>', '%']) && !between.contains(['&', ';', ',', '\n']);
    joined || (blank && is_one(&["bearer", "basic"], name))
}

fn hides(name: &str, value: &str) -> bool {
    /// Parameters of a challenge.
    const CHALLENGE: [&str; 4] = ["realm", "error", "error_description", "scope"];
    is_secret(name) && !is_secret(value) && !is_one(&CHALLENGE, value)
}

/// Whether a name is that of a value that is not shown.
fn is_secret(name: &str) -> bool {
    is_one(&NAMES, name) || is_one(&SECRET, name)
}

fn hidden_shape(text: &str) -> bool {
    matches!(shape(text), Some(Shape::Jwt | Shape::Token | Shape::Uuid))
}

/// The value of a name, as reports show it.
pub(super) fn shown(name: &str, value: &str) -> String {
    /// Longest value that is shown whole.
    const LONG: usize = 160;
    let text = if !value.is_empty() && is_secret(name) {
        "***".to_owned()
    } else if hidden_shape(value) {
        match shape(value) {
            Some(Shape::Jwt) => "a JWT".to_owned(),
            Some(Shape::Uuid) => "a UUID".to_owned(),
            _ => format!("a token of {} characters", value.len()),
        }
    } else {
        mask(value)
    };
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text,
    }
}

/// Path and query, as reports show them.
pub fn mask_target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return mask(target) };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret(name) => format!("{name}=***"),
        Some((name, value)) => format!("{name}={}", mask(value)),
        None => mask(pair),
    };
    format!("{}?{}", mask(path), query.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

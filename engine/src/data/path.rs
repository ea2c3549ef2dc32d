//! The path of a request: which forms are accepted, and how a less strict server might read it.
//!
//! Paths have two readers: the gateway, which finds the service and so decides what the client must prove, and the backend, which
//! finds the resource. Both must read the same. So a path is never rewritten on its way. A path that servers read differently is
//! refused, or accepted only if the service says `paths raw`. A path that other servers could mistake for that of another service
//! is refused, too ([`folded`]).

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::data::encoding::{all_bytes, percent_decode, percent_escape};

/// A path that is escaped more often than this is treated as an attempt to hide something.
const MAX_DEPTH: usize = 4;

/// An acceptable path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All servers read it alike.
    Plain,
    /// Servers read it differently, for this reason: only `paths raw` accepts it.
    Unusual(&'static str),
}

/// The form of a path (RFC 3986, sections 3.3 and 6.2.2). An error says why no service accepts it.
pub fn form(path: &str) -> Result<Form, &'static str> {
    // `OPTIONS *` belongs to no service.
    if path == "*" {
        return Ok(Form::Plain);
    }
    if !path.starts_with('/') {
        return Err("the path does not begin with `/`");
    }
    let simple = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'/' | b'-' | b'_' | b'~');
    if all_bytes(path.as_bytes(), simple) {
        return Ok(if has_empty_segment(path) { Form::Unusual(EMPTY) } else { Form::Plain });
    }
    if path.bytes().any(|byte| byte.is_ascii_control() || byte == b' ' || !byte.is_ascii()) {
        return Err("the path contains a character that must be escaped");
    }
    let decoded = decoded(path)?;
    if segments(&decoded).any(is_dots) {
        return Err("the path has a segment of dots");
    }
    Ok(unusual(path).map_or(Form::Plain, Form::Unusual))
}

fn has_empty_segment(path: &str) -> bool {
    path.as_bytes().windows(2).any(|pair| pair == b"//")
}

const EMPTY: &str = "the path has an empty segment";

/// The first thing that servers read differently. The escapes are known to be well-formed.
fn unusual(path: &str) -> Option<&'static str> {
    let bytes = path.as_bytes();
    if has_empty_segment(path) {
        return Some(EMPTY);
    }
    bytes.iter().enumerate().find_map(|(at, byte)| match byte {
        b'\\' => Some("the path has a `\\`"),
        b';' => Some("the path has a `;`"),
        b'%' => match percent_escape(bytes.get(at..)?)? {
            (b'/' | b'\\', _) => Some("the path has an escaped `/` or `\\`"),
            (byte, _) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                Some("the path escapes a character that needs no escape")
            }
            (b'%', [high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Some("the path is escaped twice"),
            _ => None,
        },
        _ => None,
    })
}

/// Decodes all escapes, including those that appear after decoding.
fn decoded(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    if percent_decode(path).is_none() {
        return Err("the path has a `%` that begins no escape");
    }
    let mut text = path.to_owned();
    for _ in 0..MAX_DEPTH {
        // The decoded text may contain a `%` that stands for itself.
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(&text).collect();
        let next = String::from_utf8(bytes).map_err(|_| "the path has escapes that are not UTF-8")?;
        if next.contains(char::is_control) {
            return Err("the path has an escaped control character");
        }
        if next == text {
            return Ok(Cow::Owned(text));
        }
        text = next;
    }
    Err("the path is escaped too often")
}

/// Segments as the least strict server splits a path.
fn segments(decoded: &str) -> impl Iterator<Item = Cow<'_, str>> {
    // Some servers treat look-alikes as equal, such as `／` and `．` (NFKC), and ignore invisible characters.
    let plain = if decoded.is_ascii() {
        Cow::Borrowed(decoded)
    } else {
        Cow::Owned(decoded.nfkc().filter(|c| !is_invisible(*c)).collect::<String>())
    };
    let cut = |segment: &str| segment.split([';', '?', '#']).next().unwrap_or("").trim().to_owned();
    let divided: Vec<String> = plain.split(['/', '\\']).map(cut).collect();
    divided.into_iter().map(Cow::Owned)
}

fn is_dots(segment: Cow<'_, str>) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte == b'.')
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// The path as the least strict server compares it: escapes decoded, case folded, without empty segments, parameters of segments
/// (`;x=1`), blanks and dots at their ends, and a `/` at the end. Two paths with the same result may be the same resource. Only
/// for comparison; the result is never sent. A path that [`form`] refuses folds to something that no service has.
pub fn folded(path: &str) -> Cow<'_, str> {
    let simple = |byte: u8| byte.is_ascii_lowercase() | byte.is_ascii_digit() | matches!(byte, b'/' | b'-' | b'_' | b'~');
    if all_bytes(path.as_bytes(), simple) && !has_empty_segment(path) {
        return Cow::Borrowed(path.strip_suffix('/').unwrap_or(path));
    }
    let Ok(decoded) = decoded(path) else { return Cow::Borrowed("\0") };
    let mut folded = String::with_capacity(decoded.len());
    for segment in segments(&decoded) {
        let segment = segment.trim_end_matches(['.', ' ']);
        if !segment.is_empty() {
            folded.push('/');
            // Via upper case, where `ſ` is an `S` and `ı` an `I`.
            folded.extend(segment.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
        }
    }
    Cow::Owned(folded)
}

/// The prefixes of a folded path that end with a segment, including the whole path, longest first.
pub fn beginnings(folded: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folded), |path| path.rfind('/').map(|at| &path[..at]))
}

/// The same path with escapes in upper case, which mean the same (RFC 3986, section 6.2.2.1).
pub fn upper_escapes(path: &str) -> Cow<'_, str> {
    if !path.as_bytes().contains(&b'%')
        || !path.split('%').skip(1).any(|escape| escape.bytes().take(2).any(|digit| digit.is_ascii_lowercase()))
    {
        return Cow::Borrowed(path);
    }
    let mut digits = 0;
    let upper = |c: char| {
        digits = if c == '%' { 2 } else { i32::max(digits - 1, -1) };
        if digits >= 0 { c.to_ascii_uppercase() } else { c }
    };
    Cow::Owned(path.chars().map(upper).collect())
}

/// Whether a path made by a policy contains `..` and so leads elsewhere than the policy meant. Escapes are decoded first.
pub fn leads_up(path: &str) -> bool {
    decoded(path).is_ok_and(|decoded| segments(&decoded).any(is_dots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_all_servers_read_alike_are_plain() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/A-b_c~d.e/f.g",
            "/.well-known/x",
            "/a/..b/c..",
            "/a:b@c,d=e+f!g$h&i'j(k)l*m",
            "/caf%C3%A9",
            "/caf%c3%a9",
            "/a%20b",
            "/a%2Bb",
            "/a%40b",
            "/a%3Bb",
            "/100%25",
            "/100%25/x",
            "/a|b[c]",
            "*",
        ] {
            assert_eq!(form(path), Ok(Form::Plain), "{path}");
        }
        for path in [
            "//", "//a", "/a//b", "/a//", "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a;b", "/a;b=c/d", "/%61", "/a%2eb", "/a%2Db",
            "/a%5F", "/a%7E", "/%30", "/a%2561b", "/a%252fb", "/a;/b",
        ] {
            assert!(matches!(form(path), Ok(Form::Unusual(_))), "{path}: {:?}", form(path));
        }
        for path in [
            "",
            "a",
            "http://x/a",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a/...",
            "/a/%2e/b",
            "/a/%2E%2e/b",
            "/a/.%2e/b",
            "/a/..%2fb",
            "/a/..%5cb",
            "/a/..\\b",
            "/a\\..\\b",
            "/a/..;/b",
            "/a/..;x=y/b",
            "/a/.;/b",
            "/a/..%3b/b",
            "/a/%252e%252e/b",
            "/a/%25252e%2e/b",
            "/a/..%252fb",
            "/a%2f..%2fb",
            "/a/..%20/b",
            "/a/%20../b",
            "/a/..%3f/b",
            "/a%00",
            "/a%0a",
            "/a%0d%0aB",
            "/a%7f",
            "/a%1f",
            "/a%2500",
            "/a%c2%80",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%u0061",
            "/a%ff",
            "/a%c0%ae",
            "/a/%c0%ae%c0%ae/b",
            "/a%c0%afb",
            "/a%e0%80%af",
            "/a%ed%a0%80",
            "/caf\u{e9}",
            "/a b",
            "/a\0",
            "/a/%ef%bc%8e%ef%bc%8e/b",
            "/a/..%ef%bc%8fb",
            "/a/.%e2%80%8b./b",
            "/a/%e2%80%a5/b",
            "/a%2525252525252561",
        ] {
            assert!(form(path).is_err(), "{path}: {:?}", form(path));
        }
    }

    #[test]
    fn what_servers_may_take_for_the_same_folds_to_the_same() {
        for path in [
            "/app/admin/x",
            "/App/ADMIN/X",
            "/app//admin/x",
            "/app/admin/x/",
            "/app/admin./x",
            "/app/admin%20/x",
            "/app/admin;v=1/x",
            "/app/%61dmin/x",
            "/app/admin%2fx",
            "/app\\admin\\x",
            "/app/%2561dmin/x",
            "/app/admin/x.",
            "/app/admin/x%3fy",
            "/app/%ef%bd%81dmin/x",
            "/app/ad%c2%admin/x",
            "/app/adm%c4%b1n/x",
            "/app/;/admin/x",
            "//app/admin/x",
        ] {
            assert_eq!(folded(path), "/app/admin/x", "{path}");
        }
        for path in ["/app/admin", "/app/admi/x", "/appadmin/x", "/app/admin/xy"] {
            assert_ne!(folded(path), "/app/admin/x", "{path}");
        }
        assert_eq!(folded("/"), "");
        assert_eq!(beginnings("/a/b").collect::<Vec<_>>(), ["/a/b", "/a", ""]);
    }

    #[test]
    fn escapes_are_written_in_one_way() {
        for (path, upper) in [
            ("/a%c3%a9b", "/a%C3%A9b"),
            ("/a%C3%a9", "/a%C3%A9"),
            ("/abc", "/abc"),
            ("/%2b/abc", "/%2B/abc"),
            ("/a%", "/a%"),
            ("/a%2", "/a%2"),
        ] {
            assert_eq!(upper_escapes(path), upper);
        }
    }

    #[test]
    fn a_path_that_leads_up_is_seen() {
        for path in ["/a/../b", "/a/..%2Fb", "/a/%2e%2e", "/a/x%5C..%5Cy", "/a/%252e%252e/b"] {
            assert!(leads_up(path), "{path}");
        }
        for path in ["/a//b", "/a/..b", "/a%2Fb", "/a%5Cb", "/a;b", "/%ff"] {
            assert!(!leads_up(path), "{path}");
        }
    }
}

//! Addresses in pages. However a value got into a variable, it must not be an address that a browser runs (`javascript:`) or
//! shows as a page of this site (`data:`).

use portcullis_dsl::AddressPlace;

use crate::data::value::Value;

/// Replaces a refused address and leads nowhere (CSS Values and Units Level 4, section 4.5.4).
pub(super) const NOWHERE: &str = "about:invalid";

/// Schemes that run their content, show it as a page, or reach into the reader's machine.
const REFUSED: &[&str] =
    &["javascript", "vbscript", "livescript", "mocha", "data", "blob", "filesystem", "view-source", "jar", "file"];

/// `data:` may only contain pictures, which run nothing.
const PICTURES: &[&str] = &["png", "gif", "jpeg", "webp", "avif", "x-icon", "vnd.microsoft.icon"];
/// A picture that is also a document: shown as a page, its scripts would run.
const VECTOR: &str = "svg+xml";

/// Whether a value is allowed in a place.
pub(crate) fn is_harmless(value: &Value, place: AddressPlace) -> bool {
    value.values().iter().all(|value| {
        let text = value.as_text();
        // Markup is not escaped again, so a browser still decodes its entities.
        let text = if matches!(value, Value::Markup(..)) { unescape(&text) } else { text.into_owned() };
        match place {
            AddressPlace::Whole => is_harmless_address(&text, false),
            AddressPlace::Picture => is_harmless_address(&text, true),
            // `3; url=…`: only the browser's own parser knows for certain where the address begins.
            AddressPlace::Refresh => {
                let text = bare(&text);
                !REFUSED.iter().any(|scheme| text.match_indices(scheme).any(|(at, _)| text[at + scheme.len()..].starts_with(':')))
            }
        }
    })
}

fn is_harmless_address(text: &str, picture: bool) -> bool {
    let text = bare(text);
    let Some((scheme, rest)) = text.split_once(':') else { return true };
    if scheme == "data" {
        let kind = rest.strip_prefix("image/").and_then(|kind| kind.split([';', ',']).next());
        return kind.is_some_and(|kind| PICTURES.contains(&kind) || picture && kind == VECTOR);
    }
    // One scheme may contain another: `view-source:javascript:…`; the outer one is on the list.
    !REFUSED.contains(&scheme)
}

/// In lower case, without the characters that URL parsers remove (URL Standard, section 4.4: tabs and line breaks anywhere,
/// blanks and control characters in front), and without invisible characters.
fn bare(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}')
    };
    text.chars().filter(|c| !unseen(*c)).flat_map(char::to_lowercase).collect()
}

/// Decodes character references as in an attribute. An unknown name becomes `:`, so that it cannot hide one.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (found, left) = reference(after);
        out.push(found);
        rest = left;
    }
    out.push_str(rest);
    out
}

/// The character of a reference after `&`, and the text after it.
fn reference(text: &str) -> (char, &str) {
    let end_of = |start: usize, part: fn(char) -> bool| {
        let end = text[start..].find(|c| !part(c)).map_or(text.len(), |end| start + end);
        (&text[start..end], text[end..].strip_prefix(';').unwrap_or(&text[end..]))
    };
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    if let Some(tail) = text.strip_prefix('#') {
        let (digits, left, radix) = if tail.starts_with(['x', 'X']) {
            let (digits, left) = end_of(2, |c| c.is_ascii_hexdigit());
            (digits, left, 16)
        } else {
            let (digits, left) = end_of(1, |c| c.is_ascii_digit());
            (digits, left, 10)
        };
        return (number(digits, radix), left);
    }
    let (name, left) = end_of(0, |c| c.is_ascii_alphanumeric());
    let found = match name {
        // What the gateway's own escaping produces, and a bare `&` of a query.
        "amp" | "" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "Tab" | "NewLine" | "ZeroWidthSpace" | "nbsp" | "shy" => '\t',
        "sol" => '/',
        _ if !left.is_empty() && !text[name.len()..].starts_with(';') => return ('&', text),
        _ => ':',
    };
    (found, left)
}

#[cfg(test)]
mod tests {
    use portcullis_dsl::ast::Syntax;

    use super::*;

    #[test]
    fn what_a_browser_would_run_is_told_from_what_it_follows() {
        for text in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " \t\njavascript:alert(1)",
            "\u{1}javascript:alert(1)",
            "java\nscript:alert(1)",
            "java\tscript\r:alert(1)",
            "\u{feff}javascript:alert(1)",
            "java\0script:alert(1)",
            "javascript :alert(1)",
            "vbscript:msgbox(1)",
            "data:text/html,<script>alert(1)</script>",
            "data:,x",
            "data:image/svg+xml,<svg onload=alert(1)>",
            "data:text/html;image/png,x",
            "DATA:text/html;base64,PHN2Zz4=",
            "view-source:javascript:alert(1)",
            "blob:https://x/1",
            "file:///etc/passwd",
        ] {
            assert!(!is_harmless(&Value::from(text), AddressPlace::Whole), "{text}");
            assert!(!is_harmless(&Value::list([Value::from("/a"), Value::from(text)]), AddressPlace::Whole), "{text}");
        }
        for text in [
            "",
            "/a/b?x=javascript:1",
            "https://app.example/cb?x=1&y=2#z",
            "//host/x",
            "com.example.app:/cb",
            "mailto:a@b.example",
            "data:image/png;base64,iVBORw0KGgo=",
            "?a:b",
            "javascript",
            "x-javascript:1",
            "&#106;avascript:alert(1)",
        ] {
            assert!(is_harmless(&Value::from(text), AddressPlace::Whole), "{text}");
        }
    }

    #[test]
    fn a_picture_may_be_an_svg_where_it_is_only_shown() {
        let logo = Value::from("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E");
        assert!(is_harmless(&logo, AddressPlace::Picture));
        assert!(!is_harmless(&logo, AddressPlace::Whole));
        for text in ["javascript:alert(1)", "data:text/html,x", "data:image/svg+xmlx,x", "data:text/html;image/svg+xml,x"] {
            assert!(!is_harmless(&Value::from(text), AddressPlace::Picture), "{text}");
        }
    }

    #[test]
    fn entities_in_markup_hide_nothing() {
        for text in [
            "&#106;avascript:alert(1)",
            "&#x6A;avascript&colon;alert(1)",
            "&#0000106avascript:alert(1)",
            "java&Tab;script:alert(1)",
            "java&NewLine;script&#58;alert(1)",
            "javascript&#x3a;alert(1)",
            "javascript&colon;alert(1)",
            "data&colon;text/html,x",
        ] {
            assert!(!is_harmless(&Value::Markup(Syntax::Html, text.into()), AddressPlace::Whole), "{text}");
        }
        for text in ["/a?b=1&amp;c=2", "/a?b=1&c=2", "https://a.example/?x=1&copy=2"] {
            assert!(is_harmless(&Value::Markup(Syntax::Html, text.into()), AddressPlace::Whole), "{text}");
        }
    }

    #[test]
    fn a_refresh_leads_to_no_script() {
        for text in [
            "0;url=javascript:alert(1)",
            "0; URL='JAVA\nSCRIPT:alert(1)'",
            "0;javascript:1",
            "0,data:text/html,x",
            "javascript:1",
        ] {
            assert!(!is_harmless(&Value::from(text), AddressPlace::Refresh), "{text}");
        }
        for text in ["0; url=/next", "5", "A page about JavaScript", "https://app.example/"] {
            assert!(is_harmless(&Value::from(text), AddressPlace::Refresh), "{text}");
        }
    }
}

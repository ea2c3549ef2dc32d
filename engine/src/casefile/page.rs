//! What a browser would submit from a page: names and values of the form's fields, and the form's target.

/// Fields of a page's forms (inputs and buttons), by name, and the first form's action.
pub(super) fn fields(html: &str) -> (Vec<(String, String)>, Option<String>) {
    let (mut fields, mut action) = (Vec::new(), None);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("").to_ascii_lowercase();
        if !matches!(name.as_str(), "input" | "button" | "form") {
            continue;
        }
        let attributes;
        (attributes, rest) = self::attributes(&rest[name.len()..]);
        let get = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        if name == "form" {
            action = action.or_else(|| get("action"));
        } else if let Some(field) = get("name") {
            fields.push((field, get("value").unwrap_or_default()));
        }
    }
    (fields, action)
}

/// Attributes up to `>`, and the rest.
fn attributes(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') {
            return (found, rest);
        }
        let (name, after) = cut(rest, |c| c.is_ascii_whitespace() || matches!(c, '=' | '>'));
        let (value, after) = match after.strip_prefix('=') {
            None => ("", after),
            Some(after) => match after.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let (value, after) = cut(&after[1..], |c| c == quote);
                    (value, after.strip_prefix(quote).unwrap_or(after))
                }
                _ => cut(after, |c| c.is_ascii_whitespace() || c == '>'),
            },
        };
        found.push((name.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
}

/// The text before the first character that ends it, and the rest.
fn cut(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// The character references that the templates write, and decimal and hexadecimal ones.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').unwrap_or(0);
        let name = rest.get(1..end).unwrap_or("");
        let c = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => {
                let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok(),
                    None => number.parse().ok(),
                });
                number.and_then(char::from_u32)
            }
        };
        match c {
            Some(c) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

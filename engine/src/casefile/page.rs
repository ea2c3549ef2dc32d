//! What a browser would send back of a page: names and values of its form's fields, and where the form goes.

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
        let (attributes, end) = attributes(&rest[name.len()..]);
        rest = &rest[name.len() + end..];
        let get = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        if name == "form" {
            action = action.or_else(|| get("action"));
        } else if let Some(field) = get("name") {
            fields.push((field, get("value").unwrap_or_default()));
        }
    }
    (fields, action)
}

/// Attributes up to `>`, and where that is.
fn attributes(text: &str) -> (Vec<(String, String)>, usize) {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b'>' {
        if bytes[at].is_ascii_whitespace() || bytes[at] == b'/' {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && !bytes[at].is_ascii_whitespace() && !b"=>".contains(&bytes[at]) {
            at += 1;
        }
        let name = text[start..at].to_ascii_lowercase();
        let mut value = "";
        if bytes.get(at) == Some(&b'=') {
            at += 1;
            let quote = bytes.get(at).copied().filter(|byte| b"\"'".contains(byte));
            let start = at + usize::from(quote.is_some());
            at = start;
            let ends = |byte: u8| quote.map_or(byte.is_ascii_whitespace() || byte == b'>', |quote| byte == quote);
            while at < bytes.len() && !ends(bytes[at]) {
                at += 1;
            }
            value = &text[start..at];
            at += usize::from(quote.is_some());
        }
        found.push((name, unescape(value)));
    }
    (found, at.min(text.len()))
}

/// The references that our templates write, and decimal and hexadecimal ones.
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

//! Limits of a document, counted in one pass over its text before anything is built: the parser compares each attribute of an
//! element with all others, and copies the namespaces in scope.
//!
//! The pass reads tags like the parser as long as the text is well-formed. The parser stops at the first place where it is not,
//! so it sees nothing that was not counted.

/// Bytes of a document.
pub const MAX_BYTES: usize = 4 << 20;
/// Elements, comments, processing instructions and texts together.
pub const MAX_NODES: u32 = 200_000;
/// Nesting of elements; walks over the tree may then use recursion.
pub const MAX_DEPTH: usize = 256;
/// Attributes of one element, declarations of namespaces among them.
pub const MAX_ATTRIBUTES: usize = 256;
/// Namespaces that are in scope at one element.
pub const MAX_NAMESPACES: usize = 64;
/// Declarations of namespaces in a document.
pub const MAX_DECLARATIONS: usize = 4096;

/// Whether a document is within the limits; the error names the exceeded one.
pub fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err("the document is longer than 4 MiB");
    }
    let bytes = text.as_bytes();
    // Namespaces declared by each open element.
    let mut open: Vec<usize> = Vec::new();
    let (mut in_scope, mut declarations) = (0, 0);
    let mut at = 0;
    while let Some(start) = find(bytes, at, b"<")
        && let Some(rest) = bytes.get(start..)
    {
        at = if rest.starts_with(b"<!--") {
            after(bytes, start + 4, b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            after(bytes, start + 9, b"]]>")
        } else if rest.starts_with(b"<?") {
            after(bytes, start + 2, b"?>")
        } else if rest.starts_with(b"<!") {
            return Err("the document has a document type");
        } else if rest.starts_with(b"</") {
            in_scope -= open.pop().unwrap_or(0);
            after(bytes, start + 2, b">")
        } else {
            let tag = tag(bytes, start + 1)?;
            in_scope += tag.declarations;
            declarations += tag.declarations;
            if in_scope > MAX_NAMESPACES || declarations > MAX_DECLARATIONS {
                return Err("the document declares too many namespaces: at most 64 in scope and 4096 in all are allowed");
            }
            if tag.empty {
                in_scope -= tag.declarations;
            } else {
                open.push(tag.declarations);
            }
            if open.len() > MAX_DEPTH {
                return Err("the document is nested deeper than 256 elements");
            }
            tag.end
        };
    }
    Ok(())
}

struct Tag {
    end: usize,
    empty: bool,
    declarations: usize,
}

/// A start tag from after its `<` to after its `>`.
fn tag(bytes: &[u8], start: usize) -> Result<Tag, &'static str> {
    let (mut attributes, mut declarations, mut at) = (0, 0, start);
    // Where the last name begins, and whether the next character begins another one.
    let (mut name, mut between) = (start, false);
    while let Some(&byte) = bytes.get(at) {
        let since = |place: usize| bytes.get(place..at).unwrap_or_default();
        match byte {
            b'>' => return Ok(Tag { end: at + 1, empty: since(start).ends_with(b"/"), declarations }),
            b' ' | b'\t' | b'\r' | b'\n' => between = true,
            b'=' => {
                attributes += 1;
                declarations += usize::from(since(name).starts_with(b"xmlns"));
            }
            quote @ (b'"' | b'\'') => match find(bytes, at + 1, &[quote]) {
                Some(end) => {
                    at = end;
                    between = true;
                }
                None => break,
            },
            _ if between => {
                name = at;
                between = false;
            }
            _ => {}
        }
        if attributes > MAX_ATTRIBUTES {
            return Err("an element of the document has more than 256 attributes");
        }
        at += 1;
    }
    // The text ends within the tag, where the parser stops, too.
    Ok(Tag { end: bytes.len(), empty: true, declarations })
}

fn after(bytes: &[u8], from: usize, end: &[u8]) -> usize {
    find(bytes, from, end).map_or(bytes.len(), |at| at + end.len())
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let (first, more) = what.split_first()?;
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| byte == first)?;
        if bytes.get(at + 1..)?.starts_with(more) {
            return Some(at);
        }
        at += 1;
    }
}

//! Limits the cost of a JSONPath query (RFC 9535). The library that evaluates queries has no budget of its own, so the cost is
//! bounded beforehand: by the query's text, and by the number and depth of the document's values.

use serde_json::Value as Json;

use crate::data::pattern::compile_within;

/// Longest query.
const MAX_LENGTH: usize = 1024;
/// Deepest nesting of brackets and parentheses in a query, because its parser backtracks in them.
const MAX_NESTING: usize = 8;
/// Most values that a query may visit, by the bound below.
const MAX_VISITS: u64 = 4_000_000;
/// Most bytes of a query's compiled regular expression. It is compiled for each value that it is compared with.
const MAX_PATTERN: usize = 1 << 16;

/// Features of a query that cost more than its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// `..` outside filters: each may find a value again, below each of its ancestors.
    descents: u32,
    /// Commas in selectors: `[0,0]` finds a value twice.
    commas: u32,
    /// `*`, `:` or `?`: finds or examines many values.
    many: bool,
    /// Queries in filters that examine many values: below the current value, and in the whole document.
    relative: u32,
    absolute: u32,
    /// Whether a filter uses a regular expression.
    patterns: bool,
}

impl Cost {
    /// Reads a query's text. `None` if it exceeds the limits.
    pub(super) fn of(text: &str) -> Option<Cost> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let mut cost = Cost::default();
        // For each open bracket: whether it is a filter's.
        let mut open: Vec<bool> = Vec::new();
        // Whether the current query of the innermost filter begins at the document's root.
        let mut from_root = false;
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let filters = open.iter().filter(|filter| **filter).count();
            let mut many = false;
            match byte {
                quote @ (b'\'' | b'"') => at = end_of_literal(bytes, at, quote)?,
                b'[' => open.push(text[at + 1..].trim_ascii_start().starts_with('?')),
                b'(' => {
                    if text[..at].ends_with("match") || text[..at].ends_with("search") {
                        cost.patterns = true;
                        let pattern = literal_pattern(text, at)?;
                        compile_within(&pattern, false, MAX_PATTERN).ok()?;
                    }
                    open.push(false);
                }
                b']' | b')' => drop(open.pop()),
                b'$' => from_root = true,
                b'@' => from_root = false,
                b',' if open.last() == Some(&false) && filters == 0 => cost.commas += 1,
                b'?' if filters > 1 => many = true,
                b'?' => cost.many = true,
                b'.' if bytes.get(at + 1) == Some(&b'.') => {
                    at += 1;
                    if filters == 0 {
                        cost.descents += 1;
                    }
                    many = true;
                }
                b'*' | b':' => many = true,
                _ => {}
            }
            if many {
                cost.many = true;
                match (filters, from_root) {
                    (0, _) => {}
                    (_, true) => cost.absolute += 1,
                    (_, false) => cost.relative += 1,
                }
            }
            if open.len() > MAX_NESTING {
                return None;
            }
            at += 1;
        }
        Some(cost)
    }

    /// Whether a document is small enough for the query.
    pub(super) fn fits(self, json: &Json) -> bool {
        if !self.many && self.commas == 0 {
            return true;
        }
        let (values, depth) = size(json);
        let mut visits = values;
        for _ in 1..self.descents {
            visits = visits.saturating_mul(depth);
        }
        for _ in 0..self.commas {
            visits = visits.saturating_mul(2);
        }
        for _ in 0..self.relative {
            visits = visits.saturating_mul(depth);
        }
        for _ in 0..self.absolute {
            visits = visits.saturating_mul(values);
        }
        if self.patterns {
            visits = visits.saturating_mul(100);
        }
        visits <= MAX_VISITS
    }
}

/// The number of values, and the depth of the deepest.
fn size(json: &Json) -> (u64, u64) {
    let inside = |(values, depth): (u64, u64), inner: &Json| {
        let (more, deeper) = size(inner);
        (values + more, depth.max(deeper + 1))
    };
    match json {
        Json::Array(items) => items.iter().fold((1, 1), inside),
        Json::Object(members) => members.values().fold((1, 1), inside),
        _ => (1, 1),
    }
}

fn end_of_literal(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            byte if byte == quote => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The second argument of `match` or `search`, if it is a literal text. A pattern from the document is refused, because the
/// sender of the document would choose what is compiled.
fn literal_pattern(text: &str, open: usize) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, open);
    loop {
        match *bytes.get(at)? {
            quote @ (b'\'' | b'"') => at = end_of_literal(bytes, at, quote)?,
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1).filter(|depth| *depth > 0)?,
            b',' if depth == 1 => break,
            _ => {}
        }
        at += 1;
    }
    let argument = text[at + 1..].trim_ascii_start();
    let quote = argument.bytes().next().filter(|byte| matches!(byte, b'\'' | b'"'))?;
    let end = end_of_literal(argument.as_bytes(), 0, quote)?;
    Some(argument[1..end].replace("\\\\", "\\"))
}

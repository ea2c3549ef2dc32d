//! Regular expressions. Matching is linear in the text; the size of a compiled pattern is bounded here.

use std::sync::OnceLock;

use regex::{Error, Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Most bytes of a compiled pattern.
const MAX_BYTES: usize = 1 << 20;

/// Compiles a pattern.
pub fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, Error> {
    compile_within(pattern, ignore_case, MAX_BYTES)
}

/// Compiles a pattern with this limit in bytes.
pub fn compile_within(pattern: &str, ignore_case: bool, max_bytes: usize) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(max_bytes).build()
}

/// Most bytes of a compiled pattern that stands in a policy: its author may need large counts (`.{1,4000}`).
const MAX_WRITTEN: usize = 64 << 20;
/// A pattern with no more parts than this is compiled later. A part takes some hundred bytes, so this is far from [`MAX_WRITTEN`].
const FEW: usize = 10_000;

/// A pattern that stands in a policy, and not in what somebody sent. It is compiled when something is first compared with it: that takes a
/// hundred times as long as reading it, and many patterns of a gateway are never needed.
pub struct Written {
    pattern: Box<str>,
    ignore_case: bool,
    compiled: OnceLock<Option<Regex>>,
}

impl Written {
    /// Reads it. It compiles later, because it is well-formed and small; one that may be too large is compiled now.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Written, Error> {
        let written = Written { pattern: pattern.into(), ignore_case, compiled: OnceLock::new() };
        let read = ParserBuilder::new().case_insensitive(ignore_case).build().parse(pattern);
        if !read.is_ok_and(|hir| parts(&hir) <= FEW) {
            let _ = written.compiled.set(Some(written.compile()?));
        }
        Ok(written)
    }

    /// The compiled pattern; `None` if it does not compile, which no pattern that could be read comes to.
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| self.compile().ok()).as_ref()
    }

    fn compile(&self) -> Result<Regex, Error> {
        compile_within(&self.pattern, self.ignore_case, MAX_WRITTEN)
    }
}

/// How many parts a compiled pattern has: what is counted stands there as often as it may come.
fn parts(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min).max(1) as usize;
            parts(&repeated.sub).saturating_mul(times)
        }
        HirKind::Capture(group) => parts(&group.sub).saturating_add(2),
        HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().fold(1, |sum, hir| sum.saturating_add(parts(hir))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_patterns_are_compiled_when_needed() {
        for pattern in ["^a{2,5}$", r"\w+@[^\s]+", "(?i)basic (.*)"] {
            let written = Written::new(pattern, true).unwrap();
            assert!(written.compiled.get().is_none(), "{pattern}");
            assert!(written.regex().is_some(), "{pattern}");
        }
    }

    #[test]
    fn what_does_not_compile_is_refused_at_once() {
        for pattern in ["(", "a{9,1}", r"\p{Nobody}", "(?:(?:a{1000}){1000}){1000}", r"\w{60000}"] {
            let error = Written::new(pattern, false).err().map(|error| error.to_string());
            let compiled = compile_within(pattern, false, MAX_WRITTEN).err().map(|error| error.to_string());
            assert!(error.is_some() && error == compiled, "{pattern}: {error:?}");
        }
    }

    #[test]
    fn few_parts_are_far_from_the_limit() {
        for dear in [r"\w", r"\W", r"\PL", r"\p{Cn}", r"[^a]", "é", "."] {
            let one = parts(&regex_syntax::parse(dear).unwrap());
            let pattern = dear.repeat(FEW / one);
            assert!(compile_within(&pattern, false, MAX_WRITTEN / 4).is_ok(), "{dear}");
        }
    }
}

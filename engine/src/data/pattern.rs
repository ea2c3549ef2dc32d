//! Regular expressions. Matching is linear in the text; the size of a compiled pattern is bounded here.

use regex::{Error, Regex, RegexBuilder};

/// Most bytes of a compiled pattern.
const MAX_BYTES: usize = 1 << 20;

/// Compiles a pattern.
pub fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, Error> {
    compile_within(pattern, ignore_case, MAX_BYTES)
}

/// Most bytes of a compiled pattern that stands in a policy: its author may need large counts (`.{1,4000}`).
const MAX_WRITTEN: usize = 64 << 20;

/// Compiles a pattern that stands in a policy, and not in what somebody sent.
pub fn compile_written(pattern: &str, ignore_case: bool) -> Result<Regex, Error> {
    compile_within(pattern, ignore_case, MAX_WRITTEN)
}

/// Compiles a pattern with this limit in bytes.
pub fn compile_within(pattern: &str, ignore_case: bool, max_bytes: usize) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(max_bytes).build()
}

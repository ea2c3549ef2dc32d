//! Regular expressions that are values: compiled once and kept, so that a configured pattern costs no compilation a request.

use std::sync::{Arc, LazyLock};

use quick_cache::sync::Cache;
use regex::{Regex, RegexBuilder};

static COMPILED: LazyLock<Cache<(String, bool), Option<Arc<Regex>>>> = LazyLock::new(|| Cache::new(256));

/// The compiled pattern, `None` when it does not compile. Size is bounded, and matching is linear in the text.
pub fn cached(pattern: &str, ignore_case: bool) -> Option<Arc<Regex>> {
    let key = (pattern.to_owned(), ignore_case);
    if let Some(known) = COMPILED.get(&key) {
        return known;
    }
    let compiled = RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(1 << 20).build().ok().map(Arc::new);
    COMPILED.insert(key, compiled.clone());
    compiled
}

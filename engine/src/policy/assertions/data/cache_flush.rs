//! `CacheFlush`: forgets everything in a cache.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict};
use crate::services::cache::Removal;

static SPEC: Spec = Spec {
    name: "CacheFlush",
    category: "data",
    summary: "Empties a named cache, on every gateway of the cluster. A run that has read its values before that does not store them any \
              more. Inside a `Transaction` the others are told at its end.",
    props: &[Prop::required("cache", Kind::Text, "Name of the cache; with `*` at its end, every cache whose name begins so; with `#`, every one whose name \
            is that and a number.")],
    sets: &[],
    fails: &[],
    examples: &[example(
        "all gone",
        r#"CacheStore(cache: "flushed", key: "k", value: "v")
CacheFlush(cache: "flushed")
CacheLookup(cache: "flushed", key: "k", target: "found") else { set found = "gone" }"#,
        Expect::Sets("found", "gone"),
    )],
    also: &["Flush Cache"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry { spec: &SPEC, build: |p| Runnable::sync(CacheFlush { cache: p.value("cache") }) };

struct CacheFlush {
    cache: Expr,
}

impl Assertion for CacheFlush {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        ctx.forget(Removal::all(&self.cache.text(ctx)));
        HELD
    }
}

//! `CacheRemove`: forgets one value.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict};
use crate::services::cache::Removal;

static SPEC: Spec = Spec {
    name: "CacheRemove",
    category: "data",
    summary: "Removes the value under a key from a named cache, if there is one, on every gateway of the cluster. A run that has read \
              the value before that does not store it any more. Inside a `Transaction` the others are told at its end.",
    props: &[
        Prop::required("cache", Kind::Text, "Name of the cache; with `*` at its end, every cache whose name begins so; with `#`, every one whose name \
            is that and a number."),
        Prop::required("key", Kind::Text, "Key."),
    ],
    sets: &[],
    fails: &[],
    examples: &[example(
        "gone",
        r#"CacheStore(cache: "example", key: "k", value: "v")
CacheRemove(cache: "example", key: "k")
CacheLookup(cache: "example", key: "k", target: "found") else { set found = "gone" }"#,
        Expect::Sets("found", "gone"),
    ), example(
        "from the caches of one name and any number",
        r#"CacheStore(cache: "a:300", key: "k", value: "v")
CacheStore(cache: "ab:300", key: "k", value: "kept")
CacheRemove(cache: "a:#", key: "k")
CacheLookup(cache: "a:300", key: "k", target: "found") else { CacheLookup(cache: "ab:300", key: "k", target: "found") }"#,
        Expect::Sets("found", "kept"),
    )],
    also: &["Remove from Cache"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry =
    Entry { spec: &SPEC, build: |p| Runnable::sync(CacheRemove { cache: p.value("cache"), key: p.value("key") }) };

struct CacheRemove {
    cache: Expr,
    key: Expr,
}

impl Assertion for CacheRemove {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        ctx.forget(Removal::key(&self.cache.text(ctx), &self.key.text(ctx)));
        HELD
    }
}

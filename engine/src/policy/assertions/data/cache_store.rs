//! `CacheStore`: keeps a value in memory.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::services::cache::Removal;

static SPEC: Spec = Spec {
    name: "CacheStore",
    category: "data",
    summary: "Stores a value in a named cache of this gateway, in place of an older one under the key, which other gateways then \
              forget. Values keep their type; caches survive reloads. Nothing is stored while a `Transaction` is open, nor if the \
              key was removed after the run began: the value may be outdated.",
    props: &[
        Prop::required("cache", Kind::Text, "Name of the cache, which is created with its first value."),
        Prop::required("key", Kind::Text, "Key."),
        Prop::required("value", Kind::Value, "Value: text, a message, anything."),
        Prop::optional("max_entries", Kind::Int, Literal::Int(10_000), "Greatest number of entries; beyond it the least used \
                                                                        ones are dropped. Empty: the default."),
        Prop::optional("max_age", Kind::Duration, Literal::Seconds(300), "How long the value lives; with 0 it is not stored. \
                                                                          Empty: the default."),
        Prop::optional("max_size", Kind::Int, Literal::Int(10_000), "Greatest size of the value in bytes. Empty: the default."),
    ],
    sets: &[],
    fails: &["the value is larger than `max_size`"],
    examples: &[
        example(
            "kept and found",
            r#"CacheStore(cache: "example", key: "k", value: "v", max_age: 60s)
CacheLookup(cache: "example", key: "k", target: "found")"#,
            Expect::Sets("found", "v"),
        ),
        example("too large", r#"CacheStore(cache: "example", key: "k", value: "some text", max_size: 5)"#, Expect::Fails),
    ],
    also: &["Store to Cache"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::sync(CacheStore {
            cache: p.value("cache"),
            key: p.value("key"),
            value: p.value("value"),
            max_entries: p.value("max_entries"),
            max_age: p.value("max_age"),
            max_size: p.value("max_size"),
        })
    },
};

struct CacheStore {
    cache: Expr,
    key: Expr,
    value: Expr,
    max_entries: Expr,
    max_age: Expr,
    max_size: Expr,
}

impl Assertion for CacheStore {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let limits = super::limits(&self.max_entries, &self.max_age, &self.max_size, ctx);
        let (cache, key) = (self.cache.to_text(ctx), self.key.to_text(ctx));
        if !ctx.transactions.is_empty() {
            // Not valid for others, and it may never be.
            ctx.forget(Removal::key(&cache, &key));
            return HELD;
        }
        let stored = ctx.services().caches.store(&cache, &key, self.value.eval(ctx), limits, ctx.now_millis(), ctx.author);
        if stored.replaced {
            ctx.tell_others(vec![Removal::key(&cache, &key)]);
        }
        if stored.fits { HELD } else { falsified("the value is too large to be kept") }
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(CacheStore {
            cache: places.expr(&self.cache),
            key: places.expr(&self.key),
            value: places.expr(&self.value),
            max_entries: places.expr(&self.max_entries),
            max_age: places.expr(&self.max_age),
            max_size: places.expr(&self.max_size),
        }))
    }
}

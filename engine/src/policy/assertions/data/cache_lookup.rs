//! `CacheLookup`: finds what `CacheStore` kept.

use std::sync::Arc;

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "CacheLookup",
    category: "data",
    summary: "Fetches a value from a named cache.",
    props: &[
        Prop::required("cache", Kind::Text, "Name of the cache."),
        Prop::required("key", Kind::Text, "Key."),
        Prop::absent("max_age", Kind::Duration, "Greatest age of the value, if shorter than the lifetime it was stored with."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the value."),
    ],
    sets: &[sets("{target}", "the value, with the type it was stored with; unchanged if there is none")],
    fails: &["there is no value under the key, or it is too old"],
    examples: &[
        example(
            "found",
            r#"CacheStore(cache: "example", key: "k", value: "v")
CacheLookup(cache: "example", key: "k", target: "found")"#,
            Expect::Sets("found", "v"),
        ),
        example("not there", r#"CacheLookup(cache: "example", key: "nobody", target: "found")"#, Expect::Fails),
    ],
    also: &["Look Up in Cache"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::sync(CacheLookup {
            cache: p.value("cache"),
            key: p.value("key"),
            max_age: p.optional("max_age"),
            target: p.optional_target("target")?,
        })
    },
};

struct CacheLookup {
    cache: Expr,
    key: Expr,
    max_age: Option<Expr>,
    target: Option<Slot>,
}

impl Assertion for CacheLookup {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let max_age = self.max_age.as_ref().and_then(|max_age| super::millis(max_age, ctx));
        let found = ctx.services().caches.lookup(&self.cache.text(ctx), &self.key.text(ctx), max_age, ctx.now_millis());
        match found {
            Some(value) => {
                ctx.set_if(self.target, value);
                HELD
            }
            None => falsified("nothing in the cache"),
        }
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(CacheLookup {
            cache: places.expr(&self.cache),
            key: places.expr(&self.key),
            max_age: places.optional(&self.max_age),
            target: self.target.map(|slot| places.target(slot)),
        }))
    }
}

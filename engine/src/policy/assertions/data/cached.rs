//! `Cached`: looks up a value; if there is none, computes it and stores it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use smol_str::SmolStr;

use crate::data::fault::{Fault, HELD, Verdict};
use crate::data::value::Value;
use crate::policy::assertion::{Begin, BlockAssertion, BlockEnd, Entry, OpenBlock, Places, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::services::cache::{Key, Limits, Removal};

/// A request that waits longer for another one's block runs its own. Waiting only saves work, and two requests must not wait for
/// each other forever.
const WAIT: Duration = Duration::from_secs(5);
/// Requests that may wait for one block; further ones run their own.
const WAITING: usize = 10_000;

static SPEC: Spec = Spec {
    name: "Cached",
    category: "data",
    summary: "Sets variables from a named cache of this gateway. If they are not there, the block runs and sets them, and they \
              are stored if the block succeeds, unless the key was removed after the run began. Nothing else that the block does is \
              stored.",
    props: &[
        Prop::required("cache", Kind::Text, "Name of the cache, which is created with its first value."),
        Prop::required("key", Kind::Text, "Key. Whatever the variables depend on must be part of it."),
        Prop::required(
            "keep",
            Kind::Variables,
            "The variables, by name: `\"a\"` or `[\"a\", \"b\"]`. They are stored together, with their types. If one of them is \
             undefined after the block, nothing is stored. A single one is stored as `CacheStore` would store it, so that \
             `CacheLookup` finds it.",
        ),
        Prop::optional(
            "valid",
            Kind::Bool,
            Literal::Bool(true),
            "An expression with the variables that were found. Unless it is true, they count as missing.",
        ),
        Prop::optional("max_age", Kind::Duration, Literal::Seconds(300), "How long they live; with 0 they are neither looked up \
                                                                          nor stored. Empty: the default."),
        Prop::optional("max_entries", Kind::Int, Literal::Int(10_000), "Greatest number of entries; beyond it the least used \
                                                                        ones are dropped. Empty: the default."),
        Prop::optional("max_size", Kind::Int, Literal::Int(10_000), "Greatest size of all variables together in bytes; larger \
                                                                     ones are not stored. Empty: the default."),
        Prop::optional(
            "once",
            Kind::Bool,
            Literal::Bool(false),
            "Whether only one request at a time runs the block for a key, while others wait up to five seconds for its result; \
             a literal.",
        ),
        Prop::absent("found", Kind::Target(Type::Boolean), "Variable that says whether they were found."),
    ],
    sets: &[sets("{found}", "`true` if the variables were found, `false` if the block ran")],
    fails: &["the block fails"],
    block: true,
    examples: &[
        example(
            "the block runs once",
            r#"
            set runs = 0
            set answer = "none"
            ForEach round in ["a", "b", "c"] {
                Cached(cache: "example", key: "k", keep: "answer") {
                    set runs = ${runs} + 1
                    set answer = "made by ${round.current}"
                }
            }
            Cached(cache: "example", key: "k", keep: "answer", found: "known") { Stop }
            "#,
            Expect::Sets("answer", "made by a"),
        ),
        example(
            "a block that fails",
            r#"Cached(cache: "example", key: "k", keep: "answer") { set answer = "half made"; Stop }"#,
            Expect::Fails,
        ),
        example(
            "what failed is not stored",
            r#"
            set answer = "none"
            Cached(cache: "example", key: "k", keep: "answer") {
                set answer = "half made"
                Stop
            } else Continue
            Cached(cache: "example", key: "k", keep: "answer", found: "known") { set answer = "made again" }
            "#,
            Expect::Sets("answer", "made again"),
        ),
        example(
            "an invalid value counts as missing",
            r#"
            set expires = 5
            Cached(cache: "example", key: "k", keep: ["answer", "expires"], valid: true) { set answer = "old" }
            Cached(cache: "example", key: "k", keep: ["answer", "expires"], valid: false) { set answer = "new" }
            "#,
            Expect::Sets("answer", "new"),
        ),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let once = p.flag("once")?;
        Runnable::block(Cached {
            cache: p.value("cache"),
            key: p.value("key"),
            keep: p.variables("keep")?.into(),
            valid: if p.has("valid") { Some(p.value("valid")) } else { None },
            max_age: p.value("max_age"),
            max_entries: p.value("max_entries"),
            max_size: p.value("max_size"),
            once,
            found: p.optional_target("found")?,
        })
    },
};

struct Cached {
    cache: Expr,
    key: Expr,
    keep: Arc<[Slot]>,
    valid: Option<Expr>,
    max_age: Expr,
    max_entries: Expr,
    max_size: Expr,
    once: bool,
    found: Option<Slot>,
}

#[async_trait]
impl BlockAssertion for Cached {
    fn begin_now(&self, ctx: &mut Ctx) -> Option<Begin> {
        let (cache, key, limits) = self.place(ctx);
        ctx.set_if(self.found, false);
        if limits.max_age_millis <= 0 {
            return Some(Begin::Run(Box::new(Uncached)));
        }
        if self.take(ctx, &cache, &key, limits) {
            return Some(Begin::Skip);
        }
        (!self.once).then(|| self.load(cache, key, limits, None))
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn BlockAssertion>> {
        // `valid` asks for the variables as they were found.
        if self.valid.is_some() {
            return None;
        }
        Some(Arc::new(Cached {
            cache: places.expr(&self.cache),
            key: places.expr(&self.key),
            keep: self.keep.iter().map(|slot| places.variable(*slot)).collect(),
            valid: None,
            max_age: places.expr(&self.max_age),
            max_entries: places.expr(&self.max_entries),
            max_size: places.expr(&self.max_size),
            once: self.once,
            found: self.found.map(|slot| places.variable(slot)),
        }))
    }

    /// The first one who misses a value loads it, and others wait for that.
    async fn begin(&self, ctx: &mut Ctx) -> Result<Begin, Fault> {
        let (cache, key, limits) = self.place(ctx);
        let name = format!("cached {cache} {key}");
        // A block inside a block of the same key already has the turn.
        if ctx.turns.iter().any(|turn| turn.key() == name) {
            return Ok(self.load(cache, key, limits, None));
        }
        let mut turn = None;
        let turns = Arc::clone(&ctx.services().turns);
        if let Ok(Some(entered)) = tokio::time::timeout(WAIT, turns.enter(&name, WAITING)).await {
            ctx.turns.push(entered);
            turn = Some(name);
        }
        if self.take(ctx, &cache, &key, limits) {
            end_turn(ctx, turn.as_deref());
            return Ok(Begin::Skip);
        }
        Ok(self.load(cache, key, limits, turn))
    }
}

impl Cached {
    fn place(&self, ctx: &Ctx) -> (SmolStr, SmolStr, Limits) {
        let limits = super::limits(&self.max_entries, &self.max_age, &self.max_size, ctx);
        (self.cache.to_text(ctx), self.key.to_text(ctx), limits)
    }

    fn load(&self, cache: SmolStr, key: SmolStr, limits: Limits, turn: Option<String>) -> Begin {
        Begin::Run(Box::new(Loading { cache, key, keep: Arc::clone(&self.keep), limits, turn }))
    }

    /// Sets the variables from the cache, if they are there and valid.
    fn take(&self, ctx: &mut Ctx, cache: &str, key: &str, limits: Limits) -> bool {
        let Some(value) = ctx.services().caches.lookup(cache, key, Some(limits.max_age_millis), ctx.now_millis()) else {
            return false;
        };
        let found = match (&self.keep[..], &value) {
            ([_], one) => std::slice::from_ref(one),
            (slots, Value::List(values)) if values.len() == slots.len() => values,
            // The key contains a value of another kind.
            _ => return false,
        };
        let before = self.valid.as_ref().map(|valid| (valid, self.keep.iter().map(|slot| ctx.take(*slot)).collect::<Vec<_>>()));
        self.keep.iter().zip(found).for_each(|(slot, value)| ctx.set(*slot, value.clone()));
        if let Some((valid, before)) = before
            && valid.eval(ctx).to_bool() != Some(true)
        {
            self.keep.iter().zip(before).for_each(|(slot, value)| ctx.set(*slot, value));
            return false;
        }
        ctx.set_if(self.found, true);
        true
    }
}

/// A block whose variables are not kept.
struct Uncached;

#[async_trait]
impl OpenBlock for Uncached {
    async fn end(self: Box<Self>, _: &mut Ctx, _: BlockEnd) -> Verdict {
        HELD
    }
}

/// A block that computes the variables to store.
struct Loading {
    cache: SmolStr,
    key: SmolStr,
    keep: Arc<[Slot]>,
    limits: Limits,
    turn: Option<String>,
}

#[async_trait]
impl OpenBlock for Loading {
    async fn end(self: Box<Self>, ctx: &mut Ctx, ending: BlockEnd) -> Verdict {
        // The changes of an open transaction are not valid for others, and may never be.
        if ending == BlockEnd::Held && ctx.transactions.is_empty() {
            let values: Vec<Value> = self.keep.iter().map(|slot| ctx.get(*slot).clone()).collect();
            let replaced = if values.iter().any(Value::is_undefined) {
                ctx.services().caches.remove(&self.cache, Key::of(&self.key), ctx.author)
            } else {
                let value = match <[Value; 1]>::try_from(values) {
                    Ok([value]) => value,
                    Err(values) => Value::list(values),
                };
                // A value that is too large is not stored; that only costs time.
                ctx.services().caches.store(&self.cache, &self.key, value, self.limits, ctx.now_millis(), ctx.author).replaced
            };
            if replaced {
                ctx.tell_others(vec![Removal::key(&self.cache, &self.key)]);
            }
        }
        end_turn(ctx, self.turn.as_deref());
        HELD
    }
}

fn end_turn(ctx: &mut Ctx, turn: Option<&str>) {
    if let Some(name) = turn {
        ctx.turns.retain(|turn| turn.key() != name);
    }
}

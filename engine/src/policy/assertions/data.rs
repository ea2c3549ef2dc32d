//! Assertions that read and change databases and caches.

super::catalogue! {
    cache_flush,
    cache_lookup,
    cache_remove,
    cache_store,
    cached,
    sql_delete,
    sql_dialect,
    sql_query,
    transaction,
}

use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::services::cache::Limits;

/// Limits of a cache. An empty property means the default.
pub(crate) fn limits(max_entries: &Expr, max_age: &Expr, max_size: &Expr, ctx: &Ctx) -> Limits {
    let default = Limits::default();
    let count = |expr: &Expr, default: u64| expr.eval(ctx).to_int().map_or(default, |number| u64::try_from(number).unwrap_or(0));
    Limits {
        max_entries: count(max_entries, default.max_entries),
        max_age_millis: millis(max_age, ctx).unwrap_or(default.max_age_millis),
        max_size: count(max_size, default.max_size),
    }
}

/// Milliseconds of a duration property, which is in seconds, possibly with a fraction. `None` if it is not a number.
pub(crate) fn millis(duration: &Expr, ctx: &Ctx) -> Option<i64> {
    duration.eval(ctx).to_decimal().filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * 1000.0) as i64)
}

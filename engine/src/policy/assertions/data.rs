//! Assertions that read and change databases and caches.

super::catalogue! {
    cache_flush,
    cache_lookup,
    cache_remove,
    cache_store,
    sql_query,
    transaction,
}

use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;

/// Milliseconds of a property that is a duration: seconds, possibly with a fraction. `None` for what is no number.
pub(crate) fn millis(duration: &Expr, ctx: &Ctx) -> Option<i64> {
    duration.eval(ctx).to_decimal().filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * 1000.0) as i64)
}

//! Assertions on databases and caches.

super::catalogue! {
    sql_query,
    transaction,
}

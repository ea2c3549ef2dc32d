//! Assertions on who sends a request, and how.

super::catalogue! {
    require_tls,
}

//! Assertions on who sends a request, and over what.

super::catalogue! {
    require_tls,
}

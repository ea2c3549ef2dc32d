//! Assertions on who sends a request, and over what.

super::catalogue! {
    attempt_limit,
    authenticate,
    extract_attributes,
    http_basic,
    lookup_certificate,
    require_tls,
}

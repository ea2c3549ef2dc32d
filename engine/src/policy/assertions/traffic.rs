//! Assertions about who may call from where, how often, and when.

super::catalogue! {
    cors,
    rate_limit,
    take_turn,
    unavailable,
}

//! Assertions about who may call from where, and how often.

super::catalogue! {
    cors,
    rate_limit,
    take_turn,
}

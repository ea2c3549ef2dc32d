//! Assertions about who may call from where, how often, and when.

super::catalogue! {
    cors,
    protect_against_replay,
    rate_limit,
    take_turn,
    unavailable,
}

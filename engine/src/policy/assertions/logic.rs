//! Assertions on texts, lists and random values.

super::catalogue! {
    generate_uuid,
    join,
    manipulate_multivalued,
    map_value,
    random_token,
    regex_match,
    regex_replace,
    split,
    unsupported,
}

//! The body whose name the target has. All bodies are in `engine/src/front/fuzz`.
//!
//! `cargo +nightly fuzz run xpath fuzz/corpus/xpath` in `engine/`

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let body = portcullis::front::fuzz::body(env!("CARGO_BIN_NAME")).expect("a body of this name");
    body(data);
});

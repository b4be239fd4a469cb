//! Fuzzes `threephone_node::fuzzing::frame`. From `tests/fuzz`:
//! `cargo +nightly fuzz run --fuzz-dir . frame ../../fixtures/fuzz/frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threephone_node::fuzzing::frame(bytes));

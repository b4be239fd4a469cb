//! Fuzzes `threephone_node::fuzzing::message`. From `tests/fuzz`:
//! `cargo +nightly fuzz run --fuzz-dir . message ../../fixtures/fuzz/message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threephone_node::fuzzing::message(bytes));

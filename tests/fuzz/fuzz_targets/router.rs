//! Fuzzes `threephone_node::fuzzing::router`. From `tests/fuzz`:
//! `cargo +nightly fuzz run --fuzz-dir . router ../../fixtures/fuzz/router`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threephone_node::fuzzing::router(bytes));

//! Fuzzes `threephone_node::fuzzing::bus`. From `tests/fuzz`:
//! `cargo +nightly fuzz run --fuzz-dir . bus ../../fixtures/fuzz/bus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threephone_node::fuzzing::bus(bytes));

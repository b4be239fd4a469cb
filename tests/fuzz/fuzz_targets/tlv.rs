//! Fuzzes `threephone_node::fuzzing::tlv`. From `tests/fuzz`:
//! `cargo +nightly fuzz run --fuzz-dir . tlv ../../fixtures/fuzz/tlv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| threephone_node::fuzzing::tlv(bytes));

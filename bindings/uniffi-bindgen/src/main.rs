//! Writes the Kotlin, Swift and Python sources of the bindings from the built library.
//!
//! A program of its own, so that the generator's dependencies never reach the app.

fn main() {
    uniffi::uniffi_bindgen_main();
}

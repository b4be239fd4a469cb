//! Links the daemon small: a process that waits day and night for a message should hold little.
//!
//! A position-independent program of this size has 43,000 places that the loader corrects before
//! anything runs, from a table of 1 MB that then stays in memory. Packed, the table takes some tens
//! of kilobytes. Whoever runs the program needs glibc 2.36 (2022) for it, so it is for release builds
//! for that library on the one machine whose linker is known to be able to: the compiler's own.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_glibc = var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu");
    let is_release = var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_glibc && is_release {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=safe");
    }
}

//! The first stores of a process, opened by many threads at once.
//!
//! Only the first opening in a process sets the database library up, so each try is a process.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::process::Command;
use std::sync::Barrier;
use std::{env, thread};

use threephone_store::{Store, StoreKey, StoreOptions};

/// Set in the processes that this test starts.
const TRY: &str = "THREEPHONE_FIRST_OPEN_TRY";

#[test]
fn many_threads_open_the_first_stores_of_a_process() {
    if env::var_os(TRY).is_some() {
        return open_many();
    }
    for number in 0..200 {
        let mut one = Command::new(env::current_exe().unwrap());
        let output = one.arg("--nocapture").env(TRY, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "try {number}: {told}");
    }
}

fn open_many() {
    const THREADS: u8 = 16;
    let dir = tempfile::tempdir().unwrap();
    let together = Barrier::new(THREADS.into());
    thread::scope(|scope| {
        for number in 0..THREADS {
            let path = dir.path().join(format!("{number}.db"));
            let options = StoreOptions::new(path, StoreKey::from_bytes([number; 32]), Vec::new());
            scope.spawn(|| {
                together.wait();
                Store::open(options).unwrap();
            });
        }
    });
}

//! Long runs on demand.

fn main() {}

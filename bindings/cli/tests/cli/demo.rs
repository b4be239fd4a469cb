//! `demo` runs through.

use crate::support::{finish, program};

#[test]
fn the_demo_shows_every_step_and_what_was_stored() {
    let run = finish(program().arg("demo"), b"").ok();
    let text = run.text();
    for part in ["router", "delivered", "read", "attached", "stored", "all 8 steps done"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_demo_as_json_is_one_object() {
    let run = finish(program().args(["demo", "--json"]), b"").ok();
    let demo = run.json();
    assert_eq!(demo["done"], true);
    assert_eq!(demo["steps"].as_array().unwrap().len(), 8);
}

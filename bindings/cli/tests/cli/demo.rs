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

/// Too few files may be open for two phones: a step in the middle fails.
#[test]
fn a_failing_step_is_named_and_ends_with_1() {
    let script = r#"ulimit -n 16; exec "$0" demo"#;
    let mut shell = std::process::Command::new("sh");
    let run = finish(shell.args(["-c", script, env!("CARGO_BIN_EXE_threephone")]), b"");
    assert_eq!(run.code, 1, "{}", run.text());
    assert!(run.err.contains("of 8 failed: "), "{}", run.err);
}

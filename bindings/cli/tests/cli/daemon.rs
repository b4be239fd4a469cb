//! `up`: ready line, lock, control socket, signals.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Control, Daemon, Person};

#[test]
fn up_prints_one_ready_line_and_ends_cleanly_on_either_signal() {
    let ann = Person::new("Ann");
    for signal in ["TERM", "INT"] {
        let daemon = ann.up();
        let expected = format!("ready address={} public_key={}", ann.address, ann.public_key);
        assert_eq!(daemon.ready, expected);
        let (code, rest, log) = daemon.end(signal);
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(rest, "");
        assert!(!ann.home.join("control.sock").exists());
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[test]
fn status_is_one_object_with_the_documented_fields() {
    let ann = Person::new("Ann");
    let daemon = ann.up();
    let status = ann.run(&["status", "--json"]).ok().json();
    assert_eq!(status["address"], ann.address.as_str());
    assert_eq!(status["public_key"], ann.public_key.as_str());
    assert_eq!(status["pid"], daemon.pid());
    assert!(status["subnet"].as_str().unwrap().ends_with("::/64"));
    assert!(status["uptime_seconds"].is_u64() && status["routes"].is_u64());
    assert_eq!(status["peers"], json!([]));
    assert!(status["outbox"].is_object());
    let text = ann.run(&["status"]).ok().text();
    assert!(text.contains(&ann.address), "{text}");
    let myc = status["myc"].as_str().unwrap();
    assert!(myc.ends_with(".myc") && text.contains(myc), "{text}");
    // It names this node: a line to it is one to oneself.
    let listed = ann.run(&["chat", "list", "--with", myc, "--json"]).ok();
    assert!(listed.out.is_empty());
}

#[test]
fn a_second_up_refuses_and_names_the_first() {
    let ann = Person::new("Ann");
    let daemon = ann.up();
    let second = ann.run(&["up", "--no-discovery"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains(&format!("process {}", daemon.pid())), "{}", second.err);
    assert!(second.out.is_empty());
    ann.run(&["status"]).ok();
}

#[test]
fn what_a_killed_daemon_left_is_replaced_and_its_port_listens_again() {
    let ann = Person::new("Ann");
    let daemon = ann.up();
    let endpoint = daemon.endpoint();
    let (code, ..) = daemon.end("KILL");
    assert_eq!(code, None);
    assert!(ann.home.join("control.sock").exists());
    ann.run(&["chat", "list"]).ok();
    let again = Daemon::start(&ann, &["--listen", &endpoint]);
    assert_eq!(again.endpoint(), endpoint);
    ann.run(&["status"]).ok();
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_stays_open() {
    let ann = Person::new("Ann");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", taken.local_addr().unwrap());
    let run = ann.run(&["up", "--no-discovery", "--listen", &endpoint]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains(&endpoint), "{}", run.err);
    ann.up();
}

#[test]
fn the_control_socket_is_the_owners_and_speaks_json_rpc() {
    let ann = Person::new("Ann");
    let daemon = ann.up();
    let mode = std::fs::metadata(ann.home.join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut control = Control::connect(&ann.home);
    let mut error = |text: &str| {
        control.send(text);
        let reply = control.receive();
        assert_eq!(reply["jsonrpc"], "2.0");
        reply["error"]["code"].clone()
    };
    assert_eq!(error("{"), json!(-32700));
    assert_eq!(error("[1]"), json!(-32600));
    assert_eq!(error(r#"{"jsonrpc":"1.0","id":1,"method":"status"}"#), json!(-32600));
    assert_eq!(error(r#"{"jsonrpc":"2.0","id":1,"method":"dance"}"#), json!(-32601));
    assert_eq!(
        error(r#"{"jsonrpc":"2.0","id":1,"method":"chat.send","params":{}}"#),
        json!(-32602)
    );
    let status = control.call("status", Value::Null);
    assert_eq!(status["pid"], daemon.pid());
}

#[test]
fn a_request_that_waits_does_not_hold_up_others() {
    let ann = Person::new("Ann");
    let _daemon = ann.up();
    let mut control = Control::connect(&ann.home);
    control.send(r#"{"jsonrpc":"2.0","id":"w","method":"bus.receive","params":{"timeout":3600}}"#);
    control.send(r#"{"jsonrpc":"2.0","id":"s","method":"status"}"#);
    assert_eq!(control.receive()["id"], "s");
    let mut other = Control::connect(&ann.home);
    other.call("status", Value::Null);
}

#[test]
fn up_ends_while_clients_wait_for_it() {
    let ann = Person::new("Ann");
    let daemon = ann.up();
    let mut control = Control::connect(&ann.home);
    for method in ["bus.receive", "chat.follow", "event.next"] {
        let params = json!({ "timeout": 3600 });
        let request = json!({"jsonrpc": "2.0", "id": method, "method": method, "params": params});
        control.send(&request.to_string());
    }
    control.send(r#"{"jsonrpc":"2.0","id":"s","method":"status"}"#);
    while control.receive()["id"] != "s" {}
    assert_eq!(daemon.end("TERM").0, Some(0));
}

#[test]
fn a_long_path_to_the_home_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let ann = Person::at(&dir.path().join("d".repeat(120)).join("e".repeat(120)), "Ann");
    let _daemon = ann.up();
    ann.run(&["status", "--json"]).ok();
}

#[test]
fn peers_are_remembered_across_restarts_until_they_are_removed() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let far = ben.up();
    let endpoint = far.endpoint();
    ann.run(&["peer", "add", &endpoint]).ok();
    let listed = ann.run(&["peer", "list", "--json"]).ok().json();
    assert_eq!((&listed["endpoint"], &listed["state"]), (&json!(endpoint), &json!("offline")));
    let near = Daemon::start(&ann, &[]);
    near.wait_until(|| {
        let peers = near.call("peer.list", Value::Null);
        peers[0]["state"] == "connected" && peers[0]["remembered"] == true
    });
    ann.run(&["peer", "remove", &endpoint]).ok();
    assert_eq!(near.call("peer.list", Value::Null), json!([]));
    assert_eq!(ann.run(&["peer", "remove", &endpoint]).code, 1);
    for _ in 0..2 {
        ann.run(&["peer", "add", &endpoint]).ok();
    }
}

#[test]
fn power_shows_what_the_node_cost_and_changes_its_mode() {
    let ann = Person::new("Ann");
    let _daemon = Daemon::start(&ann, &["--power", "active"]);
    let power: Value = serde_json::from_slice(&ann.run(&["--json", "power"]).ok().out).unwrap();
    assert_eq!((&power["mode"], &power["peers"]), (&json!("active"), &json!([])));
    assert!(power["process"]["wake_ups"].as_u64().unwrap() > 0, "{power}");
    let causes = power["causes"].as_array().unwrap();
    let call = causes.iter().find(|cause| cause["cause"] == "call").unwrap();
    assert!(call["wake_ups"].as_u64().unwrap() > 0, "{power}");
    let run = ann.run(&["power", "--set", "idle"]);
    let text = String::from_utf8(run.ok().out).unwrap();
    assert!(text.starts_with("mode        idle\n"), "{text}");
    assert_eq!(ann.run(&["power", "--set", "suspended"]).code, 2);
}

//! The interfaces of the network's own daemon, as `up` serves them.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{Daemon, Person};

const TOKEN: &str = "correct-horse-battery-staple";

fn get(address: &Value, path: &str, header: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address.as_str().unwrap()).unwrap();
    let host = "Host: localhost\r\nConnection: close";
    write!(stream, "GET {path} HTTP/1.1\r\n{host}\r\n{header}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn interfaces_are_off_unless_asked_for_and_told_with_their_ports() {
    let ann = Person::new("Ann");
    let daemon = ann.up();
    let none = json!({ "http": null, "rpc": null, "metrics": null });
    assert_eq!(daemon.call("status", Value::Null)["interfaces"], none);
    drop(daemon);
    let any = "127.0.0.1:0";
    let daemon = Daemon::start(&ann, &["--http-api", any, "--rpc-api", any, "--metrics", any]);
    let status = ann.run(&["status", "--json"]).ok().json();
    let interfaces = &status["interfaces"];
    let (code, body) = get(&interfaces["http"], "/api/v1/admin", "A: b");
    assert_eq!(code, 200);
    let info: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(info["nodePubkey"], ann.public_key.as_str());
    assert_eq!(get(&interfaces["rpc"], "/", "A: b").0, 405);
    let (code, page) = get(&interfaces["metrics"], "/metrics", "A: b");
    assert_eq!((code, page.contains("# TYPE threephone_peers gauge")), (200, true));
    let printed = ann.run(&["status", "--metrics"]).ok().text();
    assert!(printed.contains("# TYPE threephone_peers gauge"), "{printed}");
    let (code, _, log) = daemon.end("TERM");
    assert_eq!(code, Some(0), "{log}");
    for address in ["http", "rpc", "metrics"].map(|name| interfaces[name].as_str().unwrap()) {
        assert!(log.contains(&format!("http://{address}")), "{address}: {log}");
    }
}

#[test]
fn a_token_is_asked_for_and_not_shown() {
    let ann = Person::new("Ann");
    let file = ann.home.join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let options = ["--http-api", "127.0.0.1:0", "--api-token-file", file.to_str().unwrap()];
    let daemon = Daemon::start(&ann, &options);
    let http = &daemon.call("status", Value::Null)["interfaces"]["http"];
    assert_eq!(get(http, "/api/v1/admin", "A: b").0, 401);
    let right = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(get(http, "/api/v1/admin", &right).0, 200);
    let (_, _, log) = daemon.end("TERM");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn a_start_that_would_let_others_in_is_refused() {
    let ann = Person::new("Ann");
    let run = ann.run(&["up", "--no-discovery", "--http-api", "0.0.0.0:0"]);
    assert_eq!(run.code, 2);
    for part in ["--http-api 0.0.0.0:0", "--api-token-file"] {
        assert!(run.err.contains(part), "{}", run.err);
    }
    let run =
        ann.run(&["up", "--no-discovery", "--http-api", "127.0.0.1:0", "--api-token", "short"]);
    assert_eq!(run.code, 2);
    assert!(run.out.is_empty());
    ann.up();
}

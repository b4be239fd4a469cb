//! Chat between two daemons, and without any.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Daemon, Person};

fn lines(person: &Person) -> Vec<Value> {
    person.run(&["chat", "list", "--json"]).ok().json_lines()
}

fn states(daemon: &Daemon) -> Vec<String> {
    let lines = daemon.call("chat.list", json!({}));
    let states = lines.as_array().unwrap().iter().map(|line| line["state"].as_str().unwrap());
    states.map(str::to_owned).collect()
}

#[test]
fn a_line_is_delivered_and_read() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    let text = "Guten Morgen, Ben ☀";
    let id = ann.run(&["chat", "send", &ben.address, text]).ok().text();
    ben_up.wait_until(|| states(&ben_up) == ["received"]);
    ann_up.wait_until(|| states(&ann_up) == ["delivered"]);
    let got = lines(&ben);
    assert_eq!(got.len(), 1);
    let fields = |line: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| line[*name].clone()).collect()
    };
    let expected = [json!(ann.address), json!(ann.address), json!(ben.address), json!(text)];
    assert_eq!(fields(&got[0], &["chat", "from", "to", "text"]), expected);
    assert!(got[0]["sent_at"].as_i64().unwrap() > 1_700_000_000_000);
    // Listing did not mark it as read.
    assert_eq!(states(&ben_up), ["received"]);
    assert_eq!(ben.run(&["chat", "read", &ann.address, "--json"]).ok().json()["read"], 1);
    ann_up.wait_until(|| states(&ann_up) == ["read"]);
    assert_eq!(lines(&ann)[0]["id"], id.as_str());
    assert_eq!(states(&ben_up), ["read"]);
    assert_eq!(ben.run(&["chat", "read", &ann.address, "--json"]).ok().json()["read"], 0);
}

#[test]
fn lines_written_without_a_daemon_go_when_there_is_one() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    for n in 1..=3 {
        ann.run(&["chat", "send", &ben.public_key, &format!("line {n}")]).ok();
    }
    assert_eq!(lines(&ann).iter().filter(|line| line["state"] == "queued").count(), 3);
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    ben_up.wait_until(|| states(&ben_up).len() == 3);
    let texts: Vec<Value> = lines(&ben).iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, ["line 1", "line 2", "line 3"]);
    let newest = ben.run(&["chat", "list", "--with", &ann.address, "--limit", "2", "--json"]).ok();
    let texts: Vec<Value> = newest.json_lines().iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, ["line 2", "line 3"]);
    let other = Person::new("Eve");
    let none = ben.run(&["chat", "list", "--with", &other.address]).ok();
    assert_eq!(none.text(), "");
}

#[test]
fn follow_prints_lines_as_they_come() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    ann.run(&["chat", "send", &ben.address, "before"]).ok();
    ben_up.wait_until(|| states(&ben_up).len() == 1);
    let mut follow =
        ben.command(&["chat", "follow", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(follow.stdout.take().unwrap());
    let (tell, told) = std::sync::mpsc::channel::<Value>();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str(&line).unwrap());
        }
    });
    // It follows once it shows a line of our own.
    let first = loop {
        ben.run(&["chat", "send", &ann.address, "are you there?"]).ok();
        if let Ok(line) = told.try_recv() {
            break line;
        }
    };
    assert_eq!(first["text"], "are you there?");
    ann.run(&["chat", "send", &ben.address, "after"]).ok();
    let after = told.iter().find(|line| line["text"] != "are you there?").unwrap();
    assert_eq!(after["text"], "after");
    assert_eq!(after["from"], ann.address.as_str());
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn control_characters_of_others_do_not_reach_the_terminal() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    ann.run(&["chat", "send", &ben.address, "a\u{1b}[2Jb\nc"]).ok();
    ben_up.wait_until(|| states(&ben_up).len() == 1);
    let shown = ben.run(&["chat", "list"]).ok().text();
    assert!(shown.ends_with("a\\u{1b}[2Jb\\nc"), "{shown}");
    assert_eq!(lines(&ben)[0]["text"], "a\u{1b}[2Jb\nc");
}

#[test]
fn a_new_profile_with_an_old_node_key_is_told_of_once_in_the_log() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    ben.run(&["chat", "send", &ann.address, "before"]).ok();
    ann_up.wait_until(|| states(&ann_up) == ["received"]);
    drop(ben_up);
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(ben.home.join("priv_key.bin"), dir.path().join("priv_key.bin")).unwrap();
    let again = Person::at(dir.path(), "Ben");
    assert_eq!(again.address, ben.address);
    let _again_up = again.up_beside(&ann_up);
    let changes = |count: usize| {
        let events = ann_up.call("event.next", json!({ "after": 0, "max": 1000 }));
        let changes = events["events"].as_array().unwrap().iter();
        changes.filter(|event| event["kind"] == "device_key_changed").count() >= count
    };
    for (n, text) in ["one", "two"].iter().enumerate() {
        again.run(&["chat", "send", &ann.address, text]).ok();
        ann_up.wait_until(|| changes(n + 1));
    }
    assert_eq!(states(&ann_up), ["received"]);
    let (_, _, log) = ann_up.end("TERM");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("device key")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("WARN") && warnings[0].contains(&ben.address), "{log}");
}

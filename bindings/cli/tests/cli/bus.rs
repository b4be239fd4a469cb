//! `bus send` and `bus receive` between two daemons.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{Daemon, LONG, Person, finish};

/// Two people whose nodes are connected.
fn two() -> (Person, Daemon, Person, Daemon) {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    (ann, ann_up, ben, ben_up)
}

#[test]
fn any_bytes_and_no_bytes_arrive_as_they_were_sent() {
    let (ann, _ann_up, ben, _ben_up) = two();
    let all_bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for payload in [&b""[..], &b"\x00"[..], &b"line\n"[..], &all_bytes] {
        let mut send = ann.command(&["bus", "send", &ben.address, "-", "--wait", LONG]);
        let id = finish(&mut send, payload).ok().text();
        assert_eq!(id.len(), 16, "{id}");
        let got = ben.run(&["bus", "receive", "--timeout", LONG]).ok();
        assert_eq!(got.out, payload);
        assert!(got.err.contains(&id), "{}", got.err);
    }
    let none = ben.run(&["bus", "receive"]);
    assert_eq!((none.code, none.out.len()), (3, 0));
    assert_eq!(none.err, "");
}

#[test]
fn a_message_says_whom_it_is_from_and_what_it_is_about() {
    let (ann, _ann_up, ben, _ben_up) = two();
    let key = ben.public_key.as_str();
    let sent = ann.run(&["bus", "send", key, "hello", "--topic", "greeting", "--json"]).ok().json();
    assert_eq!(sent["state"], "queued");
    let got = ben.run(&["--json", "bus", "receive", "--timeout", LONG]).ok().json();
    let expected = json!({
        "id": sent["id"], "topic": "greeting", "topic_base64": BASE64.encode(b"greeting"),
        "src": ann.address, "src_public_key": ann.public_key, "payload": BASE64.encode(b"hello"),
    });
    assert_eq!(got, expected);
}

#[test]
fn a_topic_picks_among_messages_and_the_products_own_is_reserved() {
    let (ann, _ann_up, ben, _ben_up) = two();
    for (topic, data) in [("a", "1"), ("b", "2"), ("a", "3")] {
        let words = ["bus", "send", &ben.address, data, "--topic", topic, "--wait", LONG];
        ann.run(&words).ok();
    }
    let take = |words: &[&str]| {
        let mut all = vec!["bus", "receive", "--timeout", LONG];
        all.extend(words);
        ben.run(&all).ok().text()
    };
    assert_eq!(take(&["--topic", "b"]), "2");
    assert_eq!((take(&[]), take(&[])), ("1".to_owned(), "3".to_owned()));
    let reserved = ann.run(&["bus", "send", &ben.address, "x", "--topic", "threephone"]);
    assert_eq!(reserved.code, 1);
    assert!(reserved.err.contains("threephone"), "{}", reserved.err);
}

#[test]
fn a_message_is_queued_without_a_route_and_goes_when_there_is_one() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let id = ann.run(&["bus", "send", &ben.public_key, "early"]).ok().text();
    let waited = ann.run(&["bus", "send", &ben.public_key, "later", "--wait", "0.05"]);
    assert_eq!(waited.code, 3);
    assert_eq!(waited.text().len(), 16);
    let ben_up = ben.up_beside(&ann_up);
    let received = |timeout: u64| ben_up.call("bus.receive", json!({ "timeout": timeout }));
    let mut got: Vec<Value> = vec![received(60), received(60)];
    got.sort_by_key(|message| message["payload"].to_string());
    assert_eq!(got[0]["payload"], BASE64.encode(b"early"));
    assert_eq!(got[0]["id"], id.as_str());
    assert_eq!(got[1]["payload"], BASE64.encode(b"later"));
}

#[test]
fn a_message_to_oneself_is_refused() {
    let ann = Person::new("Ann");
    let _up = ann.up();
    let run = ann.run(&["bus", "send", &ann.address, "hello"]);
    assert_eq!((run.code, run.out.len()), (1, 0));
    assert!(run.err.contains("own"), "{}", run.err);
}

#[test]
fn a_question_gets_its_reply_and_a_peeked_message_stays() {
    let (ann, _ann_up, ben, _ben_up) = two();
    let none = ann.run(&["bus", "send", &ben.address, "anybody?", "--wait-reply", "0.01"]);
    assert_eq!((none.code, none.out.len()), (3, 0));
    assert_eq!(ben.run(&["bus", "receive", "--timeout", LONG]).ok().text(), "anybody?");
    let asking = std::thread::scope(|scope| {
        let asking = scope
            .spawn(|| ann.run(&["bus", "send", &ben.address, "how much?", "--wait-reply", LONG]));
        let peek = ["bus", "receive", "--peek", "--timeout", LONG, "--json"];
        let peeked = ben.run(&peek).ok().json();
        let taken = ben.run(&["bus", "receive", "--json"]).ok().json();
        assert_eq!(peeked, taken);
        let id = taken["id"].as_str().unwrap_or_default();
        ben.run(&["bus", "send", &ann.address, "42", "--reply-to", id]).ok();
        asking.join()
    });
    assert_eq!(asking.unwrap().ok().text(), "42");
}

#[test]
fn a_topic_file_with_a_mistake_keeps_the_node_from_starting() {
    let ann = Person::new("Ann");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topics");
    std::fs::write(&file, "default = \"Maybe\"").unwrap();
    let up = ann.run(&["up", "--topic-config", file.to_str().unwrap()]);
    assert_eq!(up.code, 1);
    assert!(up.err.contains("neither \"Accept\" nor \"Reject\""), "{}", up.err);
}

//! `bus send` and `bus receive` between two daemons.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{Control, Daemon, LONG, Person, finish};

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
    assert_eq!(reserved.code, 2);
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
    let asked = ben.run(&["bus", "receive", "--timeout", LONG, "--json"]).ok().json();
    assert_eq!(asked["payload"], BASE64.encode(b"anybody?"));
    let id = asked["id"].as_str().unwrap();
    assert!(none.err.contains(&format!("id={id} state=")), "{}", none.err);
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
    assert!(up.err.contains(&format!("--topic-config {}", file.display())), "{}", up.err);
    assert!(up.err.contains("neither \"Accept\" nor \"Reject\""), "{}", up.err);
}

#[test]
fn a_question_without_an_answer_leaves_its_id_to_go_on_with() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let _up = ann.up();
    let words = ["bus", "send", &ben.address, "anybody?", "--wait-reply", "0.01", "--json"];
    let none = ann.run(&words);
    assert_eq!(none.code, 3, "{}", none.err);
    let none = none.json();
    assert_eq!((none["id"].as_str().unwrap().len(), &none["state"]), (16, &json!("pending")));
}

#[test]
fn a_message_that_cannot_be_printed_stays_for_the_next() {
    let (ann, _ann_up, ben, _ben_up) = two();
    ann.run(&["bus", "send", &ben.address, "precious", "--wait", LONG]).ok();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for json in [&[][..], &["--json"]] {
        let mut receive = ben.command(&["bus", "receive", "--timeout", LONG]);
        let output = receive.args(json).stdout(full()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
        assert!(said.contains("still there"), "{said}");
    }
    // Whoever reads no further has not read it either.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = ben.command(&["bus", "receive"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(ben.run(&["bus", "receive"]).ok().text(), "precious");
    assert_eq!(ben.run(&["bus", "receive"]).code, 3);
}

/// Given out, a message is nobody else's; with the connection of whoever got it, it comes back.
#[test]
fn a_message_is_taken_when_its_reader_confirms_it() {
    let (ann, _ann_up, ben, ben_up) = two();
    for text in ["one", "two"] {
        ann.run(&["bus", "send", &ben.address, text, "--wait", LONG]).ok();
    }
    let take = json!({ "timeout": 60, "confirm": true });
    let mut first = Control::connect(&ben.home);
    let one = first.call("bus.receive", take.clone());
    assert_eq!(one["payload"], BASE64.encode(b"one"));
    let two = first.call("bus.receive", take.clone());
    assert_eq!(ben_up.call("bus.receive", json!({ "timeout": 0 })), Value::Null);
    first.call("bus.confirm", json!({ "id": one["id"], "src": one["src"], "taken": true }));
    drop(first);
    assert_eq!(ben_up.call("bus.receive", json!({ "timeout": 60 })), two);
    assert_eq!(ben_up.call("bus.receive", json!({ "timeout": 0 })), Value::Null);
}

#[test]
fn more_than_a_message_on_standard_input_is_refused_with_the_limit() {
    let ann = Person::new("Ann");
    let _up = ann.up();
    let mut send = ann.command(&["bus", "send", "4ff::1", "-"]);
    let run = finish(&mut send, &vec![7; (16 << 20) + 1]);
    assert_eq!((run.code, run.out.len()), (1, 0));
    assert!(run.err.contains("16777216 bytes (16.00 MiB)"), "{}", run.err);
    let mut send = ann.command(&["bus", "send", "4ff::1", "-"]);
    finish(&mut send, &vec![7; 16 << 20]).ok();
}

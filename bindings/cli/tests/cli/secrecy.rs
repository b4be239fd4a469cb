//! What a daemon logs at its loudest tells no secret: keys, tokens and what people write are looked
//! for in every form that bytes take in a log.

use std::io::{Read, Write};
use std::net::TcpStream;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use serde_json::{Value, json};

use crate::support::{Daemon, LONG, Person};

const TOKEN: &str = "a-token-that-only-its-owner-knows";
const WRONG: &str = "a-token-that-somebody-has-guessed";
const KEY: &[u8; 32] = b"the key that this network shares";
const PAYLOAD: &str = "a payload that is theirs alone";
const ANSWER: &str = "an answer as secret as a payload";
const TOPIC: &str = "a topic of theirs";
const LINE: &str = "a line of chat for Ben's eyes only";

#[test]
fn a_daemon_that_logs_everything_logs_no_key_no_token_and_no_payload() {
    let (ann, ben, eve) = (Person::new("Ann"), Person::new("Ben"), Person::new("Eve"));
    let network = |person: &Person, key: &[u8]| {
        let file = person.home.join("network.key");
        std::fs::write(&file, key).unwrap();
        let file = file.to_str().unwrap().to_owned();
        ["--network-name".into(), "ours".into(), "--network-key-file".into(), file]
    };
    let start = |person: &Person, key: &[u8], more: &[&str]| {
        let network: [String; 4] = network(person, key);
        let mut options: Vec<&str> = network.iter().map(String::as_str).collect();
        options.extend(more);
        Daemon::start_tracing(person, &options)
    };
    let any = "127.0.0.1:0";
    let served = ["--http-api", any, "--rpc-api", any, "--metrics", any, "--api-token", TOKEN];
    let at_ann = start(&ann, KEY, &[&["--listen", "tls://127.0.0.1:0"][..], &served[..]].concat());
    let way = at_ann.endpoint();
    let at_ben = start(&ben, KEY, &[&["--peer", &way][..], &served[..]].concat());
    // One without the key, and one who talks nonsense.
    let at_eve = start(&eve, &[9; 32], &["--peer", &way]);
    TcpStream::connect(way.strip_prefix("tls://").unwrap()).unwrap().write_all(KEY).unwrap();
    exchange(&at_ann, &ann, &at_ben, &ben);
    let secrets = [
        ("the network's key", KEY.to_vec()),
        ("the token", TOKEN.into()),
        ("a token that was tried", WRONG.into()),
        ("a payload", PAYLOAD.into()),
        ("an answer", ANSWER.into()),
        ("a topic", TOPIC.into()),
        ("a line", LINE.into()),
        ("Ann's key", std::fs::read(ann.home.join("priv_key.bin")).unwrap()),
        ("Ann's database key", std::fs::read(ann.home.join("store.key")).unwrap()),
        ("Ben's key", std::fs::read(ben.home.join("priv_key.bin")).unwrap()),
        ("Ben's database key", std::fs::read(ben.home.join("store.key")).unwrap()),
    ];
    let mut loudest = 0;
    for daemon in [at_eve, at_ben, at_ann] {
        let (code, _, log) = daemon.end("TERM");
        assert_eq!(code, Some(0));
        loudest += log.matches("DEBUG").count();
        for (what, secret) in &secrets {
            for form in forms(secret) {
                assert!(!log.contains(&form), "{what} is in the log, as {form}");
            }
        }
    }
    assert!(loudest > 0, "somebody said more than is said by default");
}

/// A message with its answer over the APIs, refused callers, and a line of chat.
fn exchange(at_ann: &Daemon, ann: &Person, at_ben: &Daemon, ben: &Person) {
    let (from, to) = (interfaces(at_ann), interfaces(at_ben));
    assert_eq!(request(&from["http"], "GET", "/api/v1/admin", WRONG, "").0, 401);
    let message = json!({
        "dst": { "ip": ben.address },
        "topic": BASE64.encode(TOPIC.as_bytes()),
        "payload": BASE64.encode(PAYLOAD.as_bytes()),
    });
    let (code, _) = request(&from["http"], "POST", "/api/v1/messages", TOKEN, &message.to_string());
    assert_eq!(code, 201);
    let topic = BASE64.encode(TOPIC.as_bytes()).replace('=', "%3D");
    let path = format!("/api/v1/messages?timeout={LONG}&topic={topic}");
    let (code, received) = request(&to["http"], "GET", &path, TOKEN, "");
    let received: Value = serde_json::from_str(&received).unwrap();
    assert_eq!((code, &received["payload"]), (200, &message["payload"]));
    let answer = json!({
        "dst": { "ip": ann.address },
        "payload": BASE64.encode(ANSWER.as_bytes()),
    });
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "pushMessageReply", "params": [received["id"], answer],
    });
    assert_eq!(request(&to["rpc"], "POST", "/", TOKEN, &call.to_string()).0, 200);
    let path = format!("/api/v1/messages?timeout={LONG}");
    assert_eq!(request(&from["http"], "GET", &path, TOKEN, "").0, 200);
    // Not understood, and told so.
    assert_eq!(request(&from["http"], "POST", "/api/v1/messages", TOKEN, PAYLOAD).0, 400);
    ann.run(&["chat", "send", &ben.address, LINE]).ok();
    at_ben.wait_until(|| ben.run(&["chat", "list"]).ok().text().contains(LINE));
}

fn interfaces(daemon: &Daemon) -> Value {
    daemon.call("status", Value::Null)["interfaces"].clone()
}

fn request(to: &Value, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to.as_str().unwrap()).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// How bytes get into a log, on purpose or by `Debug`.
fn forms(bytes: &[u8]) -> Vec<String> {
    let list = format!("{bytes:?}");
    vec![
        String::from_utf8_lossy(bytes).into_owned(),
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        list.trim_matches(['[', ']']).to_owned(),
        bytes.escape_ascii().to_string(),
    ]
}

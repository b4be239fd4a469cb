//! Wrong words, and commands in the wrong place.

use crate::support::{Person, finish, program};

#[test]
fn wrong_words_are_a_usage_error() {
    for words in [
        &[][..],
        &["dance"],
        &["init"],
        &["chat", "send"],
        &["chat", "send", "nobody", "hello"],
        &["mail", "send", "--to", "ben@example.org", "--subject", "s"],
        &["mail", "export"],
        &["bus", "receive", "--timeout", "soon"],
        &["up", "--listen", "9651"],
        &["up", "--listen", "tcp://router.example:9651"],
        &["up", "--network-name", "testnet"],
        &["up", "--network-key-file", "key"],
    ] {
        let run = finish(program().args(words), b"");
        assert_eq!(run.code, 2, "{words:?}: {}", run.err);
        assert!(run.out.is_empty(), "{words:?}");
    }
}

#[test]
fn an_unreadable_address_lists_the_forms() {
    let run = finish(program().args(["bus", "send", "192.0.2.1", "x"]), b"");
    for form in ["400::/7", "[IPv6:", "64 hexadecimal digits", "z-base-32", ".myc"] {
        assert!(run.err.contains(form), "{form}: {}", run.err);
    }
    let words = ["mail", "send", "--to", "ben@example.org", "--subject", "s"];
    let run = finish(program().args(words), b"");
    for form in ["anything@[IPv6:", "anything@….myc", "400::/7", "64 hexadecimal digits"] {
        assert!(run.err.contains(form), "{form}: {}", run.err);
    }
}

#[test]
fn an_unreadable_peer_lists_the_forms() {
    let run = finish(program().args(["up", "--peer", "router.example:9651"]), b"");
    for form in ["tcp://IPv4:port", "tcp://[IPv6]:port", "quic://", "vsock://cid:port", "host name"]
    {
        assert!(run.err.contains(form), "{form}: {}", run.err);
    }
}

#[test]
fn commands_that_need_the_node_say_how_to_start_it() {
    let ann = Person::new("Ann");
    let address = ann.address.clone();
    for words in
        [&["status"][..], &["bus", "send", &address, "x"], &["bus", "receive"], &["chat", "follow"]]
    {
        let run = ann.run(words);
        assert_eq!(run.code, 1, "{words:?}");
        let hint = format!("start it with `threephone --home {} up`", ann.home.display());
        assert!(run.err.contains(&hint), "{}", run.err);
    }
}

#[test]
fn help_is_no_error() {
    let run = finish(program().args(["mail", "send", "--help"]), b"").ok();
    assert!(run.text().contains("--attach"));
}

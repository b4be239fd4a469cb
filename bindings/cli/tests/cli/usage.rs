//! Wrong words, and commands in the wrong place.

use crate::support::{Person, finish, program};

/// 256 bytes.
const TOO_LONG: &str = concat!(
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
);

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
        &["up", "--http-api", "localhost:8989"],
        &["up", "--http-body-limit", "0"],
        &["up", "--rpc-body-limit", "0"],
        &["init", "--name", ""],
        &["init", "--name", "a\nb"],
        &["mail", "show", "x"],
        &["--json", "mail", "export", "--mailbox", "inbox"],
        &["mail", "export", "x"],
        &["bus", "send", "4ff::1", "x", "--topic", "threephone"],
        &["bus", "receive", "--topic", "threephone"],
        &["bus", "send", "4ff::1", "x", "--topic", TOO_LONG],
        &["bus", "send", "4ff::1", "x", "--reply-to", "zz"],
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
fn a_hint_can_be_typed_as_it_stands_also_with_blanks_in_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("Ann's phone");
    let quoted = format!("'{}'", home.to_str().unwrap().replace('\'', r"'\''"));
    let run = finish(program().arg("--home").arg(&home).args(["chat", "list"]), b"");
    assert!(run.err.contains(&format!("--home {quoted} init")), "{}", run.err);
    let ann = Person::at(&home, "Ann");
    let run = ann.run(&["status"]);
    assert!(run.err.contains(&format!("`threephone --home {quoted} up`")), "{}", run.err);
}

#[test]
fn help_is_no_error() {
    let run = finish(program().args(["mail", "send", "--help"]), b"").ok();
    assert!(run.text().contains("--attach"));
}

#[test]
fn an_address_to_listen_on_comes_with_an_example() {
    for (option, example) in [
        (["--listen", "tcp://localhost:9651"], "tcp://127.0.0.1:9651"),
        (["--http-api", "localhost:1"], "127.0.0.1:8989"),
        (["--rpc-api", "8990"], "127.0.0.1:8989"),
    ] {
        let run = finish(program().arg("up").args(option), b"");
        assert_eq!(run.code, 2);
        assert!(run.err.contains(option[0]) && run.err.contains(example), "{}", run.err);
    }
}

/// Nothing is opened before: the home need not be there.
#[test]
fn tls_names_the_options_that_it_needs() {
    let ann = Person::new("Ann");
    for option in [["--listen", "tls://127.0.0.1:0"], ["--peer", "tls://127.0.0.1:1"]] {
        let run = ann.run(&["up", "--no-discovery", option[0], option[1]]);
        assert_eq!(run.code, 2, "{}", run.err);
        for part in [option[0], option[1], "--network-name", "--network-key-file"] {
            assert!(run.err.contains(part), "{part}: {}", run.err);
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_option() {
    let ann = Person::new("Ann");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (none, empty, large) = (path("none"), path("empty"), path("large"));
    std::fs::write(&empty, b"").unwrap();
    std::fs::File::create(&large).unwrap().set_len(9 << 20).unwrap();
    let to = ["mail", "send", "--subject", "s", "--to", ann.address.as_str()];
    let mut cases: Vec<(Vec<&str>, &str, &str, i32)> = vec![
        (vec!["up", "--api-token-file", &none], "--api-token-file", &none, 1),
        (vec!["up", "--api-token-file", &empty], "--api-token-file", &empty, 2),
        (vec!["up", "--topic-config", &none], "--topic-config", &none, 1),
        (vec!["chat", "list", "--passphrase-file", &none], "--passphrase-file", &none, 1),
        (vec!["chat", "list", "--passphrase-file", &empty], "--passphrase-file", &empty, 1),
        (vec!["mail", "import", &none], "mail import", &none, 1),
        (vec!["mail", "import", &empty], "mail import", &empty, 1),
    ];
    for (option, file) in [("--attach", &none), ("--attach", &large), ("--body-file", &none)] {
        cases.push(([&to[..], &[option, file]].concat(), option, file, 1));
    }
    for (words, option, file, code) in cases {
        let run = ann.run(&words);
        assert_eq!(run.code, code, "{words:?}: {}", run.err);
        assert!(run.err.contains(&format!("{option} {file}")), "{words:?}: {}", run.err);
        assert!(run.out.is_empty());
    }
}

#[test]
fn a_network_key_of_another_length_is_refused() {
    let ann = Person::new("Ann");
    let file = ann.home.join("network key");
    for content in [vec![7; 31], vec![7; 33], b"0123456789abcdef".repeat(8)] {
        std::fs::write(&file, &content).unwrap();
        let key = file.to_str().unwrap();
        let words =
            ["up", "--no-discovery", "--network-name", "testnet", "--network-key-file", key];
        let run = ann.run(&words);
        assert_eq!(run.code, 2, "{}", run.err);
        assert!(run.err.contains(&format!("--network-key-file {key}")), "{}", run.err);
        assert!(run.err.contains("32 bytes"), "{}", run.err);
    }
}

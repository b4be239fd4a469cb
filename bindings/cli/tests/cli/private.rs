//! Private networks: who set one up wrongly is told so, on both sides.

use std::path::Path;

use crate::support::{Daemon, Person};

/// Starts a node of the network with this name and this key.
fn start(person: &Person, name: &str, key: u8, options: &[&str]) -> Daemon {
    let file = person.home.join("network.key");
    std::fs::write(&file, [key; 32]).unwrap();
    let network = ["--network-name", name, "--network-key-file", file.to_str().unwrap()];
    Daemon::start(person, &[&network, options].concat())
}

#[test]
fn another_key_or_name_is_told_on_both_sides_without_the_words_of_the_library() {
    let ann = Person::new("Ann");
    let listens = ["--listen", "tls://127.0.0.1:0"];
    for (name, key, both) in
        [("testnet", 8, "another network key"), ("testnet2", 7, "another network name")]
    {
        let (ann_up, ben) = (start(&ann, "testnet", 7, &listens), Person::new("Ben"));
        let ben_up = start(&ben, name, key, &["--peer", &ann_up.endpoint()]);
        let here = ben_up.logged(&["WARN", "cannot be reached", both]);
        let there = ann_up.logged(&["WARN", "a peer was refused", both]);
        assert!(there.contains("127.0.0.1:"), "{there}");
        for line in [here, there] {
            assert!(!line.contains("SSL") && !line.contains("0A0"), "{line}");
        }
    }
}

#[test]
fn who_speaks_no_tls_is_told_that_it_is_no_private_network() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = start(&ann, "testnet", 7, &["--listen", "tls://127.0.0.1:0"]);
    let plain = ann_up.endpoint().replace("tls://", "tcp://");
    let _ben_up = Daemon::start(&ben, &["--peer", &plain]);
    ann_up.logged(&["WARN", "a peer was refused", "does not speak TLS"]);
}

#[test]
fn a_key_file_with_an_end_of_line_is_the_same_key() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = start(&ann, "testnet", 7, &["--listen", "tls://127.0.0.1:0"]);
    let file = ben.home.join("network.key");
    std::fs::write(&file, [&[7; 32][..], b"\n"].concat()).unwrap();
    let key = Path::to_str(&file).unwrap();
    let network = ["--network-name", "testnet", "--network-key-file", key];
    let ben_up = Daemon::start(&ben, &[&network[..], &["--peer", &ann_up.endpoint()]].concat());
    ben_up.logged(&["link up"]);
}

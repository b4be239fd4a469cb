//! Both daemons killed with SIGKILL fifty times, while sends go on and between send and answer:
//! in the end every message is on both phones exactly once and in its author's order.
//!
//! What is killed when comes from a seed (`THREEPHONE_SEED`); how far the processes are at that
//! moment is the machine's. The test waits for answers and events, never for the clock.

// A test that cannot go on should stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

// The other tests use more of it.
#[allow(dead_code)]
#[path = "cli/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use support::{Daemon, Person};

const ROUNDS: usize = 50;

#[test]
fn fifty_kills_lose_nothing_and_repeat_nothing() {
    let seed = std::env::var("THREEPHONE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(1);
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut ann = Side::new("Ann");
    let mut ben = Side::new("Ben");
    (ann.peer, ben.peer) = (ben.person.address.clone(), ann.person.address.clone());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let (listen, dial) = (["--listen", endpoint.as_str()], ["--peer", endpoint.as_str()]);

    for _ in 0..ROUNDS {
        for side in [&mut ann, &mut ben] {
            if random.below(3) == 0 {
                side.send_without_daemon();
            }
        }
        let (ann_up, ben_up) =
            (Daemon::start(&ann.person, &listen), Daemon::start(&ben.person, &dial));
        ann.start_sending();
        ben.start_sending();
        let mut daemons = [(&mut ann, ann_up), (&mut ben, ben_up)];
        if random.below(2) == 0 {
            daemons.reverse();
        }
        for (side, daemon) in daemons {
            side.wait_for_answers(random.below(12));
            let (code, ..) = daemon.end("KILL");
            assert_eq!(code, None, "it was the signal that ended it");
            side.finish_sending();
        }
    }

    let (ann_up, ben_up) = (Daemon::start(&ann.person, &listen), Daemon::start(&ben.person, &dial));
    ann_up.wait_until(|| settled(&ann_up));
    ben_up.wait_until(|| settled(&ben_up));
    ann.check(&ann_up, &ben_up);
    ben.check(&ben_up, &ann_up);
}

/// SplitMix64: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// One person, what they have tried to send, and what was taken.
struct Side {
    person: Person,
    name: &'static str,
    peer: String,
    /// How many lines were tried.
    tried: usize,
    /// Texts whose sending was answered: these must arrive.
    taken: BTreeSet<String>,
    sender: Option<Sender>,
}

/// A thread that sends line after line until its daemon is gone.
struct Sender {
    answers: mpsc::Receiver<String>,
    thread: JoinHandle<usize>,
}

impl Side {
    fn new(name: &'static str) -> Self {
        let (person, peer) = (Person::new(name), String::new());
        Self { person, name, peer, tried: 0, taken: BTreeSet::new(), sender: None }
    }

    fn send_without_daemon(&mut self) {
        self.tried += 1;
        let text = format!("{} {}", self.name, self.tried);
        self.person.run(&["chat", "send", &self.peer, &text]).ok();
        self.taken.insert(text);
    }

    fn start_sending(&mut self) {
        let (answer, answers) = mpsc::channel();
        let socket = self.person.home.join("control.sock");
        let (name, peer, tried) = (self.name, self.peer.clone(), self.tried);
        let thread = std::thread::spawn(move || send_all(&socket, name, &peer, tried, &answer));
        self.sender = Some(Sender { answers, thread });
    }

    fn wait_for_answers(&mut self, count: u64) {
        let answers = &self.sender.as_ref().unwrap().answers;
        for _ in 0..count {
            self.taken.insert(answers.recv().expect("the daemon answers until it is killed"));
        }
    }

    fn finish_sending(&mut self) {
        let sender = self.sender.take().unwrap();
        self.tried = sender.thread.join().unwrap();
        self.taken.extend(sender.answers.iter());
    }

    /// What this side wrote, on its own phone and on the other one.
    fn check(&self, own: &Daemon, other: &Daemon) {
        let here = self.lines(own);
        let there = self.lines(other);
        assert_eq!(here, there, "{}'s lines are the same on both phones", self.name);
        let unique: BTreeSet<&String> = here.iter().collect();
        assert_eq!(unique.len(), here.len(), "no line is there twice");
        let lost: Vec<&String> = self.taken.iter().filter(|text| !unique.contains(text)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let numbers: Vec<usize> = here.iter().map(|text| number(text)).collect();
        assert!(numbers.is_sorted(), "in the author's order: {numbers:?}");
        println!(
            "{}: {} tried, {} taken, {} there",
            self.name,
            self.tried,
            self.taken.len(),
            here.len()
        );
    }

    fn lines(&self, daemon: &Daemon) -> Vec<String> {
        let lines = daemon.call("chat.list", json!({}));
        let lines = lines.as_array().unwrap().iter();
        let lines = lines.filter(|line| line["from"] == self.person.address.as_str());
        lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }
}

/// Sends lines numbered from `tried` on; how many were tried when the daemon went away.
fn send_all(
    socket: &PathBuf,
    name: &str,
    peer: &str,
    mut tried: usize,
    answers: &mpsc::Sender<String>,
) -> usize {
    let Ok(stream) = UnixStream::connect(socket) else { return tried };
    let mut reader = BufReader::new(stream);
    loop {
        tried += 1;
        let text = format!("{name} {tried}");
        let params = json!({"to": peer, "text": text});
        let request =
            json!({"jsonrpc": "2.0", "id": tried, "method": "chat.send", "params": params});
        if writeln!(reader.get_mut(), "{request}").is_err() {
            return tried;
        }
        let mut line = String::new();
        let reply = match reader.read_line(&mut line) {
            Ok(1..) => serde_json::from_str::<Value>(&line),
            _ => return tried,
        };
        // A line cut short by the kill is no answer.
        let Ok(reply) = reply else { return tried };
        assert!(reply.get("error").is_none(), "{reply}");
        let _ = answers.send(text);
    }
}

fn settled(daemon: &Daemon) -> bool {
    let outbox = daemon.call("status", json!({}))["outbox"].clone();
    outbox["queued"] == 0 && outbox["sending"] == 0
}

fn number(text: &str) -> usize {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

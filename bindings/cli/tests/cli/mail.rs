//! Mail between two daemons, and files in and out.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Daemon, Person, finish};

const WELCOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/mail/welcome.eml");

fn inbox(daemon: &Daemon) -> Vec<Value> {
    let mails = daemon.call("mail.list", json!({ "mailbox": "inbox" }));
    mails.as_array().unwrap().clone()
}

#[test]
fn a_mail_with_a_file_arrives_and_is_found() {
    let (ann, ben) = (Person::new("Ann"), Person::new("Ben"));
    let ann_up = ann.up();
    let ben_up = ben.up_beside(&ann_up);
    let file = ann.home.join("plan.txt");
    fs::write(&file, "Step one: dance.\n").unwrap();
    let to = format!("ben@[IPv6:{}]", ben.address);
    let mut send = ann.command(&["mail", "send", "--json", "--to", &to, "--subject", "Pläne"]);
    send.arg("--attach").arg(&file).args(["--body-file", "-"]);
    let sent = finish(&mut send, "Hello Ben,\nsee the marmalade.\n".as_bytes()).ok().json();
    assert_eq!((&sent["mailbox"], &sent["attachments"]), (&json!("sent"), &json!(1)));
    ben_up.wait_until(|| inbox(&ben_up).len() == 1);
    let listed = ben.run(&["mail", "list", "--mailbox", "inbox", "--json"]).ok().json();
    assert_eq!(listed["subject"], "Pläne");
    assert_eq!(listed["attachments"], 1);
    assert!(listed["from"].as_str().unwrap().contains(&ann.address), "{listed}");
    for field in ["id", "mailbox", "from", "to", "subject", "date", "size", "attachments", "flags"]
    {
        assert!(!listed[field].is_null(), "{field}: {listed}");
    }
    let id = listed["id"].as_str().unwrap();
    let shown = ben.run(&["mail", "show", id, "--json"]).ok().json();
    assert!(shown["text"].as_str().unwrap().contains("marmalade"));
    assert_eq!(shown["files"][0]["name"], "plan.txt");
    assert_eq!(shown["files"][0]["size"], 17);
    assert!(ben.run(&["mail", "show", id]).ok().text().contains("Subject: Pläne"));
    let found = ben.run(&["mail", "search", "marmalade", "--json"]).ok().json();
    assert_eq!(found["id"], id);
    assert!(ben.run(&["mail", "search", "elephant"]).ok().out.is_empty());
    let raw = ben.run(&["mail", "show", id, "--raw"]).ok().out;
    assert_eq!(raw, ben.run(&["mail", "export", id]).ok().out);
    assert_eq!(listed["size"], raw.len());
    ann_up.wait_until(|| {
        let sent = ann_up.call("mail.list", json!({ "mailbox": "sent" }));
        sent[0]["recipients"][0]["state"] == "delivered"
    });
}

#[test]
fn files_come_in_and_go_out_byte_for_byte() {
    let ann = Person::new("Ann");
    let welcome = fs::read(WELCOME).unwrap();
    let imported = ann.run(&["mail", "import", WELCOME, "--json"]).ok().json();
    assert_eq!(imported["imported"], 1);
    let id = imported["id"].as_str().unwrap();
    assert_eq!(ann.run(&["mail", "export", id]).ok().out, welcome);

    let mbox = ann.home.join("in.mbox");
    let text = b"From a@b Thu Jan  1 00:00:00 1970\nSubject: one\n\n>From here\n\n\
                 From c@d Thu Jan  1 00:00:01 1970\nSubject: two\n\nbody\n\n";
    fs::write(&mbox, text).unwrap();
    let ben = Person::new("Ben");
    let path = mbox.to_str().unwrap();
    assert_eq!(ben.run(&["mail", "import", path, "--json"]).ok().json()["imported"], 2);
    let exported = ben.home.join("out.mbox");
    let words = ["mail", "export", "--mailbox", "inbox", "--output", exported.to_str().unwrap()];
    ben.run(&words).ok();
    assert_eq!(fs::read(&exported).unwrap(), text);
    assert_eq!(ben.run(&["mail", "export", "--mailbox", "inbox"]).ok().out, text);
}

#[test]
fn files_come_in_and_go_out_through_a_daemon_too() {
    let ann = Person::new("Ann");
    let _up = ann.up();
    let imported = ann.run(&["mail", "import", WELCOME, "--json"]).ok().json();
    let id = imported["id"].as_str().unwrap();
    let out = ann.home.join("out.eml");
    ann.run(&["mail", "export", id, "--output", out.to_str().unwrap()]).ok();
    assert_eq!(fs::read(out).unwrap(), fs::read(WELCOME).unwrap());
    let mbox = ann.run(&["mail", "export", "--mailbox", "inbox"]).ok().out;
    assert!(mbox.starts_with(b"From "));
}

#[test]
fn what_is_not_there_is_named() {
    let ann = Person::new("Ann");
    for words in [
        &["mail", "show", "999"][..],
        &["mail", "export", "999"],
        &["mail", "import", "/nowhere/at/all.eml"],
    ] {
        let run = ann.run(words);
        assert_eq!(run.code, 1);
        assert!(run.err.contains("999") || run.err.contains("/nowhere/at/all.eml"), "{}", run.err);
    }
}

#[test]
fn an_export_leaves_pipes_links_and_modes_as_they_are() {
    let ann = Person::new("Ann");
    let welcome = fs::read(WELCOME).unwrap();
    let imported = ann.run(&["mail", "import", WELCOME, "--json"]).ok().json();
    let id = imported["id"].as_str().unwrap();
    let export = |to: &str| ann.run(&["mail", "export", id, "--output", to]).ok();

    let (file, link) = (ann.home.join("file.eml"), ann.home.join("link.eml"));
    fs::write(&file, "longer than nothing").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file.eml", &link).unwrap();
    export(link.to_str().unwrap());
    assert!(link.is_symlink());
    assert_eq!(fs::read(&file).unwrap(), welcome);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);

    let (target, link) = (ann.home.join("new.eml"), ann.home.join("dangling.eml"));
    symlink("new.eml", &link).unwrap();
    export(link.to_str().unwrap());
    assert!(link.is_symlink());
    assert_eq!(fs::read(target).unwrap(), welcome);

    let pipe = ann.home.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Open both ways, so that neither end waits for the other; the mail fits into the pipe.
    let mut reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    export(pipe.to_str().unwrap());
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let mut got = vec![0; welcome.len()];
    std::io::Read::read_exact(&mut reader, &mut got).unwrap();
    assert_eq!(got, welcome);

    assert_eq!(export("-").out, welcome);
    let mbox = ["mail", "export", "--mailbox", "inbox", "--output", "-"];
    assert!(ann.run(&mbox).ok().out.starts_with(b"From "));
}

#[test]
fn a_failed_export_leaves_the_file_that_was_there() {
    let ann = Person::new("Ann");
    let file = ann.home.join("kept.eml");
    fs::write(&file, "kept").unwrap();
    assert_eq!(ann.run(&["mail", "export", "999", "-o", file.to_str().unwrap()]).code, 1);
    assert_eq!(fs::read(&file).unwrap(), b"kept");
}

#[test]
fn a_file_without_a_message_is_refused() {
    let ann = Person::new("Ann");
    let file = ann.home.join("empty.eml");
    for text in ["", "\n", "\r\n\n\r\n"] {
        fs::write(&file, text).unwrap();
        let run = ann.run(&["mail", "import", file.to_str().unwrap()]);
        assert_eq!(run.code, 1, "{text:?}");
        assert!(run.err.contains("holds no message"), "{}", run.err);
    }
    assert!(ann.run(&["mail", "list"]).ok().out.is_empty());
}

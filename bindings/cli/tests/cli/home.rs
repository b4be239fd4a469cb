//! Making a profile, and where that is not possible.

use std::ops::Add;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::support::{Person, finish, program};

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_makes_a_home_that_only_its_owner_reads() {
    let ann = Person::new("Ann");
    assert_eq!(mode(&ann.home), 0o700);
    for file in ["priv_key.bin", "store.key", "profile.db"] {
        assert_eq!(mode(&ann.home.join(file)), 0o600, "{file}");
    }
    assert_eq!(std::fs::read(ann.home.join("store.key")).unwrap().len(), 32);
    assert!(ann.address.parse::<std::net::Ipv6Addr>().is_ok());
    assert_eq!(ann.public_key.len(), 64);
}

#[test]
fn init_prints_the_address_and_refuses_a_home_that_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let init = |name: &str| {
        finish(program().arg("--home").arg(dir.path()).args(["init", "--name", name]), b"")
    };
    let address = init("Ann").ok().text();
    assert!(address.parse::<std::net::Ipv6Addr>().is_ok(), "{address}");
    let again = init("Ben");
    assert_eq!(again.code, 1);
    assert!(again.err.contains("already holds the profile of Ann"), "{}", again.err);
}

#[test]
fn the_address_is_also_given_in_the_form_that_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut init = program();
    init.arg("--home").arg(dir.path()).args(["--json", "init", "--name", "Ann"]);
    let made = finish(&mut init, b"").ok().json();
    let myc: threephone::address::Target = made["myc"].as_str().unwrap().parse().unwrap();
    assert_eq!(myc.key().unwrap().to_string(), made["public_key"].as_str().unwrap());
    assert_eq!(myc.address().to_string(), made["address"].as_str().unwrap());
}

#[test]
fn init_takes_over_a_node_key_that_lies_there() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("priv_key.bin");
    std::fs::write(&key, [0x77; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ann = Person::at(dir.path(), "Ann");
    assert_eq!(std::fs::read(&key).unwrap(), [0x77; 32]);
    assert_eq!(mode(&key), 0o600);
    let status = ann.up().call("status", serde_json::Value::Null);
    assert_eq!(status["public_key"], ann.public_key.as_str());
}

#[test]
fn a_key_file_that_is_cut_off_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("priv_key.bin"), [1; 31]).unwrap();
    let run = finish(program().arg("--home").arg(dir.path()).args(["init", "--name", "Ann"]), b"");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("priv_key.bin"), "{}", run.err);
    assert_eq!(std::fs::read(dir.path().join("priv_key.bin")).unwrap(), [1; 31]);
}

/// Root may write anywhere, so the place that cannot be written is one below a file.
#[test]
fn a_home_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let home = file.join("home");
    let run = finish(program().arg("--home").arg(&home).args(["init", "--name", "Ann"]), b"");
    assert_eq!(run.code, 1);
    assert!(run.err.contains(&home.display().to_string()), "{}", run.err);
    assert!(run.err.contains("choose another home"), "{}", run.err);
}

/// As nobody where the tests run as root, whom no mode stops.
#[test]
fn a_home_without_write_permission_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody must be able to reach the program, which may lie in a folder of root's.
    let copy = dir.path().join("threephone");
    std::fs::copy(env!("CARGO_BIN_EXE_threephone"), &copy).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let root = std::fs::write(dir.path().join("probe"), b"").is_ok();
    let home = dir.path().join("home");
    let mut command = std::process::Command::new(&copy);
    command.arg("--home").arg(&home).args(["init", "--name", "Ann"]);
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let run = finish(&mut command, b"");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(run.code, 1);
    assert!(run.err.contains("ermission denied"), "{}", run.err);
    assert!(run.err.contains(&home.display().to_string()), "{}", run.err);
    assert!(!home.exists());
}

#[test]
fn without_a_profile_commands_say_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("none");
    for words in [&["chat", "list"][..], &["up", "--no-discovery"]] {
        let run = finish(program().arg("--home").arg(&home).args(words), b"");
        assert_eq!(run.code, 1);
        assert!(run.err.contains("init --name"), "{}", run.err);
        assert!(!home.exists());
    }
}

#[test]
fn a_passphrase_opens_what_it_closed_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let (home, right, wrong) =
        (dir.path().join("home"), dir.path().join("right"), dir.path().join("wrong"));
    std::fs::write(&right, "correct horse\n").unwrap();
    std::fs::write(&wrong, "battery staple\n").unwrap();
    let run = |passphrase: Option<&Path>, words: &[&str]| {
        let mut command = program();
        command.arg("--home").arg(&home).args(words);
        if let Some(file) = passphrase {
            command.arg("--passphrase-file").arg(file);
        }
        finish(&mut command, b"")
    };
    run(Some(&right), &["init", "--name", "Ann"]).ok();
    assert!(!home.join("store.key").exists());
    run(Some(&right), &["chat", "list"]).ok();
    let none = run(None, &["chat", "list"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("--passphrase-file"), "{}", none.err);
    let refused = run(Some(&wrong), &["chat", "list"]);
    if cfg!(feature = "sqlcipher") {
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains("passphrase"), "{}", refused.err);
    }
    run(Some(&right), &["chat", "list"]).ok();
}

#[test]
fn the_environment_names_the_home_unless_the_option_does() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, variable: &str, value: &Path| {
        let mut command = program();
        command.env_remove("XDG_DATA_HOME").env(variable, value);
        finish(command.args(["--json", "init", "--name", name]), b"").ok().json()
    };
    let own = dir.path().join("own");
    assert_eq!(run("A", "THREEPHONE_HOME", &own)["home"], own.display().to_string());
    let data = dir.path().join("data");
    let made = run("B", "XDG_DATA_HOME", &data);
    assert_eq!(made["home"], data.join("threephone").display().to_string());
}

/// SQLite cannot write behind the size that a file may have here, which stops the writing back of
/// the log at the end and not the commit before it.
#[test]
fn what_was_committed_counts_as_done_though_the_closing_fails() {
    let ann = Person::new("Ann");
    let mail = |name: &str, bytes: usize| {
        let path = ann.home.join(name);
        let text = format!("Subject: {name}\n\n{}", "x".repeat(60).add("\n").repeat(bytes / 61));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    ann.run(&["mail", "import", &mail("large", 6 << 20)]).ok();
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\""]);
    limited.arg(env!("CARGO_BIN_EXE_threephone")).arg("--home").arg(&ann.home);
    let run = finish(limited.args(["mail", "import", &mail("small", 64 << 10)]), b"").ok();
    assert!(run.err.contains("not closed cleanly"), "{}", run.err);
    assert_eq!(ann.run(&["mail", "list"]).ok().text().lines().count(), 2);
}

//! Profiles that cannot be read, are damaged, or lie on a full disk: each error says what is wrong,
//! where, and what to do next.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Daemon, Person, Run, finish, program};

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// Runs the program as somebody whom modes stop: as nobody where the tests run as root.
fn as_somebody_else(home: &Path, words: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    // Nobody must be able to reach the program, which may lie in a folder of root's.
    let copy = dir.path().join("threephone");
    std::fs::copy(env!("CARGO_BIN_EXE_threephone"), &copy).unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o555)).unwrap();
    let root = std::fs::write(dir.path().join("probe"), b"").is_ok();
    let mut command = Command::new(&copy);
    command.arg("--home").arg(home).args(words);
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let run = finish(&mut command, b"");
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    run
}

/// Somebody with a profile in a folder that everybody may enter.
fn reachable() -> (tempfile::TempDir, Person) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let ann = Person::at(&dir.path().join("home"), "Ann");
    (dir, ann)
}

#[test]
fn a_profile_that_may_not_be_read_is_not_taken_for_none() {
    let (_dir, ann) = reachable();
    std::fs::set_permissions(&ann.home, Permissions::from_mode(0o000)).unwrap();
    for words in [&["chat", "list"][..], &["status"], &["up", "--no-discovery"]] {
        let run = as_somebody_else(&ann.home, words);
        assert_eq!(run.code, 1, "{words:?}");
        assert!(run.err.contains("ermission denied"), "{words:?}: {}", run.err);
        assert!(run.err.contains(ann.home.to_str().unwrap()), "{words:?}: {}", run.err);
        assert!(!run.err.contains("init --name"), "{words:?}: {}", run.err);
    }
    std::fs::set_permissions(&ann.home, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_key_that_may_not_be_read_is_named_as_unreadable() {
    let (_dir, ann) = reachable();
    let home = &ann.home;
    std::fs::set_permissions(home, Permissions::from_mode(0o777)).unwrap();
    let _ = std::fs::remove_file(home.join("lock"));
    std::fs::set_permissions(home.join("store.key"), Permissions::from_mode(0o000)).unwrap();
    let run = as_somebody_else(home, &["chat", "list"]);
    assert_eq!(run.code, 1);
    let key = home.join("store.key").display().to_string();
    assert!(run.err.contains(&format!("cannot read {key}")), "{}", run.err);
    assert!(!run.err.contains("write"), "{}", run.err);
}

#[test]
fn a_damaged_first_page_is_named_with_what_to_do() {
    let ann = Person::new("Ann");
    let database = ann.home.join("profile.db");
    let file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
    file.write_all_at(&[0x5a; 64], 100).unwrap();
    let before = std::fs::read(&database).unwrap();
    let run = ann.run(&["chat", "list"]);
    assert_eq!(run.code, 1);
    for part in [database.to_str().unwrap(), "damaged", "backup"] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert_eq!(std::fs::read(&database).unwrap(), before, "it is kept as it is");
}

#[test]
fn a_command_without_a_profile_is_not_told_to_start_its_node() {
    let dir = tempfile::tempdir().unwrap();
    for words in [&["status"][..], &["bus", "receive"], &["power"], &["chat", "follow"]] {
        let run = finish(program().current_dir(&dir).args(["--home", "nope"]).args(words), b"");
        assert_eq!(run.code, 1);
        assert!(run.err.contains("no profile in nope"), "{}", run.err);
        assert!(run.err.contains("--home nope init --name NAME"), "{}", run.err);
    }
}

#[test]
fn a_file_is_no_home() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"precious").unwrap();
    for words in [&["init", "--name", "Ann"][..], &["status"], &["chat", "list"], &["up"]] {
        let run = finish(program().arg("--home").arg(&file).args(words), b"");
        assert_eq!(run.code, 1);
        assert!(run.err.contains("is a file"), "{words:?}: {}", run.err);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

/// A small file system of its own, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None, having said so, where file systems may not be mounted.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(dir.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => {
                println!("SKIPPED: a small file system cannot be mounted here (needs root)");
                None
            }
        }
    }

    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_can_be_read_and_says_that_it_is_full() {
    let Some(disk) = Disk::mount() else { return };
    let ann = Person::at(&disk.0.path().join("home"), "Ann");
    ann.run(&["chat", "send", "4ff::1", "before"]).ok();
    let filler = disk.fill();
    let lists = |words: &[&str]| ann.run(words).ok().text().lines().count();
    assert_eq!(lists(&["chat", "list"]), 1);
    assert_eq!(lists(&["mail", "list"]) + lists(&["peer", "list"]), 0);
    let sent = ann.run(&["chat", "send", "4ff::1", "while it is full"]);
    assert_eq!(sent.code, 1);
    assert!(sent.err.contains("the disk is full"), "{}", sent.err);
    let up = Daemon::start(&ann, &[]);
    ann.run(&["status"]).ok();
    assert_eq!(lists(&["chat", "list"]), 1);
    assert!(ann.run(&["peer", "add", "tcp://127.0.0.1:1"]).err.contains("the disk is full"));
    std::fs::remove_file(filler).unwrap();
    ann.run(&["chat", "send", "4ff::1", "after"]).ok();
    assert_eq!(up.end("TERM").0, Some(0));
    assert_eq!(lists(&["chat", "list"]), 2);
}

/// The lock is the system's; the text in its file only says who holds it.
#[test]
fn a_new_profile_on_a_full_disk_is_told_why_it_cannot_be() {
    let Some(disk) = Disk::mount() else { return };
    disk.fill();
    let home = disk.0.path().join("home");
    let run = finish(program().arg("--home").arg(&home).args(["init", "--name", "Ann"]), b"");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("the disk is full"), "{}", run.err);
}

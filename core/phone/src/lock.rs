//! One process per profile: the lock file and what it says about its holder.
//!
//! The lock itself is the operating system's (it goes away with the process, however that ends, so
//! there are no stale locks); the text in the file only tells others whom they wait for.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::str::FromStr;

use crate::{Home, PhoneError};

/// What a process has the profile open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A node with services, until it is told to stop.
    Daemon,
    /// One command; done in a moment.
    Command,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daemon => "daemon",
            Self::Command => "command",
        })
    }
}

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it has the profile open for.
    pub purpose: Purpose,
}

impl FromStr for Holder {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, purpose) = text.trim().split_once(' ').ok_or(())?;
        let purpose = match purpose {
            "daemon" => Purpose::Daemon,
            "command" => Purpose::Command,
            _ => return Err(()),
        };
        Ok(Self { pid: pid.parse().map_err(|_| ())?, purpose })
    }
}

/// The lock of a home; given back when dropped.
#[derive(Debug)]
pub(crate) struct HomeLock {
    file: File,
}

impl HomeLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(home: &Home, purpose: Purpose) -> Result<Self, PhoneError> {
        let path = home.lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| home.unusable(&path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(PhoneError::InUse {
                    home: home.path().to_owned(),
                    holder: read_holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(home.unusable(&path, source)),
        }
        match write_holder(&mut file, purpose) {
            Ok(()) => Ok(Self { file }),
            // The lock is held all the same, and who only reads needs no room on the disk.
            Err(source) if is_full(&source) => Ok(Self { file }),
            Err(source) => Err(home.unusable(&path, source)),
        }
    }
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        // Whoever looks between the next taking and its text must not read of us.
        let _ = self.file.set_len(0);
    }
}

fn write_holder(file: &mut File, purpose: Purpose) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {purpose}", std::process::id())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// None in the moment between another process's taking the lock and its writing down who it is.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let first = HomeLock::take(&home, Purpose::Daemon).unwrap();
        let error = HomeLock::take(&home, Purpose::Command).unwrap_err();
        let pid = std::process::id();
        assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
        drop(first);
        HomeLock::take(&home, Purpose::Command).unwrap();
    }

    #[test]
    fn what_a_dead_holder_left_in_the_file_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        std::fs::write(home.lock(), "1 daemon with a long story that nobody needs").unwrap();
        let _lock = HomeLock::take(&home, Purpose::Command).unwrap();
        let text = std::fs::read_to_string(home.lock()).unwrap();
        assert_eq!(text, format!("{} command\n", std::process::id()));
    }
}

//! Daemons as processes: ours started and ended, and the system's own account of any process.
//!
//! Our daemon is the binary `threephone` beside this one: build it first.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Error, progress};

/// How often any thread of a process gave up its turn.
pub(crate) fn wake_ups(pid: u32) -> Result<u64, Error> {
    let mut all = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        all += number(&task?.path().join("status"), "voluntary_ctxt_switches:")?;
    }
    Ok(all)
}

/// A line of a process's status that counts memory, in MiB.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn memory(pid: u32, what: &str) -> Result<f64, Error> {
    Ok(number(Path::new(&format!("/proc/{pid}/status")), what)? as f64 / 1024.0)
}

/// The number behind a name in a file of `/proc`.
fn number(file: &Path, name: &str) -> Result<u64, Error> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(word.ok_or_else(|| format!("{} has no {name}", file.display()))?.parse()?)
}

/// Seconds of CPU time that all threads of a process have taken.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, Error> {
    let mut all = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        all += text.split(' ').next().ok_or("an empty account")?.parse::<u64>()?;
    }
    Ok(all as f64 / 1e9)
}

/// Our daemon as a process; ended when dropped.
pub(crate) struct Ours {
    child: Child,
    /// Its first endpoint.
    pub(crate) listening: String,
}

impl Ours {
    /// Makes a profile in `home` and starts with it; ready when this returns.
    pub(crate) fn start(home: &Path, options: &[&str]) -> Result<Self, Error> {
        let home = home.to_str().ok_or("the folder has a strange name")?;
        let made = command(home)?.args(["init", "--name", "Ann"]).stdout(Stdio::null()).status()?;
        if !made.success() {
            return Err("no profile could be made".into());
        }
        let mut child = command(home)?
            .arg("up")
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = child.stdout.take().ok_or("there is no output")?;
        let mut ours = Self { child, listening: String::new() };
        BufReader::new(out).read_line(&mut String::new())?; // it is ready, or it has ended
        let status = command(home)?.args(["--json", "status"]).output()?;
        let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
        let listening = status.pointer("/listening/0").and_then(serde_json::Value::as_str);
        ours.listening = listening.unwrap_or_default().to_owned();
        Ok(ours)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(home: &str) -> Result<Command, Error> {
    let binary: PathBuf = std::env::current_exe()?.with_file_name("threephone");
    if !binary.exists() {
        progress("build the daemon first: cargo build --release -p threephone-cli");
        return Err(format!("there is no {}", binary.display()).into());
    }
    let mut command = Command::new(binary);
    command.args(["--home", home]);
    Ok(command)
}

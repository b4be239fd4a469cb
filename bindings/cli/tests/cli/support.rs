//! People with a profile each, and daemons that are waited for by what they say and do, never by
//! the clock.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Seconds, for options that wait; reached only by a test that fails.
pub(crate) const LONG: &str = "60";
/// The same for what the tests wait for themselves.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threephone"));
    command.stdin(Stdio::null()).env_remove("THREEPHONE_HOME").env_remove("THREEPHONE_LOG");
    command
}

/// How one run of the program ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap().trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs a command to its end, with `input` on standard input.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Somebody with a profile.
pub(crate) struct Person {
    _dir: Option<TempDir>,
    pub(crate) home: PathBuf,
    pub(crate) address: String,
    pub(crate) public_key: String,
}

impl Person {
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let mut person = Self::at(&home, name);
        person._dir = Some(dir);
        person
    }

    pub(crate) fn at(home: &Path, name: &str) -> Self {
        let mut person = Self {
            _dir: None,
            home: home.to_owned(),
            address: String::new(),
            public_key: String::new(),
        };
        let made = person.run(&["--json", "init", "--name", name]).ok().json();
        person.address = made["address"].as_str().unwrap().to_owned();
        person.public_key = made["public_key"].as_str().unwrap().to_owned();
        person
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.arg("--home").arg(&self.home).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        finish(&mut self.command(args), b"")
    }

    /// Starts `up` without peers, listening on a free port.
    pub(crate) fn up(&self) -> Daemon {
        Daemon::start(self, &["--listen", "tcp://127.0.0.1:0"])
    }

    /// Starts `up` as a peer of another one.
    pub(crate) fn up_beside(&self, other: &Daemon) -> Daemon {
        Daemon::start(self, &["--peer", &other.endpoint()])
    }
}

/// A running `up`; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    home: PathBuf,
    pub(crate) ready: String,
    stdout: BufReader<ChildStdout>,
    log: Log,
}

impl Daemon {
    pub(crate) fn start(person: &Person, options: &[&str]) -> Self {
        Self::run(person, person.command(&["up", "--no-discovery"]).args(options))
    }

    /// One that logs everything that any of its parts has to say.
    pub(crate) fn start_tracing(person: &Person, options: &[&str]) -> Self {
        let mut command = person.command(&["up", "--no-discovery"]);
        Self::run(person, command.args(options).env("THREEPHONE_LOG", "trace"))
    }

    fn run(person: &Person, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Log::read(stderr);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        if !ready.starts_with("ready ") {
            panic!("no ready line but {ready:?}; log: {}", log.whole());
        }
        let home = person.home.clone();
        Self { child, home, ready: ready.trim_end().to_owned(), stdout, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where others reach this one.
    pub(crate) fn endpoint(&self) -> String {
        let status = self.call("status", json!({}));
        status["listening"][0].as_str().unwrap().to_owned()
    }

    /// One request over a connection of its own.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        Control::connect(&self.home).call(method, params)
    }

    /// Returns once `condition` holds; looks again at each event of the phone.
    pub(crate) fn wait_until(&self, mut condition: impl FnMut() -> bool) {
        let mut control = Control::connect(&self.home);
        let mut cursor = json!(0);
        while !condition() {
            let batch = control.call("event.next", json!({ "after": cursor, "max": 1000 }));
            cursor = batch["cursor"].clone();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Ends it by a signal; returns its exit code (none when the signal killed it), what else it
    /// had printed, and its log.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        self.signal(signal);
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (code, rest, self.log.whole())
    }

    /// Waits until it has logged a line that holds all of `parts`; gives that line.
    pub(crate) fn logged(&self, parts: &[&str]) -> String {
        self.log.find(parts)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a daemon says on standard error, while it runs and after.
#[derive(Clone, Default)]
struct Log(Arc<(Mutex<LogText>, Condvar)>);

#[derive(Default)]
struct LogText {
    text: String,
    is_whole: bool,
}

impl Log {
    fn read(mut from: impl BufRead + Send + 'static) -> Self {
        let log = Self::default();
        let written = log.clone();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            loop {
                line.clear();
                let is_whole = from.read_until(b'\n', &mut line).unwrap_or(0) == 0;
                let mut log = written.0.0.lock().unwrap();
                log.text.push_str(&String::from_utf8_lossy(&line));
                log.is_whole = is_whole;
                written.0.1.notify_all();
                if is_whole {
                    return;
                }
            }
        });
        log
    }

    fn whole(&self) -> String {
        let log = self.0.0.lock().unwrap();
        self.0.1.wait_while(log, |log| !log.is_whole).unwrap().text.clone()
    }

    #[track_caller]
    fn find(&self, parts: &[&str]) -> String {
        let line = |text: &str| {
            let fits = |line: &&str| parts.iter().all(|part| line.contains(part));
            text.lines().find(fits).map(str::to_owned)
        };
        let log = self.0.0.lock().unwrap();
        let wait = |log: &mut LogText| line(&log.text).is_none() && !log.is_whole;
        let (log, _) = self.0.1.wait_timeout_while(log, PATIENCE, wait).unwrap();
        line(&log.text).unwrap_or_else(|| panic!("{parts:?} is not in: {}", log.text))
    }
}

/// A connection to a control socket.
pub(crate) struct Control {
    reader: BufReader<UnixStream>,
    next_id: u64,
}

impl Control {
    pub(crate) fn connect(home: &Path) -> Self {
        let stream = UnixStream::connect(home.join("control.sock")).unwrap();
        Self { reader: BufReader::new(stream), next_id: 1 }
    }

    pub(crate) fn send(&mut self, text: &str) {
        let stream = self.reader.get_mut();
        stream.write_all(text.as_bytes()).unwrap();
        stream.write_all(b"\n").unwrap();
    }

    pub(crate) fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"))
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request.to_string());
        let reply = self.receive();
        assert_eq!(reply["id"], json!(id), "{reply}");
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].clone()
    }
}

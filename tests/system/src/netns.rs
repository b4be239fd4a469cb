//! Two hosts on one machine: network namespaces joined by a cable. Needs root.
//!
//! A namespace has no name; it lives as long as the process that holds it, and that one is killed by
//! the system together with the test. Nodes of ours live in a runtime whose threads have moved into
//! the namespace; everything else is a process that was started there.

use std::io::{BufRead, BufReader, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};

use crate::stock_binary;

/// What the tests run in a namespace, beside the daemons.
const TOOLS: [&str; 6] = ["ip", "ping", "nsenter", "unshare", "setpriv", "python3"];
/// Addresses set aside for benchmarks of networks; they exist only inside the namespaces.
const CABLE: [&str; 2] = ["198.18.0.1", "198.18.0.2"];
/// Opens a TUN of the name in the first argument and sends its descriptor to standard input.
const PASS_TUN: &str = "
import fcntl, os, socket, struct, sys
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH14x', sys.argv[1].encode(), 0x1001))
socket.send_fds(socket.socket(fileno=0), [b'.'], [tun])
";

/// See the module.
pub struct Hosts {
    holders: [Killed; 2],
}

/// A process that ends with this value.
pub struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Hosts {
    /// Two hosts and a cable; none, having said so, where that cannot be.
    pub fn joined() -> Option<Self> {
        if let Some(reason) = impossible() {
            println!("SKIPPED: {reason}");
            return None;
        }
        Some(Self::join())
    }

    /// As [`Hosts::joined`], without a word.
    pub fn joined_quietly() -> Option<Self> {
        impossible().is_none().then(Self::join)
    }

    fn join() -> Self {
        let hosts = Self { holders: [hold(), hold()] };
        let ends = [0, 1].map(|number| format!("cable-{}-{number}", hosts.pid(0)));
        let mut link = Command::new("ip");
        link.args(["link", "add", &ends[0], "netns", &hosts.pid(0), "type", "veth"]);
        link.args(["peer", "name", &ends[1], "netns", &hosts.pid(1)]);
        done(link);
        for (number, end) in ends.iter().enumerate() {
            let address = format!("{}/30", CABLE[number]);
            hosts.ip(number, &["link", "set", "lo", "up"]);
            hosts.ip(number, &["address", "add", &address, "dev", end]);
            hosts.ip(number, &["link", "set", end, "up"]);
        }
        hosts
    }

    /// The address of a host's end of the cable.
    pub fn address(number: usize) -> &'static str {
        CABLE[number]
    }

    /// Moves the calling thread to a host, with what it opens and starts from now on.
    pub fn enter(&self, number: usize) {
        enter(&self.namespace(number));
    }

    fn namespace(&self, number: usize) -> std::fs::File {
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", self.pid(number)));
        namespace.expect("the namespace of a running process")
    }

    /// Where a host can be reached over the cable.
    pub fn endpoint(&self, number: usize, scheme: &str) -> String {
        format!("{scheme}://{}:9651", CABLE[number])
    }

    /// For nodes of ours on a host: spawn everything, the calling thread is not there.
    pub fn runtime(&self, number: usize) -> Runtime {
        let namespace = Arc::new(self.namespace(number));
        let enter = move || enter(&namespace);
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().on_thread_start(enter);
        runtime.build().expect("a runtime")
    }

    /// A program that is to run on a host.
    pub fn command(&self, number: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        command.arg(format!("--net=/proc/{}/ns/net", self.pid(number))).arg(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Whether a host answers a ping of so many bytes within 20 seconds, asked once a second.
    pub fn ping(&self, from: usize, to: Ipv6Addr, bytes: u16) -> bool {
        let mut ping = self.command(from, "ping");
        ping.args(["-6", "-n", "-c", "1", "-w", "20", "-s", &bytes.to_string(), &to.to_string()]);
        ping.status().expect("ping runs").success()
    }

    /// A TUN on a host, made and configured by somebody else, who passes the descriptor.
    pub fn passed_tun(&self, number: usize, address: Ipv6Addr) -> OwnedFd {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let mut pass = self.command(number, "python3");
        pass.args(["-c", PASS_TUN, "passed"]).stdin(OwnedFd::from(theirs));
        done(pass);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let (mut byte, flags) = ([0], RecvFlags::CMSG_CLOEXEC);
        rustix::net::recvmsg(&ours, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)
            .expect("something was passed");
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        self.ip(number, &["link", "set", "passed", "mtu", "1400", "up"]);
        self.ip(number, &["address", "add", &format!("{address}/7"), "dev", "passed", "nodad"]);
        descriptor.expect("a descriptor")
    }

    /// A stock daemon with a TUN on a host; none, having said so, where `MYCELIUM_BIN` names none.
    /// `folder` holds its key.
    pub fn stock(&self, number: usize, folder: &Path, peer: Option<String>) -> Option<Killed> {
        let binary = stock_binary()?;
        let mut command = self.command(number, binary);
        command.args(["--silent", "--disable-peer-discovery", "--tun-name", "stock"]);
        command.arg("--key-file").arg(folder.join("priv_key.bin"));
        command.args(peer.iter().flat_map(|peer| ["--peers", peer]));
        Some(Killed(command.spawn().expect("the stock daemon starts")))
    }

    fn ip(&self, number: usize, arguments: &[&str]) {
        let mut command = self.command(number, "ip");
        command.args(arguments);
        done(command);
    }

    fn pid(&self, number: usize) -> String {
        self.holders[number].0.id().to_string()
    }
}

fn enter(namespace: &std::fs::File) {
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(namespace.as_fd(), kind).expect("root may enter it");
}

/// Why there can be no namespaces here.
fn impossible() -> Option<String> {
    let missing = TOOLS.iter().find(|tool| {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        !found.is_ok_and(|output| output.status.success())
    });
    if let Some(tool) = missing {
        return Some(format!("'{tool}' is not installed, which tests with network namespaces use"));
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".to_owned());
    }
    let made = Command::new("unshare").args(["--net", "true"]).output();
    let is_made = made.is_ok_and(|output| output.status.success());
    (!is_made).then(|| "no network namespace can be made here, which needs root".to_owned())
}

/// A process in a network namespace of its own.
fn hold() -> Killed {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net"]);
    command.args(["sh", "-c", "echo in; exec sleep infinity"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a process starts");
    let output = child.stdout.take().expect("it has an output");
    BufReader::new(output).read_line(&mut String::new()).expect("it says that it is in");
    Killed(child)
}

fn done(mut command: Command) {
    let output = command.stderr(Stdio::piped()).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

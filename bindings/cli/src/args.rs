//! What may be typed: commands, options and their help texts. No logic.

mod api;
mod parse;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use self::api::Api;
use self::parse::{listen, mail_id, message_id, name, seconds, topic};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use threephone::address::{MailTarget, Target};
use threephone::node::{Endpoint, PeerAddress};

/// Chat and mail from phone to phone over the Mycelium network, without anybody's server.
#[derive(Debug, Parser)]
#[command(name = "threephone", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing in time.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that stand before or after any command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The folder of the profile [default: $THREEPHONE_HOME, or threephone in the user's data folder,
    /// $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Print JSON: one object, or one object a line for lists, receive and follow
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read the passphrase that opens the profile from the first line of this file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a profile: folder, node key, database and device key; prints the address
    Init {
        /// The name that others see on mail from here
        #[arg(long, value_parser = name)]
        name: String,
    },
    /// Run the node and the services until SIGINT or SIGTERM
    ///
    /// Prints exactly one line on standard output, `ready address=… public_key=…`, once it accepts
    /// peers and commands. Logs go to standard error; THREEPHONE_LOG sets what is logged
    /// (for example `debug` or `threephone_node=trace`).
    Up(Up),
    /// Address, peers, routes and outbox of the running node
    Status {
        /// Print what the node counts instead, as Prometheus reads it
        #[arg(long)]
        metrics: bool,
    },
    /// What the running node has cost: wake-ups, processor time and bytes, by cause and by peer
    Power {
        /// Change how much it does on its own, until it is stopped
        #[arg(long, value_enum, value_name = "MODE")]
        set: Option<Power>,
    },
    /// Peers to connect to
    ///
    /// A peer that is added here is remembered in the profile and used by every later `up`, until it
    /// is removed. Those given to `up --peer` last for that run.
    #[command(subcommand)]
    Peer(Peer),
    /// Short messages between two people
    #[command(subcommand)]
    Chat(Chat),
    /// Mail to Mycelium addresses
    #[command(subcommand)]
    Mail(Mail),
    /// Messages of any bytes from node to node, as every Mycelium node understands them; they are
    /// kept in memory, and gone when `up` ends: chats and mail are not
    #[command(subcommand)]
    Bus(Bus),
    /// Show all of it: three nodes in this process, a chat, a mail, a phone that was away
    Demo,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Accept peers here, e.g. tcp://[::]:9651 or quic://[::]:9651; port 0 takes a free one (see
    /// `status`); without any the node only dials [may be repeated]
    #[arg(long, value_name = "ENDPOINT", value_parser = listen)]
    pub(crate) listen: Vec<Endpoint>,
    /// Connect to this peer, and again whenever the link is lost [may be repeated]
    ///
    /// Where the IP address stands there may be a host name, which is looked up at each attempt.
    /// Several ways to one peer are written with commas between them; one of them is used.
    #[arg(long, value_name = "PEER")]
    pub(crate) peer: Vec<PeerAddress>,
    /// Belong to the private network of this name, 2 to 64 bytes; whoever watches sees it
    ///
    /// Links over TCP are then TLS 1.3 with the network's key, and there are no QUIC links.
    #[arg(long, value_name = "NAME", requires = "network_key_file")]
    pub(crate) network_name: Option<String>,
    /// The key of that network: a file of exactly 32 bytes (one end of line after them is no part of
    /// the key), e.g. from `head -c 32 /dev/urandom`
    #[arg(long, value_name = "FILE", requires = "network_name")]
    pub(crate) network_key_file: Option<PathBuf>,
    /// Do not look for peers on the local network
    #[arg(long)]
    pub(crate) no_discovery: bool,
    /// Bring IP traffic of this host into the overlay through a TUN device of this name (Linux;
    /// needs root or CAP_NET_ADMIN) [default: no device]
    #[arg(long, value_name = "NAME")]
    pub(crate) tun: Option<String>,
    /// Connect to a few of the public network's entry peers, now and at every later start
    #[arg(long, conflicts_with = "no_public_peers")]
    pub(crate) public_peers: bool,
    /// Do not connect to them, now and at every later start
    #[arg(long)]
    pub(crate) no_public_peers: bool,
    /// How much the node does on its own
    ///
    /// `active` keeps all peers connected. `idle` keeps the best of those it dials, and does nothing
    /// between the beats of the protocol, every 20 s. `auto` is idle after ten minutes in which no
    /// message went or came and nobody was connected who dialled this node, and else active.
    #[arg(long, value_enum, default_value = "auto", value_name = "MODE")]
    pub(crate) power: Power,
    /// Who may send bus messages on which topic: a file as the stock daemon's `--topic-config`
    ///
    /// `default = "Reject"` refuses topics without a rule; `topic = { subnets = ["400::/7"],
    /// forward_socket = "/path" }` is a rule. A file with a mistake is refused, and nothing starts.
    #[arg(long, value_name = "FILE")]
    pub(crate) topic_config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Power {
    /// As the use says
    Auto,
    /// All peers
    Active,
    /// One peer
    Idle,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Connect to this peer now and at every later start
    Add {
        /// e.g. tcp://192.0.2.1:9651, quic://[2001:db8::1]:9651 or tcp://router.example:9651; ways
        /// to one and the same peer with commas between them
        #[arg(value_name = "PEER")]
        endpoint: PeerAddress,
    },
    /// Disconnect from this peer and forget it
    Remove {
        /// As shown by `peer list`
        #[arg(value_name = "PEER")]
        endpoint: PeerAddress,
    },
    /// Remembered peers, and while the node runs also those connected
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Chat {
    /// Send a line; it waits in the outbox until the other phone has it
    Send {
        /// An overlay address, a public key, or its .myc form
        address: Target,
        /// The line
        text: String,
    },
    /// Lines, oldest first; listing does not mark them as read
    List {
        /// Only those with this person
        #[arg(long, value_name = "ADDRESS")]
        with: Option<Target>,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Mark all lines of this person as read, and tell them
    Read {
        /// An overlay address, a public key, or its .myc form
        address: Target,
    },
    /// Print lines as they come or go from now on, until interrupted
    Follow,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Send a mail; it waits in the outbox until each recipient's phone has it
    Send(MailSend),
    /// Mails, the latest to arrive first
    List {
        /// Only this mailbox
        #[arg(long)]
        mailbox: Option<Mailbox>,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one mail
    Show {
        /// As shown by `mail list`
        #[arg(value_parser = mail_id)]
        id: String,
        /// The message byte for byte as stored
        #[arg(long)]
        raw: bool,
    },
    /// Mails that contain all of these words
    Search {
        /// Words in subject, addresses or text
        #[arg(required = true)]
        words: Vec<String>,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Take a message (.eml) or a file of many (mbox) into a mailbox, byte for byte
    Import {
        /// The file; an mbox is known by its `From ` separator lines
        file: PathBuf,
        /// Where to
        #[arg(long, default_value = "inbox")]
        mailbox: Mailbox,
    },
    /// Write one mail, or a whole mailbox as mbox, byte for byte as stored
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Export {
        /// The mail
        #[arg(group = "what", value_parser = mail_id)]
        id: Option<String>,
        /// All of this mailbox as mbox instead
        #[arg(long, group = "what")]
        mailbox: Option<Mailbox>,
        /// Write here instead of standard output (`-`); a file appears only once it is whole
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MailSend {
    /// To whom: an overlay address, a public key, or anything@[IPv6:…] or anything@….myc
    /// [may be repeated]
    #[arg(long, required = true, value_name = "ADDRESS")]
    pub(crate) to: Vec<MailTarget>,
    /// A copy to [may be repeated]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) cc: Vec<MailTarget>,
    /// The subject
    #[arg(long)]
    pub(crate) subject: String,
    /// Attach this file [may be repeated]
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,
    /// Take the text from this file; `-` is standard input [default: no text]
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mailbox {
    /// What came
    Inbox,
    /// What we sent
    Sent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bus {
    /// Send a message; prints its id once the node has queued it, with or without a route
    Send {
        /// An overlay address, a public key, or its .myc form
        address: Target,
        /// Up to 255 bytes that say what it is about
        #[arg(long, default_value = "", value_parser = OsStringValueParser::new().try_map(topic))]
        topic: OsString,
        /// Wait up to S seconds until the other node has it; exit code 3 if it has not
        #[arg(long, value_name = "S", value_parser = seconds)]
        wait: Option<Duration>,
        /// Wait up to S seconds for a reply and print it as `bus receive` does; exit code 3 if none
        /// came, and then the id of the message is printed
        #[arg(long, value_name = "S", value_parser = seconds, conflicts_with = "wait")]
        wait_reply: Option<Duration>,
        /// This is the reply to the message ID that came from ADDRESS
        #[arg(long, value_name = "ID", value_parser = message_id,
            conflicts_with_all = ["wait_reply", "topic"])]
        reply_to: Option<String>,
        /// The message, up to 16 MiB; `-` is standard input; nothing is a message of no bytes
        data: Option<OsString>,
    },
    /// Take one message; prints its bytes, and where it is from on standard error
    ///
    /// It is taken once it is printed: if standard output cannot be written, it stays for the next.
    Receive {
        /// Only of this topic [default: any but the product's own]
        #[arg(long, value_parser = OsStringValueParser::new().try_map(topic))]
        topic: Option<OsString>,
        /// Wait up to S seconds; exit code 3 if nothing came
        #[arg(long, value_name = "S", default_value = "0", value_parser = seconds)]
        timeout: Duration,
        /// Leave it there for the next; its sender hears that it was read all the same
        #[arg(long)]
        peek: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_stands_before_or_after_the_command() {
        for words in [["threephone", "--json", "status"], ["threephone", "status", "--json"]] {
            assert!(Cli::try_parse_from(words).unwrap().global.json);
        }
    }

    #[test]
    fn an_unreadable_address_is_a_usage_error_that_lists_the_forms() {
        let error =
            Cli::try_parse_from(["threephone", "chat", "send", "ben", "hello"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("64 hexadecimal digits"), "{error}");
    }
}

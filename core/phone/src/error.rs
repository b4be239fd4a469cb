//! What can go wrong with a phone as a whole; each text says what to do next.

use std::io;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use threephone_delivery::DeliveryError;
use threephone_identity::IdentityError;
use threephone_mail::MailError;
use threephone_messaging::MessagingError;
use threephone_node::{KeyFileError, NodeError, SendError};
use threephone_store::StoreError;

use crate::home::shell_word;
use crate::lock::Holder;

/// Why the phone did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// No profile was made here.
    #[error("there is no profile in {}; make one with `threephone --home {} init --name NAME`, or \
        name the folder of yours with --home", home.display(), shell_word(home))]
    NotInitialised {
        /// The folder.
        home: PathBuf,
    },
    /// A profile was made here before.
    #[error("{} already holds the profile of {name}; choose another folder", home.display())]
    AlreadyInitialised {
        /// The folder.
        home: PathBuf,
        /// Whose profile it is.
        name: String,
    },
    /// A name that is empty, too long, or holds control characters.
    #[error("'{0}' cannot be a name: use 1 to 64 characters, none of them control characters")]
    BadName(String),
    /// A file or folder of the home cannot be written or made.
    #[error("{}: {source}; {}", path.display(), write_advice(source))]
    HomeUnusable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder of the home is there and cannot be read, so nothing is known of a profile.
    #[error("cannot read {}: {source}; only the user who made the profile may read it: run this as \
        that user, or see with `ls -la {}` whom it belongs to", path.display(), shell_word(path))]
    HomeUnreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was named as the home is a file.
    #[error("{} is a file, and a profile lies in a folder; name another with --home",
        home.display())]
    NotAFolder {
        /// What was named.
        home: PathBuf,
    },
    /// Another process has the profile open.
    #[error("{} is in use by {}", home.display(), describe(holder.as_ref()))]
    InUse {
        /// The folder.
        home: PathBuf,
        /// Who has it, where that is known.
        holder: Option<Holder>,
    },
    /// The node key cannot be used.
    #[error("{}: {source}", path.display())]
    NodeKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyFileError,
    },
    /// The node key is not there.
    #[error("{} is missing; restore it from a copy", path.display())]
    NodeKeyMissing {
        /// The key file.
        path: PathBuf,
    },
    /// The node key is not the one that the profile was made with: others know the profile by that
    /// key's address.
    #[error("{} is the key of {found}, but this profile was made with that of {expected}; restore \
        the right priv_key.bin, or make a new profile in another home", path.display())]
    NodeKeyOfAnother {
        /// The key file.
        path: PathBuf,
        /// The profile's address.
        expected: Ipv6Addr,
        /// The address of the key in the file.
        found: Ipv6Addr,
    },
    /// The database key or what belongs to the passphrase is not what was written.
    #[error("{} is missing or damaged; without it the profile cannot be opened: restore it from a copy",
        path.display())]
    StoreKeyDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The profile is opened by a passphrase, and none was given.
    #[error("a passphrase opens this profile; give it with --passphrase-file FILE")]
    PassphraseNeeded,
    /// The profile is opened by its key file, and a passphrase was given.
    #[error("no passphrase opens this profile but {}; leave out --passphrase-file",
        key_file.display())]
    PassphraseNotWanted {
        /// What opens it.
        key_file: PathBuf,
    },
    /// The node does not run in this phone.
    #[error("this phone is offline: it was opened without its node")]
    Offline,
    /// The phone has been closed.
    #[error("this phone is closed; open it again")]
    Closed,
    /// A topic that the product keeps for itself.
    #[error("the topic '{0}' is the product's own; use another one")]
    ReservedTopic(String),
    /// A message to an address of this node, which no link carries.
    #[error("that address is this node's own")]
    ToSelf,
    /// The profile remembers as many peers as it may.
    #[error("{limit} peers are remembered already; remove one first")]
    TooManyPeers {
        /// How many.
        limit: u32,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Who we are.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The message bus.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The outbox.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// Chats.
    #[error(transparent)]
    Messaging(#[from] MessagingError),
    /// Mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The operating system gave no runtime or thread.
    #[error("the system gave no threads or timers: {0}")]
    Runtime(io::Error),
}

impl From<threephone_store::rusqlite::Error> for PhoneError {
    fn from(error: threephone_store::rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

fn write_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free some space and try again",
        io::ErrorKind::QuotaExceeded => {
            "your share of the disk is full: free some space, or have it raised"
        }
        _ => "check that you may write there, or choose another home folder",
    }
}

fn describe(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, .. }) => format!("process {pid}; stop that one first"),
        None => "another process; stop that one first".into(),
    }
}

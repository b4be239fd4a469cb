//! The one place where the core's errors become the few that an app tells apart. Texts that may
//! hold paths, addresses or what the system said stay on this side, in the log.

use threephone::delivery::DeliveryError;
use threephone::identity::IdentityError;
use threephone::mail::MailError;
use threephone::messaging::{MessagingError, WireError};
use threephone::node::{KeyFileError, NodeError, SendError};
use threephone::store::StoreError;

use crate::convert::count;

/// Why the phone did not do what was asked. Nothing was changed, unless the call says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum PhoneError {
    /// There is no such thing: a mail, an attachment, a peer.
    #[error("there is no such thing")]
    NotFound,
    /// There is no profile in this folder.
    #[error("there is no profile in this folder")]
    NoProfile,
    /// The folder already holds a profile.
    #[error("the folder already holds a profile")]
    AlreadyExists,
    /// An argument cannot be what it should be.
    #[error("{argument}: {hint}")]
    InvalidArgument {
        /// Which one.
        argument: String,
        /// What would do, in English.
        hint: String,
    },
    /// Larger than what can be sent or imported.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes; 0 where it depends.
        limit: u64,
    },
    /// More than may be there: peers, recipients.
    #[error("more than the limit of {limit}")]
    TooMany {
        /// How many may be there.
        limit: u64,
    },
    /// Another process has the profile open.
    #[error("the profile is in use")]
    InUse {
        /// Its process id, where that is known.
        pid: Option<u32>,
    },
    /// Key or passphrase is not the one the profile was made with, or of the other kind.
    #[error("the key does not open this profile")]
    WrongKey,
    /// A newer version of the app wrote the profile.
    #[error("the profile was written by a newer version")]
    NewerVersion,
    /// The profile, or a file to be imported, is damaged. Nothing was repaired or deleted.
    #[error("what is stored is damaged")]
    Damaged,
    /// A file or folder cannot be read or written.
    #[error("a file or folder cannot be read or written")]
    Denied,
    /// A port to listen on is taken or not allowed.
    #[error("it is not possible to listen there")]
    CannotListen,
    /// No space is left on the device.
    #[error("no space is left")]
    Full,
    /// Too much is under way; the same call may succeed in a moment.
    #[error("too much is under way")]
    Busy,
    /// The phone was opened without its node.
    #[error("the phone is offline")]
    Offline,
    /// The call's cancel handle was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The phone was shut down.
    #[error("the phone is closed")]
    Closed,
    /// A bug or a failure of the system; the log has more.
    #[error("internal error ({code})")]
    Internal {
        /// A short word for a bug report.
        code: String,
    },
}

impl PhoneError {
    pub(crate) fn invalid(argument: &str, hint: impl ToString) -> Self {
        Self::InvalidArgument { argument: argument.into(), hint: hint.to_string() }
    }

    pub(crate) fn internal(code: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, code, "an error that the app cannot act on");
        Self::Internal { code: code.into() }
    }
}

impl From<threephone::PhoneError> for PhoneError {
    fn from(error: threephone::PhoneError) -> Self {
        use threephone::PhoneError as Core;
        match error {
            Core::NotInitialised { .. } => Self::NoProfile,
            Core::AlreadyInitialised { .. } => Self::AlreadyExists,
            Core::BadName(_) => {
                Self::invalid("name", "use 1 to 64 characters, none of them control characters")
            }
            Core::HomeUnusable { source, .. } | Core::HomeUnreadable { source, .. } => {
                source.into()
            }
            Core::NotAFolder { .. } => Self::Denied,
            Core::InUse { holder, .. } => Self::InUse { pid: holder.map(|holder| holder.pid) },
            Core::NodeKey { source, .. } => source.into(),
            Core::NodeKeyMissing { .. } | Core::NodeKeyOfAnother { .. } => Self::Damaged,
            Core::StoreKeyDamaged { .. } => Self::Damaged,
            Core::PassphraseNeeded | Core::PassphraseNotWanted { .. } => Self::WrongKey,
            Core::Offline => Self::Offline,
            Core::Closed => Self::Closed,
            Core::ReservedTopic(_) => Self::invalid("topic", "this topic is the product's own"),
            Core::TooManyPeers { limit } => Self::TooMany { limit: limit.into() },
            Core::Store(error) => error.into(),
            Core::Identity(error) => error.into(),
            Core::Node(error) => error.into(),
            Core::Send(error) => error.into(),
            Core::Delivery(error) => error.into(),
            Core::Messaging(error) => error.into(),
            Core::Mail(error) => error.into(),
            error => Self::internal("phone", &error),
        }
    }
}

impl From<StoreError> for PhoneError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WrongKey(_) => Self::WrongKey,
            StoreError::NewerVersion { .. } => Self::NewerVersion,
            StoreError::Damaged(_) => Self::Damaged,
            StoreError::Full => Self::Full,
            StoreError::Denied(_) => Self::Denied,
            StoreError::Busy => Self::Busy,
            StoreError::Closed => Self::Closed,
            StoreError::Panicked(_) | StoreError::Key(_) | StoreError::Sqlite(_) => {
                Self::internal("store", &error)
            }
        }
    }
}

impl From<IdentityError> for PhoneError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Exists => Self::AlreadyExists,
            IdentityError::BadName => {
                Self::invalid("name", "use 1 to 64 characters, none of them control characters")
            }
            IdentityError::Damaged => Self::Damaged,
            IdentityError::Store(error) => error.into(),
            IdentityError::Random(_) => Self::internal("random", &error),
        }
    }
}

impl From<NodeError> for PhoneError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Listen { .. } | NodeError::Tun(_) => Self::CannotListen,
            NodeError::PeerExists(_) => Self::AlreadyExists,
            NodeError::UnknownPeer(_) => Self::NotFound,
            NodeError::TooManyPeers(limit) => Self::TooMany { limit: count(limit) },
            NodeError::Closed => Self::Closed,
            NodeError::NotDiallable { .. } => Self::invalid("endpoint", &error),
            NodeError::Transport(_) => Self::internal("transport", &error),
            NodeError::Random(_) => Self::internal("random", &error),
        }
    }
}

impl From<SendError> for PhoneError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TopicTooLong(_) => Self::invalid("topic", "a topic has at most 255 bytes"),
            SendError::TooLarge { limit, .. } => Self::TooLarge { limit: count(limit) },
            SendError::QueueFull | SendError::IdInUse => Self::Busy,
            SendError::NotInOverlay | SendError::BadKey => Self::invalid("to", error),
            SendError::Answered => Self::invalid("id", error),
            SendError::Closed => Self::Closed,
        }
    }
}

impl From<DeliveryError> for PhoneError {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::ToSelf => Self::invalid("to", error),
            DeliveryError::TooLarge { limit, .. } => Self::TooLarge { limit: count(limit) },
            DeliveryError::Store(error) => error.into(),
            DeliveryError::UnknownNoun(_) | DeliveryError::Random(_) => {
                Self::internal("delivery", &error)
            }
        }
    }
}

impl From<MessagingError> for PhoneError {
    fn from(error: MessagingError) -> Self {
        match error {
            MessagingError::Text(WireError::TooLong) => {
                Self::TooLarge { limit: count(threephone::messaging::MAX_TEXT_BYTES) }
            }
            MessagingError::Text(error) => Self::invalid("text", error),
            MessagingError::Delivery(error) => error.into(),
            MessagingError::Store(error) => error.into(),
            MessagingError::NotAttached => Self::internal("messaging", &error),
        }
    }
}

impl From<MailError> for PhoneError {
    fn from(error: MailError) -> Self {
        use threephone::mail::{MAX_MAIL_BYTES, MAX_RECIPIENTS};
        match error {
            MailError::TooLarge { .. } => Self::TooLarge { limit: count(MAX_MAIL_BYTES) },
            MailError::NoRecipient => Self::invalid("to", error),
            MailError::TooManyRecipients(_) => Self::TooMany { limit: count(MAX_RECIPIENTS) },
            MailError::Unknown(_) | MailError::NoAttachment { .. } => Self::NotFound,
            MailError::NotAMail(_) | MailError::NotMbox | MailError::NoMessage => Self::Damaged,
            MailError::ImportTooLarge { limit } => Self::TooLarge { limit: count(limit) },
            MailError::Io(error) => error.into(),
            MailError::Store(error) => error.into(),
            MailError::Compose(_) | MailError::Delivery { .. } => Self::internal("mail", &error),
        }
    }
}

impl From<KeyFileError> for PhoneError {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::Io(error) => error.into(),
            _ => Self::Damaged,
        }
    }
}

impl From<std::io::Error> for PhoneError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::NotFound => Self::NotFound,
            _ => Self::Denied,
        }
    }
}

/// What a listener that the app implements may throw.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum ListenerError {
    /// It does not want to be called any more.
    #[error("the listener is done")]
    Done,
    /// It threw something else.
    #[error("the listener failed")]
    Failed,
}

impl From<uniffi::UnexpectedUniFFICallbackError> for ListenerError {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        // Its text is a whole stack trace on some platforms.
        Self::Failed
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_kind_that_an_app_acts_on_keeps_its_kind() {
        use threephone::PhoneError as Core;
        let home = || PathBuf::from("/secret/home");
        let holder = None;
        let cases: [(Core, PhoneError); 8] = [
            (Core::NotInitialised { home: home() }, PhoneError::NoProfile),
            (
                Core::AlreadyInitialised { home: home(), name: "Ann".into() },
                PhoneError::AlreadyExists,
            ),
            (Core::InUse { home: home(), holder }, PhoneError::InUse { pid: None }),
            (Core::Store(StoreError::WrongKey(home())), PhoneError::WrongKey),
            (Core::Store(StoreError::Full), PhoneError::Full),
            (Core::Node(NodeError::Closed), PhoneError::Closed),
            (Core::Offline, PhoneError::Offline),
            (Core::TooManyPeers { limit: 256 }, PhoneError::TooMany { limit: 256 }),
        ];
        for (core, expected) in cases {
            assert_eq!(PhoneError::from(core), expected);
        }
    }

    #[test]
    fn no_path_and_no_text_of_the_system_crosses() {
        use threephone::PhoneError as Core;
        let path = PathBuf::from("/secret/home/store.key");
        let io = || io::Error::other("open /secret/home");
        let errors = [
            Core::HomeUnusable { path: path.clone(), source: io() },
            Core::HomeUnreadable { path: path.clone(), source: io() },
            Core::NotAFolder { home: path.clone() },
            Core::StoreKeyDamaged { path: path.clone() },
            Core::PassphraseNotWanted { key_file: path },
            Core::Store(StoreError::Sqlite("unable to open /secret/home".into())),
            Core::Mail(MailError::Io(io())),
            Core::Runtime(io()),
        ];
        for error in errors {
            let crossed = PhoneError::from(error);
            assert!(!format!("{crossed} {crossed:?}").contains("secret"), "{crossed:?}");
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_forbidden_one() {
        let full = PhoneError::from(io::Error::from(io::ErrorKind::StorageFull));
        let denied = PhoneError::from(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!((full, denied), (PhoneError::Full, PhoneError::Denied));
    }

    #[test]
    fn a_listener_that_throws_leaves_no_stack_trace() {
        let thrown = uniffi::UnexpectedUniFFICallbackError::new("at org.example.Secret.kt:17");
        assert_eq!(ListenerError::from(thrown), ListenerError::Failed);
    }
}

//! How the phone's node takes part in the network, for the other languages.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use threephone::node;
use zeroize::Zeroizing;

use crate::convert::parse_all;
use crate::{PhoneError, TopicPolicy};

/// How the node takes part; the default listens nowhere and dials remembered peers only.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct NodeOptions {
    /// Where it accepts links, such as `tcp://0.0.0.0:9651`; port 0 lets the system choose.
    #[uniffi(default = [])]
    pub listen: Vec<String>,
    /// Whom it dials for as long as it runs, beside the remembered peers.
    #[uniffi(default = [])]
    pub peers: Vec<String>,
    /// Whether it looks for peers on the local network.
    #[uniffi(default = false)]
    pub discovery: bool,
    /// Whether it connects to a few of the public network's entry peers. What is said here is
    /// remembered in the profile; none leaves it as it was, and at first there are none.
    #[uniffi(default = None)]
    pub public_peers: Option<bool>,
    /// How much it does on its own; none is `Always(Active)`.
    #[uniffi(default = None)]
    pub power: Option<PowerPolicy>,
    /// The network of one's own that it belongs to, instead of the public one: then nobody else gets
    /// in, and public peers are left alone.
    #[uniffi(default = None)]
    pub private_network: Option<PrivateNetwork>,
    /// The device that brings IP traffic of this host into the overlay; none needs no privilege.
    #[uniffi(default = None)]
    pub tun: Option<Tun>,
    /// Who may send bus messages on which topic; none lets anybody send on any. `Bus` can change it.
    #[uniffi(default = None)]
    pub topic_policy: Option<TopicPolicy>,
}

impl TryFrom<NodeOptions> for threephone::NodeOptions {
    type Error = PhoneError;

    fn try_from(options: NodeOptions) -> Result<Self, PhoneError> {
        Ok(Self {
            listen: parse_all("listen", &options.listen)?,
            peers: parse_all("peers", &options.peers)?,
            discovery: options.discovery,
            // Apps hear of it from their platform, and say so.
            follow_network: false,
            public_peers: options.public_peers,
            power: options.power.map(Into::into).unwrap_or_default(),
            private_network: options.private_network.map(TryInto::try_into).transpose()?,
            tun: options.tun.map(TryInto::try_into).transpose()?.unwrap_or_default(),
            topic_policy: options
                .topic_policy
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// Name and key of a network of one's own.
#[derive(Clone, uniffi::Record)]
pub struct PrivateNetwork {
    /// 2 to 64 bytes; whoever watches a connection sees it.
    pub name: String,
    /// The 32 bytes that all nodes of the network share.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for PrivateNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateNetwork").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TryFrom<PrivateNetwork> for node::PrivateNetwork {
    type Error = PhoneError;

    fn try_from(network: PrivateNetwork) -> Result<Self, PhoneError> {
        let bytes = Zeroizing::new(network.key);
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        let key = Zeroizing::new(key.map_err(|_| {
            PhoneError::invalid("private_network", "the key of a network has exactly 32 bytes")
        })?);
        Self::new(&network.name, *key)
            .map_err(|error| PhoneError::invalid("private_network", error))
    }
}

/// Where IP packets of this host come from and go to.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Tun {
    /// A device of this name, made if there is none. Linux only, and privileged.
    Named {
        /// 1 to 15 letters, digits, `-`, `_` or `.`.
        name: String,
    },
    /// An open device that the app has configured with the phone's address (`/64`), routes for
    /// `400::/7` and an MTU of 1400: Android's `VpnService`, a packet tunnel of iOS.
    ///
    /// The phone makes itself a descriptor of its own, so this one stays the app's to close; the device
    /// ends when the app has closed it and the phone is shut down.
    Descriptor {
        /// As `ParcelFileDescriptor.getFd()` gives it.
        fd: i32,
    },
}

impl TryFrom<Tun> for threephone::Tun {
    type Error = PhoneError;

    fn try_from(tun: Tun) -> Result<Self, PhoneError> {
        let fd = match tun {
            Tun::Named { name } => return Ok(Self::Named(name)),
            Tun::Descriptor { fd } => fd,
        };
        let refused = || PhoneError::invalid("tun", "this is no open file descriptor");
        if fd < 0 {
            return Err(refused());
        }
        // SAFETY: borrowed for the one call that copies it, which fails for one that is not open.
        let theirs = unsafe { BorrowedFd::borrow_raw(fd) };
        let own = theirs.try_clone_to_owned().map_err(|_| refused())?;
        Ok(Self::Fd(Arc::new(own)))
    }
}

/// How much the node does at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PowerMode {
    /// All peers are connected.
    Active,
    /// One peer is kept, and nothing is done between the beats of the protocol.
    Idle,
    /// All links are closed and no timer runs; any other mode brings them back at once.
    Suspended,
}

impl From<PowerMode> for node::PowerMode {
    fn from(mode: PowerMode) -> Self {
        match mode {
            PowerMode::Active => Self::Active,
            PowerMode::Idle => Self::Idle,
            PowerMode::Suspended => Self::Suspended,
        }
    }
}

impl From<node::PowerMode> for PowerMode {
    fn from(mode: node::PowerMode) -> Self {
        match mode {
            node::PowerMode::Active => Self::Active,
            node::PowerMode::Idle => Self::Idle,
            node::PowerMode::Suspended => Self::Suspended,
        }
    }
}

/// How the mode is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PowerPolicy {
    /// Idle after ten minutes without data and without a peer that dialled us, else active.
    Auto,
    /// As told.
    Always {
        /// What.
        mode: PowerMode,
    },
}

impl From<PowerPolicy> for node::PowerPolicy {
    fn from(policy: PowerPolicy) -> Self {
        match policy {
            PowerPolicy::Auto => Self::Auto,
            PowerPolicy::Always { mode } => Self::Always(mode.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn argument<T>(outcome: Result<T, PhoneError>) -> String {
        match outcome {
            Err(PhoneError::InvalidArgument { argument, .. }) => argument,
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn a_network_has_a_name_and_a_key_of_32_bytes_that_is_never_shown() {
        let network =
            |name: &str, length| PrivateNetwork { name: name.into(), key: vec![119; length] };
        assert!(node::PrivateNetwork::try_from(network("ours", 32)).is_ok());
        for (name, length) in [("ours", 0), ("ours", 31), ("ours", 33), ("o", 32)] {
            let refused = node::PrivateNetwork::try_from(network(name, length));
            assert_eq!(argument(refused), "private_network", "{name} {length}");
        }
        let shown = format!("{:?}", network("ours", 32));
        assert!(shown.contains("ours") && !shown.contains("119"), "{shown}");
    }

    #[test]
    fn a_descriptor_is_copied_and_one_that_is_none_is_refused() {
        for fd in [-1, i32::MIN, i32::MAX] {
            assert_eq!(argument(threephone::Tun::try_from(Tun::Descriptor { fd })), "tun", "{fd}");
        }
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let theirs = one.as_raw_fd();
        match threephone::Tun::try_from(Tun::Descriptor { fd: theirs }) {
            Ok(threephone::Tun::Fd(own)) => assert_ne!(own.as_raw_fd(), theirs),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_endpoint_that_is_none_names_its_argument() {
        let options = NodeOptions { peers: vec!["somewhere".into()], ..NodeOptions::default() };
        assert_eq!(argument(threephone::NodeOptions::try_from(options)), "peers");
    }
}

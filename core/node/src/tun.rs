//! The way between this node and the applications of its host: a TUN device, or none.
//!
//! The pure parts cut what the system hands over as one large packet (`split`) and put together
//! what it shall get (`coalesce`); the device moves bytes. Only here may code be unsafe: the system
//! calls that open, configure, read and write a device have no safe form.

#[cfg(unix)]
mod coalesce;
#[cfg(unix)]
mod device;
#[cfg(unix)]
mod family;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod offload;
#[cfg(unix)]
mod split;
#[cfg(test)]
mod tests;

#[cfg(unix)]
pub(crate) use self::coalesce::Coalescer;
#[cfg(unix)]
pub(crate) use self::device::{Device, READ_BYTES};
#[cfg(unix)]
pub(crate) use self::offload::Offload;
#[cfg(unix)]
pub(crate) use self::split::{longest, narrow, split};

/// The longest IP packet that leaves this node: what older nodes can make, too.
pub const MTU: u16 = 1400;

/// Where IP packets come from and go to.
#[derive(Debug, Default)]
pub enum Tun {
    /// Nowhere: the node routes and carries messages. Needs no privilege. Ping of the node's own
    /// address is still answered.
    #[default]
    None,
    /// A device of this name, made if there is none, with the node's address and MTU 1400; the
    /// overlay's addresses are routed there. Linux only; needs CAP_NET_ADMIN and /dev/net/tun.
    Named(String),
    /// An open device that somebody else has configured: Android's VpnService, a packet tunnel of
    /// iOS, or a descriptor passed on by whoever has the privilege. Every read gives one IP packet.
    #[cfg(unix)]
    Fd(std::os::fd::OwnedFd),
}

/// Why there is no TUN.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The name cannot be that of a device.
    #[error("'{0}' cannot name a network device: 1 to 15 letters, digits, '-', '_' or '.'")]
    Name(String),
    /// There is no device to open.
    #[error(
        "/dev/net/tun cannot be opened: {0}; it needs the kernel's tun module and read and write \
         permission on that file, which root has"
    )]
    Missing(std::io::Error),
    /// The privilege is missing.
    #[error(
        "the device '{0}' cannot be made: that needs the privilege CAP_NET_ADMIN; run as root, give \
         the program the capability (setcap cap_net_admin+ep), or go without --tun"
    )]
    Privilege(String),
    /// Another program has it open.
    #[error("the device '{0}' is in use by another program; choose another name")]
    Busy(String),
    /// There is such a device, of another kind.
    #[error(
        "'{0}' is a network device of another kind, or was made in another way; choose another name, for example tun0"
    )]
    OtherKind(String),
    /// A step of making or configuring it failed.
    #[error("the device '{name}' cannot be set up ({step}): {error}")]
    Setup {
        /// Its name.
        name: String,
        /// What was tried.
        step: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// This system has no devices that are opened by name.
    #[error("on this system a TUN cannot be opened by name; pass an open descriptor instead")]
    Unsupported,
}

/// Opens what was asked for: one descriptor for each task that may read it.
#[cfg(unix)]
pub(crate) fn open(
    tun: Tun,
    address: std::net::Ipv6Addr,
    tasks: usize,
) -> Result<Vec<Device>, TunError> {
    match tun {
        Tun::None => Ok(Vec::new()),
        #[cfg(target_os = "linux")]
        Tun::Named(name) => linux::open(&name, address, tasks),
        #[cfg(not(target_os = "linux"))]
        Tun::Named(_) => {
            let _ = (address, tasks);
            Err(TunError::Unsupported)
        }
        Tun::Fd(fd) => {
            let name = "passed descriptor".to_owned();
            let failed = |error| TunError::Setup { name, step: "taking it over", error };
            Ok(vec![Device::from_fd(fd).map_err(failed)?])
        }
    }
}

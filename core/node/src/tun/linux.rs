//! Makes and configures a TUN device on Linux.
//!
//! The offloads are asked for in steps, since older kernels know no UDP segments: without them the
//! node still works, with one packet a read. Every queue is a descriptor of its own; the kernel keeps
//! a flow on one of them.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use super::device::{Before, Device};
use super::{MTU, TunError};

/// Checksums, and TCP over IPv6 cut by us.
const OFFLOADS: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
const UDP_OFFLOADS: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;
/// Bits of the overlay's prefix, 400::/7.
const OVERLAY_BITS: u32 = 7;

/// Opens the device `name` with up to `queues` queues, gives it `address`, and starts it.
pub(crate) fn open(name: &str, address: Ipv6Addr, queues: usize) -> Result<Vec<Device>, TunError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..libc::IFNAMSIZ).contains(&name.len()) || !name.bytes().all(is_plain) {
        return Err(TunError::Name(name.to_owned()));
    }
    let mut devices = Vec::new();
    for _ in 0..queues.max(1) {
        let file = open_queue(name, queues > 1)?;
        let setup = |step, error| TunError::Setup { name: name.to_owned(), step, error };
        let before = ask_for_offloads(&file).map_err(|error| setup("offloads", error))?;
        let device = Device::new(OwnedFd::from(file), before);
        devices.push(device.map_err(|error| setup("opening", error))?);
    }
    configure(name, address)?;
    Ok(devices)
}

fn open_queue(name: &str, is_one_of_several: bool) -> Result<File, TunError> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    let file = file.map_err(TunError::Missing)?;
    let mut flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    if is_one_of_several {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the request is a valid `ifreq` that outlives the call, and the kernel writes no more
    // than that.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    if made < 0 {
        let (name, error) = (name.to_owned(), io::Error::last_os_error());
        return Err(match error.raw_os_error() {
            Some(libc::EPERM) => TunError::Privilege(name),
            Some(libc::EBUSY) => TunError::Busy(name),
            Some(libc::EINVAL) => TunError::OtherKind(name),
            _ => TunError::Setup { name, step: "making", error },
        });
    }
    Ok(file)
}

fn ask_for_offloads(file: &File) -> io::Result<Before> {
    for (offloads, udp) in [(OFFLOADS | UDP_OFFLOADS, true), (OFFLOADS, false), (0, false)] {
        let offloads = libc::c_ulong::from(offloads);
        // SAFETY: the argument is a number and no pointer.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, offloads) } == 0 {
            return Ok(Before::Offload { udp });
        }
    }
    Err(io::Error::last_os_error())
}

/// `struct in6_ifreq`.
#[repr(C)]
struct AddressRequest {
    address: libc::in6_addr,
    prefix_length: u32,
    index: libc::c_int,
}

fn configure(name: &str, address: Ipv6Addr) -> Result<(), TunError> {
    let failed = |step| {
        let (name, error) = (name.to_owned(), io::Error::last_os_error());
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => TunError::Privilege(name),
            _ => TunError::Setup { name, step, error },
        }
    };
    let socket = control_socket().map_err(|error| TunError::Setup {
        name: name.to_owned(),
        step: "a control socket",
        error,
    })?;
    let mut mtu = request(name);
    mtu.ifr_ifru.ifru_mtu = libc::c_int::from(MTU);
    // SAFETY: here and below, the request is a valid structure of the kind that the call takes and
    // outlives it.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFMTU, &mut mtu) } < 0 {
        return Err(failed("its MTU"));
    }
    let mut index = request(name);
    // SAFETY: as above.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFINDEX, &mut index) } < 0 {
        return Err(failed("its index"));
    }
    let mut assigned = AddressRequest {
        address: libc::in6_addr { s6_addr: address.octets() },
        prefix_length: OVERLAY_BITS,
        // SAFETY: the kernel filled in this member of the union.
        index: unsafe { index.ifr_ifru.ifru_ifindex },
    };
    // SAFETY: as above.
    let set = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &mut assigned) };
    if set < 0 && io::Error::last_os_error().raw_os_error() != Some(libc::EEXIST) {
        return Err(failed("its address; is IPv6 switched off here?"));
    }
    let mut flags = request(name);
    // SAFETY: as above.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut flags) } < 0 {
        return Err(failed("its flags"));
    }
    // SAFETY: the kernel filled in this member of the union.
    let current = unsafe { flags.ifr_ifru.ifru_flags };
    flags.ifr_ifru.ifru_flags = current | (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: as above.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &mut flags) } < 0 {
        return Err(failed("starting it"));
    }
    Ok(())
}

fn control_socket() -> io::Result<socket2::Socket> {
    socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)
}

/// An empty request for a device whose name has been checked.
fn request(name: &str) -> libc::ifreq {
    // SAFETY: `ifreq` holds numbers and arrays of numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *place = byte as libc::c_char;
    }
    request
}

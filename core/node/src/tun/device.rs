//! An open TUN device.

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::coalesce::Group;
use super::family;
use super::offload::Offload;

/// The longest packet and the longest header before it.
pub(crate) const READ_BYTES: usize = 65_535 + 40 + Offload::LENGTH;

/// What stands before each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    #[cfg_attr(target_vendor = "apple", allow(dead_code))]
    Nothing,
    /// Linux with offloads; `udp` when they include UDP.
    #[cfg(target_os = "linux")]
    Offload { udp: bool },
    /// The address family, of Apple's utun.
    #[cfg_attr(not(target_vendor = "apple"), allow(dead_code))]
    Family,
}

/// What to do with a packet, and where it lies; none for one that cannot be understood.
pub(crate) type Came<'a> = Option<(Offload, &'a mut [u8])>;

/// A device that several tasks may read and write.
#[derive(Debug)]
pub(crate) struct Device {
    file: AsyncFd<File>,
    before: Before,
}

impl Device {
    /// Takes an open device over.
    #[allow(unsafe_code)]
    pub(crate) fn new(fd: OwnedFd, before: Before) -> io::Result<Self> {
        set_nonblocking(&fd)?;
        // SAFETY: the file owns its descriptor, always gives the same, and is neither taken out nor
        // replaced while it is registered.
        let file = unsafe { AsyncFd::register(File::from(fd)) }?;
        Ok(Self { file, before })
    }

    /// Takes over a device that was opened elsewhere.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        #[cfg(target_vendor = "apple")]
        let before = Before::Family;
        #[cfg(not(target_vendor = "apple"))]
        let before = Before::Nothing;
        Self::new(fd, before)
    }

    /// Whether several packets may be written as one, and of UDP too.
    pub(crate) fn coalesces(&self) -> Option<bool> {
        match self.before {
            #[cfg(target_os = "linux")]
            Before::Offload { udp } => Some(udp),
            _ => None,
        }
    }

    /// The next packet, waiting for one, in `buffer`. Cancelling loses nothing.
    pub(crate) async fn read<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Came<'a>> {
        let length = self.file.async_io(Interest::READABLE, |mut file| file.read(buffer)).await?;
        self.understood(buffer, length)
    }

    /// As [`Device::read`], without waiting: none when nothing is there.
    pub(crate) fn try_read<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Came<'a>>> {
        match self.file.get_ref().read(buffer) {
            Ok(length) => Ok(Some(self.understood(buffer, length)?)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn understood<'a>(&self, buffer: &'a mut [u8], length: usize) -> io::Result<Came<'a>> {
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let packet = buffer.get_mut(..length).unwrap_or_default();
        Ok(match self.before {
            Before::Nothing => Some((Offload::NONE, packet)),
            #[cfg(target_os = "linux")]
            Before::Offload { .. } => packet
                .split_first_chunk_mut::<{ Offload::LENGTH }>()
                .and_then(|(header, packet)| Some((Offload::decode(header)?, packet))),
            Before::Family => family::strip(packet).map(|packet| (Offload::NONE, packet)),
        })
    }

    /// Writes packets that lie in one buffer; gives how many the system did not take.
    pub(crate) fn write_groups(&self, buffer: &[u8], groups: &[Group]) -> u64 {
        let mut refused = 0;
        let mut slices = Vec::new();
        for group in groups {
            slices.clear();
            self.push_before(&group.header, &mut slices);
            let parts = group.parts.iter().filter_map(|part| buffer.get(part.clone()));
            slices.extend(parts.map(IoSlice::new));
            refused += u64::from(self.write(&slices).is_err());
        }
        refused
    }

    /// Writes one whole packet.
    pub(crate) fn write_packet(&self, packet: &[u8]) -> io::Result<()> {
        let header = Offload::NONE.encode();
        let mut slices = Vec::with_capacity(2);
        self.push_before(&header, &mut slices);
        slices.push(IoSlice::new(packet));
        self.write(&slices)
    }

    fn push_before<'a>(&self, header: &'a [u8; Offload::LENGTH], slices: &mut Vec<IoSlice<'a>>) {
        match self.before {
            Before::Nothing => {}
            #[cfg(target_os = "linux")]
            Before::Offload { .. } => slices.push(IoSlice::new(header)),
            Before::Family => slices.push(IoSlice::new(&family::BEFORE)),
        }
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        use std::io::Write;
        // A device takes a packet whole or not at all; one whose queue is full drops it.
        self.file.get_ref().write_vectored(slices).map(|_| ())
    }
}

#[allow(unsafe_code)]
fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed; both calls take no pointer.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    const PACKET: &[u8] = b"an IP packet";

    /// A device that keeps packet borders, as the real ones do, and its other end.
    fn device(before: Before) -> (Device, UnixDatagram) {
        let (ours, other) = UnixDatagram::pair().unwrap();
        (Device::new(OwnedFd::from(ours), before).unwrap(), other)
    }

    fn received(other: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 100];
        let length = other.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[tokio::test]
    async fn a_passed_descriptor_gives_and_takes_a_packet_at_a_time_as_it_is() {
        let (ours, other) = UnixDatagram::pair().unwrap();
        let device = Device::from_fd(OwnedFd::from(ours)).unwrap();
        assert_eq!(device.coalesces(), None);
        let mut buffer = [0; 100];
        assert!(device.try_read(&mut buffer).unwrap().is_none(), "it does not block");
        for packet in [PACKET, b"another"] {
            other.send(&[before_each(), packet].concat()).unwrap();
        }
        for packet in [PACKET, b"another"] {
            let (offload, came) = device.read(&mut buffer).await.unwrap().unwrap();
            assert_eq!((offload, &*came), (Offload::NONE, packet));
        }
        device.write_packet(PACKET).unwrap();
        assert_eq!(received(&other), [before_each(), PACKET].concat());
    }

    /// What this system has before each packet.
    fn before_each() -> &'static [u8] {
        if cfg!(target_vendor = "apple") { &family::BEFORE } else { &[] }
    }

    #[tokio::test]
    async fn a_device_that_says_the_family_is_read_and_written_with_it() {
        let (device, other) = device(Before::Family);
        let mut buffer = [0; 100];
        other.send(&[&family::BEFORE[..], PACKET].concat()).unwrap();
        let (offload, came) = device.read(&mut buffer).await.unwrap().unwrap();
        assert_eq!((offload, &*came), (Offload::NONE, PACKET));
        other.send(&[&[0, 0, 0, 2][..], b"IPv4"].concat()).unwrap();
        assert!(device.read(&mut buffer).await.unwrap().is_none());
        device.write_packet(PACKET).unwrap();
        assert_eq!(received(&other), [&family::BEFORE[..], PACKET].concat());
    }
}

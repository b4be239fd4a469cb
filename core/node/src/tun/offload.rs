//! The header before every packet of a Linux TUN with offloads: what the kernel left undone.

/// The checksum is to be completed from `csum_start` on.
const NEEDS_CHECKSUM: u8 = 1;
/// The checksum was checked.
const IS_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP6: u8 = 4;
const GSO_UDP: u8 = 5;
/// May be set beside the kind: the first segment alone tells of congestion.
const GSO_ECN: u8 = 0x80;

/// What a large packet is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segments {
    /// It is one packet.
    One,
    /// TCP over IPv6, with so many bytes of payload each.
    Tcp(u16),
    /// UDP, with so many bytes of payload each.
    Udp(u16),
}

/// `struct virtio_net_hdr`, in the byte order of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offload {
    pub(crate) segments: Segments,
    /// Where the upper header starts and where in it the checksum stands, if that is incomplete.
    pub(crate) checksum: Option<(usize, usize)>,
    /// Bytes of all headers, where there are segments.
    pub(crate) header_length: usize,
}

impl Offload {
    pub(crate) const LENGTH: usize = 10;
    /// A whole packet.
    pub(crate) const NONE: Self =
        Self { segments: Segments::One, checksum: None, header_length: 0 };

    /// Reads a header; none for kinds this node did not ask for.
    pub(crate) fn decode(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1] = *bytes;
        let number = |low, high| u16::from_ne_bytes([low, high]);
        let size = number(g0, g1);
        let segments = match kind & !GSO_ECN {
            GSO_NONE => Segments::One,
            GSO_TCP6 if size > 0 => Segments::Tcp(size),
            GSO_UDP if size > 0 => Segments::Udp(size),
            _ => return None,
        };
        let checksum = (usize::from(number(s0, s1)), usize::from(number(o0, o1)));
        Some(Self {
            segments,
            checksum: (flags & NEEDS_CHECKSUM != 0).then_some(checksum),
            header_length: usize::from(number(h0, h1)),
        })
    }

    /// Writes it; a packet without segments counts as checked when its checksum is complete.
    pub(crate) fn encode(&self) -> [u8; Self::LENGTH] {
        let (kind, size) = match self.segments {
            Segments::One => (GSO_NONE, 0),
            Segments::Tcp(size) => (GSO_TCP6, size),
            Segments::Udp(size) => (GSO_UDP, size),
        };
        let flags = if self.checksum.is_some() { NEEDS_CHECKSUM } else { 0 };
        let (start, offset) = self.checksum.unwrap_or_default();
        let number = |value: usize| (value as u16).to_ne_bytes();
        let ([h0, h1], [g0, g1]) = (number(self.header_length), size.to_ne_bytes());
        let ([s0, s1], [o0, o1]) = (number(start), number(offset));
        [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1]
    }

    /// The header of a packet whose checksum this node has checked.
    pub(crate) fn checked() -> [u8; Self::LENGTH] {
        [IS_VALID, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

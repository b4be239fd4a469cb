//! The five control TLVs (spec section 5): what the routing protocol says.
//!
//! Fields that receivers must ignore are not kept. A decoded TLV is well formed, no more: whether
//! an announcement may be believed is the router's business.

use std::net::Ipv6Addr;

use bytes::{BufMut, BytesMut};

use super::{TYPE_CONTROL, VERSION, take, take_slice, take_u8, take_u16};
use crate::{Prefix, RouterId};

pub(crate) const BABEL_MAGIC: u8 = 42;
pub(crate) const BABEL_VERSION: u8 = 3;

const HELLO: u8 = 4;
const IHU: u8 = 5;
const UPDATE: u8 = 8;
const ROUTE_REQUEST: u8 = 9;
const SEQNO_REQUEST: u8 = 10;

const AE_WILDCARD: u8 = 0;
const AE_IPV4: u8 = 1;
const AE_IPV6: u8 = 2;
const AE_LINK_LOCAL: u8 = 3;

/// The only flag of a Hello: it is for one peer. All Hellos here are.
const HELLO_UNICAST: u16 = 0x8000;
/// The 64 leading bits of every link-local address, in place.
const LINK_LOCAL_BITS: u128 = 0xfe80 << 112;

/// One TLV, alone in its control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tlv {
    /// Asks for an IHU.
    Hello(Hello),
    /// Answers a Hello.
    Ihu(Ihu),
    /// Announces or retracts a route.
    Update(Update),
    /// Asks for a route.
    RouteRequest(RouteRequest),
    /// Asks for a newer sequence number.
    SeqnoRequest(SeqnoRequest),
}

/// Spec 5.5. Flags are always sent as unicast (0x8000) and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Per-link counter.
    pub seqno: u16,
    /// Centiseconds until the next Hello.
    pub interval: u16,
}

/// Spec 5.6. The address a peer may send along is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ihu {
    /// The sender's cost of this link.
    pub rxcost: u16,
    /// Centiseconds.
    pub interval: u16,
}

/// Spec 5.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Centiseconds.
    pub interval: u16,
    /// The source's sequence number.
    pub seqno: u16,
    /// 65535 is a retraction.
    pub metric: u16,
    /// What is announced.
    pub prefix: Prefix,
    /// By whom.
    pub router_id: RouterId,
}

/// Spec 5.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRequest {
    /// How often this request was forwarded.
    pub generation: u8,
    /// What is asked for; none is the wildcard, the full table.
    pub prefix: Option<Prefix>,
}

/// Spec 5.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqnoRequest {
    /// The sequence number asked for.
    pub seqno: u16,
    /// Never 0.
    pub hop_count: u8,
    /// The source asked.
    pub router_id: RouterId,
    /// Its prefix.
    pub prefix: Prefix,
}

/// A TLV of a known type does not hold what its type needs, or something nobody may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed control TLV")]
pub struct MalformedTlv;

impl Tlv {
    /// Appends the whole packet: outer header, Babel header, and this one TLV.
    pub fn encode(&self, out: &mut BytesMut) {
        // At most 50 + 16 bytes by the layouts above, so the casts cannot cut anything off.
        let length = self.body_length() as u8;
        out.reserve(usize::from(length).saturating_add(10));
        out.put_slice(&[VERSION, TYPE_CONTROL, 0, 0, BABEL_MAGIC, BABEL_VERSION]);
        out.put_u16(u16::from(length).saturating_add(2));
        out.put_slice(&[self.kind(), length]);
        match self {
            Self::Hello(hello) => hello.encode_body(out),
            Self::Ihu(ihu) => ihu.encode_body(out),
            Self::Update(update) => update.encode_body(out),
            Self::RouteRequest(request) => request.encode_body(out),
            Self::SeqnoRequest(request) => request.encode_body(out),
        }
    }

    /// Reads the body of a TLV. None for a type this protocol does not know, which is skipped.
    /// Bytes after what the type needs are ignored.
    pub fn decode(kind: u8, mut body: &[u8]) -> Result<Option<Self>, MalformedTlv> {
        let body = &mut body;
        let tlv = match kind {
            HELLO => Hello::decode_body(body).map(Self::Hello),
            IHU => Ihu::decode_body(body).map(Self::Ihu),
            UPDATE => Update::decode_body(body).map(Self::Update),
            ROUTE_REQUEST => RouteRequest::decode_body(body).map(Self::RouteRequest),
            SEQNO_REQUEST => SeqnoRequest::decode_body(body).map(Self::SeqnoRequest),
            _ => return Ok(None),
        };
        tlv.map(Some).ok_or(MalformedTlv)
    }

    /// Bytes of the whole packet.
    pub(crate) fn packet_length(&self) -> usize {
        self.body_length().saturating_add(10)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Ihu(_) => IHU,
            Self::Update(_) => UPDATE,
            Self::RouteRequest(_) => ROUTE_REQUEST,
            Self::SeqnoRequest(_) => SEQNO_REQUEST,
        }
    }

    fn body_length(&self) -> usize {
        let (fixed, prefix) = match self {
            Self::Hello(_) | Self::Ihu(_) => (6, None),
            Self::Update(update) => (50, Some(update.prefix)),
            Self::RouteRequest(request) => (3, request.prefix),
            Self::SeqnoRequest(request) => (46, Some(request.prefix)),
        };
        prefix.map_or(0, |prefix| prefix_bytes(prefix.length())).saturating_add(fixed)
    }
}

impl Hello {
    fn encode_body(&self, out: &mut BytesMut) {
        out.put_u16(HELLO_UNICAST);
        out.put_u16(self.seqno);
        out.put_u16(self.interval);
    }

    fn decode_body(body: &mut &[u8]) -> Option<Self> {
        let _flags = take_u16(body)?;
        Some(Self { seqno: take_u16(body)?, interval: take_u16(body)? })
    }
}

impl Ihu {
    fn encode_body(&self, out: &mut BytesMut) {
        out.put_slice(&[AE_WILDCARD, 0]);
        out.put_u16(self.rxcost);
        out.put_u16(self.interval);
    }

    fn decode_body(body: &mut &[u8]) -> Option<Self> {
        let encoding = take_u8(body)?;
        let _reserved = take_u8(body)?;
        let ihu = Self { rxcost: take_u16(body)?, interval: take_u16(body)? };
        let address_bytes = match encoding {
            AE_WILDCARD => 0,
            AE_IPV4 => 4,
            AE_IPV6 => 16,
            AE_LINK_LOCAL => 8,
            _ => return None,
        };
        take_slice(body, address_bytes)?;
        Some(ihu)
    }
}

impl Update {
    fn encode_body(&self, out: &mut BytesMut) {
        out.put_slice(&[AE_IPV6, 0, self.prefix.length(), 0]);
        out.put_u16(self.interval);
        out.put_u16(self.seqno);
        out.put_u16(self.metric);
        put_prefix(out, self.prefix);
        out.put_slice(self.router_id.as_bytes());
    }

    fn decode_body(body: &mut &[u8]) -> Option<Self> {
        let encoding = take_u8(body)?;
        let _flags = take_u8(body)?;
        let length = take_u8(body)?;
        let _omitted = take_u8(body)?;
        Some(Self {
            interval: take_u16(body)?,
            seqno: take_u16(body)?,
            metric: take_u16(body)?,
            prefix: take_prefix(body, encoding, length)?,
            router_id: RouterId::from_bytes(*take(body)?),
        })
    }
}

impl RouteRequest {
    fn encode_body(&self, out: &mut BytesMut) {
        let Some(prefix) = self.prefix else {
            return out.put_slice(&[self.generation, AE_WILDCARD, 0]);
        };
        out.put_slice(&[self.generation, AE_IPV6, prefix.length()]);
        put_prefix(out, prefix);
    }

    fn decode_body(body: &mut &[u8]) -> Option<Self> {
        let generation = take_u8(body)?;
        let encoding = take_u8(body)?;
        let length = take_u8(body)?;
        let prefix = take_prefix(body, encoding, length)?;
        Some(Self { generation, prefix: (encoding != AE_WILDCARD).then_some(prefix) })
    }
}

impl SeqnoRequest {
    fn encode_body(&self, out: &mut BytesMut) {
        out.put_slice(&[AE_IPV6, self.prefix.length()]);
        out.put_u16(self.seqno);
        out.put_slice(&[self.hop_count, 0]);
        out.put_slice(self.router_id.as_bytes());
        put_prefix(out, self.prefix);
    }

    fn decode_body(body: &mut &[u8]) -> Option<Self> {
        let encoding = take_u8(body)?;
        let length = take_u8(body)?;
        let seqno = take_u16(body)?;
        let hop_count = take_u8(body).filter(|count| *count != 0)?;
        let _reserved = take_u8(body)?;
        let router_id = RouterId::from_bytes(*take(body)?);
        let prefix = take_prefix(body, encoding, length)?;
        Some(Self { seqno, hop_count, router_id, prefix })
    }
}

fn prefix_bytes(length: u8) -> usize {
    usize::from(length.div_ceil(8))
}

fn put_prefix(out: &mut BytesMut, prefix: Prefix) {
    let octets = prefix.address().octets();
    out.put_slice(octets.get(..prefix_bytes(prefix.length())).unwrap_or(&octets));
}

/// Spec 5.4, without IPv4: such prefixes never mean anything here, and sending them kills older
/// nodes, so they count as malformed.
fn take_prefix(body: &mut &[u8], encoding: u8, length: u8) -> Option<Prefix> {
    match encoding {
        AE_WILDCARD if length == 0 => Prefix::new(Ipv6Addr::UNSPECIFIED, 0),
        AE_IPV6 if length <= 128 => {
            let mut octets = [0; 16];
            let bytes = take_slice(body, prefix_bytes(length))?;
            octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Prefix::new(octets.into(), length)
        }
        AE_LINK_LOCAL if length == 64 => {
            // Eight bytes of interface id, which a prefix of 64 bits then leaves out again.
            take::<8>(body)?;
            Prefix::new(Ipv6Addr::from_bits(LINK_LOCAL_BITS), 64)
        }
        _ => None,
    }
}

//! Texts that both interfaces read in the same way, and the words for what cannot be read. Under
//! which number the caller hears of it is the interface's matter.

use std::net::Ipv6Addr;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use threephone_node::{MessageId, Prefix};

/// What a text is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the topic is not base64")]
    Topic,
    #[error("the id of a message is 16 hexadecimal digits")]
    MessageId,
    #[error("the subnet is neither an IPv6 prefix nor an address")]
    Subnet,
}

/// Standard base64 with padding.
pub(crate) fn topic(text: &str) -> Result<Bytes, Unreadable> {
    base64(text).ok_or(Unreadable::Topic)
}

/// Sixteen hexadecimal digits.
pub(crate) fn message_id(text: &str) -> Result<MessageId, Unreadable> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| Unreadable::MessageId)?;
    bytes.try_into().map(MessageId).map_err(|_| Unreadable::MessageId)
}

/// `address/length`, or one address. Only IPv6: no overlay address is another.
pub(crate) fn subnet(text: &str) -> Result<Prefix, Unreadable> {
    let address = || Prefix::new(text.parse::<Ipv6Addr>().ok()?, 128);
    text.parse::<Prefix>().ok().or_else(address).ok_or(Unreadable::Subnet)
}

fn base64(text: &str) -> Option<Bytes> {
    BASE64.decode(text.as_bytes()).ok().map(Bytes::from)
}

/// Bytes that are base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Bytes);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        base64(&text).map(Self).ok_or_else(|| serde::de::Error::custom("this is not base64"))
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sixteen_digits_of_either_case() {
        assert_eq!(message_id("00000000000000fF"), Ok(MessageId([0, 0, 0, 0, 0, 0, 0, 255])));
        for text in ["", "00", "00000000000000ff0", "000000000000000g", "../../../../etc/"] {
            assert_eq!(message_id(text), Err(Unreadable::MessageId), "{text}");
        }
    }

    #[test]
    fn one_address_is_the_prefix_of_itself() {
        assert_eq!(subnet("400::1").unwrap().to_string(), "400::1/128");
        assert_eq!(subnet("400::1/64").unwrap().to_string(), "400::/64");
        for text in ["", "1.2.3.4", "1.2.3.4/24", "400::/129", "all"] {
            assert_eq!(subnet(text), Err(Unreadable::Subnet), "{text}");
        }
    }

    #[test]
    fn base64_wants_its_padding() {
        assert_eq!(topic("aGk="), Ok(Bytes::from_static(b"hi")));
        assert_eq!(topic(""), Ok(Bytes::new()));
        for text in ["aGk", "aGk= ", "a-_=", "\u{e9}"] {
            assert_eq!(topic(text), Err(Unreadable::Topic), "{text}");
        }
    }
}

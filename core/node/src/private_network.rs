//! A network of one's own: a name that is sent in clear, and a key that all its nodes share
//! (spec 2.5).
//!
//! The key file is that of the network's other nodes: 32 raw bytes, and at most one end of line
//! after them, as an editor leaves it. Older nodes take the first 32 bytes of any longer file, so the
//! same file gives the same key there; but whoever has a longer one most likely has a key written
//! down in another way (hexadecimal, base64), of which those nodes use a part that is easier to
//! guess. Such a file is refused.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a name.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 2..=64;

/// Name and key of a private network. The key is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PrivateNetwork {
    name: String,
    key: [u8; 32],
}

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
pub enum PrivateNetworkError {
    /// The name is too short or too long.
    #[error("the name of a private network has 2 to 64 bytes, not {0}; take another")]
    Name(usize),
    /// The name holds a NUL, which cannot be sent.
    #[error("the name of a private network holds no NUL; take another")]
    Nul,
    /// The file holds fewer than 32 bytes.
    #[error(
        "the key file holds fewer than the 32 bytes of a key; make it with `head -c 32 /dev/urandom`"
    )]
    TooShort,
    /// The file holds more than a key.
    #[error(
        "the key file holds more than the 32 bytes of a key; if the network's other nodes use this file, they take its first 32 bytes: give those, from `head -c 32 FILE`; else make a new key with `head -c 32 /dev/urandom`"
    )]
    TooLong,
    /// The file holds hexadecimal digits.
    #[error(
        "the key file holds hexadecimal digits, which other nodes of the network would misread; turn it into the 32 bytes themselves with `xxd -r -p`"
    )]
    Hexadecimal,
    /// The file could not be read.
    #[error(
        "the key file cannot be read: {0}; name the one that the network's other nodes have, or make a new one with `head -c 32 /dev/urandom`"
    )]
    Io(#[from] std::io::Error),
}

impl PrivateNetwork {
    /// A network whose nodes know this key. Everybody who watches sees the name.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, PrivateNetworkError> {
        let network = Self { name: name.to_owned(), key };
        if !NAME_BYTES.contains(&name.len()) {
            return Err(PrivateNetworkError::Name(name.len()));
        }
        if name.contains('\0') {
            return Err(PrivateNetworkError::Nul);
        }
        Ok(network)
    }

    /// Takes the key from a file of 32 bytes, after which one end of line may stand.
    pub fn from_file(name: &str, path: &Path) -> Result<Self, PrivateNetworkError> {
        let mut bytes = Zeroizing::new([0; 67]); // 64 digits, an end of line, and one too many
        let (mut file, mut length) = (File::open(path)?, 0);
        while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            match file.read(room)? {
                0 => break,
                read => length += read,
            }
        }
        let read = bytes.get(..length).unwrap_or_default();
        let (key, rest) = read.split_first_chunk::<32>().ok_or(PrivateNetworkError::TooShort)?;
        let digits = read.trim_ascii();
        match rest {
            b"" | b"\n" | b"\r\n" => Self::new(name, *key),
            _ if digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit) => {
                Err(PrivateNetworkError::Hexadecimal)
            }
            _ => Err(PrivateNetworkError::TooLong),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "private-network")]
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for PrivateNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateNetwork").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(content: &[u8]) -> Result<PrivateNetwork, PrivateNetworkError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.key");
        std::fs::write(&path, content).unwrap();
        PrivateNetwork::from_file("testnet", &path)
    }

    #[test]
    fn a_name_has_2_to_64_bytes_and_no_nul() {
        let new = |name: &str| PrivateNetwork::new(name, [1; 32]);
        for name in ["ab", "é", &"a".repeat(64)] {
            assert_eq!(new(name).unwrap().name(), name);
        }
        for name in ["", "a", &"a".repeat(65), &"é".repeat(33)] {
            assert!(matches!(new(name), Err(PrivateNetworkError::Name(_))), "{name}");
        }
        assert!(matches!(new("a\0b"), Err(PrivateNetworkError::Nul)));
    }

    #[test]
    fn the_key_is_the_32_bytes_of_its_file_and_neither_more_nor_fewer() {
        let expected = PrivateNetwork::new("testnet", [7; 32]).unwrap();
        assert!(from(&[7; 32]).unwrap() == expected);
        for length in [0, 31] {
            assert!(matches!(from(&vec![7; length]), Err(PrivateNetworkError::TooShort)));
        }
        for length in [33, 64, 66, 67, 68, 1000] {
            let error = from(&vec![7; length]).unwrap_err();
            assert!(matches!(error, PrivateNetworkError::TooLong), "{length}: {error}");
        }
        let hexadecimal_of_64_bytes = "0123456789abcdef".repeat(8);
        assert!(matches!(
            from(hexadecimal_of_64_bytes.as_bytes()),
            Err(PrivateNetworkError::TooLong)
        ));
    }

    /// As older nodes, which take the first 32 bytes, read the same file.
    #[test]
    fn an_end_of_line_after_the_key_is_no_part_of_it_and_two_are_too_many() {
        let expected = PrivateNetwork::new("testnet", [7; 32]).unwrap();
        let with = |end: &[u8]| from(&[&[7; 32], end].concat());
        for end in [&b"\n"[..], b"\r\n"] {
            assert!(with(end).unwrap() == expected, "{end:?}");
        }
        for end in [&b"\n\n"[..], b" ", b"\r", b"\0"] {
            assert!(matches!(with(end), Err(PrivateNetworkError::TooLong)), "{end:?}");
        }
        let ends_in_one = [&[7; 31][..], b"\n"].concat();
        assert!(from(&ends_in_one).unwrap() != expected);
        assert!(matches!(from(&ends_in_one[1..]), Err(PrivateNetworkError::TooShort)));
    }

    #[test]
    fn hexadecimal_digits_are_refused_with_what_to_do() {
        let digits = "0123456789abcdef".repeat(4);
        for content in [digits.clone(), format!("{digits}\n"), format!("{digits}\r\n")] {
            let error = from(content.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("xxd -r -p"), "{error}");
        }
    }

    #[test]
    fn a_network_is_shown_without_its_key() {
        let shown = format!("{:?}", PrivateNetwork::new("testnet", [7; 32]).unwrap());
        assert!(shown.contains("testnet") && !shown.contains('7'), "{shown}");
    }
}

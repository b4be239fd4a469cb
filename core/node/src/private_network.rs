//! A network of one's own: a name that is sent in clear, and a key that all its nodes share
//! (spec 2.5).
//!
//! The key file is that of the network's other nodes: 32 raw bytes; what follows them is not read.
//! A file of hexadecimal digits is refused, because older nodes would take its first 32 characters
//! for the key, and the two would never meet.

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

    /// Takes the key from the first 32 bytes of a file.
    pub fn from_file(name: &str, path: &Path) -> Result<Self, PrivateNetworkError> {
        let mut bytes = Zeroizing::new([0; 66]); // 64 digits and an end of line
        let (mut file, mut length) = (File::open(path)?, 0);
        while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            match file.read(room)? {
                0 => break,
                read => length += read,
            }
        }
        let read = bytes.get(..length).unwrap_or_default().trim_ascii();
        if read.len() == 64 && read.iter().all(u8::is_ascii_hexdigit) {
            return Err(PrivateNetworkError::Hexadecimal);
        }
        let key = Zeroizing::new(*bytes.first_chunk::<32>().ok_or(PrivateNetworkError::TooShort)?);
        if length < key.len() {
            return Err(PrivateNetworkError::TooShort);
        }
        Self::new(name, *key)
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
    fn the_key_is_the_first_32_bytes_of_its_file() {
        let expected = PrivateNetwork::new("testnet", [7; 32]).unwrap();
        for length in [32, 33, 66, 1000] {
            assert!(from(&vec![7; length]).unwrap() == expected, "{length}");
        }
        for length in [0, 31] {
            assert!(matches!(from(&vec![7; length]), Err(PrivateNetworkError::TooShort)));
        }
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

//! Node identity: the secret key and its file, router ids, shared secrets (spec section 1).
//!
//! The key file is the public network's own: the 32 bytes and nothing else, so that a node can move
//! between programs and keep its address.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use threephone_address::PublicKey;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The 32 bytes that are a node's identity. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

/// The raw X25519 result, used as the AES-256 key both ways (spec 1.6). Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

/// Why a key file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file holds fewer than 32 bytes.
    #[error("the key file holds fewer than 32 bytes; restore it from a copy, or move it away")]
    TooShort,
    /// The file could not be read or written.
    #[error("the key file cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The system gave no random bytes for a new key.
    #[error("no key can be made: {0}")]
    Random(#[from] getrandom::Error),
}

impl SecretKey {
    /// Takes 32 bytes as they are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new key from the system's random source.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0)?;
        Ok(key)
    }

    /// Reads a key file; none when there is no file. Bytes after the first 32 are ignored.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyFileError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut key = Self([0; 32]);
        match file.read_exact(&mut key.0) {
            Ok(()) => Ok(Some(key)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(KeyFileError::TooShort),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the key file, or makes a new key and writes it there for its owner's eyes only (0600).
    ///
    /// The new file appears whole or not at all, and is on the disk when this returns. Two callers
    /// at the same moment are not guarded against: whoever owns the folder takes a lock first.
    pub fn read_or_create(path: &Path) -> Result<Self, KeyFileError> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let key = Self::generate()?;
        let unfinished = path.with_extension("new");
        // What a crash left there was never anybody's key.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(&key.0)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        #[cfg(unix)] // elsewhere a folder cannot be opened to be synced
        File::open(folder_of(path))?.sync_all()?;
        Ok(key)
    }

    /// The matching public key.
    pub fn public_key(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey::from_bytes(*x25519_dalek::PublicKey::from(&secret).as_bytes())
    }

    /// The key shared with `peer`; none when the result is all zero, that is, for a low-order key.
    pub fn shared_secret(&self, peer: &PublicKey) -> Option<SharedSecret> {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(*peer.as_bytes()));
        shared.was_contributory().then(|| SharedSecret(*shared.as_bytes()))
    }
}

#[cfg(unix)]
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl SharedSecret {
    /// The 32 bytes of the AES key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 40 bytes: public key, zone, and six bytes that are new at every start (spec 1.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouterId([u8; 40]);

impl RouterId {
    /// The id of a node that starts now: zone 0 and the given random part.
    pub fn new(key: PublicKey, random: [u8; 6]) -> Self {
        let mut bytes = [0; 40];
        bytes[..32].copy_from_slice(key.as_bytes());
        bytes[34..].copy_from_slice(&random);
        Self(bytes)
    }

    /// Takes 40 bytes as received.
    pub fn from_bytes(bytes: [u8; 40]) -> Self {
        Self(bytes)
    }

    /// The 40 bytes as sent.
    pub fn as_bytes(&self) -> &[u8; 40] {
        &self.0
    }

    /// The node key inside.
    pub fn public_key(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(&self.0[..32]);
        PublicKey::from_bytes(key)
    }
}

/// `<64 hexadecimal digits>-<4>-<12>`: key, zone, random part.
impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |bytes| HEXLOWER.encode(bytes);
        write!(f, "{}-{}-{}", hex(&self.0[..32]), hex(&self.0[32..34]), hex(&self.0[34..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_file_holds_the_32_bytes_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_key.bin");
        assert!(SecretKey::read(&path).unwrap().is_none(), "reading never creates a file");
        let key = SecretKey::read_or_create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), key.0);
        assert_eq!(SecretKey::read_or_create(&path).unwrap().0, key.0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_a_new_key_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_key.bin");
        SecretKey::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_key_file_is_taken_over_with_whatever_trails_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_key.bin");
        let bytes: Vec<u8> = (0..40).collect();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(SecretKey::read_or_create(&path).unwrap().0, bytes[..32]);
        assert_eq!(fs::read(&path).unwrap(), bytes, "the file is left as it was");
    }

    #[test]
    fn a_short_key_file_is_an_error_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_key.bin");
        fs::write(&path, [7; 31]).unwrap();
        assert!(matches!(SecretKey::read_or_create(&path), Err(KeyFileError::TooShort)));
        assert_eq!(fs::read(&path).unwrap(), [7; 31]);
    }

    #[test]
    fn the_remains_of_a_crash_do_not_stop_a_new_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_key.bin");
        fs::write(path.with_extension("new"), [7; 5]).unwrap();
        SecretKey::read_or_create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 32);
    }

    #[test]
    fn a_key_of_low_order_shares_no_secret() {
        let key = SecretKey::from_bytes([1; 32]);
        assert!(key.shared_secret(&PublicKey::from_bytes([0; 32])).is_none());
    }
}

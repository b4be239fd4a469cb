//! The two secrets outside the database: what opens it, and the node key.

use std::path::Path;

use threephone_store::{KdfParams, StoreKey};
use zeroize::Zeroizing;

use crate::{Home, PhoneError};

/// What opens the profile's database.
#[derive(Clone)]
pub enum KeySource {
    /// The file `store.key` in the home; `init` makes it.
    File,
    /// A passphrase; its bytes are used as they are. Opening takes the fraction of a second that
    /// makes guessing dear.
    Passphrase(Zeroizing<Vec<u8>>),
    /// 32 bytes that the platform keeps.
    Bytes(Zeroizing<[u8; 32]>),
}

/// Whether what lies in the home rules out making a profile with this source: files of the other
/// way to open it, or a database whose key is gone. A key made anew would not open that database.
pub(crate) fn check_new(home: &Home, source: &KeySource) -> Result<(), PhoneError> {
    let (key_file, kdf_file) = (home.store_key(), home.store_kdf());
    let own = match source {
        KeySource::Bytes(_) => return Ok(()),
        KeySource::File if kdf_file.exists() => return Err(PhoneError::PassphraseNeeded),
        KeySource::Passphrase(_) if key_file.exists() => {
            return Err(PhoneError::PassphraseNotWanted { key_file });
        }
        KeySource::File => key_file,
        KeySource::Passphrase(_) => kdf_file,
    };
    if home.holds_database_file() && !own.exists() {
        return Err(PhoneError::StoreKeyDamaged { path: own });
    }
    Ok(())
}

/// The key of a profile that is being made.
pub(crate) fn create_store_key(home: &Home, source: &KeySource) -> Result<StoreKey, PhoneError> {
    check_new(home, source)?;
    let (key_file, kdf_file) = (home.store_key(), home.store_kdf());
    match source {
        KeySource::Bytes(bytes) => Ok(StoreKey::from_bytes(**bytes)),
        // Left by an `init` that was interrupted: the database, if there is one, goes by it.
        KeySource::File if key_file.exists() => open_store_key(home, source),
        KeySource::Passphrase(_) if kdf_file.exists() => open_store_key(home, source),
        KeySource::File => {
            let key = StoreKey::generate()?;
            home.write_secret(&key_file, key.as_bytes())?;
            Ok(key)
        }
        KeySource::Passphrase(passphrase) => {
            let params = KdfParams::generate()?;
            let text = serde_json::to_vec_pretty(&params)
                .map_err(|error| home.unusable(&kdf_file, error.into()))?;
            home.write_secret(&kdf_file, &text)?;
            Ok(StoreKey::from_passphrase(passphrase, &params)?)
        }
    }
}

/// The key of a profile that is there.
pub(crate) fn open_store_key(home: &Home, source: &KeySource) -> Result<StoreKey, PhoneError> {
    let (key_file, kdf_file) = (home.store_key(), home.store_kdf());
    match source {
        KeySource::Bytes(bytes) => Ok(StoreKey::from_bytes(**bytes)),
        KeySource::File if kdf_file.exists() => Err(PhoneError::PassphraseNeeded),
        KeySource::File => {
            let bytes = read(&key_file)?;
            let bytes = <[u8; 32]>::try_from(bytes.as_slice())
                .map_err(|_| PhoneError::StoreKeyDamaged { path: key_file })?;
            Ok(StoreKey::from_bytes(*Zeroizing::new(bytes)))
        }
        KeySource::Passphrase(_) if key_file.exists() => {
            Err(PhoneError::PassphraseNotWanted { key_file })
        }
        KeySource::Passphrase(passphrase) => {
            let text = read(&kdf_file)?;
            let params: KdfParams = serde_json::from_slice(&text)
                .map_err(|_| PhoneError::StoreKeyDamaged { path: kdf_file })?;
            Ok(StoreKey::from_passphrase(passphrase, &params)?)
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PhoneError> {
    std::fs::read(path).map(Zeroizing::new).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => PhoneError::StoreKeyDamaged { path: path.to_owned() },
        _ => PhoneError::HomeUnreadable { path: path.to_owned(), source },
    })
}

//! The home folder: where everything of one profile lies on disk, and with which permissions.
//!
//! | file | what |
//! | --- | --- |
//! | `priv_key.bin` | the node key, 32 bytes, in the network's own format |
//! | `store.key` | the database key, 32 random bytes; absent when a passphrase opens the profile |
//! | `store.kdf` | how the passphrase becomes the key (salt and costs, JSON); only with a passphrase |
//! | `profile.db` | the encrypted database (beside it SQLite's `-wal` and `-shm`) |
//! | `lock` | held by the process that has the profile open; names its process id |
//! | `control.sock` | where a running daemon listens for commands |
//!
//! A folder that we make is 0700; every file in it is 0600. A folder that was there keeps its mode:
//! it may be a mount point or a folder somebody else looks after.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::PhoneError;

/// The folder of one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
    /// The SQLite file system of the database, where it is not the platform's own.
    vfs: Option<String>,
}

impl Home {
    /// Names a folder; nothing is read or written.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), vfs: None }
    }

    /// The same folder, with its database on another file system that is registered with SQLite:
    /// for tests and measurements that need a disk of known speed.
    #[doc(hidden)]
    pub fn with_vfs(self, name: impl Into<String>) -> Self {
        Self { vfs: Some(name.into()), ..self }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The node key.
    pub fn node_key(&self) -> PathBuf {
        self.path.join("priv_key.bin")
    }

    /// The database key, unless a passphrase is used.
    pub fn store_key(&self) -> PathBuf {
        self.path.join("store.key")
    }

    /// The salt and costs that turn a passphrase into the database key.
    pub fn store_kdf(&self) -> PathBuf {
        self.path.join("store.kdf")
    }

    /// The encrypted database.
    pub fn database(&self) -> PathBuf {
        self.path.join("profile.db")
    }

    /// Looks whether there is a database to open. Another file system cannot be asked; there it turns
    /// out when the profile is looked for.
    ///
    /// # Errors
    /// [`PhoneError::NotInitialised`] where there is none, [`PhoneError::HomeUnreadable`] where that
    /// cannot be told, [`PhoneError::NotAFolder`].
    pub fn check(&self) -> Result<(), PhoneError> {
        if self.vfs.is_some() {
            return Ok(());
        }
        if self.path.is_file() {
            return Err(PhoneError::NotAFolder { home: self.path.clone() });
        }
        let path = self.database();
        match path.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => Err(PhoneError::NotInitialised { home: self.path.clone() }),
            // Below something that is no folder there is nothing.
            Err(source) if source.kind() == io::ErrorKind::NotADirectory => {
                Err(PhoneError::NotInitialised { home: self.path.clone() })
            }
            Err(source) => Err(PhoneError::HomeUnreadable { path, source }),
        }
    }

    /// Whether the database lies here, made whole or not.
    pub(crate) fn holds_database_file(&self) -> bool {
        self.vfs.is_none() && self.database().exists()
    }

    /// The file system of the database, for the store.
    pub(crate) fn vfs(&self) -> Option<&str> {
        self.vfs.as_deref()
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The daemon's control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Makes the folder (0700) and its parents where they are missing.
    pub(crate) fn create(&self) -> Result<(), PhoneError> {
        if self.path.is_file() {
            return Err(PhoneError::NotAFolder { home: self.path.clone() });
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|source| self.unusable(&self.path, source))
    }

    /// The error for a path in this home that cannot be written.
    pub(crate) fn unusable(&self, path: &Path, source: io::Error) -> PhoneError {
        PhoneError::HomeUnusable { path: path.to_owned(), source }
    }

    /// Writes a file that must be there whole or not at all: 0600, synced, then renamed into place.
    pub(crate) fn write_secret(&self, path: &Path, bytes: &[u8]) -> Result<(), PhoneError> {
        let write = || -> io::Result<()> {
            let mut new = path.to_owned();
            new.as_mut_os_string().push(".new");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, path)?;
            // Without this the name may be gone after a power cut although the bytes are there.
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| self.unusable(path, source))
    }

    /// Takes a file that was put here by somebody else out of other people's reach.
    pub(crate) fn keep_private(&self, path: &Path) -> Result<(), PhoneError> {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(|source| self.unusable(path, source))
    }
}

/// A path as one word of a shell's command line, for hints that are typed as they stand.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        // Within quotes everything stands for itself but the quote.
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_and_quotes_stays_one_word_in_a_hint() {
        assert_eq!(shell_word(Path::new("/home/ann/threephone")), "/home/ann/threephone");
        assert_eq!(shell_word(Path::new("/my phone/Ann's")), r"'/my phone/Ann'\''s'");
        let error = Home::new("/my phone").check().unwrap_err();
        assert!(error.to_string().contains("--home '/my phone' init"), "{error}");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_named_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("file"));
        std::fs::write(home.path(), b"").unwrap();
        for error in [home.check().unwrap_err(), home.create().unwrap_err()] {
            assert!(matches!(error, PhoneError::NotAFolder { .. }), "{error}");
        }
    }

    #[test]
    fn a_new_home_is_closed_to_others_and_so_are_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("a/b"));
        home.create().unwrap();
        home.write_secret(&home.store_key(), &[7; 32]).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.path()), 0o700);
        assert_eq!(mode(&home.store_key()), 0o600);
    }

    #[test]
    fn a_home_below_a_file_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), b"").unwrap();
        let error = Home::new(dir.path().join("file/home")).create().unwrap_err();
        assert!(error.to_string().contains("file/home"), "{error}");
    }
}

//! Making a profile: again after an interruption, and never over what is there.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use threephone::{Home, KeySource, Network, Phone, PhoneError, PhoneOptions, Purpose};
use zeroize::Zeroizing;

async fn init(folder: &Path) -> Result<(), PhoneError> {
    Phone::init(Home::new(folder), "Ann", KeySource::File).await.map(|_| ())
}

async fn open(folder: &Path) -> Result<Phone, PhoneError> {
    let (home, key) = (Home::new(folder), KeySource::File);
    let options = PhoneOptions { home, key, network: Network::Offline, purpose: Purpose::Command };
    Phone::open(options).await
}

/// Every file by name.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_refused_init_changes_nothing() {
    for lost in [&["priv_key.bin"][..], &["store.key"], &["priv_key.bin", "store.key"], &[]] {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).await.unwrap();
        for file in lost {
            fs::remove_file(dir.path().join(file)).unwrap();
        }
        let before = contents(dir.path());
        let error = init(dir.path()).await.unwrap_err();
        if lost.contains(&"store.key") {
            assert!(matches!(error, PhoneError::StoreKeyDamaged { .. }), "{error}");
        } else {
            assert!(matches!(error, PhoneError::AlreadyInitialised { .. }), "{error}");
        }
        assert_eq!(contents(dir.path()), before, "{lost:?}");
        let passphrase = KeySource::Passphrase(Zeroizing::new(b"other".to_vec()));
        Phone::init(Home::new(dir.path()), "Ann", passphrase).await.unwrap_err();
        assert_eq!(contents(dir.path()), before, "{lost:?} and a passphrase");
    }
}

#[tokio::test]
async fn a_node_key_or_database_key_that_does_not_fit_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("priv_key.bin"), [1; 31]).unwrap();
    let before = contents(dir.path());
    assert!(matches!(init(dir.path()).await, Err(PhoneError::NodeKey { .. })));
    assert_eq!(contents(dir.path()), before);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("store.kdf"), "{}").unwrap();
    let before = contents(dir.path());
    assert!(matches!(init(dir.path()).await, Err(PhoneError::PassphraseNeeded)));
    assert_eq!(contents(dir.path()), before);
}

/// What is there after a kill, from the first file to the last: in the order they are made.
#[tokio::test]
async fn an_interrupted_init_can_be_run_again() {
    for files in [&["store.key"][..], &["store.key", "profile.db"], &["store.key", "priv_key.bin"]]
    {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let bytes: &[u8] = if *file == "profile.db" { &[] } else { &[7; 32] };
            fs::write(dir.path().join(file), bytes).unwrap();
        }
        init(dir.path()).await.unwrap();
        assert_eq!(fs::read(dir.path().join("store.key")).unwrap(), [7; 32]);
        open(dir.path()).await.unwrap().close().await.unwrap();
    }
}

#[tokio::test]
async fn a_profile_opens_with_the_node_key_it_was_made_with_only() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).await.unwrap();
    let path = dir.path().join("priv_key.bin");
    let right = fs::read(&path).unwrap();
    fs::write(&path, [7; 32]).unwrap();
    let error = open(dir.path()).await.err().unwrap();
    assert!(matches!(error, PhoneError::NodeKeyOfAnother { .. }), "{error}");
    assert!(error.to_string().contains("restore the right priv_key.bin"), "{error}");
    fs::remove_file(&path).unwrap();
    let error = open(dir.path()).await.err().unwrap();
    assert!(error.to_string().ends_with("is missing; restore it from a copy"), "{error}");
    assert!(!path.exists());
    fs::write(&path, right).unwrap();
    open(dir.path()).await.unwrap().close().await.unwrap();
}

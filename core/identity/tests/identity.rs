//! The identity through its public handle.
#![allow(clippy::unwrap_used)] // a test may fail by panicking

use threephone_identity::{self as identity, BadSignature, DeviceKey, IdentityError};
use threephone_store::{Store, StoreError, StoreKey, StoreOptions};

fn open(folder: &tempfile::TempDir) -> Store {
    let path = folder.path().join("store.db");
    let key = StoreKey::from_bytes([7; 32]);
    Store::open(StoreOptions::new(path, key, vec![identity::ROOM])).unwrap()
}

#[tokio::test]
async fn an_identity_is_made_once_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let none = store.read(identity::load).await.unwrap();
    assert!(none.is_none());
    let (profile, device) =
        store.write(|tx| identity::create(tx, "Ann", 1_700_000_000_000)).await.unwrap();
    let again = store.write(|tx| identity::create(tx, "Eve", 1)).await;
    assert!(matches!(again, Err(IdentityError::Exists)));
    store.close().await.unwrap();

    let store = open(&folder);
    let (found, key) = store.read(identity::load).await.unwrap().unwrap();
    assert_eq!((found, key.public()), (profile, device.public()));
    store.close().await.unwrap();
}

#[tokio::test]
async fn names_without_letters_or_with_control_characters_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for name in ["", "  ", "Ann\nBcc: x", &"n".repeat(201)] {
        let name = name.to_owned();
        let made = store.write(move |tx| identity::create(tx, &name, 0)).await;
        assert!(matches!(made, Err(IdentityError::BadName)));
    }
    let none = store
        .read(|conn| {
            Ok::<_, StoreError>(conn.query_row(
                "SELECT count(*) FROM identity_device",
                [],
                |r| r.get::<_, i64>(0),
            )?)
        })
        .await
        .unwrap();
    assert_eq!(none, 0);
    store.close().await.unwrap();
}

#[test]
fn a_signature_fits_only_its_key_context_and_bytes() {
    let key = DeviceKey::from_seed(&[1; 32]);
    let signature = key.sign("one", b"bytes");
    assert_eq!(key.public().verify("one", b"bytes", &signature), Ok(()));
    assert_eq!(key.public().verify("two", b"bytes", &signature), Err(BadSignature));
    assert_eq!(key.public().verify("one", b"byteS", &signature), Err(BadSignature));
    let other = DeviceKey::from_seed(&[2; 32]).public();
    assert_eq!(other.verify("one", b"bytes", &signature), Err(BadSignature));
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    let mut neutral = [0u8; 32];
    neutral[0] = 1;
    let mut signature = [0u8; 64];
    signature[0] = 1;
    let key = identity::DevicePublicKey::from_bytes(neutral);
    assert_eq!(key.verify("one", b"anything", &signature), Err(BadSignature));
}

#[test]
fn debug_output_shows_no_secret() {
    let key = DeviceKey::from_seed(&[0xab; 32]);
    assert!(!format!("{key:?}").contains("abababab"));
}

/// What SQLite says of itself after these statements, without comments and spaces.
fn schema(sql: &str) -> Vec<String> {
    let conn = threephone_store::rusqlite::Connection::open_in_memory().unwrap();
    conn.execute_batch(sql).unwrap();
    let mut found = conn.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
    let rows = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let bare = |sql: String| {
        let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    rows.map(|sql| bare(sql.unwrap())).collect()
}

#[test]
fn the_documented_schema_is_what_the_migrations_make() {
    let real = schema(&identity::ROOM.migrations.concat());
    assert_eq!(schema(include_str!("../schema.sql")), real);
    assert_eq!(real.len(), 2);
}

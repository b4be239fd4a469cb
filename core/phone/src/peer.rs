//! Peers that are remembered in the profile, so that the next start of the node finds them again.

use threephone_node::PeerAddress;
use threephone_store::rusqlite::Connection;
use threephone_store::{Store, WriteTx};

use crate::PhoneError;
use crate::limits::PEERS_REMEMBERED;

/// All remembered peers, in the order they were added. What this version cannot read is left out.
pub(crate) async fn list_peers(store: &Store) -> Result<Vec<PeerAddress>, PhoneError> {
    store
        .read(|conn: &Connection| {
            let mut query =
                conn.prepare_cached("SELECT endpoint FROM phone_peer ORDER BY added_at, endpoint")?;
            let rows = query.query_map([], |row| row.get::<_, String>(0))?;
            let texts = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
        })
        .await
}

/// Remembers a peer; one that is known stays as it is.
pub(crate) async fn insert_peer(
    store: &Store,
    endpoint: PeerAddress,
    now_ms: i64,
) -> Result<(), PhoneError> {
    store
        .write(move |tx: &mut WriteTx<'_>| {
            let known: u32 =
                tx.query_row("SELECT count(*) FROM phone_peer", [], |row| row.get(0))?;
            if known >= PEERS_REMEMBERED {
                return Err(PhoneError::TooManyPeers { limit: PEERS_REMEMBERED });
            }
            tx.execute(
                "INSERT INTO phone_peer (endpoint, added_at) VALUES (?1, ?2)
                 ON CONFLICT (endpoint) DO NOTHING",
                (endpoint.to_string(), now_ms),
            )?;
            Ok(())
        })
        .await
}

/// Forgets a peer; says whether it was known.
pub(crate) async fn delete_peer(store: &Store, endpoint: PeerAddress) -> Result<bool, PhoneError> {
    store
        .write(move |tx: &mut WriteTx<'_>| {
            let deleted =
                tx.execute("DELETE FROM phone_peer WHERE endpoint = ?1", (endpoint.to_string(),))?;
            Ok(deleted > 0)
        })
        .await
}

/// Remembers whether entry peers of the public network are wanted.
pub(crate) async fn remember_public_peers(store: &Store, wanted: bool) -> Result<(), PhoneError> {
    store
        .write(move |tx: &mut WriteTx<'_>| {
            let sql = match wanted {
                true => {
                    "INSERT INTO phone_public_peers (id) VALUES (1) ON CONFLICT (id) DO NOTHING"
                }
                false => "DELETE FROM phone_public_peers",
            };
            tx.execute(sql, [])?;
            Ok(())
        })
        .await
}

/// Whether entry peers of the public network are wanted.
pub(crate) async fn has_public_peers(store: &Store) -> Result<bool, PhoneError> {
    store
        .read(|conn: &Connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM phone_public_peers)";
            Ok(conn.query_row(sql, [], |row| row.get(0))?)
        })
        .await
}

#[cfg(test)]
mod tests {
    use threephone_store::StoreKey;

    use super::*;
    use crate::Home;

    #[tokio::test]
    async fn the_wish_for_public_peers_is_remembered_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (home, key) = (Home::new(dir.path()), StoreKey::generate().unwrap());
        let store = crate::open::store(&home, key).await.unwrap();
        for wanted in [false, true, true, false] {
            remember_public_peers(&store, wanted).await.unwrap();
            assert_eq!(has_public_peers(&store).await.unwrap(), wanted);
        }
        store.close().await.unwrap();
    }
}

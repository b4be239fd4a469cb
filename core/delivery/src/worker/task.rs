//! What the worker starts and does not wait for: each ends with a [`Done`].

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use threephone_address::{PublicKey, Target};
use threephone_store::StoreError;

use super::Context;
use crate::ack::{self, Ack};
use crate::engine::Input;
use crate::envelope::{Inner, seal};
use crate::{EnvelopeId, Link, LinkError, Outcome, db};

/// The code under which an envelope fails that no link carries.
const CODE_TOO_LARGE: u16 = 2;
/// Envelopes expired in one transaction.
const EXPIRE_BATCH: usize = 256;
/// How long to leave the database alone after it failed.
const DATABASE_REST: Duration = Duration::from_secs(1);

/// How a task ended.
pub(super) enum Done {
    Input(Input),
    Sent { address: Ipv6Addr, seq: u64, id: EnvelopeId },
    Expired { settled: Vec<(Ipv6Addr, u64)>, next: Option<i64> },
    Nothing,
}

pub(super) async fn load(context: Context, address: Ipv6Addr, after: u64, limit: usize) -> Done {
    let page = context
        .store
        .read(move |conn| db::list_open(conn, address, after, limit).map_err(StoreError::from))
        .await;
    let (rows, more) = match page {
        Ok(rows) => {
            let more = rows.len() == limit;
            (rows, more)
        }
        Err(error) => {
            tracing::warn!(%error, "the outbox cannot be read");
            tokio::time::sleep(DATABASE_REST).await;
            (Vec::new(), true)
        }
    };
    Done::Input(Input::Loaded { address, rows, more })
}

pub(super) async fn send(
    context: Context,
    link: Arc<dyn Link>,
    address: Ipv6Addr,
    key: PublicKey,
    seq: u64,
    low: u64,
) -> Done {
    let found = context
        .store
        .read(move |conn| db::find_open(conn, address, seq, low).map_err(StoreError::from))
        .await;
    let inner = match found {
        Ok(Some(inner)) => inner,
        // Settled meanwhile.
        Ok(None) => return Done::Input(Input::Unsent { address, seq }),
        Err(error) => {
            tracing::warn!(%error, "the outbox cannot be read");
            return Done::Input(Input::SendDone { address, seq, taken: false });
        }
    };
    let id = inner.id;
    let bytes = seal(inner, &context.me.device, &context.me.node_key, &key);
    let sent = if bytes.len() > link.max_bytes() {
        Err(LinkError::TooLarge)
    } else {
        link.send(Target::Key(key), bytes.into()).await
    };
    match sent {
        Ok(sent) if sent.key == key => Done::Sent { address, seq, id },
        Err(LinkError::TooLarge) => {
            let outcome = Outcome::Refused { code: CODE_TOO_LARGE };
            match settle(&context, vec![id], outcome).await {
                Ok(_) => Done::Input(Input::Unsent { address, seq }),
                Err(_) => Done::Input(Input::SendDone { address, seq, taken: false }),
            }
        }
        Ok(_) | Err(_) => Done::Input(Input::SendDone { address, seq, taken: false }),
    }
}

async fn settle(
    context: &Context,
    ids: Vec<EnvelopeId>,
    outcome: Outcome,
) -> Result<Vec<(Ipv6Addr, u64)>, StoreError> {
    let (handlers, now_ms) = (context.handlers.clone(), (context.config.clock)());
    context
        .store
        .write(move |tx| -> Result<_, StoreError> {
            let mut settled = Vec::new();
            for id in ids {
                settled.extend(db::settle(tx, id, outcome, &handlers, now_ms)?);
            }
            Ok(settled)
        })
        .await
}

pub(super) async fn send_acks(
    context: Context,
    link: Arc<dyn Link>,
    address: Ipv6Addr,
    key: PublicKey,
    acks: Vec<Ack>,
) -> Done {
    if let Ok(id) = EnvelopeId::generate() {
        let inner = Inner {
            id,
            noun: ack::NOUN.to_owned(),
            seq: 0,
            low: 0,
            queued_at: (context.config.clock)(),
            body: ack::encode_acks(&acks),
        };
        let bytes = seal(inner, &context.me.device, &context.me.node_key, &key);
        // A lost one is asked for again by the repeat of what it acknowledges.
        let _ = link.send(Target::Key(key), bytes.into()).await;
    }
    Done::Input(Input::AckDone { address })
}

pub(super) async fn report_sent(context: Context, ids: Vec<EnvelopeId>) -> Done {
    let (handlers, now_ms) = (context.handlers.clone(), (context.config.clock)());
    let reported = context
        .store
        .write(move |tx| -> Result<(), StoreError> {
            for id in ids {
                let Some(noun) = db::find_noun(tx, id)? else { continue };
                if let Some(handler) = handlers.iter().find(|handler| handler.noun() == noun) {
                    handler.sent(tx, id, now_ms)?;
                }
            }
            Ok(())
        })
        .await;
    if let Err(error) = reported {
        tracing::warn!(%error, "what was sent could not be noted");
    }
    Done::Nothing
}

pub(super) async fn expire(context: Context) -> Done {
    let now_ms = (context.config.clock)();
    let due = context
        .store
        .read(move |conn| db::list_expired(conn, now_ms, EXPIRE_BATCH).map_err(StoreError::from))
        .await;
    let settled = match due {
        Ok(ids) if ids.is_empty() => Ok(Vec::new()),
        Ok(ids) => settle(&context, ids, Outcome::Expired).await,
        Err(error) => Err(error),
    };
    let next = context.store.read(|conn| db::find_expiry(conn).map_err(StoreError::from)).await;
    match (settled, next) {
        (Ok(settled), Ok(next)) => Done::Expired { settled, next },
        (settled, _) => {
            tracing::warn!("the outbox cannot be tidied");
            tokio::time::sleep(DATABASE_REST).await;
            Done::Expired { settled: settled.unwrap_or_default(), next: Some(now_ms) }
        }
    }
}

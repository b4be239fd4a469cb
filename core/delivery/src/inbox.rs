//! Takes in what the link brings, several at a time so that they share commits.
//!
//! How many, and how many bytes of them, is bounded: while the database is slow, messages stay in
//! the link's own queue, and in the end with their senders.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use threephone_address::PublicKey;
use threephone_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::ack::{self, Ack};
use crate::engine::Input;
use crate::envelope::Inner;
use crate::limits::{APPLYING, APPLYING_BYTES};
use crate::receive::{self, Rejected};
use crate::worker::{Command, Context};
use crate::{DeliveryEvent, Link, LinkEvent, RefusalKind, Sender};

/// Runs until the link closes or delivery stops.
pub(crate) async fn run(context: Context, link: Arc<dyn Link>) {
    let mut tasks = JoinSet::new();
    let room = Arc::new(Semaphore::new(APPLYING_BYTES));
    loop {
        while tasks.len() >= APPLYING {
            tokio::select! {
                () = context.stop.cancelled() => break,
                _ = tasks.join_next() => {}
            }
        }
        let event = tokio::select! {
            () = context.stop.cancelled() => None,
            event = link.next() => event,
        };
        while tasks.try_join_next().is_some() {}
        match event {
            None => break,
            Some(LinkEvent::Reachable { address, .. }) => {
                tell(&context, Input::Reachable { address });
            }
            Some(LinkEvent::Received { from, from_key, bytes }) => {
                let Some(taken) = room_for(&context, &room, bytes.len()).await else { break };
                let context = context.clone();
                tasks.spawn(async move {
                    receive(context, from, from_key, bytes).await;
                    drop(taken);
                });
            }
        }
    }
    tasks.shutdown().await;
}

/// Waits until so many bytes more may lie in memory; `None` once delivery stops.
async fn room_for(
    context: &Context,
    room: &Arc<Semaphore>,
    bytes: usize,
) -> Option<OwnedSemaphorePermit> {
    let wanted = u32::try_from(bytes.clamp(1, APPLYING_BYTES)).ok()?;
    tokio::select! {
        () = context.stop.cancelled() => None,
        taken = room.clone().acquire_many_owned(wanted) => taken.ok(),
    }
}

fn tell(context: &Context, input: Input) {
    // A worker that has stopped needs no news.
    let _ = context.commands.send(Command::Input(input));
}

async fn receive(context: Context, from: Ipv6Addr, from_key: PublicKey, bytes: Bytes) {
    let checked = receive::check(&bytes, from, from_key, &context.me.node_key);
    drop(bytes);
    let (sender, inner) = match checked {
        Ok(checked) => checked,
        Err(kind) => return refused(&context, from, kind),
    };
    if inner.noun == ack::NOUN {
        take_acks(&context, sender, &inner.body).await;
    } else {
        take_envelope(&context, sender, inner).await;
    }
}

async fn take_acks(context: &Context, sender: Sender, body: &[u8]) {
    let Ok(acks) = ack::decode_acks(body) else {
        return refused(context, sender.address, RefusalKind::Malformed);
    };
    let settled = match settle(context, sender, acks.clone()).await {
        // A service that fails at one of them must not hold up the others.
        Err(Rejected::Store(_)) if acks.len() > 1 => settle_each(context, sender, acks).await,
        settled => settled,
    };
    match settled {
        Ok(settled) => {
            for (address, seq) in settled {
                tell(context, Input::Settled { address, seq });
            }
            tell(context, Input::Heard { address: sender.address, key: sender.node_key });
        }
        Err(rejected) => rejected_with(context, &sender, rejected),
    }
}

async fn settle(
    context: &Context,
    sender: Sender,
    acks: Vec<Ack>,
) -> Result<Vec<(Ipv6Addr, u64)>, Rejected> {
    let (handlers, now_ms) = (context.handlers.clone(), (context.config.clock)());
    context.store.write(move |tx| receive::settle_acks(tx, &sender, &acks, &handlers, now_ms)).await
}

/// One by one; what fails comes again with a repeat, and a disk that fails ends it.
async fn settle_each(
    context: &Context,
    sender: Sender,
    acks: Vec<Ack>,
) -> Result<Vec<(Ipv6Addr, u64)>, Rejected> {
    let mut settled = Vec::new();
    for ack in acks {
        match settle(context, sender, vec![ack]).await {
            Ok(one) => settled.extend(one),
            Err(Rejected::Store(error @ (StoreError::Full | StoreError::Closed))) => {
                return Err(error.into());
            }
            Err(error) => tracing::warn!(?error, id = %ack.id, "an end could not be noted"),
        }
    }
    Ok(settled)
}

async fn take_envelope(context: &Context, sender: Sender, inner: Inner) {
    let inner = Arc::new(inner);
    let (handlers, limits) = (context.handlers.clone(), context.config.limits);
    let now_ms = (context.config.clock)();
    let envelope = inner.clone();
    let mut applied = context
        .store
        .write(move |tx| receive::apply(tx, &sender, &envelope, &handlers, &limits, now_ms))
        .await;
    if let Err(Rejected::Content { code, kind, reason }) = applied {
        // The first transaction is rolled back, with everything the service did in it.
        tracing::info!(from = %sender.address, code, reason, "an envelope was refused");
        refused(context, sender.address, kind);
        let envelope = inner.clone();
        applied = context
            .store
            .write(move |tx| receive::record_refusal(tx, &sender, &envelope, code, &limits))
            .await;
    }
    let (address, key) = (sender.address, sender.node_key);
    match applied {
        Ok(code) => {
            let ack = Ack { id: inner.id, digest: inner.digest(), code };
            tell(context, Input::AckDue { address, key, ack });
            tell(context, Input::Heard { address, key });
        }
        Err(rejected) => rejected_with(context, &sender, rejected),
    }
}

fn rejected_with(context: &Context, sender: &Sender, rejected: Rejected) {
    let (address, found) = (sender.address, sender.device_key);
    match rejected {
        Rejected::Silent(kind) | Rejected::Content { kind, .. } => refused(context, address, kind),
        Rejected::KeyChanged(pinned) => {
            refused(context, address, RefusalKind::KeyChanged);
            (context.config.events)(DeliveryEvent::PeerKeyChanged { address, pinned, found });
        }
        Rejected::Store(error) => {
            tracing::warn!(%error, "an envelope could not be stored; its sender will repeat it");
        }
    }
}

fn refused(context: &Context, address: Ipv6Addr, kind: RefusalKind) {
    context.refused.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(from = %address, ?kind, "an envelope was refused");
    (context.config.events)(DeliveryEvent::Refused { address, kind });
}

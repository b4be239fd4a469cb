//! What happens to an envelope that came: checked first, then one transaction.
//!
//! Everything that depends on what is stored (the pinned key, the window, the quotas) is decided
//! inside the transaction that applies the envelope, so two copies that come together cannot both
//! be new. An error rolls all of it back.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::net::Ipv6Addr;
use std::sync::Arc;

use threephone_address::PublicKey;
use threephone_identity::DevicePublicKey;
use threephone_store::rusqlite::{self, OptionalExtension, params};
use threephone_store::{StoreError, WriteTx};

use crate::ack::Ack;
use crate::envelope::{self, Inner, WireError};
use crate::window::{Seen, Window};
use crate::{Inbound, Limits, Outcome, Refusal, RefusalKind, Sender, db};

/// The code that tells a sender that no service here takes its noun.
pub(crate) const CODE_UNKNOWN_NOUN: u16 = 1;

/// Why an envelope was not applied.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// Not acknowledged; whoever is honest tries again.
    Silent(RefusalKind),
    /// Another key is pinned.
    KeyChanged(DevicePublicKey),
    /// Bad content: to be recorded with [`record_refusal`] and acknowledged as refused.
    Content { code: u16, kind: RefusalKind, reason: String },
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for Rejected {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Rejected {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What can be checked without the database.
pub(crate) fn check(
    bytes: &[u8],
    from: Ipv6Addr,
    from_key: PublicKey,
    own_key: &PublicKey,
) -> Result<(Sender, Inner), RefusalKind> {
    if from_key.address() != from {
        return Err(RefusalKind::AddressMismatch);
    }
    let (device_key, inner) =
        envelope::open(bytes, &from_key, own_key).map_err(|error| match error {
            WireError::Malformed => RefusalKind::Malformed,
            WireError::TooLarge => RefusalKind::TooLarge,
            WireError::FutureVersion(_) => RefusalKind::FutureVersion,
            WireError::BadSignature => RefusalKind::BadSignature,
        })?;
    Ok((Sender { address: from, node_key: from_key, device_key }, inner))
}

/// Applies an envelope, or recognises a repeat. Returns the code to acknowledge with.
pub(crate) fn apply(
    tx: &mut WriteTx<'_>,
    sender: &Sender,
    inner: &Inner,
    handlers: &[Arc<dyn Inbound>],
    limits: &Limits,
    now_ms: i64,
) -> Result<u16, Rejected> {
    let mut peer = Peer::load(tx, sender)?;
    match peer.window.take(inner.seq, inner.low) {
        Seen::Repeat => return Ok(refused_with(tx, sender.address, inner.seq)?),
        Seen::Beyond => return Err(Rejected::Silent(RefusalKind::OutOfWindow)),
        Seen::New => {}
    }
    peer.check_quota(tx, inner, limits)?;
    let Some(handler) = handlers.iter().find(|handler| handler.noun() == inner.noun) else {
        let (code, kind) = (CODE_UNKNOWN_NOUN, RefusalKind::UnknownNoun);
        return Err(Rejected::Content { code, kind, reason: inner.noun.clone() });
    };
    peer.save(tx, sender, inner.body.len())?;
    handler.apply(tx, sender, inner.id, &inner.body, now_ms).map_err(|refusal| match refusal {
        Refusal::Content { code, reason } => {
            Rejected::Content { code: code.max(1), kind: RefusalKind::Content, reason }
        }
        Refusal::Store(error) => Rejected::Store(error),
    })?;
    Ok(0)
}

/// Notes that an envelope was refused for good, so that its repeats get the same answer.
pub(crate) fn record_refusal(
    tx: &WriteTx<'_>,
    sender: &Sender,
    inner: &Inner,
    code: u16,
    limits: &Limits,
) -> Result<u16, Rejected> {
    let mut peer = Peer::load(tx, sender)?;
    if peer.window.take(inner.seq, inner.low) != Seen::New {
        return Ok(refused_with(tx, sender.address, inner.seq)?);
    }
    peer.check_quota(tx, inner, limits)?;
    peer.save(tx, sender, 0)?;
    tx.prepare_cached("DELETE FROM delivery_refused WHERE address = ?1 AND seq < ?2")?
        .execute(params![sender.address.octets(), signed(peer.window.low())])?;
    tx.prepare_cached("INSERT INTO delivery_refused (address, seq, code) VALUES (?1, ?2, ?3)")?
        .execute(params![sender.address.octets(), signed(inner.seq), code])?;
    Ok(code)
}

/// Settles what a peer acknowledges of ours; the rest of the list is ignored.
pub(crate) fn settle_acks(
    tx: &mut WriteTx<'_>,
    sender: &Sender,
    acks: &[Ack],
    handlers: &[Arc<dyn Inbound>],
    now_ms: i64,
) -> Result<Vec<(Ipv6Addr, u64)>, Rejected> {
    let peer = Peer::load(tx, sender)?;
    if !peer.contacted {
        return Ok(Vec::new());
    }
    if !peer.pinned {
        peer.pin(tx, sender)?;
    }
    let mut settled = Vec::new();
    for ack in acks {
        if !db::is_open(tx, ack.id, sender.address, &ack.digest)? {
            continue;
        }
        let outcome = match ack.code {
            0 => Outcome::Acked,
            code => Outcome::Refused { code },
        };
        settled.extend(db::settle(tx, ack.id, outcome, handlers, now_ms)?);
    }
    Ok(settled)
}

fn refused_with(tx: &WriteTx<'_>, address: Ipv6Addr, seq: u64) -> Result<u16, rusqlite::Error> {
    let code = tx
        .prepare_cached("SELECT code FROM delivery_refused WHERE address = ?1 AND seq = ?2")?
        .query_row(params![address.octets(), signed(seq)], |row| row.get(0))
        .optional()?;
    Ok(code.unwrap_or(0))
}

/// A sender as the database knows it.
struct Peer {
    known: bool,
    pinned: bool,
    contacted: bool,
    window: Window,
    kept_envelopes: i64,
    kept_bytes: i64,
}

impl Peer {
    fn load(tx: &WriteTx<'_>, sender: &Sender) -> Result<Self, Rejected> {
        let found = tx
            .prepare_cached(
                "SELECT device_key, contacted, low, seen, kept_envelopes, kept_bytes
                 FROM delivery_peer WHERE address = ?1",
            )?
            .query_row([sender.address.octets()], |row| {
                let device: Option<[u8; 32]> = row.get(0)?;
                let low = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
                let peer = Self {
                    known: true,
                    pinned: device.is_some(),
                    contacted: row.get(1)?,
                    window: Window::new(low, row.get(3)?),
                    kept_envelopes: row.get(4)?,
                    kept_bytes: row.get(5)?,
                };
                Ok((peer, device.map(DevicePublicKey::from_bytes)))
            })
            .optional()?;
        match found {
            Some((_, Some(pinned))) if pinned != sender.device_key => {
                Err(Rejected::KeyChanged(pinned))
            }
            Some((peer, _)) => Ok(peer),
            None => Ok(Self {
                known: false,
                pinned: false,
                contacted: false,
                window: Window::new(1, Vec::new()),
                kept_envelopes: 0,
                kept_bytes: 0,
            }),
        }
    }

    fn check_quota(
        &self,
        tx: &WriteTx<'_>,
        inner: &Inner,
        limits: &Limits,
    ) -> Result<(), Rejected> {
        if self.contacted {
            return Ok(());
        }
        let (count, bytes): (i64, i64) = tx
            .prepare_cached(
                "SELECT count(*), coalesce(sum(kept_bytes), 0) FROM delivery_peer
                 WHERE contacted = 0",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let more = i64::try_from(inner.body.len()).unwrap_or(i64::MAX);
        let over = (!self.known && count >= signed(limits.strangers))
            || self.kept_envelopes >= signed(limits.stranger_envelopes)
            || self.kept_bytes.saturating_add(more) > signed(limits.stranger_bytes)
            || bytes.saturating_add(more) > signed(limits.all_strangers_bytes);
        if over { Err(Rejected::Silent(RefusalKind::StrangerQuota)) } else { Ok(()) }
    }

    /// Pins the key and writes window and counters back.
    fn save(&self, tx: &WriteTx<'_>, sender: &Sender, bytes: usize) -> Result<(), rusqlite::Error> {
        tx.prepare_cached(
            "INSERT INTO delivery_peer
                 (address, node_key, device_key, low, seen, kept_envelopes, kept_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)
             ON CONFLICT (address) DO UPDATE SET
                 node_key = excluded.node_key, device_key = excluded.device_key,
                 low = excluded.low, seen = excluded.seen,
                 kept_envelopes = kept_envelopes + 1,
                 kept_bytes = kept_bytes + excluded.kept_bytes",
        )?
        .execute(params![
            sender.address.octets(),
            sender.node_key.as_bytes(),
            sender.device_key.as_bytes(),
            signed(self.window.low()),
            self.window.bits(),
            i64::try_from(bytes).unwrap_or(i64::MAX),
        ])?;
        Ok(())
    }

    fn pin(&self, tx: &WriteTx<'_>, sender: &Sender) -> Result<(), rusqlite::Error> {
        tx.prepare_cached(
            "UPDATE delivery_peer SET node_key = ?2, device_key = ?3 WHERE address = ?1",
        )?
        .execute(params![
            sender.address.octets(),
            sender.node_key.as_bytes(),
            sender.device_key.as_bytes()
        ])?;
        Ok(())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

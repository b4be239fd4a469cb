//! What a service does for delivery: take bodies in, and hear what became of its own.

use std::net::Ipv6Addr;

use threephone_address::PublicKey;
use threephone_identity::DevicePublicKey;
use threephone_store::{StoreError, WriteTx, rusqlite};

use crate::EnvelopeId;

/// A service that receives. Every method runs on the store's writer thread, inside the transaction
/// that records what it is told, and must wait for nothing else.
pub trait Inbound: Send + Sync {
    /// The kind of body it takes, as `noun/number`, e.g. `chat/1`.
    fn noun(&self) -> &'static str;

    /// Takes a body in. Called once per envelope; what it writes commits with delivery's own note.
    ///
    /// # Errors
    /// [`Refusal::Content`] for a body that is bad and stays bad: nothing is applied, the sender is
    /// told and does not try again. [`Refusal::Store`] when the database failed: the sender will.
    fn apply(
        &self,
        tx: &mut WriteTx<'_>,
        from: &Sender,
        id: EnvelopeId,
        body: &[u8],
        now_ms: i64,
    ) -> Result<(), Refusal>;

    /// One of the service's own envelopes is settled, for good.
    ///
    /// # Errors
    /// The store's; the settlement is rolled back and comes again.
    fn delivered(
        &self,
        tx: &mut WriteTx<'_>,
        id: EnvelopeId,
        outcome: Outcome,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// The peer's node has taken one of the service's own envelopes, and the acknowledgement is not
    /// there yet. Comes some time after, may come twice, and not at all when the peer is quick.
    ///
    /// # Errors
    /// The store's; the report is lost then.
    fn sent(&self, _tx: &mut WriteTx<'_>, _id: EnvelopeId, _now_ms: i64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Whose envelope it is. All of it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The overlay address: the hash of the node key.
    pub address: Ipv6Addr,
    /// The node key.
    pub node_key: PublicKey,
    /// The device that signed, the one pinned for the address.
    pub device_key: DevicePublicKey,
}

/// Why a service did not take a body.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The body is bad and stays bad. The code travels to the sender; codes below 1000 are
    /// delivery's own.
    #[error("refused with code {code}: {reason}")]
    Content {
        /// What the sender is told.
        code: u16,
        /// For the log and the event; stays here.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// A refusal because of what the body says.
    pub fn content(code: u16, reason: impl Into<String>) -> Self {
        Self::Content { code, reason: reason.into() }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What became of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The other device has committed it.
    Acked,
    /// The other device will not have it.
    Refused {
        /// Its reason: below 1000 delivery's, else the service's.
        code: u16,
    },
    /// Its time to live ran out first.
    Expired,
    /// The user took it back.
    Cancelled,
}

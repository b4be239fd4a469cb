//! The handle: queues envelopes in their service's transaction and owns the worker.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use threephone_address::Target;
use threephone_identity::Me;
use threephone_store::{Store, StoreError, WriteTx};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::Input;
use crate::limits::{MAX_BODY_BYTES, MAX_NOUN_BYTES};
use crate::worker::{self, Command};
use crate::{DeliveryError, DeliveryEvent, EnvelopeId, Inbound, Limits, Link, Outcome, Timing, db};

/// How delivery behaves. The default is right outside tests.
#[derive(Clone)]
pub struct DeliveryConfig {
    /// What strangers may make us keep.
    pub limits: Limits,
    /// Waiting times.
    pub timing: Timing,
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// The wall clock, in unix milliseconds.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Told of refusals and changed keys. Must not block.
    pub events: Arc<dyn Fn(DeliveryEvent) + Send + Sync>,
}

impl DeliveryConfig {
    /// The same with someone to tell.
    #[must_use]
    pub fn with_events(mut self, events: impl Fn(DeliveryEvent) + Send + Sync + 'static) -> Self {
        self.events = Arc::new(events);
        self
    }
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        let mut seed = [0u8; 8];
        // Jitter only: without random bytes the retries of many devices are merely less spread.
        let _ = getrandom::fill(&mut seed);
        Self {
            limits: Limits::default(),
            timing: Timing::default(),
            seed: u64::from_le_bytes(seed),
            clock: Arc::new(system_now_ms),
            events: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for DeliveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn system_now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What a service puts into the outbox.
#[derive(Debug, Clone)]
pub struct OutgoingDraft {
    /// Whom it is for.
    pub to: Target,
    /// What the body is, as `noun/number`; the receiver's service of that noun gets it.
    pub noun: &'static str,
    /// The body, opaque to delivery.
    pub body: Vec<u8>,
    /// How long to try; `None` for as long as it takes.
    pub ttl: Option<Duration>,
}

/// Envelopes in the outbox by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Waiting for their turn or for the peer.
    pub queued: u64,
    /// On their way, or taken by the peer's node and not yet acknowledged.
    pub sending: u64,
    /// Given up: refused by the peer, expired or too long. The newest thousand are counted.
    pub failed: u64,
}

/// The delivery of one open profile. Clones share it.
#[derive(Clone)]
pub struct Delivery {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    own: Ipv6Addr,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    handlers: Arc<[Arc<dyn Inbound>]>,
    commands: mpsc::UnboundedSender<Command>,
    sending: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Delivery {
    /// Starts delivering what the outbox holds. Without a link it only queues.
    /// Must be called on a tokio runtime, whose task the worker becomes.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(
        store: Store,
        me: Me,
        link: Option<Arc<dyn Link>>,
        handlers: Vec<Arc<dyn Inbound>>,
        config: DeliveryConfig,
    ) -> Result<Self, DeliveryError> {
        let (commands, queue) = mpsc::unbounded_channel();
        let (stop, sending) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let refused = Arc::new(AtomicU64::new(0));
        let handlers: Arc<[Arc<dyn Inbound>]> = handlers.into();
        let own = me.node_key.address();
        let context = worker::Context {
            store: store.clone(),
            me: Arc::new(me),
            handlers: handlers.clone(),
            config: config.clone(),
            sending: sending.clone(),
            refused: refused.clone(),
            stop: stop.clone(),
            commands: commands.clone(),
        };
        let task = worker::start(context, link, queue).await?;
        let task = Mutex::new(Some(task));
        let clock = config.clock;
        let shared = Shared { store, own, clock, handlers, commands, sending, refused, stop, task };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Puts an envelope into the outbox, in the caller's transaction. The worker hears of it once
    /// that is on the disk.
    ///
    /// # Errors
    /// [`DeliveryError::ToSelf`], [`DeliveryError::TooLarge`], or the store's.
    pub fn enqueue(
        &self,
        tx: &mut WriteTx<'_>,
        draft: OutgoingDraft,
        now_ms: i64,
    ) -> Result<EnvelopeId, DeliveryError> {
        if draft.to.address() == self.shared.own {
            return Err(DeliveryError::ToSelf);
        }
        let (bytes, limit) = (draft.body.len(), MAX_BODY_BYTES);
        if bytes > limit {
            return Err(DeliveryError::TooLarge { bytes, limit });
        }
        if draft.noun.len() > MAX_NOUN_BYTES {
            return Err(DeliveryError::UnknownNoun(draft.noun.to_owned()));
        }
        let id = EnvelopeId::generate()?;
        let expires_at = draft
            .ttl
            .map(|ttl| now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)));
        let key = db::insert_outgoing(tx, id, &draft, expires_at, now_ms)?;
        let commands = self.shared.commands.clone();
        let address = draft.to.address();
        tx.after_commit(move || {
            // A closed delivery finds the row when it is opened again.
            let _ = commands.send(Command::Queued { address, key, expires_at });
        });
        Ok(id)
    }

    /// Takes an envelope back. `false` when it is settled already; one that is on its way may still
    /// arrive.
    ///
    /// # Errors
    /// The store's.
    pub async fn cancel(&self, id: EnvelopeId) -> Result<bool, DeliveryError> {
        let now_ms = (self.shared.clock)();
        let handlers = self.shared.handlers.clone();
        let commands = self.shared.commands.clone();
        self.shared
            .store
            .write(move |tx| -> Result<bool, DeliveryError> {
                let settled = db::settle(tx, id, Outcome::Cancelled, &handlers, now_ms)?;
                let Some((address, seq)) = settled else { return Ok(false) };
                tx.after_commit(move || {
                    let _ = commands.send(Command::Input(Input::Settled { address, seq }));
                });
                Ok(true)
            })
            .await
    }

    /// How many envelopes there are, by state.
    ///
    /// # Errors
    /// The store's.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, DeliveryError> {
        let (open, failed) = self
            .shared
            .store
            .read(|conn| db::count_outgoing(conn).map_err(StoreError::from))
            .await?;
        let sending = self.shared.sending.load(Ordering::Relaxed).min(open);
        Ok(OutboxCounts { queued: open.saturating_sub(sending), sending, failed })
    }

    /// Envelopes that were refused since it was opened.
    pub fn refused_count(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Stops the worker and waits for its end. What was not acknowledged stays in the outbox.
    pub async fn close(self) {
        self.shared.stop.cancel();
        let task = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A worker that panicked has ended as well, and said so.
            let _ = task.await;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.stop.cancel();
            tracing::error!("delivery was dropped without being closed");
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

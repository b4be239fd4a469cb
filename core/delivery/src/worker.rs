//! Connects the engine to the link, the database and the clock: one task that waits.
//!
//! Every send, lookup and page is a task of its own in one `JoinSet`, which ends with the worker.
//! Receiving is a sibling task (`inbox`), since it must go on while this one is busy.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use threephone_address::{PublicKey, Target};
use threephone_identity::Me;
use threephone_store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ack::{self, Ack};
use crate::engine::{Action, Engine, Input};
use crate::envelope::{Inner, seal};
use crate::inbox;
use crate::{DeliveryConfig, DeliveryError, EnvelopeId, Inbound, Link, LinkError, Outcome, db};

/// The code under which an envelope fails that no link carries.
const CODE_TOO_LARGE: u16 = 2;
/// Envelopes expired in one transaction.
const EXPIRE_BATCH: usize = 256;
/// Commands taken in before acting: lets acknowledgements of one commit gather.
const COMMAND_BATCH: usize = 1024;
/// How long to leave the database alone after it failed.
const DATABASE_REST: Duration = Duration::from_secs(1);

/// What others tell the worker.
pub(crate) enum Command {
    /// Something was put into the outbox.
    Queued { address: Ipv6Addr, key: Option<PublicKey>, expires_at: Option<i64> },
    /// News for the engine.
    Input(Input),
}

/// What the worker and the inbox work with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) me: Arc<Me>,
    pub(crate) handlers: Arc<[Arc<dyn Inbound>]>,
    pub(crate) config: DeliveryConfig,
    pub(crate) sending: Arc<AtomicU64>,
    /// Envelopes refused since the start.
    pub(crate) refused: Arc<AtomicU64>,
    pub(crate) stop: CancellationToken,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

/// How a task ended.
enum Done {
    Input(Input),
    Sent { address: Ipv6Addr, seq: u64, id: EnvelopeId },
    Expired { settled: Vec<(Ipv6Addr, u64)>, next: Option<i64> },
    Nothing,
}

pub(crate) async fn start(
    context: Context,
    link: Option<Arc<dyn Link>>,
    queue: mpsc::UnboundedReceiver<Command>,
) -> Result<JoinHandle<()>, DeliveryError> {
    let (waiting, next_expiry) = context
        .store
        .read(|conn| -> Result<_, StoreError> {
            Ok((db::list_waiting(conn)?, db::find_expiry(conn)?))
        })
        .await?;
    let config = &context.config;
    let mut worker = Worker {
        engine: Engine::new(config.seed, config.timing),
        start: Instant::now(),
        tasks: JoinSet::new(),
        taken: BTreeMap::new(),
        report_at: None,
        next_expiry,
        context,
        link,
    };
    for (address, key) in waiting {
        worker.input(Input::Queued { address, key });
    }
    Ok(tokio::spawn(worker.run(queue)))
}

struct Worker {
    context: Context,
    link: Option<Arc<dyn Link>>,
    engine: Engine,
    start: Instant,
    tasks: JoinSet<Done>,
    /// Taken by the peer's node, not acknowledged, not yet reported to the service.
    taken: BTreeMap<(Ipv6Addr, u64), EnvelopeId>,
    report_at: Option<Instant>,
    /// In unix milliseconds.
    next_expiry: Option<i64>,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        let stop = self.context.stop.clone();
        let inbox =
            self.link.clone().map(|link| tokio::spawn(inbox::run(self.context.clone(), link)));
        let mut batch = Vec::new();
        loop {
            self.act();
            let wake = self.next_wake();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = queue.recv_many(&mut batch, COMMAND_BATCH) => {
                    for command in batch.drain(..) {
                        self.command(command);
                    }
                }
                Some(done) = self.tasks.join_next() => self.done(done.unwrap_or(Done::Nothing)),
                () = sleep_until(wake) => self.tick(),
            }
        }
        self.tasks.shutdown().await;
        if let Some(inbox) = inbox {
            // It listens to the same token.
            let _ = inbox.await;
        }
        self.context.sending.store(0, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Without a link nothing is scheduled: what is queued waits in the database.
    fn input(&mut self, input: Input) {
        if self.link.is_some() {
            let now = self.now();
            self.engine.handle(input, now);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Queued { address, key, expires_at } => {
                let times = self.next_expiry.into_iter().chain(expires_at);
                self.next_expiry = times.min();
                self.input(Input::Queued { address, key });
            }
            Command::Input(Input::Settled { address, seq }) => self.settled(address, seq),
            Command::Input(input) => self.input(input),
        }
    }

    fn settled(&mut self, address: Ipv6Addr, seq: u64) {
        self.taken.remove(&(address, seq));
        self.input(Input::Settled { address, seq });
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Input(input) => self.input(input),
            Done::Sent { address, seq, id } => {
                if self.engine.is_open(address, seq) {
                    self.taken.insert((address, seq), id);
                    let wait = Duration::from_millis(self.context.config.timing.sent_report_ms);
                    self.report_at.get_or_insert_with(|| Instant::now() + wait);
                }
                self.input(Input::SendDone { address, seq, taken: true });
            }
            Done::Expired { settled, next } => {
                for (address, seq) in settled {
                    self.settled(address, seq);
                }
                self.next_expiry = self.next_expiry.into_iter().chain(next).min();
            }
            Done::Nothing => {}
        }
    }

    fn tick(&mut self) {
        if self.report_at.is_some_and(|at| at <= Instant::now()) {
            self.report_at = None;
            let ids = std::mem::take(&mut self.taken).into_values().collect();
            self.tasks.spawn(report_sent(self.context.clone(), ids));
        }
        if self.next_expiry.is_some_and(|at| at <= (self.context.config.clock)()) {
            self.next_expiry = None;
            self.tasks.spawn(expire(self.context.clone()));
        }
        self.input(Input::Tick);
    }

    fn next_wake(&self) -> Option<Instant> {
        let engine = self.engine.next_wake().map(|ms| self.start + Duration::from_millis(ms));
        let expiry = self.next_expiry.map(|at| {
            let wait = at.saturating_sub((self.context.config.clock)());
            // In steps of a day at most: the wall clock may be set meanwhile.
            Instant::now() + Duration::from_millis(u64::try_from(wait).unwrap_or(0).min(86_400_000))
        });
        engine.into_iter().chain(expiry).chain(self.report_at).min()
    }

    fn act(&mut self) {
        let Some(link) = self.link.clone() else { return };
        while let Some(action) = self.engine.poll() {
            let (context, link) = (self.context.clone(), link.clone());
            match action {
                Action::Load { address, after, limit } => {
                    self.tasks.spawn(load(context, address, after, limit));
                }
                Action::Resolve { address } => {
                    self.tasks.spawn(async move {
                        let key = link.resolve(Target::Address(address)).await.ok();
                        Done::Input(Input::Resolved { address, key })
                    });
                }
                Action::Send { address, key, seq, low } => {
                    self.tasks.spawn(send(context, link, address, key, seq, low));
                }
                Action::SendAcks { address, key, acks } => {
                    self.tasks.spawn(send_acks(context, link, address, key, acks));
                }
            }
        }
        self.context.sending.store(self.engine.sending(), Ordering::Relaxed);
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

async fn load(context: Context, address: Ipv6Addr, after: u64, limit: usize) -> Done {
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

async fn send(
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

async fn send_acks(
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

async fn report_sent(context: Context, ids: Vec<EnvelopeId>) -> Done {
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

async fn expire(context: Context) -> Done {
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

//! Connects the engine to the link, the database and the clock: one task that waits.
//!
//! Every send, lookup and page is a task of its own (`task`) in one `JoinSet`, which ends with the
//! worker. Receiving is a sibling task (`inbox`), since it must go on while this one is busy.

mod task;

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

use self::task::Done;
use crate::engine::{Action, Engine, Input};
use crate::inbox;
use crate::{DeliveryConfig, DeliveryError, EnvelopeId, Inbound, Link, db};

/// Commands taken in before acting: lets acknowledgements of one commit gather.
const COMMAND_BATCH: usize = 1024;

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
            self.tasks.spawn(task::report_sent(self.context.clone(), ids));
        }
        if self.next_expiry.is_some_and(|at| at <= (self.context.config.clock)()) {
            self.next_expiry = None;
            self.tasks.spawn(task::expire(self.context.clone()));
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
                    self.tasks.spawn(task::load(context, address, after, limit));
                }
                Action::Resolve { address } => {
                    self.tasks.spawn(async move {
                        let key = link.resolve(Target::Address(address)).await.ok();
                        Done::Input(Input::Resolved { address, key })
                    });
                }
                Action::Send { address, key, seq, low } => {
                    self.tasks.spawn(task::send(context, link, address, key, seq, low));
                }
                Action::SendAcks { address, key, acks } => {
                    self.tasks.spawn(task::send_acks(context, link, address, key, acks));
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

//! What a node listens on: opened when it starts, closed while it is suspended, and opened again at
//! the same ports when it goes on.
//!
//! While nothing listens the system answers for us: whoever dials a suspended node is told at once
//! that nobody is there, and nothing here wakes up for it. Ports that were taken meanwhile are asked
//! for again, with pauses; dialling does not wait for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::command::Input;
use super::transport::{Arrivals, Listener, Transports};
use crate::NodeError;
use crate::endpoint::Endpoint;
use crate::power::PowerMode;

/// For a port that somebody else has: doubled each time, up to a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Sockets that accept once they run.
pub(crate) type Listeners = Vec<Box<dyn Listener>>;

/// Opens all listeners or none; gives them with the endpoints on which they accept.
pub(crate) fn open_all(
    transports: &Transports,
    endpoints: &[Endpoint],
) -> Result<(Listeners, Vec<Endpoint>), NodeError> {
    let mut listeners = Vec::new();
    let mut listening = Vec::new();
    for &endpoint in endpoints {
        let failed = |error| NodeError::Listen { endpoint, error };
        let listener = transports.listen(endpoint).map_err(failed)?;
        listening.push(listener.local().map_err(failed)?);
        listeners.push(listener);
    }
    Ok((listeners, listening))
}

/// Whether a node can be dialled, and may dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    Closed,
}

impl From<PowerMode> for Door {
    fn from(mode: PowerMode) -> Self {
        match mode {
            PowerMode::Active | PowerMode::Idle => Self::Open,
            PowerMode::Suspended => Self::Closed,
        }
    }
}

/// Says what is wanted of the doors.
pub(crate) struct Doors {
    wanted: watch::Sender<Door>,
    watch: DoorWatch,
}

/// What is wanted of the doors, and how they are.
#[derive(Clone)]
pub(crate) struct DoorWatch {
    wanted: watch::Receiver<Door>,
    standing: watch::Receiver<Door>,
}

impl Doors {
    pub(crate) fn set(&self, door: Door) {
        // Nobody wakes up for a mode that changes nothing here.
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, door) != door);
    }

    pub(crate) fn watch(&self) -> DoorWatch {
        self.watch.clone()
    }
}

impl DoorWatch {
    /// Returns when the doors are as wanted, or something else is wanted, or nothing any more.
    pub(crate) async fn follow(&mut self, door: Door) {
        tokio::select! {
            _ = self.standing.wait_for(|standing| *standing == door) => {}
            _ = self.wanted.wait_for(|wanted| *wanted != door) => {}
        }
    }

    /// Runs what may be done only with open doors, once they are; none when they are to close first.
    pub(crate) async fn while_open<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = self.wanted.wait_for(|wanted| *wanted == Door::Closed) => None,
            done = async {
                let _ = self.standing.wait_for(|standing| *standing == Door::Open).await;
                work.await
            } => Some(done),
        }
    }
}

/// What the task behind the doors starts from.
pub(crate) struct Parts {
    pub(crate) transports: Arc<Transports>,
    /// Open, and where they are.
    pub(crate) listeners: Listeners,
    pub(crate) listening: Vec<Endpoint>,
    /// Told of who comes.
    pub(crate) core: mpsc::Sender<Input>,
    pub(crate) closing: CancellationToken,
}

/// The doors, and the task behind them, which runs until the node closes.
pub(crate) fn doors(parts: Parts) -> (Doors, impl Future<Output = ()> + Send) {
    let (wanted, wanted_inlet) = watch::channel(Door::Open);
    let (standing, standing_inlet) = watch::channel(Door::Open);
    let watch = DoorWatch { wanted: wanted_inlet.clone(), standing: standing_inlet };
    let keeper = Keeper { parts, wanted: wanted_inlet, standing };
    (Doors { wanted, watch }, keeper.run())
}

struct Keeper {
    parts: Parts,
    wanted: watch::Receiver<Door>,
    standing: watch::Sender<Door>,
}

impl Keeper {
    async fn run(mut self) {
        let mut missing = Vec::new();
        loop {
            self.keep_open(missing).await;
            if self.parts.closing.is_cancelled() {
                return;
            }
            self.parts.transports.rest().await;
            self.standing.send_replace(Door::Closed);
            if !self.is_wanted(Door::Open).await {
                return;
            }
            missing = self.parts.listening.clone();
        }
    }

    /// Accepts until the doors are to close. Everything that was opened, and every handshake, is
    /// gone then.
    async fn keep_open(&mut self, mut missing: Vec<Endpoint>) {
        let (tasks, stop) = (TaskTracker::new(), self.parts.closing.child_token());
        let core = self.parts.core.clone();
        let arrivals = Arrivals { core, tracker: tasks.clone(), closing: stop.clone() };
        let mut pause = FIRST_PAUSE;
        loop {
            missing.retain(|endpoint| !self.open(*endpoint));
            for listener in self.parts.listeners.drain(..) {
                let accepting = listener.run(arrivals.clone());
                tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
            }
            self.standing.send_replace(Door::Open);
            let is_complete = missing.is_empty();
            tokio::select! {
                _ = self.is_wanted(Door::Closed) => break,
                () = tokio::time::sleep(pause), if !is_complete => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    fn open(&mut self, endpoint: Endpoint) -> bool {
        match self.parts.transports.listen(endpoint) {
            Ok(listener) => self.parts.listeners.push(listener),
            Err(error) => {
                tracing::warn!(
                    %endpoint, %error,
                    "cannot listen there again and will try on; another program may have the port"
                );
                return false;
            }
        }
        true
    }

    /// Waits until the doors are to be like this; false when the node closes.
    async fn is_wanted(&mut self, door: Door) -> bool {
        let wanted = self.wanted.wait_for(|wanted| *wanted == door);
        let wanted = self.parts.closing.run_until_cancelled(wanted).await;
        matches!(wanted, Some(Ok(_)))
    }
}

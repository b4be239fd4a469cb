//! Skeleton.
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use threephone_address::PublicKey;
use threephone_identity::Me;
use threephone_store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use crate::{DeliveryConfig, DeliveryError, Inbound, Link};

pub(crate) enum Command {
    Queued { address: Ipv6Addr, key: Option<PublicKey>, expires_at: Option<i64> },
    Settled { address: Ipv6Addr, seq: u64 },
}
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) me: Arc<Me>,
    pub(crate) handlers: Arc<[Arc<dyn Inbound>]>,
    pub(crate) config: DeliveryConfig,
    pub(crate) sending: Arc<AtomicU64>,
    pub(crate) stop: CancellationToken,
}
pub(crate) async fn start(_c: Context, _l: Option<Arc<dyn Link>>, _q: mpsc::UnboundedReceiver<Command>) -> Result<JoinHandle<()>, DeliveryError> {
    Ok(tokio::spawn(async {}))
}

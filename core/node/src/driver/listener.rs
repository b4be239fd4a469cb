//! Opening what a node listens on, and letting it run.

use tokio_util::sync::CancellationToken;

use super::transport::{Arrivals, Listener, Transports};
use crate::NodeError;
use crate::endpoint::Endpoint;

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

/// Accepts until the node closes.
pub(crate) fn run(listener: Box<dyn Listener>, arrivals: &Arrivals) {
    let closing: CancellationToken = arrivals.closing.clone();
    let accepting = listener.run(arrivals.clone());
    arrivals.tracker.spawn(closing.run_until_cancelled_owned(accepting));
}

//! What a node asks of the system besides sockets and deadlines; tests put something else in its place.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::tally;

/// A clock that goes on while the machine sleeps; none where there is no such thing.
pub(crate) type SleepClock = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// The outside of one node.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) resolver: Resolver,
    pub(crate) sleep_clock: SleepClock,
}

impl Default for Outside {
    fn default() -> Self {
        Self { resolver: Resolver::System, sleep_clock: Arc::new(tally::sleep_clock) }
    }
}

/// Where the addresses of a host name come from.
#[derive(Clone)]
pub(crate) enum Resolver {
    /// As the system does it: name servers, and the file of hosts.
    System,
    #[cfg(test)]
    Given(Arc<Given>),
}

/// What a test says of a host.
#[cfg(test)]
pub(crate) type Given = dyn Fn(&str) -> Vec<std::net::IpAddr> + Send + Sync;

impl Resolver {
    /// The addresses of a host, each with the port.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
            #[cfg(test)]
            Self::Given(given) => {
                Ok(given(host).into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
            }
        }
    }
}

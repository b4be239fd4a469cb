//! What stands for TLS in builds without private networks.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Connection, Listener};
use crate::endpoint::Endpoint;
use crate::private_network::PrivateNetwork;

/// There is none.
pub(super) struct Tls(Infallible);

impl Tls {
    pub(super) fn new(_network: &PrivateNetwork) -> io::Result<Self> {
        let reason = "this build knows no private networks; build with the feature private-network";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    pub(super) fn listen(&self, _address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        match self.0 {}
    }

    pub(super) async fn dial(
        self: Arc<Self>,
        _to: SocketAddr,
        _remote: Endpoint,
    ) -> io::Result<Connection> {
        match self.0 {}
    }
}

//! The peer table.

use threephone_node::{Endpoint, NodeError, PeerAddress, PeerKind, PeerState, PeerStatus, Place};

use super::Api;
use crate::error::ApiError;
use crate::shape::{self, EndpointAddress, PeerStats};

impl Api {
    /// The peers whose place can be told as the reference tells it: one that is known by a host
    /// name only, while it has a link.
    pub(crate) async fn peers(&self) -> Vec<PeerStats> {
        self.node.peers().await.iter().filter_map(stats).collect()
    }

    pub(crate) async fn add_peer(&self, peer: PeerAddress) -> Result<(), ApiError> {
        Ok(self.node.add_peer(peer).await?)
    }

    /// Forgets a peer, named as it was added or as it is listed.
    pub(crate) async fn remove_peer(&self, peer: PeerAddress) -> Result<(), ApiError> {
        let gone = self.node.remove_peer(peer.clone()).await;
        let Err(NodeError::UnknownPeer(_)) = gone else { return Ok(gone?) };
        let shown = peer.as_endpoint().ok_or(ApiError::UnknownPeer)?;
        let peers = self.node.peers().await;
        let listed = peers.into_iter().find(|peer| shown_place(peer) == Some(shown));
        Ok(self.node.remove_peer(listed.ok_or(ApiError::UnknownPeer)?.endpoint).await?)
    }
}

fn stats(peer: &PeerStatus) -> Option<PeerStats> {
    Some(PeerStats {
        endpoint: shape_of(shown_place(peer)?)?,
        kind: match peer.kind {
            // The reference's entry peers are configured like others.
            PeerKind::Static | PeerKind::Public => "static",
            PeerKind::Inbound => "inbound",
            PeerKind::Discovered => "linkLocalDiscovery",
        },
        connection_state: match peer.state {
            PeerState::Connecting => "connecting",
            PeerState::Alive => "alive",
            PeerState::Dead | PeerState::Itself => "dead",
        },
        tx_bytes: peer.tx_bytes,
        rx_bytes: peer.rx_bytes,
        discovered: peer.known_for.as_secs(),
        last_connected: peer.last_connected.map(|ago| ago.as_secs()),
    })
}

/// Where the link goes, else the first place that needs no looking up.
fn shown_place(peer: &PeerStatus) -> Option<Endpoint> {
    let literal = |place: &Place| match place {
        Place::Literal(endpoint) => Some(*endpoint),
        Place::Named { .. } => None,
    };
    peer.remote.or_else(|| peer.endpoint.places().iter().find_map(literal))
}

fn shape_of(endpoint: Endpoint) -> Option<shape::Endpoint> {
    let (proto, address) = match endpoint {
        Endpoint::Tcp(address) => ("tcp", address),
        Endpoint::Tls(address) => ("tls", address),
        Endpoint::Quic(address) => ("quic", address),
        Endpoint::Vsock { cid, port } => {
            return Some(shape::Endpoint {
                proto: "vsock",
                addr: EndpointAddress::Vsock { cid, port },
            });
        }
        // Not a place that has a name outside of this process.
        Endpoint::Memory(_) => return None,
    };
    Some(shape::Endpoint { proto, addr: EndpointAddress::Socket(address.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_the_reference_writes_them() {
        let json = |text: &str| serde_json::to_string(&shape_of(text.parse().unwrap())).unwrap();
        assert_eq!(json("quic://[::1]:9651"), r#"{"proto":"quic","addr":{"socket":"[::1]:9651"}}"#);
        let vsock = Endpoint::Vsock { cid: 3, port: 9651 };
        let vsock = serde_json::to_string(&shape_of(vsock)).unwrap();
        assert_eq!(vsock, r#"{"proto":"vsock","addr":{"vsock":{"cid":3,"port":9651}}}"#);
    }
}

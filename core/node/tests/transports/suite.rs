//! What every transport must do, and a QUIC client that speaks no more than it is told.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicClientConfig;
use threephone_node::wire::control::{Hello, Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{
    Endpoint, MemoryNetwork, Node, NodeConfig, NodeEvent, PeerAddress, PeerState, Prefix,
    PrivateNetwork, PublicKey, RouterId, SecretKey, SendState, Target, TopicFilter,
};

/// Nothing here takes that long unless it never comes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How the nodes of one test reach each other.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) listen: Vec<Endpoint>,
    pub(crate) memory: MemoryNetwork,
    pub(crate) private_network: Option<PrivateNetwork>,
}

impl Setup {
    pub(crate) fn new(listen: Vec<Endpoint>) -> Self {
        Self { listen, memory: MemoryNetwork::new(), private_network: None }
    }
}

pub(crate) async fn start(name: u8, setup: &Setup, listens: bool, peers: Vec<PeerAddress>) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    if listens {
        config.listen = setup.listen.clone();
    }
    config.peers = peers;
    config.memory = setup.memory.clone();
    config.private_network = setup.private_network.clone();
    Node::start(config).await.unwrap()
}

pub(crate) async fn close(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        tokio::time::timeout(LONG, node.close()).await.expect("closing ends");
    }
}

pub(crate) async fn exchange(from: &Node, to: &Node) {
    send(from, to, Bytes::from_static(b"hello")).await;
}

pub(crate) async fn send(from: &Node, to: &Node, payload: Bytes) {
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload.clone(), LONG).await;
    assert!(matches!(sent, Ok(SendState::Received | SendState::Read)), "{sent:?}");
    let message = to.receive(TopicFilter::Any, LONG).await.expect("it arrived");
    assert_eq!((message.source, message.payload), (from.address(), payload));
}

async fn pair(setup: &Setup) -> [Node; 2] {
    let ann = start(1, setup, true, vec![]).await;
    let ben = start(2, setup, false, vec![ann.listening()[0].into()]).await;
    [ann, ben]
}

pub(crate) async fn messages_go_both_ways(setup: Setup) {
    let [ann, ben] = pair(&setup).await;
    for _ in 0..20 {
        exchange(&ann, &ben).await;
        exchange(&ben, &ann).await;
    }
    close([ann, ben]).await;
}

pub(crate) async fn a_message_of_a_megabyte_goes_both_ways(setup: Setup) {
    let [ann, ben] = pair(&setup).await;
    let payload: Bytes = (0..1_000_000).map(|index| (index % 251) as u8).collect();
    send(&ann, &ben, payload.clone()).await;
    send(&ben, &ann, payload).await;
    close([ann, ben]).await;
}

pub(crate) async fn a_closed_node_that_comes_back_is_found_again(mut setup: Setup) {
    let [ann, ben] = pair(&setup).await;
    exchange(&ben, &ann).await;
    let mut events = ben.events();
    setup.listen = ann.listening().to_vec();
    ann.close().await;
    wait_for(&mut events, |event| matches!(event, NodeEvent::PeerDown { .. })).await;
    drop(ann);
    let ann = start(1, &setup, true, vec![]).await;
    wait_for(&mut events, |event| matches!(event, NodeEvent::PeerUp { .. })).await;
    exchange(&ben, &ann).await;
    exchange(&ann, &ben).await;
    close([ann, ben]).await;
}

pub(crate) async fn a_removed_peer_is_gone_on_both_sides(setup: Setup) {
    let [ann, ben] = pair(&setup).await;
    exchange(&ben, &ann).await;
    let mut events = ann.events();
    ben.remove_peer(ann.listening()[0]).await.unwrap();
    wait_for(&mut events, |event| matches!(event, NodeEvent::PeerDown { .. })).await;
    assert!(ann.peers().await.is_empty() && ben.peers().await.is_empty());
    ben.add_peer(ann.listening()[0]).await.unwrap();
    exchange(&ann, &ben).await;
    assert!(ben.peers().await.iter().all(|peer| peer.state == PeerState::Alive));
    close([ann, ben]).await;
}

pub(crate) async fn wait_for(
    events: &mut threephone_node::Events,
    wanted: impl Fn(&NodeEvent) -> bool,
) -> NodeEvent {
    let search = async {
        loop {
            let event = events.next().await.expect("the node is open");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(LONG, search).await.expect("it happens at all")
}

pub(crate) fn hello() -> Bytes {
    let mut out = BytesMut::new();
    Tlv::Hello(Hello { seqno: 0, interval: 2000 }).encode(&mut out);
    out.freeze()
}

pub(crate) fn announcement(key: PublicKey) -> Bytes {
    let (prefix, router_id) = (Prefix::subnet_of(key.address()), RouterId::new(key, [0; 6]));
    let mut out = BytesMut::new();
    Tlv::Update(Update { interval: 30_000, seqno: 0, metric: 0, prefix, router_id })
        .encode(&mut out);
    out.freeze()
}

/// A data packet of `length` bytes, all headers counted.
pub(crate) fn data_packet(destination: Ipv6Addr, length: usize) -> Bytes {
    let packet = DataPacket {
        hop_limit: 64,
        source: SecretKey::from_bytes([8; 32]).public_key().address(),
        destination,
        payload: vec![0; length - DataPacket::HEADER_LENGTH].into(),
    };
    let mut out = BytesMut::new();
    packet.encode(&mut out);
    out.freeze()
}

/// A QUIC client without a node.
pub(crate) struct QuicClient {
    endpoint: quinn::Endpoint,
}

/// A link of its own.
pub(crate) struct QuicLink {
    pub(crate) connection: quinn::Connection,
    send: quinn::SendStream,
    pub(crate) receive: quinn::RecvStream,
}

impl QuicClient {
    pub(crate) fn new() -> Self {
        Self::over(|crypto| Arc::new(crypto))
    }

    /// `with` may put something around its TLS.
    pub(crate) fn over(
        with: impl FnOnce(QuicClientConfig) -> Arc<dyn quinn::crypto::ClientConfig>,
    ) -> Self {
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let crypto = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier::Any(provider)))
            .with_no_client_auth();
        let crypto = QuicClientConfig::try_from(crypto).unwrap();
        let mut config = quinn::ClientConfig::new(with(crypto));
        let mut transport = quinn::TransportConfig::default();
        transport.initial_mtu(1500); // as older nodes
        config.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(config);
        Self { endpoint }
    }

    /// Shakes hands and then says nothing.
    pub(crate) async fn connect(&self, to: SocketAddr) -> quinn::Connection {
        self.endpoint.connect(to, "whatever.example").unwrap().await.unwrap()
    }

    /// Opens the stream as a node does, with a Hello.
    pub(crate) async fn link(&self, to: SocketAddr) -> QuicLink {
        let connection = self.connect(to).await;
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&hello()).await.unwrap();
        let mut link = QuicLink { connection, send, receive };
        link.read_ihus(1).await;
        link
    }
}

impl QuicLink {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    /// The length of the next data packet on the stream.
    pub(crate) async fn read_data(&mut self) -> usize {
        let mut decoder = Decoder::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let read = tokio::time::timeout(LONG, self.receive.read(&mut buffer)).await.unwrap();
            decoder.push(&buffer[..read.unwrap().expect("the link is up")]);
            while let Some(packet) = decoder.next().unwrap() {
                if let Packet::Data(data) = packet {
                    return DataPacket::HEADER_LENGTH + data.payload.len();
                }
            }
        }
    }

    /// Reads until that many Hellos have been answered.
    pub(crate) async fn read_ihus(&mut self, mut wanted: usize) {
        let mut decoder = Decoder::new();
        let mut buffer = [0; 4096];
        while wanted > 0 {
            let read = tokio::time::timeout(LONG, self.receive.read(&mut buffer)).await.unwrap();
            decoder.push(&buffer[..read.unwrap().expect("the link is up")]);
            while let Some(packet) = decoder.next().unwrap() {
                wanted -= usize::from(matches!(packet, Packet::Control(Tlv::Ihu(_))));
            }
        }
    }
}

mod verifier {
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    /// Believes anything.
    #[derive(Debug)]
    pub(crate) struct Any(pub(crate) Arc<CryptoProvider>);

    impl ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

//! What a peer sees of a node's QUIC handshake, against spec 2.4: an endpoint that notes every byte of
//! TLS from the other side, before its own library makes anything of it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{
    ClientConfig, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig,
    Session, UnsupportedVersion,
};
use quinn::{ConnectError, ConnectionId, Side};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;

use super::suite::{self, LONG};
use crate::plain;

/// Kinds of messages of TLS (RFC 8446, B.3).
const CLIENT_HELLO: u8 = 1;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
/// Extensions of it.
const SERVER_NAME: u64 = 0;
const ALPN: u64 = 16;
const PRE_SHARED_KEY: u64 = 41;
const EARLY_DATA: u64 = 42;
const TRANSPORT_PARAMETERS: u64 = 57;

type Bytes = Vec<u8>;

/// All that the other side said in its handshake.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Bytes>>);

impl Heard {
    /// Its messages by their kind.
    fn messages(&self) -> BTreeMap<u8, Bytes> {
        let said = self.0.lock().unwrap();
        let mut rest = Reader(&said);
        let mut messages = BTreeMap::new();
        while !rest.0.is_empty() {
            let kind = rest.number(1) as u8;
            assert!(messages.insert(kind, rest.block(3).0.to_vec()).is_none());
        }
        messages
    }
}

/// Numbers and blocks, big-endian.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(length);
        self.0 = rest;
        first
    }

    fn number(&mut self, length: usize) -> u64 {
        self.take(length).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// What follows its own length, which takes so many bytes.
    fn block(&mut self, length: usize) -> Self {
        let length = self.number(length) as usize;
        Self(self.take(length))
    }

    /// A number of QUIC (RFC 9000, 16).
    fn varint(&mut self) -> u64 {
        let length = 1 << (self.0[0] >> 6);
        self.number(length) & (u64::MAX >> (66 - 8 * length))
    }

    fn extensions(&mut self) -> BTreeMap<u64, Bytes> {
        let mut list = self.block(2);
        let mut extensions = BTreeMap::new();
        while !list.0.is_empty() {
            extensions.insert(list.number(2), list.block(2).0.to_vec());
        }
        extensions
    }
}

/// The numbers among the transport parameters of RFC 9000, 18.2.
fn parameters(extensions: &BTreeMap<u64, Bytes>) -> BTreeMap<u64, u64> {
    let mut list = Reader(&extensions[&TRANSPORT_PARAMETERS]);
    let mut parameters = BTreeMap::new();
    while !list.0.is_empty() {
        let (id, length) = (list.varint(), list.varint() as usize);
        let mut value = Reader(list.take(length));
        if (1..=11).contains(&id) && id != 2 || id == 32 {
            parameters.insert(id, value.varint());
        }
    }
    parameters
}

fn assert_parameters(extensions: &BTreeMap<u64, Bytes>) {
    let said = parameters(extensions);
    let value = |id| said.get(&id).copied();
    const STREAM: u64 = 10 * 1024 * 1024;
    assert_eq!(value(0x01), Some(60_000), "max_idle_timeout");
    assert_eq!(value(0x03), Some(1472), "max_udp_payload_size");
    assert_eq!(value(0x04), Some((1 << 62) - 1), "initial_max_data");
    for id in [0x05, 0x06, 0x07] {
        assert_eq!(value(id), Some(STREAM), "initial_max_stream_data of kind {id}");
    }
    assert_eq!(value(0x08), Some(5), "initial_max_streams_bidi");
    assert_eq!(value(0x09).unwrap_or(0), 0, "initial_max_streams_uni");
    assert_eq!(value(0x20), Some(65_535), "max_datagram_frame_size");
}

/// Neither protocols nor what would take a ticket of an earlier connection.
fn assert_plain(extensions: &BTreeMap<u64, Bytes>) {
    for extension in [ALPN, PRE_SHARED_KEY, EARLY_DATA] {
        assert!(!extensions.contains_key(&extension), "extension {extension}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quic_peer_that_is_dialled_sees_what_the_protocol_says() {
    let heard = Heard::default();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(["anybody".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    let secret = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], secret)
        .unwrap();
    let inner = Arc::new(QuicServerConfig::try_from(tls).unwrap());
    let config = Arc::new(Noting { inner, heard: heard.clone() });
    let config = quinn::ServerConfig::with_crypto(config);
    let peer = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();

    let place = format!("quic://{}", peer.local_addr().unwrap()).parse().unwrap();
    let ann = suite::start(1, &plain("quic://127.0.0.1:0"), false, vec![place]).await;
    let connection = async { peer.accept().await.unwrap().await.unwrap() };
    let connection = tokio::time::timeout(LONG, connection).await.unwrap();
    let (_, mut stream) = connection.accept_bi().await.unwrap();
    assert_eq!(u64::from(stream.id()), 0, "the first of those that the dialling side opens");
    let mut first = [0; 4];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first[..2], [1, 1], "a control packet, unasked");

    let messages = heard.messages();
    assert!(!messages.contains_key(&CERTIFICATE), "it shows none of its own");
    let mut hello = Reader(&messages[&CLIENT_HELLO]);
    hello.take(2 + 32);
    for length in [1, 2, 1] {
        hello.block(length); // session, suites, compression
    }
    let extensions = hello.extensions();
    assert_plain(&extensions);
    assert_parameters(&extensions);
    let name = "dummy.mycelium";
    let mut server_name = Reader(&extensions[&SERVER_NAME]).block(2);
    assert_eq!(server_name.number(1), 0, "a host name");
    assert_eq!(server_name.block(2).0, name.as_bytes());
    suite::close([ann]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quic_peer_that_dials_sees_what_the_protocol_says() {
    let ann = suite::start(1, &plain("quic://127.0.0.1:0"), true, vec![]).await;
    let address = ann.listening()[0].address().unwrap();
    let heard = Heard::default();
    let client = suite::QuicClient::over(|inner| {
        Arc::new(Noting { inner: Arc::new(inner), heard: heard.clone() })
    });
    // The name that it asks for is not a name of the node.
    let link = client.link(address).await;
    let messages = heard.messages();
    assert!(!messages.contains_key(&CERTIFICATE_REQUEST), "it asks for none of ours");
    let extensions = Reader(&messages[&ENCRYPTED_EXTENSIONS]).extensions();
    assert_plain(&extensions);
    assert_parameters(&extensions);

    let mut certificates = Reader(&messages[&CERTIFICATE]);
    certificates.block(1);
    let mut list = certificates.block(3);
    let certificate = list.block(3).0.to_vec();
    list.block(2);
    assert!(list.0.is_empty(), "it is the only one");
    let has = |bytes: &[u8]| certificate.windows(bytes.len()).any(|window| window == bytes);
    // The names of ECDSA on P-256 and of SHA-256 with it, in DER.
    assert!(has(&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]));
    assert!(has(&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
    assert!(has(b"rcgen self signed cert"));
    assert!(has(b"750101000000Z") && has(b"40960101000000Z"), "from 1975 to 4096");
    let key = ann.public_key().to_string();
    let name = [&[0x82, 64 + 1 + 4 + 1 + 12], key.as_bytes(), b"-"];
    assert!(has(&name.concat()), "a DNS name, the router id");
    drop(link);
    suite::close([ann]).await;

    // The next start has a key of its own.
    let ann = suite::start(1, &plain("quic://127.0.0.1:0"), true, vec![]).await;
    let heard = Heard::default();
    let client = suite::QuicClient::over(|inner| {
        Arc::new(Noting { inner: Arc::new(inner), heard: heard.clone() })
    });
    client.link(ann.listening()[0].address().unwrap()).await;
    assert_ne!(heard.messages()[&CERTIFICATE], messages[&CERTIFICATE]);
    suite::close([ann]).await;
}

/// A configuration or a session that notes what it is told.
struct Noting<T: ?Sized> {
    inner: Arc<T>,
    heard: Heard,
}

impl ClientConfig for Noting<QuicClientConfig> {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let inner = Arc::clone(&self.inner).start_session(version, server_name, params)?;
        Ok(Box::new(NotingSession { inner, heard: self.heard.clone() }))
    }
}

impl ServerConfig for Noting<QuicServerConfig> {
    fn initial_keys(&self, version: u32, to: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.inner.initial_keys(version, to)
    }

    fn retry_tag(&self, version: u32, to: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.inner.retry_tag(version, to, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        params: &TransportParameters,
    ) -> Box<dyn Session> {
        let inner = Arc::clone(&self.inner).start_session(version, params);
        Box::new(NotingSession { inner, heard: self.heard.clone() })
    }
}

struct NotingSession {
    inner: Box<dyn Session>,
    heard: Heard,
}

impl Session for NotingSession {
    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.heard.0.lock().unwrap().extend_from_slice(buf);
        self.inner.read_handshake(buf)
    }

    fn initial_keys(&self, to: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(to, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.inner.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.inner.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        self.inner.write_handshake(buf)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.inner.next_1rtt_keys()
    }

    fn is_valid_retry(&self, to: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(to, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}

//! What our QUIC says in its handshake, and how much it keeps.
//!
//! What the peer sees is as specified (2.4). What it does not see differs in three places. Datagrams
//! go before streams in every QUIC packet, whatever waited longer: the datagram queue is short, so
//! that control on the stream never waits behind 16 MiB of data; so is what the stream may have under
//! way, for the same reason. Over IPv6 the first guess of the path's size leaves room for the larger
//! header, without which full packets would be lost.
//!
//! The 16 MiB of datagrams that may wait to be read are for the moments in which the reader's task
//! gets no turn. While a link is held back nothing of it fills up: see the reader.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ServerConfig, TransportConfig, VarInt};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, SignatureScheme};

const MIB: u32 = 1 << 20;

const IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const STREAM_WINDOW: u32 = 10 * MIB;
/// Of the stream, until the peer has acknowledged it.
const SEND_WINDOW: u64 = MIB as u64;
/// Received and not yet read; then the oldest are dropped.
const DATAGRAMS_IN: usize = 16 * MIB as usize;
/// Datagrams that wait to be sent, in bytes: two of the largest batches that the system takes.
pub(super) const DATAGRAMS_OUT: usize = 128 * 1024;
/// Of UDP payload, before the peer's limit of 1472 is known: a packet of 1500 over IPv4.
const FIRST_MTU: u16 = 1500;
/// The same over IPv6, whose header has 20 bytes more.
const FIRST_MTU_IPV6: u16 = 1452;
/// What is inside has its own congestion control; ours acts when there is loss.
const FIRST_WINDOW: u64 = 4 * MIB as u64;
/// Handshakes that wait to be looked at, and what they may bring along.
const INCOMING: usize = 64;
const INCOMING_BYTES: u64 = 64 * 1024;

/// What is said to peers whose address is IPv4, and to others.
pub(super) struct Configs {
    client: Arc<QuicClientConfig>,
    servers: Servers,
}

/// Both kinds of [`ServerConfig`].
#[derive(Clone)]
pub(super) struct Servers {
    ipv4: Arc<ServerConfig>,
    ipv6: Arc<ServerConfig>,
}

impl Servers {
    pub(super) fn of(&self, peer: IpAddr) -> Arc<ServerConfig> {
        match peer.to_canonical() {
            IpAddr::V4(_) => Arc::clone(&self.ipv4),
            IpAddr::V6(_) => Arc::clone(&self.ipv6),
        }
    }
}

impl Configs {
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let client = client(Arc::clone(&provider))?;
        let server = server(provider, name)?;
        let of = |mtu| {
            let mut config = ServerConfig::with_crypto(Arc::clone(&server) as _);
            config.transport_config(transport(mtu)).max_incoming(INCOMING);
            config.incoming_buffer_size(INCOMING_BYTES);
            config.incoming_buffer_size_total(INCOMING_BYTES * INCOMING as u64);
            Arc::new(config)
        };
        let servers = Servers { ipv4: of(FIRST_MTU), ipv6: of(FIRST_MTU_IPV6) };
        Ok(Self { client, servers })
    }

    pub(super) fn server(&self, peer: IpAddr) -> ServerConfig {
        (*self.servers.of(peer)).clone()
    }

    pub(super) fn servers(&self) -> Servers {
        self.servers.clone()
    }

    pub(super) fn client(&self, peer: IpAddr) -> ClientConfig {
        let mtu = match peer.to_canonical() {
            IpAddr::V4(_) => FIRST_MTU,
            IpAddr::V6(_) => FIRST_MTU_IPV6,
        };
        let mut config = ClientConfig::new(Arc::clone(&self.client) as _);
        config.transport_config(transport(mtu));
        config
    }
}

fn transport(mtu: u16) -> Arc<TransportConfig> {
    let mut cubic = CubicConfig::default();
    cubic.initial_window(FIRST_WINDOW);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IDLE.try_into().ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(5))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::MAX)
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAMS_IN))
        .datagram_send_buffer_size(DATAGRAMS_OUT)
        .initial_mtu(mtu)
        .congestion_controller_factory(Arc::new(cubic));
    Arc::new(config)
}

fn client(provider: Arc<CryptoProvider>) -> io::Result<Arc<QuicClientConfig>> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(QuicClientConfig::try_from(config).map_err(io::Error::other)?))
}

fn server(provider: Arc<CryptoProvider>, name: &str) -> io::Result<Arc<QuicServerConfig>> {
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let certificate = rcgen::CertificateParams::new([name.to_owned()])
        .and_then(|parameters| parameters.self_signed(&key))
        .map_err(io::Error::other)?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .map_err(io::Error::other)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(QuicServerConfig::try_from(config).map_err(io::Error::other)?))
}

/// Takes any certificate whose key signed the handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

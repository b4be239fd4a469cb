//! TLS 1.3 with the private network's key instead of certificates, over TCP (spec 2.5).
//!
//! Older clients also offer certificates and trust every authority of the system, so that somebody
//! in the middle with any certificate gets into their network. Ours believes none, whatever it
//! says, and looks whether the key was used before the first byte is read or written.

mod refused;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use self::refused::{Sparing, explain};
use super::handshake::{DEADLINE, Handshakes};
use super::stream::{StreamReader, StreamWriter};
use super::tcp::{self, Tcp};
use super::{Arrivals, BoxFuture, Connection, Listener};
use crate::driver::peer::source_of;
use crate::endpoint::Endpoint;
use crate::private_network::PrivateNetwork;

/// Handshakes in progress, and of one source. Each costs a socket and some 50 KB.
const HANDSHAKES: usize = 64;
const HANDSHAKES_PER_SOURCE: usize = 16;
/// Those whose hash is SHA-256, to which an external key is bound.
const CIPHER_SUITES: &str = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";

/// Both ends of TLS in one private network.
pub(super) struct Tls {
    client: SslContext,
    server: SslContext,
}

impl Tls {
    pub(super) fn new(network: &PrivateNetwork) -> io::Result<Self> {
        Ok(Self { client: client(network)?, server: server(network)? })
    }

    /// Opens a socket that accepts.
    pub(super) fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let handshakes = Handshakes::new(HANDSHAKES, HANDSHAKES_PER_SOURCE, DEADLINE);
        let (tcp, server) = (tcp::listen(address)?, self.server.clone());
        Ok(Box::new(TlsListener { tcp, server, handshakes, refusals: Arc::default() }))
    }

    /// One attempt.
    pub(super) async fn dial(
        self: Arc<Self>,
        to: SocketAddr,
        remote: Endpoint,
    ) -> io::Result<Connection> {
        let shaking = async {
            let mut stream = stream(&self.client, tcp::connect(to).await?)?;
            Pin::new(&mut stream).connect().await.map_err(explain)?;
            io::Result::Ok(stream)
        };
        let stream = tokio::time::timeout(DEADLINE, shaking).await;
        connection(stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?, remote)
    }
}

/// A socket that accepts.
struct TlsListener {
    tcp: Tcp,
    server: SslContext,
    handshakes: Arc<Handshakes>,
    refusals: Arc<Sparing>,
}

impl Listener for TlsListener {
    fn local(&self) -> io::Result<Endpoint> {
        Ok(Endpoint::Tls(self.tcp.local_addr()?))
    }

    fn run(self: Box<Self>, arrivals: Arrivals) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let (stream, from) = self.tcp.accept().await;
                let remote = Endpoint::Tls(from);
                let place = self.handshakes.admit(source_of(&remote));
                let shaking = shake_hands(self.server.clone(), stream, remote);
                let (tracker, closing) = (arrivals.tracker.clone(), arrivals.closing.clone());
                let (arrivals, refusals) = (arrivals.clone(), Arc::clone(&self.refusals));
                let task = async move {
                    match place.run(shaking).await {
                        Ok(connection) => drop(arrivals.hand_over(connection).await),
                        Err(error) => tell(from, &error, &refusals),
                    }
                };
                tracker.spawn(closing.run_until_cancelled_owned(task));
            }
        })
    }
}

/// A node that was set up wrongly is worth a warning now and then, a stranger who hangs up is not.
fn tell(from: SocketAddr, error: &io::Error, refusals: &Sparing) {
    let is_of_the_network = error.kind() == io::ErrorKind::PermissionDenied;
    match is_of_the_network.then(|| refusals.warn(Instant::now())).flatten() {
        Some(others) => tracing::warn!(
            %from, %error, others,
            "a peer was refused; others are counted and told of a minute later"
        ),
        None => tracing::debug!(%from, %error, "a TLS handshake failed"),
    }
}

async fn shake_hands(
    server: SslContext,
    tcp: TcpStream,
    remote: Endpoint,
) -> io::Result<Connection> {
    let mut stream = stream(&server, tcp)?;
    Pin::new(&mut stream).accept().await.map_err(explain)?;
    connection(stream, remote)
}

fn stream(context: &SslContext, tcp: TcpStream) -> io::Result<SslStream<TcpStream>> {
    Ok(SslStream::new(Ssl::new(context)?, tcp)?)
}

fn connection(stream: SslStream<TcpStream>, remote: Endpoint) -> io::Result<Connection> {
    // OpenSSL tells of a key that was used as of a session that was taken up again.
    if !stream.ssl().session_reused() || stream.ssl().peer_certificate().is_some() {
        return Err(io::Error::other("the other side did not use the network's key"));
    }
    let local = stream.get_ref().local_addr().ok();
    let (reader, writer) = tokio::io::split(stream);
    let (reader, writer) =
        (Box::new(StreamReader::new(reader)), Box::new(StreamWriter::new(writer)));
    Ok(Connection { remote, local, tie: None, reader, writer })
}

fn client(network: &PrivateNetwork) -> Result<SslContext, ErrorStack> {
    let mut context = context(SslMethod::tls_client())?;
    context.set_verify_callback(SslVerifyMode::PEER, |_, _| false);
    let network = network.clone();
    context.set_psk_client_callback(move |_, _, identity, key| {
        let name = network.name().as_bytes();
        let fits = identity.len() > name.len();
        if let Some((place, [end, ..])) = identity.split_at_mut_checked(name.len())
            && fits
        {
            place.copy_from_slice(name);
            *end = 0;
            return Ok(put(network.key(), key));
        }
        Ok(0)
    });
    Ok(context.build())
}

fn server(network: &PrivateNetwork) -> Result<SslContext, ErrorStack> {
    let mut context = context(SslMethod::tls_server())?;
    let network = network.clone();
    context.set_psk_server_callback(move |_, identity, key| {
        if identity != Some(network.name().as_bytes()) {
            return Ok(0); // no key, and as there is no certificate either, no handshake
        }
        Ok(put(network.key(), key))
    });
    Ok(context.build())
}

fn context(method: SslMethod) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContext::builder(method)?;
    context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_ciphersuites(CIPHER_SUITES)?;
    context.set_options(SslOptions::NO_TICKET);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_num_tickets(0)?;
    Ok(context)
}

/// Copies a key where OpenSSL wants it; gives its length, or 0 when there is no room.
fn put(key: &[u8; 32], room: &mut [u8]) -> usize {
    match room.first_chunk_mut::<32>() {
        Some(place) => {
            *place = *key;
            place.len()
        }
        None => 0,
    }
}

//! Private networks: who gets in, and who does not.

use std::pin::Pin;
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVersion};
use threephone_node::{Endpoint, Node, NodeConfig, PeerState, PrivateNetwork, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

use super::suite::{self, LONG, Setup};

fn setup(name: &str, key: u8) -> Setup {
    let mut setup = Setup::new(vec!["tcp://127.0.0.1:0".parse().unwrap()]);
    setup.private_network = Some(PrivateNetwork::new(name, [key; 32]).unwrap());
    setup
}

/// A context that makes no difficulties.
fn context(method: SslMethod) -> SslContextBuilder {
    let mut context = SslContext::builder(method).unwrap();
    context.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
    context
}

async fn accepts(context: &SslContext, tcp: TcpStream) -> Result<SslStream<TcpStream>, String> {
    let mut stream = SslStream::new(Ssl::new(context).unwrap(), tcp).unwrap();
    match Pin::new(&mut stream).accept().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_or_a_wrong_name_keeps_a_node_out() {
    let ann = suite::start(1, &setup("testnet", 7), true, vec![]).await;
    let way = || vec![ann.listening()[0].into()];
    assert!(matches!(ann.listening()[0], Endpoint::Tls(_)));
    let mallory = suite::start(2, &setup("testnet", 8), false, way()).await;
    let oscar = suite::start(3, &setup("testnet2", 7), false, way()).await;
    let plain = {
        let mut setup = setup("testnet", 7);
        setup.private_network = None;
        let address = ann.listening()[0].address().unwrap();
        suite::start(4, &setup, false, vec![Endpoint::Tcp(address).into()]).await
    };
    let ben = suite::start(5, &setup("testnet", 7), false, way()).await;
    suite::exchange(&ann, &ben).await;
    for outsider in [&mallory, &oscar] {
        assert!(outsider.peers().await.iter().all(|peer| peer.state != PeerState::Alive));
    }
    for node in [&mallory, &oscar, &plain] {
        assert_eq!(ann.resolve(node.address(), Duration::ZERO).await, None);
    }
    assert_eq!(ann.peers().await.len(), 1);
    suite::close([ann, ben, mallory, oscar, plain]).await;
}

/// What an older client takes for a node of its network: somebody with a certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_with_a_certificate_learns_nothing() {
    let key = openssl::pkey::PKey::from_ec_key(
        openssl::ec::EcKey::generate(
            &openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap(),
        )
        .unwrap(),
    )
    .unwrap();
    let mut certificate = openssl::x509::X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&openssl::asn1::Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&openssl::asn1::Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
    let mut context = context(SslMethod::tls_server());
    context.set_certificate(&certificate.build()).unwrap();
    context.set_private_key(&key).unwrap();
    let context = context.build();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = Endpoint::Tls(listener.local_addr().unwrap());
    let ben = suite::start(2, &setup("testnet", 7), false, vec![middle.into()]).await;
    // Its answer to the node's only offer, twice: it is not taken once it is tired of asking.
    for _ in 0..2 {
        let (tcp, _) = tokio::time::timeout(LONG, listener.accept()).await.unwrap().unwrap();
        let seen = match accepts(&context, tcp).await {
            Err(_) => 0,
            Ok(mut stream) => {
                let mut bytes = Vec::new();
                let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await.unwrap();
                bytes.len()
            }
        };
        assert_eq!(seen, 0, "the node has said something");
        assert!(ben.peers().await.iter().all(|peer| peer.state != PeerState::Alive));
    }
    suite::close([ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_tls_handshakes_keep_no_node_out() {
    let ann = suite::start(1, &setup("testnet", 7), true, vec![]).await;
    let address = ann.listening()[0].address().unwrap();
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2]).await.unwrap();
        }
        silent.push(stream);
    }
    let ben = suite::start(2, &setup("testnet", 7), false, vec![ann.listening()[0].into()]).await;
    suite::exchange(&ben, &ann).await;
    assert_eq!(ann.peers().await.len(), 1, "who has not shaken hands is no peer");
    suite::close([ann, ben]).await;
}

#[tokio::test]
async fn a_private_network_has_no_quic_and_no_vsock_unless_asked_for() {
    for (listen, allowed) in
        [("quic://127.0.0.1:0", "tcp:// or tls://"), ("vsock://1:1", "if the host is trusted")]
    {
        let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
        config.listen = vec![listen.parse().unwrap()];
        config.private_network = Some(PrivateNetwork::new("testnet", [7; 32]).unwrap());
        let Err(error) = Node::start(config).await else { panic!("{listen} is open") };
        assert!(error.to_string().contains(allowed), "{error}");
    }
    let ann = suite::start(1, &setup("testnet", 7), false, vec![]).await;
    let quic: Endpoint = "quic://127.0.0.1:1".parse().unwrap();
    assert!(ann.add_peer(quic).await.is_err());
    suite::close([ann]).await;
}

//! Callers who mean no good: each gets an error, and the next honest one gets an answer.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Host, JSON, PATIENCE, raw, read, request};

const MESSAGES: &str = "/api/v1/messages";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_limit_are_refused() {
    let host = Host::start(&[]).await;
    let message = |length: usize| {
        let payload = "A".repeat(length / 4 * 4);
        json!({ "dst": { "ip": host.node.address() }, "payload": payload }).to_string()
    };
    let post =
        async |body: &str| request(host.http(), "POST", MESSAGES, &[JSON], body.as_bytes()).await;
    post(&message(2_000_000)).await.expect(201);
    post(&message(2_200_000)).await.expect(413);
    host.rpc_bytes(&vec![b' '; 10 << 20]).await.expect(200);
    host.rpc_bytes(&vec![b' '; (10 << 20) + 1]).await.expect(413);
    // A length that is only claimed.
    for (length, status) in [(1_u64 << 40, 413), (u64::MAX, 431)] {
        let head = format!(
            "POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: {length}\r\n\r\n"
        );
        raw(host.http(), head.as_bytes()).await.expect(status);
    }
    // A length that is not told.
    let mut chunked = format!("POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..40 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    raw(host.http(), &chunked).await.expect(413);
    host.get("/admin").await.expect(200);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_the_owners() {
    let host = Host::with(&[], |config| config.limits.http_body = 100).await;
    let message = json!({ "dst": { "ip": host.node.address() }, "payload": "A".repeat(100) });
    host.post("/messages", &message).await.expect(413);
    host.close().await;
    let host = Host::with(&[], |config| config.limits.http_body = 8 << 20).await;
    let message = json!({ "dst": { "ip": host.node.address() }, "payload": "A".repeat(4 << 20) });
    host.post("/messages", &message).await.expect(201);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_slowly_is_hung_up_on_and_holds_nobody_up() {
    let host = Host::with(&[], |config| {
        config.limits.head_within = Duration::from_millis(300);
        config.limits.body_within = Duration::from_millis(300);
    })
    .await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(host.http()).await.unwrap();
    let mut half_head = TcpStream::connect(host.http()).await.unwrap();
    half_head.write_all(b"GET /api/v1/admin HTTP/1.1\r\nHost: lo").await.unwrap();
    let mut half_body = TcpStream::connect(host.http()).await.unwrap();
    let head = format!(
        "POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 100\r\n\r\n{{"
    );
    half_body.write_all(head.as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(host.http()).await.unwrap();
    idle.write_all(b"GET /api/v1/admin HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    host.get("/admin").await.expect(200);
    assert!(matches!(read(&mut silent).await.status, 0 | 408));
    assert!(matches!(read(&mut half_head).await.status, 0 | 408));
    read(&mut half_body).await.expect(408);
    read(&mut idle).await.expect(200); // and the end of the connection after it
    assert!(begun.elapsed() >= Duration::from_millis(300));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_is_refused() {
    let host = Host::start(&[]).await;
    let long_head = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(2000));
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        long_head.as_bytes(),
        many.as_bytes(),
    ] {
        for server in [host.http(), host.rpc()] {
            let answer = raw(server, bytes).await;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            assert!(
                answer.status == 0 || (400..=505).contains(&answer.status),
                "{shown}: {answer:?}"
            );
        }
    }
    host.get("/admin").await.expect(200);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_json_is_an_error_at_any_depth() {
    let host = Host::start(&[]).await;
    let deep = "[".repeat(500_000);
    let members = r#"{"dst":"#.repeat(100_000);
    let invalid_text: &[u8] = b"{\"dst\":{\"ip\":\"\xff\"},\"payload\":\"\"}";
    for body in [
        b"{".as_slice(),
        b"nul",
        deep.as_bytes(),
        members.as_bytes(),
        invalid_text,
        b"1e999999",
        b"{}{}",
    ] {
        let answer = request(host.http(), "POST", MESSAGES, &[JSON], body).await;
        assert!(matches!(answer.status, 400 | 422), "{answer:?}");
        let answer = host.rpc_bytes(body).await.expect(200).json();
        assert!(matches!(answer["error"]["code"].as_i64(), Some(-32700 | -32600)), "{answer}");
    }
    request(host.http(), "POST", MESSAGES, &[], b"{}").await.expect(415);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_that_climb_or_make_no_sense_reach_nothing() {
    let host = Host::start(&[]).await;
    for path in [
        "/admin/peers/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/admin/peers/..%2F..%2Fetc%2Fpasswd",
        "/admin/peers/%00",
        "/admin/peers/%ff%fe",
        "/admin/peers/%",
        "/messages/topics/..%2f..%2f",
        "/messages/topics/%ff",
    ] {
        let status = host.delete(path).await.status;
        assert!((400..=405).contains(&status), "{path}: {status}");
    }
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/messages/status/..%2f..%2f..%2fetc",
        "/messages/status/%ff%ff%ff%ff%ff%ff%ff%ff",
        "/pubkey/..%2f",
        "/pubkey/%ff",
        "/nothing",
        "//",
    ] {
        let status = host.get(path).await.status;
        assert!((400..=404).contains(&status), "{path}: {status}");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_connections_leave_room_again_when_they_go() {
    let host = Host::with(&[], |config| config.limits.connections = 50).await;
    let mut crowd = Vec::new();
    let mut turned_away = 0;
    for _ in 0..2000 {
        let mut stream = TcpStream::connect(host.http()).await.unwrap();
        let _ = stream
            .write_all(b"GET /api/v1/messages?timeout=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        crowd.push(stream);
        // Of those beyond the bound only the last is kept: a process has few descriptors.
        if crowd.len() > 60 {
            let mut byte = [0];
            let read = tokio::time::timeout(PATIENCE, crowd.pop().unwrap().read(&mut byte)).await;
            turned_away += usize::from(matches!(read.unwrap(), Ok(0) | Err(_)));
        }
    }
    assert_eq!(turned_away, 2000 - 60);
    let begun = Instant::now();
    drop(crowd);
    while host.get("/admin").await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "the places of those who left are not given away");
    }
    host.close().await;
}

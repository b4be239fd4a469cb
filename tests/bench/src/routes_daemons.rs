//! The same at whole daemons, ours and the stock one in turn: a peer announces 100,000 routes over
//! TCP, and the system counts what that costs the process.
//!
//! A daemon has taken them all in when it rests: it answers our last Hello, and no thread of it runs
//! for half a second. What it spends on keys, timers and looking whom to tell is thus part of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use threephone_node::wire::control::{Hello, Ihu, Tlv};
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_system_tests::StockDaemon;

use crate::Error;
use crate::daemon::{Ours, cpu_seconds, memory};
use crate::figure::{
    Figure, ROUTES_DAEMON, ROUTES_DAEMON_MEMORY, ROUTES_STOCK, ROUTES_STOCK_MEMORY,
};
use crate::report::Report;
use crate::routes::{ROUTES, announcements};
use crate::stock;

/// No thread has run for so long: there is nothing left to do.
const REST: Duration = Duration::from_millis(500);
/// CPU time that counts as none.
const NOTHING: f64 = 0.002;
const PATIENCE: Duration = Duration::from_secs(90);
/// The Hello that follows the last route.
const LAST: u16 = 2;

/// One run. Blocks.
pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let routes = announcements();
    let folder = tempfile::tempdir()?;
    let ours = Ours::start(folder.path(), &["--no-discovery", "--listen", "tcp://127.0.0.1:0"])?;
    let figures = (ROUTES_DAEMON, ROUTES_DAEMON_MEMORY);
    announce(report, figures, (ours.pid(), &ours.listening), &routes)?;
    drop(ours);
    if stock::is_there() {
        let stock = StockDaemon::start_quietly(&[]).ok_or("there is no stock daemon")?;
        let figures = (ROUTES_STOCK, ROUTES_STOCK_MEMORY);
        announce(report, figures, (stock.pid(), &stock.endpoint()), &routes)?;
    }
    Ok(())
}

fn announce(
    report: &mut Report,
    (rate, grown): (Figure, Figure),
    (pid, endpoint): (u32, &str),
    routes: &[u8],
) -> Result<(), Error> {
    let address = endpoint.strip_prefix("tcp://").ok_or("it listens to no TCP")?;
    let mut stream = TcpStream::connect(address)?;
    let is_through = Arc::new(AtomicBool::new(false));
    let reader = (stream.try_clone()?, is_through.clone());
    // Ends with the connection.
    std::thread::spawn(move || answer_hellos(reader.0, &reader.1));
    stream.write_all(&hello(1))?;
    rest(pid)?;
    let (before, resident) = (cpu_seconds(pid)?, memory(pid, "VmRSS:")?);
    stream.write_all(routes)?;
    stream.write_all(&hello(LAST))?;
    let begun = Instant::now();
    while !is_through.load(Ordering::Acquire) {
        if begun.elapsed() > PATIENCE {
            return Err("the daemon does not answer after the last route".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    rest(pid)?;
    report.add(rate, ROUTES as f64 / (cpu_seconds(pid)? - before));
    report.add(grown, memory(pid, "VmRSS:")? - resident);
    stream.shutdown(std::net::Shutdown::Both)?;
    Ok(())
}

/// Waits until no thread of the process runs any more.
fn rest(pid: u32) -> Result<(), Error> {
    let begun = Instant::now();
    let mut spent = cpu_seconds(pid)?;
    while begun.elapsed() < PATIENCE {
        std::thread::sleep(REST);
        let now = cpu_seconds(pid)?;
        if now - spent < NOTHING {
            return Ok(());
        }
        spent = now;
    }
    Err("the daemon does not come to rest".into())
}

/// Keeps the link alive from our side, and says when the answer to the last Hello is there.
fn answer_hellos(mut stream: TcpStream, is_through: &AtomicBool) {
    let (mut decoder, mut buffer) = (Decoder::new(), vec![0; 64 * 1024]);
    let mut answers = 0;
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        decoder.push(buffer.get(..length).unwrap_or_default());
        while let Ok(Some(packet)) = decoder.next() {
            match packet {
                Packet::Control(Tlv::Hello(_)) => {
                    let ihu = Tlv::Ihu(Ihu { rxcost: 10, interval: 6000 });
                    let mut bytes = BytesMut::new();
                    ihu.encode(&mut bytes);
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Packet::Control(Tlv::Ihu(_)) => answers += 1,
                _ => {}
            }
        }
        is_through.store(answers >= LAST, Ordering::Release);
    }
}

fn hello(seqno: u16) -> BytesMut {
    let mut bytes = BytesMut::new();
    Tlv::Hello(Hello { seqno, interval: 2000 }).encode(&mut bytes);
    bytes
}

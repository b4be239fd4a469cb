//! What it costs to be told of a large network: 100,000 routes that one peer announces, with keys and
//! prefixes that fit, from bytes as they come off a link.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::BytesMut;
use threephone_node::engine::{Engine, EngineConfig};
use threephone_node::limits::Limits;
use threephone_node::wire::control::{Tlv, Update};
use threephone_node::wire::frame::Decoder;
use threephone_node::{LinkId, Prefix, PublicKey, RouterId, SecretKey};

use crate::Error;
use crate::figure::{ROUTES_AGAIN, ROUTES_BYTES, ROUTES_MEMORY, ROUTES_NEW};
use crate::report::Report;

/// How many are announced.
pub(crate) const ROUTES: u64 = 100_000;
/// What a reader hands over at once.
const READ: usize = 64 * 1024;
const LINK: LinkId = LinkId(1);

/// Counts what is allocated and not given back.
pub(crate) struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator and only counts.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes allocated and not given back.
pub(crate) fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// One run: a new engine, all routes new, and all of them once more.
pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let stream = announcements();
    let now = Instant::now();
    let config = EngineConfig {
        secret: SecretKey::from_bytes([1; 32]),
        router_random: [1; 6],
        seed: [1; 32],
        limits: Limits::default(),
    };
    let mut engine = Engine::new(config, now);
    engine.link_up(LINK, 10, now);
    // A second peer, to which nothing is told unless it asks.
    engine.link_up(LinkId(2), 10, now);
    let (resident, before) = (resident()?, ALLOCATED.load(Ordering::Relaxed));
    let first = feed(&mut engine, &stream, now)?;
    let allocated = ALLOCATED.load(Ordering::Relaxed).saturating_sub(before);
    let grown = crate::routes::resident()?.saturating_sub(resident);
    if engine.routes().filter(|route| route.selected).count() != ROUTES as usize {
        return Err("not all routes were taken in".into());
    }
    let again = feed(&mut engine, &stream, now)?;
    report.add(ROUTES_NEW, ROUTES as f64 / first);
    report.add(ROUTES_AGAIN, ROUTES as f64 / again);
    report.add(ROUTES_BYTES, allocated as f64 / ROUTES as f64);
    report.add(ROUTES_MEMORY, grown.max(allocated) as f64 / f64::from(1 << 20));
    Ok(())
}

/// The Updates of a whole network, as one stream of bytes.
pub(crate) fn announcements() -> BytesMut {
    let mut stream = BytesMut::new();
    for number in 0..ROUTES {
        let mut key = [0x55; 32];
        for (byte, new) in key.iter_mut().zip(number.to_le_bytes()) {
            *byte = new;
        }
        let key = PublicKey::from_bytes(key);
        let (prefix, router_id) = (Prefix::subnet_of(key.address()), RouterId::new(key, [0; 6]));
        Tlv::Update(Update { interval: 30_000, seqno: 0, metric: 100, prefix, router_id })
            .encode(&mut stream);
    }
    stream
}

/// Seconds of this thread's own time from bytes to routes and the actions that follow.
fn feed(engine: &mut Engine, stream: &[u8], now: Instant) -> Result<f64, Error> {
    let begun = thread_seconds()?;
    let mut decoder = Decoder::new();
    for read in stream.chunks(READ) {
        decoder.push(read);
        while let Some(packet) = decoder.next()? {
            engine.handle_packet(LINK, packet, now);
        }
        while engine.poll_action().is_some() {}
    }
    Ok(thread_seconds()? - begun)
}

/// CPU time of this thread, from the kernel's account of it.
fn thread_seconds() -> Result<f64, Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split(' ').next().ok_or("an empty account")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

/// Resident bytes of this process.
fn resident() -> Result<usize, Error> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = text.split(' ').nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * 4096)
}

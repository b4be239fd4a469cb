//! A UDP socket that lets packets pass one by one, or none, and says how long they were: a path that is
//! slow, whatever the machine does.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, EndpointConfig, Runtime, TokioRuntime, UdpPoller};

/// What the test turns.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Packets that may pass; without it all may.
    passes: Option<usize>,
    loses_all: bool,
    longest: usize,
    waiting: Vec<Waker>,
}

impl Gate {
    /// From now on nothing passes that is not let pass.
    pub(super) fn close(&self) {
        self.0.lock().unwrap().passes = Some(0);
    }

    pub(super) fn let_one_pass(&self) {
        let mut state = self.0.lock().unwrap();
        *state.passes.as_mut().unwrap() += 1;
        state.waiting.drain(..).for_each(Waker::wake);
    }

    /// From now on everything passes and arrives nowhere.
    pub(super) fn lose_all(&self) {
        self.0.lock().unwrap().loses_all = true;
    }

    /// Bytes of the longest packet that passed.
    pub(super) fn longest(&self) -> usize {
        self.0.lock().unwrap().longest
    }
}

/// A dialling endpoint whose packets pass the gate, which is open.
pub(super) fn endpoint(address: SocketAddr) -> (quinn::Endpoint, Arc<Gate>) {
    let socket = UdpSocket::bind(address).unwrap();
    let socket = TokioRuntime.wrap_udp_socket(socket).unwrap();
    let gate = Arc::<Gate>::default();
    let socket = Arc::new(Slow { socket, gate: Arc::clone(&gate) });
    let (config, runtime) = (EndpointConfig::default(), Arc::new(TokioRuntime));
    (quinn::Endpoint::new_with_abstract_socket(config, None, socket, runtime).unwrap(), gate)
}

struct Slow {
    socket: Arc<dyn AsyncUdpSocket>,
    gate: Arc<Gate>,
}

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gate.fmt(f)
    }
}

#[derive(Debug)]
struct Poller {
    poller: Pin<Box<dyn UdpPoller>>,
    gate: Arc<Gate>,
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.gate.0.lock().unwrap();
        if state.passes == Some(0) {
            state.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.poller.as_mut().poll_writable(cx)
    }
}

impl AsyncUdpSocket for Slow {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        let poller = Arc::clone(&self.socket).create_io_poller();
        Box::pin(Poller { poller, gate: Arc::clone(&self.gate) })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = self.gate.0.lock().unwrap();
        match state.passes {
            Some(0) => return Err(io::ErrorKind::WouldBlock.into()),
            _ if state.loses_all => return Ok(()),
            _ => self.socket.try_send(transmit)?,
        }
        if let Some(passes) = &mut state.passes {
            *passes -= 1;
        }
        state.longest = state.longest.max(transmit.contents.len());
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

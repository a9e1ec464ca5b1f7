//! A host that speaks HTTP/1.1 and HTTP/2 on one port, does as the path says, and keeps count of what becomes of
//! its calls.

mod one;
pub(crate) mod raw;
mod two;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// What a piece of a long body is cut from.
pub(crate) static PIECE: Bytes = Bytes::from_static(&[b'x'; 16 * 1024]);

/// How a host behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// The streams that one connection may have open.
    pub(crate) streams: Option<u32>,
    /// Streams after which a connection says GOAWAY and finishes what it has.
    pub(crate) goaway_after: Option<u32>,
    /// HTTP/1 connections are closed that rest for so long.
    pub(crate) keep_alive: Option<Duration>,
    /// How long the answer to a plain call takes.
    pub(crate) pause: Duration,
}

/// What a host has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections accepted, and those that are open.
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicU64,
    /// Calls begun.
    pub(crate) calls: AtomicU64,
    /// Calls that their caller broke off before their answer had been sent.
    pub(crate) broken: AtomicU64,
    /// The most streams that one connection had open.
    pub(crate) streams: AtomicU64,
    /// Bytes of request bodies.
    pub(crate) received: AtomicU64,
}

impl Seen {
    pub(crate) fn count(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::SeqCst);
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// A short answer, after the body.
    Plain,
    /// So many bytes.
    Bytes(usize),
    /// The body is read while the gate is open, and counted.
    Sink,
    /// An answer before the body is read, which it never is.
    Early,
    /// No answer.
    Hang,
    /// An answer that never ends.
    Endless,
    /// The beginning of an answer, and a reset.
    Reset,
}

impl Wish {
    fn of(path: &str) -> Self {
        let mut parts = path.trim_start_matches('/').split('/');
        match (
            parts.next(),
            parts.next().and_then(|size| size.parse().ok()),
        ) {
            (Some("bytes"), Some(size)) => Self::Bytes(size),
            (Some("sink"), _) => Self::Sink,
            (Some("early"), _) => Self::Early,
            (Some("hang"), _) => Self::Hang,
            (Some("endless"), _) => Self::Endless,
            (Some("reset"), _) => Self::Reset,
            _ => Self::Plain,
        }
    }
}

/// A running host, on a thread of its own. It ends, and its connections with it, when dropped.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    /// Whether uploads are read.
    gate: watch::Sender<bool>,
    _end: oneshot::Sender<()>,
}

impl Host {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), manner).expect("loopback has a free port")
    }

    /// Starts one where another one was, if nobody has the port.
    pub(crate) fn start_at(address: SocketAddr, manner: Manner) -> Option<Self> {
        let listener = std::net::TcpListener::bind(address).ok()?;
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let (gate, open) = watch::channel(true);
        let (end, ended) = oneshot::channel::<()>();
        let service = Service {
            manner,
            seen: Arc::clone(&seen),
            gate: open,
        };
        thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    () = service.accept(listener) => {}
                    _ = ended => {}
                }
            });
        });
        Some(Self {
            address,
            seen,
            gate,
            _end: end,
        })
    }

    /// Whether uploads are read from now on.
    pub(crate) fn read(&self, open: bool) {
        self.gate.send_replace(open);
    }
}

/// A runtime for one thread.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

#[derive(Clone)]
struct Service {
    manner: Manner,
    seen: Arc<Seen>,
    gate: watch::Receiver<bool>,
}

/// Counts a connection for as long as it lasts.
struct Open(Arc<Seen>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service {
    async fn accept(self, listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            add(&self.seen.accepted, 1);
            add(&self.seen.open, 1);
            let open = Open(Arc::clone(&self.seen));
            tokio::spawn(self.clone().serve(socket, open));
        }
    }

    async fn serve(self, socket: TcpStream, open: Open) {
        socket.set_nodelay(true).expect("a socket");
        let mut start = [0; 3];
        // No method of HTTP/1 begins as the preface of HTTP/2 does.
        if matches!(socket.peek(&mut start).await, Ok(3)) && &start == b"PRI" {
            two::serve(self, socket).await;
        } else {
            one::serve(&self, socket).await;
        }
        drop(open);
    }

    async fn may_read(&self) {
        let mut gate = self.gate.clone();
        // The sender lasts as long as the host.
        let _ = gate.wait_for(|open| *open).await;
    }
}

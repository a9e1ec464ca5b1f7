//! A host whose every connection runs a script.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

use super::{Frame, Kind};
use crate::eventually;

/// A listener and its connections. Closes them all when dropped.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicUsize,
    frames: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

/// One connection in the hands of its script.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    unread: Vec<u8>,
    /// How many connections came before this one.
    pub number: usize,
    shared: Arc<Shared>,
}

impl Host {
    /// Runs `script` for each connection, on a thread of its own.
    #[must_use]
    pub fn start(script: impl Fn(Link) + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// Listens at an address that it had before.
    ///
    /// # Panics
    /// When the address is not to be had.
    #[must_use]
    pub fn start_at(address: SocketAddr, script: impl Fn(Link) + Send + Sync + 'static) -> Self {
        let bind = || TcpListener::bind(address).ok();
        let listener = eventually(Duration::from_secs(5), bind).expect("the address is free");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let (theirs, script) = (Arc::clone(&shared), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.stop.load(Ordering::SeqCst) {
                    return;
                }
                let _ = stream.set_nodelay(true);
                let number = theirs.accepted.fetch_add(1, Ordering::SeqCst);
                if let Ok(stream) = stream.try_clone() {
                    theirs.lock().push(stream);
                }
                let link = Link {
                    stream,
                    unread: Vec::new(),
                    number,
                    shared: Arc::clone(&theirs),
                };
                let script = Arc::clone(&script);
                thread::spawn(move || script(link));
            }
        });
        Self { address, shared }
    }

    /// A host that answers every call with its token.
    #[must_use]
    pub fn echo() -> Self {
        Self::start(|mut link| while link.serve() {})
    }

    /// A host that accepts, reads everything and answers nothing.
    #[must_use]
    pub fn mute() -> Self {
        Self::start(|mut link| while link.take().is_some() {})
    }

    /// A host that accepts and never reads.
    #[must_use]
    pub fn deaf() -> Self {
        Self::start(|link| {
            link.narrow();
            while !link.is_stopped() {
                thread::sleep(Duration::from_millis(20));
            }
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Frames received so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.shared.frames.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for stream in self.shared.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // So that the listener's thread looks up and ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Link {
    /// The next frame, or nothing at the end of the connection.
    pub fn take(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::cut(&self.unread) {
                self.unread.drain(..frame.octets.len());
                self.shared.frames.fetch_add(1, Ordering::SeqCst);
                return Some(frame);
            }
            let mut block = [0; 64 * 1024];
            match self.stream.read(&mut block) {
                Ok(0) | Err(_) => return None,
                Ok(size) => self.unread.extend(&block[..size]),
            }
        }
    }

    /// The next frame if one comes in time: `None` in vain or at the end.
    pub fn take_within(&mut self, patience: Duration) -> Option<Frame> {
        let _ = self.stream.set_read_timeout(Some(patience));
        let next = self.take();
        let _ = self.stream.set_read_timeout(None);
        next
    }

    /// Answers the next frame as a good host does; `false` at the end of the connection.
    pub fn serve(&mut self) -> bool {
        match self.take() {
            Some(frame) => self.answer(&frame),
            None => false,
        }
    }

    /// Answers a frame as a good host does.
    pub fn answer(&mut self, frame: &Frame) -> bool {
        match frame.kind {
            Kind::Request => self.send(&frame.echo()),
            Kind::Heartbeat => self.send(&frame.wire.heartbeat_ack(frame.id)),
            Kind::Oneway | Kind::Response | Kind::HeartbeatAck | Kind::GoAway => true,
        }
    }

    /// Writes octets; `false` when the connection is gone.
    pub fn send(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).is_ok()
    }

    /// Takes few octets before it reads.
    pub fn narrow(&self) {
        let _ = sockopt::set_socket_recv_buffer_size(&self.stream, 4096);
    }

    /// Whether its host has been dropped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// Closes with a reset.
    pub fn reset(self) {
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        self.close();
    }

    /// Closes.
    pub fn close(self) {
        drop(self);
    }
}

/// Closes the connection: its host holds the socket as well, so that it can end the script.
impl Drop for Link {
    fn drop(&mut self) {
        let mine = self.stream.peer_addr().ok();
        let mut streams = self.shared.lock();
        streams.retain(|stream| stream.peer_addr().ok() != mine);
    }
}

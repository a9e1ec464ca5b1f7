//! A client that writes what it is told and reads when it likes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

use super::{Frame, Wire};
use crate::Deadline;

/// How long is waited for what is expected.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the gateway.
#[derive(Debug)]
pub struct Client {
    /// The socket itself.
    pub stream: TcpStream,
    wire: Wire,
    unread: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect(address: SocketAddr, wire: Wire) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{error}"));
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self {
            stream,
            wire,
            unread: Vec::new(),
        }
    }

    /// Takes few octets before it reads, so that its peer soon notices that it does not.
    #[must_use]
    pub fn narrow(self) -> Self {
        sockopt::set_socket_recv_buffer_size(&self.stream, 4096).expect("a TCP socket");
        self
    }

    /// The protocol that it speaks.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Writes octets.
    ///
    /// # Panics
    /// When the gateway does not take them.
    pub fn write(&mut self, octets: &[u8]) {
        self.stream
            .write_all(octets)
            .unwrap_or_else(|error| panic!("the gateway takes no octets: {error}"));
    }

    /// Writes octets, to a gateway that may have closed; tells whether it took them.
    pub fn offer(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).is_ok()
    }

    /// The next frame within the patience; `Ok(None)` at the end of the connection.
    ///
    /// # Errors
    /// When nothing comes in time.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Frame>, TimedOut> {
        let deadline = Deadline::after(patience);
        loop {
            if let Some(frame) = Frame::cut(&self.unread) {
                self.unread.drain(..frame.octets.len());
                return Ok(Some(frame));
            }
            let left = deadline.left();
            if left.is_zero() {
                return Err(TimedOut);
            }
            self.stream.set_read_timeout(Some(left)).expect("not zero");
            let mut block = [0; 64 * 1024];
            match self.stream.read(&mut block) {
                Ok(0) => return Ok(None),
                Ok(size) => self.unread.extend(&block[..size]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// The next frame, which is expected.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn recv(&mut self) -> Frame {
        match self.next(PATIENCE) {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("the gateway closed the connection"),
            Err(TimedOut) => panic!("no answer within {PATIENCE:?}"),
        }
    }

    /// A call that has to come back as it is.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn call(&mut self, id: u64, text: &str) {
        let request = self.wire.request(id, &format!("<<{text}>>"));
        self.write(&request);
        let answer = self.recv();
        assert!(answer.is_good(), "{answer:?}");
        assert_eq!((answer.id, answer.token()), (id, Some(text)));
    }

    /// Asserts that the gateway closes without another word.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn closed(&mut self) {
        match self.next(PATIENCE) {
            Ok(None) => {}
            Ok(Some(frame)) => panic!("unexpected: {frame:?}"),
            Err(TimedOut) => panic!("the connection is still open"),
        }
    }

    /// Asserts that nothing comes, and that the connection stays.
    ///
    /// # Panics
    /// When something does.
    #[track_caller]
    pub fn silent(&mut self, time: Duration) {
        match self.next(time) {
            Err(TimedOut) => {}
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// Leaves with a reset, so that what is still under way cannot be delivered.
    pub fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("a TCP socket");
    }
}

/// Nothing came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

//! A connection that carries whole frames: the transport of the load generator and of the backend.

use super::wire::{Garbled, Wire};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Octets of one read. One buffer serves all connections of a process, so that ten thousand idle
/// ones hold nothing.
const READ: usize = 256 << 10;
/// A peer that leaves this much unread is not read from.
const UNSENT_LIMIT: usize = 4 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// What bytes go through.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl Stream for TcpStream {}
impl Stream for TlsStream<TcpStream> {}

/// A socket, the beginning of a frame that has come, and what is not sent yet.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    partial: Vec<u8>,
    unsent: Vec<u8>,
    sent: usize,
}

impl Link {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::over(Box::new(stream)))
    }

    /// A link over TLS; the socket below is without delay already.
    pub(crate) fn secure(stream: TlsStream<TcpStream>) -> Self {
        Self::over(Box::new(stream))
    }

    const fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            partial: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
        }
    }

    /// Where frames to send are appended; [`Link::turn`] sends them.
    pub(crate) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Sends what is waiting, and after one read gives `each` every frame that is whole, with the
    /// buffer for what shall be sent in return. False when the peer has closed. Nothing is lost
    /// when the future is dropped.
    pub(crate) async fn turn(
        &mut self,
        mut each: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Garbled>,
    ) -> io::Result<bool> {
        std::future::poll_fn(|context| self.poll_turn(context, &mut each)).await
    }

    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        each: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Garbled>,
    ) -> Poll<io::Result<bool>> {
        let _unfinished_is_fine = self.poll_send(context)?;
        if self.unsent.len() - self.sent > UNSENT_LIMIT {
            return Poll::Pending;
        }
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.cut(read.filled(), each)
                .map_err(|e| io::Error::other(e.0))?;
            let _unfinished_is_fine = self.poll_send(context)?;
            Poll::Ready(Ok(true))
        })
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let rest = &self.unsent[self.sent..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn cut(
        &mut self,
        read: &[u8],
        each: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Garbled>,
    ) -> Result<(), Garbled> {
        let mut joined = std::mem::take(&mut self.partial);
        let bytes = if joined.is_empty() {
            read
        } else {
            joined.extend_from_slice(read);
            &joined
        };
        let mut at = 0;
        while let Some(length) = Wire::length(&bytes[at..])? {
            let Some(frame) = bytes[at..].get(..length) else {
                break;
            };
            each(frame, &mut self.unsent)?;
            at += length;
        }
        if at < bytes.len() {
            self.partial = bytes[at..].to_vec();
        }
        Ok(())
    }
}

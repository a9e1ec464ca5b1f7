//! The bytes of an HTTP/2 connection in few large pieces. The h2 crate reads 8 KiB at a time and
//! writes every longer DATA frame by itself; a system call costs more than the copy that spares it.
//!
//! Whoever polls the connection sends what it has written, once it has nothing more to write:
//! [`Bulk::send`].

use std::{
    cell::RefCell,
    future::Future as _,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use crossdock_framework::worker::{READ_BLOCK, Worker};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::wire::Wire;

/// Bytes that wait for the socket at most; the connection writes nothing more until they are gone.
const WAITING: usize = 64 * 1024;

/// A connection and what is on its way through. Its clones are the same connection.
#[derive(Clone, Debug)]
pub(super) struct Bulk(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    wire: Wire,
    worker: Worker,
    /// Read and not taken yet. Without bytes it is no buffer: both are lent by the worker.
    read: BytesMut,
    /// Written and not sent yet.
    written: BytesMut,
    /// What has been sent may still be in the hands of TLS.
    unflushed: bool,
    /// Why nothing more can be sent.
    failed: Option<io::ErrorKind>,
}

impl Bulk {
    pub(super) fn new(wire: Wire, worker: &Worker) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            wire,
            worker: worker.clone(),
            read: BytesMut::new(),
            written: BytesMut::new(),
            unflushed: false,
            failed: None,
        })))
    }

    /// Sends what has been written. `true` when that fails: the connection has to be polled once
    /// more then, to hear of it.
    pub(super) fn send(&self, cx: &mut Context<'_>) -> bool {
        let inner = &mut *self.0.borrow_mut();
        let Poll::Ready(Err(error)) = inner.poll_send(cx) else {
            return false;
        };
        inner.written = BytesMut::new();
        inner.failed.replace(error.kind()).is_none()
    }
}

impl Inner {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.written.is_empty() {
            self.unflushed = true;
            while !self.written.is_empty() {
                let sent = ready!(Pin::new(&mut self.wire).poll_write(cx, &self.written))?;
                if sent == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written.advance(sent);
            }
            let mut batch = std::mem::take(&mut self.written);
            batch.clear();
            self.worker.put_batch(batch);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.wire).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more can be sent.
    fn judge(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Room for something to be written, once there is any.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.judge()?;
        if self.written.len() >= WAITING {
            ready!(self.poll_send(cx))?;
        }
        if self.written.capacity() == 0 {
            self.written = self.worker.take_batch();
        }
        Poll::Ready(Ok(WAITING - self.written.len()))
    }

    /// Reads as much as there is, if nothing is left of what was read before.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut block = self.worker.take_block(READ_BLOCK);
        let read = {
            let mut room = (&mut block).limit(READ_BLOCK);
            pin!(self.wire.read_buf(&mut room)).poll(cx)
        };
        match block.is_empty() {
            true => self.worker.put_block(block),
            false => self.read = block,
        }
        read.map_ok(|_| ())
    }
}

impl AsyncRead for Bulk {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_fill(cx))?;
        let count = inner.read.len().min(buf.remaining());
        buf.put_slice(inner.read.get(..count).unwrap_or_default());
        inner.read.advance(count);
        if inner.read.is_empty() && count > 0 {
            inner.worker.put_block(std::mem::take(&mut inner.read));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bulk {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        let room = ready!(inner.poll_room(cx))?;
        let taken = buf.get(..room).unwrap_or(buf);
        inner.written.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    /// A head and its payload come together then, and none is copied twice.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        let room = ready!(inner.poll_room(cx))?;
        let mut left = room;
        for buf in bufs {
            let taken = buf.get(..left).unwrap_or(buf);
            inner.written.extend_from_slice(taken);
            left -= taken.len();
            if left == 0 {
                break;
            }
        }
        Poll::Ready(Ok(room - left))
    }

    /// Left to [`Bulk::send`]: the h2 crate flushes after every DATA frame.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.borrow().judge())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

//! A connection whose bytes pass its guard before they are read.

use std::{
    cell::{Cell, RefCell},
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use crossdock_framework::protocol::Io;
use http::response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Guard, Refusal};
use crate::wire::Wire;

/// Bytes that are read at once while something is held back.
const MORE: usize = 4 * 1024;

/// What the keeper of a connection wants to know of its guard.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Why nothing more is read.
    pub(crate) refusal: Cell<Option<Refusal>>,
    /// The peer has sent its last byte.
    pub(crate) ended: Cell<bool>,
    /// Interim answers to the client, as they are written.
    told: RefCell<BytesMut>,
    /// All that hyper had to write has been written.
    between: Cell<bool>,
}

impl Notes {
    /// Writes an interim answer before what hyper writes next.
    pub(crate) fn tell(&self, head: &response::Parts) {
        let mut told = self.told.borrow_mut();
        let reason = head.status.canonical_reason().unwrap_or_default();
        let line = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16());
        told.extend_from_slice(line.as_bytes());
        for (name, value) in &head.headers {
            told.extend_from_slice(name.as_str().as_bytes());
            told.extend_from_slice(b": ");
            told.extend_from_slice(value.as_bytes());
            told.extend_from_slice(b"\r\n");
        }
        told.extend_from_slice(b"\r\n");
    }

    /// The final answer is handed to hyper. Interim ones that could not be written before it never
    /// are: a part of the answer before is still on its way.
    pub(crate) fn end_interim(&self) {
        if !self.between.get() {
            self.told.borrow_mut().clear();
        }
    }
}

/// A connection and its guard.
#[derive(Debug)]
pub(crate) struct Guarded {
    wire: Wire,
    guard: Guard,
    notes: Rc<Notes>,
    /// What has been read and not been passed on.
    held: BytesMut,
    /// How much of it may be.
    judged: usize,
    /// The rest cannot be judged before more has come.
    incomplete: bool,
    /// Whose end the keeper sees to, so that a refusal can be told first.
    kept_open: bool,
}

impl Guarded {
    /// What a client sends. Shutting it down only flushes it: that is left to its keeper.
    pub(crate) fn client(wire: Wire, guard: Guard, notes: &Rc<Notes>) -> Self {
        Self {
            kept_open: true,
            ..Self::host(wire, guard, notes)
        }
    }

    /// What a host sends.
    pub(crate) fn host(wire: Wire, guard: Guard, notes: &Rc<Notes>) -> Self {
        Self {
            wire,
            guard,
            notes: Rc::clone(notes),
            held: BytesMut::new(),
            judged: 0,
            incomplete: false,
            kept_open: false,
        }
    }

    /// Takes back what has been read and not been consumed.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let mut held = BytesMut::from(bytes);
            held.extend_from_slice(&self.held);
            self.held = held;
            self.judged += bytes.len();
        }
    }

    /// The socket.
    pub(crate) fn io(&self) -> &Io {
        self.wire.io()
    }

    /// The socket, and bytes that were read and are not consumed.
    pub(crate) fn into_parts(self) -> (Io, BytesMut) {
        let (io, prefix) = self.wire.into_parts();
        let mut held = self.held;
        held.extend_from_slice(&prefix);
        (io, held)
    }

    /// Judges what is held.
    fn judge(&mut self) {
        self.judged = self.guard.judge(&self.held);
        self.incomplete = self.judged == 0;
        self.notes.refusal.set(self.guard.refusal());
    }

    /// Writes the interim answers that the client is to be told: between two messages of hyper's.
    fn poll_tell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.notes.between.get() {
            return Poll::Ready(Ok(()));
        }
        let mut told = self.notes.told.borrow_mut();
        while !told.is_empty() {
            let written = ready!(Pin::new(&mut self.wire).poll_write(cx, &told))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            told.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Passes on what has been judged.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.judged.min(buf.remaining());
        if let Some(judged) = self.held.get(..count) {
            buf.put_slice(judged);
        }
        self.held.advance(count);
        self.judged -= count;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Reads straight to the reader, who gets what may be passed on; `false` if that is nothing.
    fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.wire).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            self.notes.ended.set(true);
            return Poll::Ready(Ok(true));
        }
        let passed = self.guard.judge(fresh);
        self.notes.refusal.set(self.guard.refusal());
        if let Some(rest) = fresh.get(passed..).filter(|rest| !rest.is_empty()) {
            self.held.extend_from_slice(rest);
            self.incomplete = true;
            buf.set_filled(before + passed);
        }
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads more of what is held back; `false` at the end of the connection.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; MORE];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.wire).poll_read(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        self.incomplete = false;
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.judged > 0 {
                this.pass(buf);
                return Poll::Ready(Ok(()));
            }
            if let Some(refusal) = this.guard.refusal() {
                // To a reader of requests nothing more has been sent, as far as heads go.
                return Poll::Ready(match this.kept_open && !refusal.within {
                    true => Ok(()),
                    false => Err(io::Error::new(io::ErrorKind::InvalidData, refusal.why)),
                });
            }
            if this.guard.resume() {
                this.incomplete = false;
            }
            if this.notes.ended.get() {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                if ready!(this.poll_through(cx, buf))? {
                    return Poll::Ready(Ok(()));
                }
            } else if this.incomplete {
                if !ready!(this.poll_more(cx))? {
                    this.notes.ended.set(true);
                }
            } else {
                this.judge();
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_tell(cx))?;
        this.notes.between.set(false);
        Pin::new(&mut this.wire).poll_write(cx, buf)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_tell(cx))?;
        this.notes.between.set(false);
        Pin::new(&mut this.wire).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when it has handed over every byte.
        this.notes.between.set(true);
        ready!(this.poll_tell(cx))?;
        Pin::new(&mut this.wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.kept_open {
            true => Pin::new(&mut this.wire).poll_flush(cx),
            false => Pin::new(&mut this.wire).poll_shutdown(cx),
        }
    }
}

//! The bytes of an HTTP connection: what had been read before, and what the connection's keeper
//! wants to know of them.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use crossdock_framework::{protocol::Io, time::Moment, worker::Worker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::h2::flood::Flood;

/// A socket and its meter.
#[derive(Debug)]
pub(crate) struct Wire {
    io: Io,
    prefix: BytesMut,
    meter: Rc<Meter>,
    /// Counts the frames of a client that speaks HTTP/2.
    flood: Option<Box<Flood>>,
}

/// What has moved on a connection.
#[derive(Debug)]
pub(crate) struct Meter {
    worker: Worker,
    pub(crate) read: Cell<u64>,
    pub(crate) written: Cell<u64>,
    /// Since when the peer takes nothing of what waits to be written.
    pub(crate) stalled: Cell<Option<Moment>>,
    /// When something last moved.
    pub(crate) moved: Cell<Moment>,
    /// When something last came.
    pub(crate) heard: Cell<Moment>,
    /// When the first byte came that belongs to no call yet: the beginning of one.
    pub(crate) begun: Cell<Option<Moment>>,
    /// Whether a call is on its way whose peer might break off while nothing is read.
    pub(crate) watched: Cell<bool>,
    /// Why no more frames are read.
    pub(crate) flooded: Cell<Option<&'static str>>,
}

impl Meter {
    pub(crate) fn new(worker: &Worker) -> Rc<Self> {
        Rc::new(Self {
            worker: worker.clone(),
            read: Cell::new(0),
            written: Cell::new(0),
            stalled: Cell::new(None),
            moved: Cell::new(worker.now()),
            heard: Cell::new(worker.now()),
            begun: Cell::new(None),
            watched: Cell::new(false),
            flooded: Cell::new(None),
        })
    }

    /// Notes bytes that may be the beginning of a call.
    pub(crate) fn begin(&self) {
        if self.begun.get().is_none() {
            self.begun.set(Some(self.worker.now()));
        }
    }

    /// Bytes read and written since the last time.
    pub(crate) fn take(&self) -> (u64, u64) {
        (self.read.take(), self.written.take())
    }

    fn count(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(written)) => {
                self.written.set(self.written.get() + *written as u64);
                self.moved.set(self.worker.now());
                self.stalled.set(None);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if self.stalled.get().is_none() {
                    self.stalled.set(Some(self.worker.now()));
                }
            }
        }
    }
}

impl Wire {
    pub(crate) fn new(io: Io, prefix: BytesMut, meter: &Rc<Meter>) -> Self {
        meter.read.set(meter.read.get() + prefix.len() as u64);
        if !prefix.is_empty() {
            meter.begin();
        }
        Self {
            io,
            prefix,
            meter: Rc::clone(meter),
            flood: None,
        }
    }

    /// Counts frames from the first byte on.
    pub(crate) fn counting(mut self, flood: Flood) -> Self {
        self.flood = Some(Box::new(flood));
        self
    }

    /// The socket.
    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// The socket, and bytes that were read and are not consumed.
    pub(crate) fn into_parts(self) -> (Io, BytesMut) {
        (self.io, self.prefix)
    }

    fn count(&mut self, polled: &Poll<io::Result<usize>>) {
        self.meter.count(polled);
        if let (Some(flood), Poll::Ready(Ok(written))) = (&mut self.flood, polled) {
            flood.sent(*written);
        }
    }

    /// Looks for a connection that its peer has broken off. A peer that only sends no more still
    /// wants its answer.
    fn look_for_a_break(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Io::Tcp(socket) = &self.io {
            match socket.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
                Poll::Ready(Err(error)) => return Err(error),
                // The next request, or the end of them: nothing more is told until it is read.
                Poll::Ready(Ok(_)) => self.meter.watched.set(false),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.prefix.is_empty() {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let read = buf.filled().len() - before;
            if read > 0 {
                let meter = &this.meter;
                meter.read.set(meter.read.get() + read as u64);
                meter.moved.set(meter.worker.tick());
                meter.heard.set(meter.moved.get());
                meter.begin();
            }
        } else {
            let count = this.prefix.len().min(buf.remaining());
            if let Some(taken) = this.prefix.get(..count) {
                buf.put_slice(taken);
            }
            this.prefix.advance(count);
            if this.prefix.is_empty() {
                this.prefix = BytesMut::new();
            }
        }
        if let Some(flood) = &mut this.flood {
            let fresh = buf.filled().get(before..).unwrap_or_default();
            if let Err(why) = flood.judge(fresh, this.meter.worker.now()) {
                this.meter.flooded.set(Some(why));
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        this.count(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.count(&polled);
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.meter.watched.get() {
            this.look_for_a_break(cx)?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

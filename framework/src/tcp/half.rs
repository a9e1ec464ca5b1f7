//! One direction of a pair of connections.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::worker::{Memory, READ_BLOCK, Worker};

/// Free room that a read asks for.
const ROOM: usize = READ_BLOCK / 4;

/// What is read at once while the worker's memory is scarce.
const SCARCE_READ: usize = 4 * 1024;

/// What is left of a block while its reader is slow is copied out up to this length, so that
/// readers who are slow with little pin no blocks.
const COPY_OUT: usize = READ_BLOCK / 2;

/// One direction. Holds a buffer only while bytes wait in it.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Bytes that were read and are not written yet.
    rest: BytesMut,
    /// `rest` is a part of a read block.
    lent: bool,
    /// What the worker has been charged for.
    charged: usize,
    stage: Stage,
    /// Written bytes may still wait within the writer (TLS).
    unflushed: bool,
    /// Bytes read and written since the counters were last taken.
    pub(super) read: u64,
    pub(super) written: u64,
    /// Times that the writer's slowness stopped the reading, and that it went on.
    pub(super) paused: u64,
    pub(super) resumed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Bytes may come.
    #[default]
    Open,
    /// The reader has ended, the writer has to be told.
    Ending,
    /// The writer has been told.
    Shut,
    /// Nothing can be written any more.
    Lost,
}

/// Where a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Reading,
    Writing,
    /// Bytes would have to wait, and the worker's memory is used up.
    Memory,
}

impl Half {
    /// A direction with bytes to write that have been read before.
    pub(super) fn new(rest: BytesMut) -> Self {
        Self {
            read: rest.len() as u64,
            rest,
            ..Self::default()
        }
    }

    /// Whether every byte that was read has been written.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty() && !self.unflushed
    }

    /// Moves what can be moved. Ready when nothing more will.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        worker: &Worker,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.stage {
                Stage::Shut => return Poll::Ready(Ok(())),
                Stage::Lost => return Poll::Ready(Err(Broken::Writing)),
                Stage::Open | Stage::Ending => {}
            }
            match self.poll_rest(cx, to, worker) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.lose(worker);
                    continue;
                }
                Poll::Pending => {
                    let kept = self.settle(worker);
                    return kept.map_or_else(|broken| Poll::Ready(Err(broken)), |()| Poll::Pending);
                }
            }
            if self.stage == Stage::Ending {
                // A writer that is gone already needs not be told.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.stage = Stage::Shut;
                continue;
            }
            match ready!(self.poll_move(cx, from, to, worker)) {
                Ok(()) => {}
                Err(Broken::Writing) => self.lose(worker),
                Err(broken) => return Poll::Ready(Err(broken)),
            }
        }
    }

    /// Writes what waits.
    fn poll_rest<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        worker: &Worker,
    ) -> Poll<io::Result<()>> {
        if !self.rest.is_empty() {
            while !self.rest.is_empty() {
                let written = ready!(poll_write(cx, to, &self.rest))?;
                self.rest.advance(written);
                self.written += written as u64;
                self.unflushed = true;
            }
            self.rest = BytesMut::new();
            self.resumed += u64::from(self.charged > 0);
            self.charge(0, worker);
        }
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, and writes straight from the block that was read into.
    fn poll_move<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        worker: &Worker,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut block = worker.take_block(ROOM);
        let most = match worker.memory(0) {
            Memory::Enough => READ_BLOCK,
            Memory::Scarce | Memory::Exhausted => SCARCE_READ,
        };
        let read = tokio_util::io::poll_read_buf(Pin::new(from), cx, &mut (&mut block).limit(most));
        let moved = match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => {
                self.stage = Stage::Ending;
                Poll::Ready(Ok(()))
            }
            // A peer may close a TLS connection without a word; Envoy takes that for an end too.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.stage = Stage::Ending;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Reading)),
            Poll::Ready(Ok(read)) => {
                self.read += read as u64;
                match poll_write(cx, to, &block) {
                    Poll::Ready(Ok(written)) => {
                        self.written += written as u64;
                        self.unflushed = true;
                        if written < block.len() {
                            block.advance(written);
                            self.keep(block.split());
                        } else {
                            block.clear();
                        }
                        Poll::Ready(Ok(()))
                    }
                    Poll::Ready(Err(_)) => {
                        block.clear();
                        Poll::Ready(Err(Broken::Writing))
                    }
                    Poll::Pending => {
                        self.keep(block.split());
                        Poll::Ready(Ok(()))
                    }
                }
            }
        };
        worker.put_block(block);
        moved
    }

    fn keep(&mut self, rest: BytesMut) {
        self.rest = rest;
        self.lent = true;
    }

    /// Keeps what waits at the end of a turn, if the worker has memory for it.
    fn settle(&mut self, worker: &Worker) -> Result<(), Broken> {
        if self.lent && self.rest.len() <= COPY_OUT {
            self.rest = BytesMut::from(self.rest.as_ref());
            self.lent = false;
        }
        self.paused += u64::from(self.charged == 0 && !self.rest.is_empty());
        let more = self.rest.len() > self.charged;
        self.charge(self.rest.len(), worker);
        match more && worker.memory(0) == Memory::Exhausted {
            true => Err(Broken::Memory),
            false => Ok(()),
        }
    }

    fn lose(&mut self, worker: &Worker) {
        self.stage = Stage::Lost;
        self.close(worker);
    }

    /// Drops what waits.
    pub(super) fn close(&mut self, worker: &Worker) {
        self.rest = BytesMut::new();
        self.charge(0, worker);
    }

    fn charge(&mut self, bytes: usize, worker: &Worker) {
        match bytes > self.charged {
            true => worker.charge(bytes - self.charged),
            false => worker.refund(self.charged - bytes),
        }
        self.charged = bytes;
    }
}

/// Writes at least one byte of some.
fn poll_write<W: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    to: &mut W,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(to).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
}

//! The read half of a connection: bytes in, frames out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncRead;

use crate::{
    codec::{Codec, DecodeError, Decoded, FrameLimits},
    time::Moment,
    worker::{Memory, READ_BLOCK, Worker},
};

/// Free room that a read asks for at least.
const MIN_ROOM: usize = 4 * 1024;

/// Beginnings of frames that may stay in their read blocks between turns, by worker; short ones
/// beyond are copied out, so that slow senders pin no blocks. Below, keeping one copies nothing.
const HELD_BLOCKS: usize = 256;

/// The longest beginning of a frame that is copied out: with a longer one at least half of the
/// block is used.
const COPY_OUT: usize = READ_BLOCK / 2;

/// Free room that a read asks for at most, however long the frame.
const MAX_ROOM: usize = 256 * 1024;

/// The longest frame that is begun while the worker's memory is used up.
const SCARCE_FRAME: usize = 64 * 1024;

/// The longest frame that is begun when even the reserve is used up.
const EXHAUSTED_FRAME: usize = 4 * 1024;

/// What has been received of a connection and not been cut into frames.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    buf: BytesMut,
    /// The buffer is one of the worker's blocks.
    lent: bool,
    /// The buffer holds the beginning of a frame and nothing else.
    exact: bool,
    /// The worker counts the buffer among those that hold more than a beginning.
    held: bool,
    /// Bytes of a refused frame that are still to come.
    discard: u64,
    /// Room for the next read: doubles while reads fill it.
    room: usize,
    /// What the worker has been charged for.
    charged: usize,
    /// Since when a frame is unfinished, and how much has come since then.
    unfinished: Option<(Moment, usize)>,
}

/// Progress that keeps an unfinished frame alive for another `frame_timeout`.
const PROGRESS: usize = 64 * 1024;

impl Inbound {
    /// Starts with bytes that were read before.
    pub(crate) fn new(prefix: BytesMut) -> Self {
        Self {
            buf: prefix,
            room: MIN_ROOM,
            ..Self::default()
        }
    }

    /// Whether nothing is buffered and nothing of a frame is awaited.
    pub(crate) fn is_empty(&self) -> bool {
        self.buf.is_empty() && self.discard == 0
    }

    /// Since when a frame is unfinished.
    pub(crate) fn unfinished_since(&self) -> Option<Moment> {
        self.unfinished.map(|(since, _)| since)
    }

    /// Reads once. Ready with 0 at the end of the stream.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
        worker: &Worker,
    ) -> Poll<io::Result<usize>> {
        let mut buf = self.room_to_read(worker);
        let before = buf.len();
        let room = buf.capacity() - before;
        let polled = tokio_util::io::poll_read_buf(Pin::new(io), cx, &mut buf);
        match buf.is_empty() {
            true => self.give_back(buf, worker),
            false => self.buf = buf,
        }
        let read = ready!(polled)?;
        if read == room {
            self.room = (self.room.max(room) * 2).min(MAX_ROOM);
        } else if read < MIN_ROOM {
            self.room = MIN_ROOM;
        }
        if let Some((since, progress)) = &mut self.unfinished {
            *progress += read;
            if *progress >= PROGRESS {
                (*since, *progress) = (worker.now(), 0);
            }
        }
        Poll::Ready(Ok(read))
    }

    /// What is buffered, with room for the next read. A short beginning of a frame moves to
    /// another of the worker's blocks, so that its own can be read into again; a long frame gets a
    /// buffer of its own.
    fn room_to_read(&mut self, worker: &Worker) -> BytesMut {
        let mut buf = std::mem::take(&mut self.buf);
        self.exact = false;
        if buf.is_empty() {
            // Emptied by the frames of this very turn, it is the best block to read into.
            self.give_back(buf, worker);
            self.lent = true;
            return worker.take_block(self.room.min(READ_BLOCK));
        }
        if buf.capacity() - buf.len() >= self.room {
            return buf;
        }
        if buf.len() + self.room > READ_BLOCK {
            self.lent = false;
            buf.reserve(self.room);
            return buf;
        }
        let mut fresh = worker.take_block(buf.len() + self.room);
        fresh.extend_from_slice(&buf);
        buf.clear();
        self.give_back(buf, worker);
        self.lent = true;
        fresh
    }

    /// Returns an empty buffer to the worker, if it came from there.
    fn give_back(&mut self, buf: BytesMut, worker: &Worker) {
        if std::mem::take(&mut self.lent) {
            worker.put_block(buf);
        }
    }

    /// Cuts the next frame. `None` when more bytes are needed.
    pub(crate) fn cut<C: Codec>(
        &mut self,
        codec: &mut C,
        limit: usize,
        worker: &Worker,
    ) -> Result<Option<Decoded<C::Head>>, DecodeError> {
        self.drop_refused();
        if self.buf.is_empty() {
            return Ok(None);
        }
        // What came in this turn is counted at its end.
        let fresh = self.buf.len().saturating_sub(self.charged);
        let frame = match worker.memory(fresh) {
            Memory::Enough => limit,
            Memory::Scarce => limit.min(SCARCE_FRAME),
            Memory::Exhausted => limit.min(EXHAUSTED_FRAME),
        };
        let limits = FrameLimits { frame };
        match codec.decode(&mut self.buf, &limits)? {
            Decoded::More(need) => {
                self.room = need.clamp(MIN_ROOM, MAX_ROOM);
                Ok(None)
            }
            Decoded::Oversized { frame, rest } => {
                self.discard = rest;
                self.drop_refused();
                Ok(Some(Decoded::Oversized { frame, rest }))
            }
            whole => Ok(Some(whole)),
        }
    }

    /// Settles accounts after a turn: gives an empty buffer back, charges a full one, and notes
    /// since when a frame is unfinished.
    pub(crate) fn settle(&mut self, worker: &Worker) {
        if self.buf.is_empty() && self.buf.capacity() > 0 {
            let buf = std::mem::take(&mut self.buf);
            self.give_back(buf, worker);
        }
        self.hold(worker, !self.buf.is_empty() && !self.exact);
        if self.held && worker.held_blocks() > HELD_BLOCKS && self.buf.len() <= COPY_OUT {
            let beginning = BytesMut::from(&self.buf[..]);
            let mut buf = std::mem::replace(&mut self.buf, beginning);
            buf.clear();
            self.give_back(buf, worker);
            self.exact = true;
            self.hold(worker, false);
        }
        worker.refund(self.charged);
        self.charged = self.buf.len();
        worker.charge(self.charged);
        self.unfinished = match self.is_empty() {
            true => None,
            false => self.unfinished.or_else(|| Some((worker.now(), 0))),
        };
    }

    fn hold(&mut self, worker: &Worker, held: bool) {
        if held != std::mem::replace(&mut self.held, held) {
            worker.count_held(held);
        }
    }

    /// A whole frame has been cut: the next one has its full time.
    pub(crate) fn restart_clock(&mut self) {
        self.unfinished = None;
    }

    fn drop_refused(&mut self) {
        let here = usize::try_from(self.discard)
            .unwrap_or(usize::MAX)
            .min(self.buf.len());
        self.buf.advance(here);
        self.discard -= here as u64;
    }

    /// Gives back what the worker was charged, at the end of the connection.
    pub(crate) fn close(&mut self, worker: &Worker) {
        self.buf = BytesMut::new();
        self.hold(worker, false);
        worker.refund(std::mem::take(&mut self.charged));
    }
}

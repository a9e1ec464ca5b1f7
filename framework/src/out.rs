//! The one write queue of a socket.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::worker::READ_BLOCK;

/// Frames of at least this many bytes are shared with the read buffer that they came in; shorter
/// ones are copied into the batch. Copying 2 KiB costs less than the bookkeeping of one more
/// segment and of a vectored write.
pub const SHARE_FROM: usize = 2048;

/// Segments handed to the kernel by one vectored write. Linux takes 1024 (`UIO_MAXIOV`); past a
/// few dozen the gain is gone.
const SEGMENTS_A_WRITE: usize = 32;

/// Shared pieces below this length are copied once their socket has stopped to take bytes: half a
/// read block, so that what is counted as buffered is at least half of what is held.
const OWN_BELOW: usize = READ_BLOCK / 2;

/// Bytes that wait to be written to one socket, drained once per turn of its task.
///
/// Small pieces are copied into one contiguous batch, large ones are shared. The limit is the
/// caller's: [`Out::len`] is what is buffered.
#[derive(Debug, Default)]
pub struct Out {
    /// What is queued, in order, up to the last shared piece; what was copied after it stands at
    /// the end of the batch.
    segments: VecDeque<Segment>,
    batch: BytesMut,
    /// Bytes of the batch that come before the last shared piece.
    claimed: usize,
    /// Segments from the front on that pin no read block of others.
    owned: usize,
    len: usize,
}

#[derive(Debug)]
enum Segment {
    /// The next so many bytes of the batch.
    Copied(usize),
    /// Bytes of a read buffer.
    Shared(Bytes),
}

impl Out {
    /// An empty queue that batches in `batch`.
    pub fn with_batch(batch: BytesMut) -> Self {
        debug_assert!(batch.is_empty(), "a batch starts empty");
        Self {
            batch,
            ..Self::default()
        }
    }

    /// Bytes that are not written yet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues a copy of `bytes`.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.batch.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Queues `bytes`: a copy when they are few, else the shared bytes themselves.
    #[inline]
    pub fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM {
            self.copy(&bytes);
            return;
        }
        let copied = self.batch.len() - self.claimed;
        if copied > 0 {
            self.segments.push_back(Segment::Copied(copied));
            self.claimed = self.batch.len();
        }
        self.len += bytes.len();
        self.segments.push_back(Segment::Shared(bytes));
    }

    /// Queues `frame` with the octets at `at` replaced by `patch`, which is how an id changes.
    /// A frame that does not reach that far is queued as it is.
    #[inline]
    pub fn patched(&mut self, frame: &Bytes, at: usize, patch: &[u8]) {
        let after = at + patch.len();
        let (Some(head), Some(tail)) = (frame.get(..at), frame.get(after..)) else {
            self.share(frame.clone());
            return;
        };
        self.copy(head);
        self.copy(patch);
        if tail.len() < SHARE_FROM {
            self.copy(tail);
        } else {
            self.share(frame.slice(after..));
        }
    }

    /// Writes as much as the socket takes. Ready when nothing is left, neither here nor in what
    /// the socket stands for: TLS holds records that have not gone.
    pub fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.len > 0 {
            let written = if self.segments.is_empty() {
                ready!(Pin::new(&mut *socket).poll_write(cx, &self.batch))?
            } else {
                ready!(self.poll_write_vectored(cx, socket))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(socket).poll_flush(cx)
    }

    /// Copies what is short of the shared pieces: for a socket that takes nothing, which would else
    /// pin a whole read block for each of them.
    pub fn own(&mut self) {
        for segment in self.segments.range_mut(self.owned..) {
            if let Segment::Shared(bytes) = segment
                && bytes.len() < OWN_BELOW
            {
                *bytes = Bytes::copy_from_slice(bytes);
            }
        }
        self.owned = self.segments.len();
    }

    /// Gives the empty batch buffer back, so that an idle connection holds no memory.
    pub fn take_batch(&mut self) -> BytesMut {
        debug_assert!(self.is_empty(), "only a drained queue gives its batch back");
        std::mem::take(&mut self.batch)
    }

    /// Whether the queue has a buffer to batch in.
    pub fn has_batch(&self) -> bool {
        self.batch.capacity() > 0
    }

    /// Batches in `batch` from now on.
    pub fn set_batch(&mut self, batch: BytesMut) {
        debug_assert!(
            self.batch.is_empty() && batch.is_empty(),
            "batches change while empty"
        );
        self.batch = batch;
    }

    /// Everything that is queued, as one buffer: for tests and for codecs tried alone.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().flatten().copied().collect()
    }

    /// What is queued, piece by piece.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut batch: &[u8] = &self.batch;
        let (claimed, rest) = batch.split_at(self.claimed);
        batch = claimed;
        let queued = self.segments.iter().map(move |segment| match segment {
            Segment::Copied(len) => {
                let (piece, after) = batch.split_at(*len);
                batch = after;
                piece
            }
            Segment::Shared(bytes) => bytes,
        });
        queued.chain([rest])
    }

    fn poll_write_vectored<W: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        socket: &mut W,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SEGMENTS_A_WRITE];
        let mut used = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            *slice = IoSlice::new(piece);
            used += 1;
        }
        let filled = slices.get(..used).unwrap_or_default();
        Pin::new(socket).poll_write_vectored(cx, filled)
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(front) = self.segments.front_mut() {
            let len = match front {
                Segment::Copied(len) => *len,
                Segment::Shared(bytes) => bytes.len(),
            };
            let gone = written.min(len);
            written -= gone;
            match front {
                Segment::Copied(len) => {
                    *len -= gone;
                    self.batch.advance(gone);
                    self.claimed -= gone;
                }
                Segment::Shared(bytes) => bytes.advance(gone),
            }
            if gone < len {
                return;
            }
            self.segments.pop_front();
            self.owned = self.owned.saturating_sub(1);
        }
        if written == self.batch.len() {
            self.batch.clear();
        } else {
            self.batch.advance(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_across_copies_and_shares() {
        let mut out = Out::default();
        out.copy(b"ab");
        out.share(Bytes::from(vec![b'c'; SHARE_FROM]));
        out.copy(b"de");
        assert_eq!(out.len(), SHARE_FROM + 4);
        let all = out.to_vec();
        assert!(all.starts_with(b"abcc") && all.ends_with(b"ccde"));
        for step in [1, 1, 5, SHARE_FROM - 5, 1] {
            out.advance(step);
        }
        assert_eq!(out.to_vec(), b"e");
        out.share(Bytes::from(vec![b'f'; SHARE_FROM]));
        assert_eq!(out.to_vec().len(), SHARE_FROM + 1);
        out.advance(SHARE_FROM);
        assert_eq!(out.to_vec(), b"f");
        out.advance(1);
        assert!(out.is_empty());
    }

    #[test]
    fn a_patch_changes_only_its_octets() {
        for size in [16, SHARE_FROM * 2] {
            let frame = Bytes::from(vec![7; size]);
            let mut out = Out::default();
            out.patched(&frame, 4, &[1, 2, 3, 4]);
            let all = out.to_vec();
            assert_eq!(all.len(), size);
            assert_eq!(&all[..9], &[7, 7, 7, 7, 1, 2, 3, 4, 7]);
        }
    }

    #[test]
    fn owning_changes_no_byte_and_frees_the_block() {
        let block = Bytes::from(vec![7; READ_BLOCK]);
        let mut out = Out::default();
        for at in 0..3 {
            out.copy(b"ab");
            out.share(block.slice(at..at + SHARE_FROM));
            out.own();
        }
        let all = out.to_vec();
        assert!(block.is_unique(), "nothing of the block is held");
        out.advance(1);
        out.own();
        assert_eq!(out.to_vec(), all[1..]);
        out.share(block.slice(..OWN_BELOW));
        out.own();
        assert!(!block.is_unique(), "long pieces stay shared");
        out.advance(out.len());
        assert!(out.is_empty() && block.is_unique());
    }

    #[test]
    fn a_patch_beyond_the_frame_is_no_panic() {
        let mut out = Out::default();
        out.patched(&Bytes::from_static(b"abc"), 2, &[0; 8]);
        assert_eq!(out.to_vec(), b"abc");
    }
}

//! The body of an answer, and the connection that it comes on.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use crossdock_framework::stream::Broken;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use memchr::memchr;

use super::{
    Lease,
    head::{self, Framing},
    link::Link,
};

/// The body of an answer. The connection goes back to its pool with the last of it.
#[derive(Debug)]
pub(crate) struct Reply {
    next: Next,
    /// Gone after the end.
    lease: Option<Lease>,
    /// Why it breaks off, once what came before has been passed on.
    broken: Option<Broken>,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// So many bytes.
    Length(u64),
    /// The size of a chunk.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk's line.
    ChunkEnd,
    /// Trailers, or the empty line that ends without them.
    Trailers,
    /// Bytes until the end of the connection.
    Open,
}

impl Reply {
    pub(super) fn new(framing: Framing, lease: Lease) -> Self {
        let next = match framing {
            Framing::Length(length) => Next::Length(length),
            Framing::Chunked => Next::Size,
            Framing::Open => Next::Open,
        };
        Self {
            next,
            lease: Some(lease),
            broken: None,
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match (&self.lease, self.next) {
            (None, _) => SizeHint::with_exact(0),
            (_, Next::Length(length)) => SizeHint::with_exact(length),
            _ => SizeHint::default(),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(lease) = &self.lease else {
            return Poll::Ready(None);
        };
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        let polled = match ready!(self.next.poll(lease.link(), cx)) {
            Ok(polled) => polled,
            Err(broken) => {
                // The head, or a piece before, may not have left: whoever resets a stream forgets
                // what waits to be written.
                self.broken = Some(broken);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        let last =
            |frame: &Frame<Bytes>| frame.is_trailers() || matches!(self.next, Next::Length(0));
        let over = polled.as_ref().is_none_or(last);
        if let Some(lease) = self.lease.take_if(|_| over) {
            lease.give_back();
        }
        Poll::Ready(polled.map(Ok))
    }
}

impl Next {
    /// The next piece, or the trailers; nothing at the end.
    fn poll(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        loop {
            match link.take(|read| self.take(read))? {
                Took::Piece(piece) => return Poll::Ready(Ok(Some(Frame::data(piece)))),
                Took::Trailers(trailers) => {
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                Took::Nothing => {}
            }
            let more = ready!(link.poll_fill(cx)).map_err(|error| broken(&error))?;
            if !more {
                return Poll::Ready(match self {
                    Self::Open => Ok(None),
                    _ => Err(Broken::Reset(None)),
                });
            }
        }
    }

    /// Takes what comes next off what has been read. The guard has judged all lines.
    fn take(&mut self, read: &mut Bytes) -> Result<Took, Broken> {
        loop {
            match *self {
                Self::Length(left) | Self::Chunk(left) => {
                    let piece = split(read, left);
                    if piece.is_empty() {
                        return Ok(Took::Nothing);
                    }
                    let left = left - piece.len() as u64;
                    *self = match self {
                        Self::Length(_) => Self::Length(left),
                        _ if left == 0 => Self::ChunkEnd,
                        _ => Self::Chunk(left),
                    };
                    return Ok(Took::Piece(piece));
                }
                Self::Open if read.is_empty() => return Ok(Took::Nothing),
                Self::Open => return Ok(Took::Piece(std::mem::take(read))),
                Self::Size => {
                    let Some(end) = memchr(b'\n', read) else {
                        return Ok(Took::Nothing);
                    };
                    *self = match size(read) {
                        Some(0) => Self::Trailers,
                        Some(size) => Self::Chunk(size),
                        None => return Err(wrong("the size of a chunk is not a number")),
                    };
                    read.advance(end + 1);
                }
                Self::ChunkEnd => {
                    let Some(end) = memchr(b'\n', read) else {
                        return Ok(Took::Nothing);
                    };
                    read.advance(end + 1);
                    *self = Self::Size;
                }
                Self::Trailers => {
                    let trailers = head::read_trailers(read);
                    let trailers = trailers.map_err(|error| wrong(&error.to_string()))?;
                    return Ok(match trailers {
                        None => Took::Nothing,
                        Some(trailers) if trailers.is_empty() => Took::Trailers(None),
                        Some(trailers) => Took::Trailers(Some(trailers)),
                    });
                }
            }
        }
    }
}

/// What was taken.
enum Took {
    /// Nothing: more has to come.
    Nothing,
    Piece(Bytes),
    /// The trailers, if there are any, and with them the end.
    Trailers(Option<HeaderMap>),
}

/// No more than so many bytes.
fn split(read: &mut Bytes, most: u64) -> Bytes {
    match usize::try_from(most) {
        Ok(most) if most < read.len() => read.split_to(most),
        _ => std::mem::take(read),
    }
}

/// The number that a line begins with, in hexadecimal digits.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    let digits = std::str::from_utf8(line.get(..digits)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

fn wrong(what: &str) -> Broken {
    Broken::Protocol(what.into())
}

/// What an error of the connection means to the caller.
fn broken(error: &io::Error) -> Broken {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => wrong(&error.to_string()),
        _ => Broken::Reset(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of the bytes in pieces of `step`: the body, and the trailers at its end.
    fn read(mut next: Next, bytes: &[u8], step: usize) -> (Vec<u8>, Option<Option<HeaderMap>>) {
        let (mut read, mut body) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            read.extend_from_slice(piece);
            let mut held = Bytes::from(std::mem::take(&mut read));
            loop {
                match next.take(&mut held).expect("well-formed") {
                    Took::Nothing => break,
                    Took::Piece(piece) => body.extend_from_slice(&piece),
                    Took::Trailers(trailers) => return (body, Some(trailers)),
                }
            }
            read = held.to_vec();
        }
        (body, None)
    }

    #[test]
    fn chunks_are_joined_however_they_come() {
        let bytes = b"3;x=\"1\"\r\nabc\r\n00A\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";
        for step in 1..=bytes.len() {
            let (body, trailers) = read(Next::Size, bytes, step);
            assert_eq!(body, b"abc0123456789");
            let trailers = trailers.flatten().expect("trailers");
            assert_eq!(
                trailers.get("x-sum").map(|sum| sum.as_bytes()),
                Some(&b"1"[..])
            );
        }
        let (body, trailers) = read(Next::Size, b"1\r\na\r\n0\r\n\r\n", 2);
        assert_eq!((body, trailers), (b"a".to_vec(), Some(None)));
    }

    #[test]
    fn a_length_takes_no_more_than_it_says() {
        let mut next = Next::Length(3);
        let mut held = Bytes::from_static(b"abcdef");
        let took = next.take(&mut held).expect("well-formed");
        assert!(matches!(took, Took::Piece(piece) if piece == "abc"));
        assert_eq!(held, "def");
        assert!(matches!(next, Next::Length(0)));
    }
}

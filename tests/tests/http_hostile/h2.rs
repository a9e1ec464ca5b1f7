//! HTTP/2 frame by frame: a client that sends what it likes, and a host that holds streams open.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::backend::Seen;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as HPACK has them without a table and without Huffman's code.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        literal(&mut bytes, name.as_bytes());
        literal(&mut bytes, value.as_bytes());
    }
    bytes
}

/// A string literal (RFC 7541 section 5.2).
pub(crate) fn literal(bytes: &mut Vec<u8>, text: &[u8]) {
    integer(bytes, 0, 7, text.len());
    bytes.extend_from_slice(text);
}

/// An integer behind the bits of `first` (RFC 7541 section 5.1).
pub(crate) fn integer(bytes: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        bytes.push(first | value as u8);
        return;
    }
    bytes.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The fields of a request.
pub(crate) fn request<'f>(method: &'f str, path: &'f str) -> Vec<(&'f str, &'f str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "h"),
        (":path", path),
    ]
}

/// The frame of a request, complete or with a body to come.
pub(crate) fn head(stream: u32, method: &str, path: &str, over: bool) -> Vec<u8> {
    let flags = END_HEADERS | if over { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream, &block(&request(method, path)))
}

/// A connection that speaks frames.
pub(crate) struct Framed {
    stream: TcpStream,
    buf: Vec<u8>,
}

impl Framed {
    /// Begins as a client with these settings.
    pub(crate) fn connect(address: SocketAddr, settings: &[u8]) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        let mut framed = Self::new(stream);
        framed.send(PREFACE);
        framed.send(&frame(SETTINGS, 0, 0, settings));
        framed
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a socket");
        // A flood is not to wait for a peer that has stopped to read.
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .expect("a socket");
        Self {
            stream,
            buf: Vec::new(),
        }
    }

    /// `false` when the other side takes no more.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next frame; nothing at the end, or after a while without one.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if self.buf.len() >= 9 {
                let length =
                    u32::from_be_bytes([0, self.buf[0], self.buf[1], self.buf[2]]) as usize;
                if self.buf.len() >= 9 + length {
                    let bytes: Vec<u8> = self.buf.drain(..9 + length).collect();
                    return Some(Frame {
                        kind: bytes[3],
                        flags: bytes[4],
                        stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]),
                        payload: bytes[9..].to_vec(),
                    });
                }
            }
            let mut space = [0; 16 * 1024];
            match self.stream.read(&mut space) {
                Ok(count @ 1..) => self.buf.extend_from_slice(&space[..count]),
                _ => return None,
            }
        }
    }

    /// The end of a stream: the status of its answer, or the code of its reset. Settings are
    /// acknowledged on the way.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let mut status = 0;
        loop {
            let Some(frame) = self.next() else {
                return Outcome::Lost;
            };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    self.send(&super::h2::frame(SETTINGS, ACK, 0, b""));
                }
                GOAWAY => {
                    let code = frame
                        .payload
                        .get(4..8)
                        .and_then(|code| code.try_into().ok());
                    if let Some(code @ 1..) = code.map(u32::from_be_bytes) {
                        return Outcome::GoAway(code);
                    }
                }
                RST_STREAM if frame.stream == stream => {
                    let code = frame.payload.try_into().map_or(0, u32::from_be_bytes);
                    return Outcome::Reset(code);
                }
                HEADERS if frame.stream == stream => {
                    status = told(&frame.payload).unwrap_or(status);
                }
                _ => {}
            }
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            if ends && frame.stream == stream {
                return Outcome::Status(status);
            }
        }
    }

    /// A complete request, and what becomes of it.
    pub(crate) fn call(&mut self, stream: u32, path: &str) -> Outcome {
        self.send(&head(stream, "GET", path, true));
        self.outcome(stream)
    }
}

/// The status in a block, which the gateway's encoder writes first: from the static table, or as a
/// literal.
fn told(block: &[u8]) -> Option<u16> {
    match *block {
        [indexed @ 0x88..=0x8e, ..] => {
            let known = [200, 204, 206, 304, 400, 404, 500];
            known.get(usize::from(indexed - 0x88)).copied()
        }
        // A new value for `:status`, in Huffman's code: its digits have five or six bits.
        [0x48, length, ref rest @ ..] => {
            let text = rest.get(..usize::from(length & 0x7f))?;
            let mut bits = String::new();
            text.iter()
                .for_each(|byte| bits.push_str(&format!("{byte:08b}")));
            digits(&bits)
        }
        _ => None,
    }
}

/// Digits in Huffman's code (RFC 7541 appendix B).
fn digits(mut bits: &str) -> Option<u16> {
    let mut number = 0;
    for _ in 0..3 {
        let short = usize::from_str_radix(bits.get(..5)?, 2).ok()?;
        let (digit, length) = match short {
            0..=2 => (short, 5),
            _ => (
                usize::from_str_radix(bits.get(..6)?, 2)
                    .ok()?
                    .checked_sub(0b011_001)?
                    + 3,
                6,
            ),
        };
        number = number * 10 + u16::try_from(digit).ok()?;
        bits = bits.get(length..)?;
    }
    Some(number)
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Status(u16),
    Reset(u32),
    GoAway(u32),
    /// The connection ended, or nothing came.
    Lost,
}

/// A host that speaks HTTP/2, answers what is complete, and holds the rest open.
pub(crate) fn hold(stream: TcpStream, seen: &Seen) {
    let mut peer = Framed::new(stream);
    let _ = peer.stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut preface = [0; 24];
    if peer.stream.read_exact(&mut preface).is_err() {
        return;
    }
    // 20,000 streams at once, as far as the host goes.
    let settings = [0, 3, 0, 0, 0x4e, 0x20];
    peer.send(&frame(SETTINGS, 0, 0, &settings));
    while let Some(next) = peer.next() {
        let kept = match next.kind {
            SETTINGS if next.flags & ACK == 0 => peer.send(&frame(SETTINGS, ACK, 0, b"")),
            PING if next.flags & ACK == 0 => peer.send(&frame(PING, ACK, 0, &next.payload)),
            HEADERS | DATA if next.flags & END_STREAM != 0 => {
                seen.lock()
                    .expect("no thread panics")
                    .push("a call".to_owned());
                peer.send(&frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    next.stream,
                    &[0x88],
                ))
            }
            _ => true,
        };
        if !kept {
            return;
        }
    }
}

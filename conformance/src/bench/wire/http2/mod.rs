//! HTTP/2 (RFC 9113) as far as unary gRPC calls need it: hand-written, so that load generator and
//! backend cost less than any proxy between them.

mod caller;
mod flow;
mod hpack;
mod huffman;
mod server;
#[cfg(test)]
mod tests;

pub(super) use caller::Caller;
pub(super) use server::Server;

use super::{Garbled, Stencil, Template, argument};

/// What a client says first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The octet that begins every frame: no frame here is as long as 64 KiB.
pub(super) const FIRST: u8 = 0;
/// Octets of a frame's header, and the most that may follow (the default of SETTINGS_MAX_FRAME_SIZE).
const HEADER: usize = 9;
const MAX_FRAME: usize = 16_384;
/// Octets in front of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Frame types.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// Flags.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The message that is sent and comes back: prefix and argument.
pub(super) fn template(payload: usize) -> Template {
    let text = argument(payload);
    let mut message = vec![0];
    message.extend_from_slice(&(text.len() as u32).to_be_bytes());
    message.extend_from_slice(&text);
    Template {
        request: Stencil::new(message.clone(), 0..0, PREFIX),
        answer: Stencil::new(message, 0..0, PREFIX),
    }
}

pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    if bytes.first() != Some(&FIRST) {
        let known = bytes.len().min(PREFACE.len());
        return if bytes[..known] == PREFACE[..known] {
            Ok(Some(PREFACE.len()))
        } else {
            Err(Garbled("not the preface of HTTP/2"))
        };
    }
    let Some(head) = Head::read(bytes) else {
        return Ok(None);
    };
    if head.length > MAX_FRAME {
        return Err(Garbled("a frame larger than was allowed"));
    }
    Ok(Some(HEADER + head.length))
}

/// A frame's header.
#[derive(Clone, Copy)]
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    fn read(frame: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = frame.first_chunk::<HEADER>()?;
        Some(Self {
            length: u32::from_be_bytes([0, *a, *b, *c]) as usize,
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & 0x7fff_ffff,
        })
    }

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding and priority.
    fn content(self, frame: &[u8]) -> Result<&[u8], Garbled> {
        let mut payload = frame.get(HEADER..).unwrap_or_default();
        if matches!(self.kind, DATA | HEADERS) && self.has(PADDED) {
            let (padding, rest) = payload.split_first().ok_or(Garbled("no padding"))?;
            let end = rest.len().checked_sub(usize::from(*padding));
            payload = &rest[..end.ok_or(Garbled("more padding than frame"))?];
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            payload = payload.get(5..).ok_or(Garbled("half a priority"))?;
        }
        Ok(payload)
    }
}

/// Appends a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let start = begin(kind, flags, stream, out);
    out.extend_from_slice(payload);
    finish(start, out);
}

/// Appends a frame's header; [`finish`] writes its length when the payload follows.
fn begin(kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    start
}

fn finish(start: usize, out: &mut [u8]) {
    let length = (out.len() - start - HEADER) as u32;
    out[start..start + 3].copy_from_slice(&length.to_be_bytes()[1..]);
}

/// Appends a message as DATA frames.
fn data(stream: u32, flags: u8, message: &[u8], out: &mut Vec<u8>) {
    let mut parts = message.chunks(MAX_FRAME).peekable();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() { flags } else { 0 };
        frame(DATA, flags, stream, part, out);
    }
}

/// A four-octet number at the front.
fn number(payload: &[u8]) -> Result<u32, Garbled> {
    let four = payload.first_chunk().ok_or(Garbled("short frame"))?;
    Ok(u32::from_be_bytes(*four))
}

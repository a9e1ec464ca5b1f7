//! The bytes of the benchmark's calls, written here and not with the gateway's codecs: what is
//! measured must not judge itself.

mod bolt;
mod dubbo;
mod framed;
mod http1;
mod http2;

use std::ops::Range;
use std::sync::Arc;

/// The protocol of a benchmark's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wire {
    /// Dubbo2 with a hessian2 body, as a Dubbo 3.3 consumer writes it.
    Dubbo,
    /// SOFABolt v1 with a SOFARPC header map and a Hessian 3.x body.
    Bolt,
    /// `POST` over HTTP/1.1 with keep-alive; the body comes back.
    Http1,
    /// Unary gRPC over HTTP/2; the message comes back.
    Grpc,
}

/// Characters of the mark that starts every argument and makes each call's bytes unlike any other's.
const MARK: usize = 16;

/// Why bytes are not what this benchmark understands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbled(pub(crate) &'static str);

/// The caller's side of one connection: writes calls, and understands what comes back.
pub(crate) trait Talk: Send {
    /// Appends what is said before the first call.
    fn greet(&mut self, _out: &mut Vec<u8>) {}

    /// Appends the call with this mark.
    fn call(&mut self, mark: u64, out: &mut Vec<u8>);

    /// Takes a frame as [`Wire::length`] cut it; `out` is for what is owed in return at once.
    fn take(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<Heard, Garbled>;
}

/// What a caller learns from a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing about a call, or not yet all of it.
    Nothing,
    /// The call with this mark has come to an end.
    End(u64, Verdict),
    /// An answer to no open call.
    Stray(String),
}

/// How a call went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It got exactly its answer.
    Right,
    /// It was answered with an error.
    Failed(String),
    /// It was answered with success and bytes that are not its own.
    Wrong(String),
}

/// The server's side of one connection, in the protocol that the client speaks.
#[derive(Default)]
pub(crate) struct Service {
    http2: Option<http2::Server>,
}

impl Service {
    /// Does what a server owes for a frame: an echo, a heartbeat's answer or nothing.
    pub(crate) fn serve(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
        match (&mut self.http2, frame.first()) {
            (Some(server), _) => server.serve(frame, out),
            (None, Some(&dubbo::FIRST)) => dubbo::serve(frame, out),
            (None, Some(&bolt::FIRST)) => bolt::serve(frame, out),
            (None, _) if frame == http2::PREFACE => {
                self.http2.insert(http2::Server::default()).greet(out);
                Ok(())
            }
            (None, _) => http1::serve(frame, out),
        }
    }
}

/// A call and the one answer to it that is right, both but for id and mark. HTTP/1's answer, and both
/// of gRPC, are bodies alone: proxies may add to the heads.
pub(crate) struct Template {
    request: Stencil,
    answer: Stencil,
}

/// A frame with two holes: its id and the mark inside its argument.
struct Stencil {
    bytes: Vec<u8>,
    id: Range<usize>,
    mark: Range<usize>,
}

impl Stencil {
    /// `mark` is where the mark begins; it lies behind the id in every protocol here.
    fn new(bytes: Vec<u8>, id: Range<usize>, mark: usize) -> Self {
        Self {
            bytes,
            id,
            mark: mark..mark + MARK,
        }
    }

    fn stamp(&self, id: u64, mark: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        let digits = id.to_be_bytes();
        frame[self.id.clone()].copy_from_slice(&digits[8 - self.id.len()..]);
        frame[self.mark.clone()].copy_from_slice(&letters(mark));
    }

    /// Whether `frame` is, byte for byte, what [`Stencil::stamp`] writes.
    fn equals(&self, frame: &[u8], id: u64, mark: u64) -> bool {
        let digits = id.to_be_bytes();
        let (own, at) = (&self.bytes, &self.mark);
        frame.len() == own.len()
            && frame[..self.id.start] == own[..self.id.start]
            && frame[self.id.clone()] == digits[8 - self.id.len()..]
            && frame[self.id.end..at.start] == own[self.id.end..at.start]
            && frame[at.clone()] == letters(mark)
            && frame[at.end..] == own[at.end..]
    }
}

/// `mark` as sixteen ASCII characters.
fn letters(mark: u64) -> [u8; MARK] {
    let mut text = [0; MARK];
    for (place, letter) in text.iter_mut().enumerate() {
        *letter = b"0123456789abcdef"[(mark >> (4 * place)) as usize & 15];
    }
    text
}

/// The argument of every call: a mark's place, then letters, `len` (at least 16) in all.
fn argument(len: usize) -> Vec<u8> {
    (0..len.max(MARK)).map(|i| b'a' + (i % 26) as u8).collect()
}

/// The one service and method that is called, as a path.
const PATH: &str = "/peer.api.Echo/echo";
/// Whose service it is.
const HOST: &str = "echo.example";

impl Wire {
    /// The call `echo` with an argument of `payload` octets and the answer it must get.
    pub(crate) fn template(self, payload: usize) -> Template {
        match self {
            Self::Dubbo => dubbo::template(payload),
            Self::Bolt => bolt::template(payload),
            Self::Http1 => http1::template(payload),
            Self::Grpc => http2::template(payload),
        }
    }

    /// A caller's side of the connection with this number.
    pub(crate) fn talk(self, template: Arc<Template>, connection: usize) -> Box<dyn Talk> {
        match self {
            Self::Dubbo | Self::Bolt => Box::new(framed::Caller::new(self, template, connection)),
            Self::Http1 => Box::new(http1::Caller::new(template)),
            Self::Grpc => Box::new(http2::Caller::new(template)),
        }
    }

    /// What calls with `payload` octets are, for a table.
    pub(crate) fn about(self, payload: usize) -> String {
        let template = self.template(payload);
        let (request, answer) = (template.request.bytes.len(), template.answer.bytes.len());
        match self {
            Self::Dubbo | Self::Bolt => {
                format!("requests of {request} octets, answers of {answer}")
            }
            Self::Http1 | Self::Grpc => format!("bodies of {answer} octets both ways"),
        }
    }

    /// The octets of the frame that begins `bytes`, once they can be known. A frame is a whole
    /// message, with HTTP/2 one of its frames or the client's preface.
    pub(crate) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        match bytes {
            [] | [b'P'] => Ok(None),
            [dubbo::FIRST, ..] => dubbo::length(bytes),
            [bolt::FIRST, ..] => bolt::length(bytes),
            [b'P', b'R', ..] | [http2::FIRST, ..] => http2::length(bytes),
            [b'P' | b'H', ..] => http1::length(bytes),
            _ => Err(Garbled("neither Dubbo, Bolt v1, HTTP/1.1 nor HTTP/2")),
        }
    }
}

/// At most the first 120 octets as text, for a message.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control())
        .take(120)
        .collect()
}

/// The octet at `index`, zero beyond the end.
fn at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;

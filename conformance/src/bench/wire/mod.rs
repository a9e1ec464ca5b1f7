//! The bytes of the benchmark's calls, written here and not with the gateway's codecs: what is
//! measured must not judge itself.

mod bolt;
mod dubbo;

use std::ops::Range;

/// The protocol of a benchmark's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wire {
    /// Dubbo2 with a hessian2 body, as a Dubbo 3.3 consumer writes it.
    Dubbo,
    /// SOFABolt v1 with a SOFARPC header map and a Hessian 3.x body.
    Bolt,
}

/// Characters of the mark that starts every argument and makes each call's bytes unlike any other's.
const MARK: usize = 16;

/// Why bytes are not what this benchmark understands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbled(pub(crate) &'static str);

/// What a frame on the caller's side is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The answer to the call with this id.
    Answer(u64),
    /// A heartbeat that wants an answer; [`Wire::serve`] writes it.
    Heartbeat,
    /// Anything else, such as a read-only event: nothing is owed.
    Notice,
}

/// A call and the one answer to it that is right, both but for id and mark.
pub(crate) struct Template {
    request: Stencil,
    answer: Stencil,
}

impl Template {
    /// Appends the call with this id and mark.
    pub(crate) fn call(&self, id: u64, mark: u64, out: &mut Vec<u8>) {
        self.request.stamp(id, mark, out);
    }

    /// Whether `frame` is, byte for byte, the answer to the call with this id and mark.
    pub(crate) fn answered_by(&self, frame: &[u8], id: u64, mark: u64) -> bool {
        self.answer.equals(frame, id, mark)
    }

    /// Octets of one request and of one answer.
    pub(crate) const fn sizes(&self) -> (usize, usize) {
        (self.request.bytes.len(), self.answer.bytes.len())
    }
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

impl Wire {
    /// The call `echo(String)` with an argument of `payload` octets and the answer it must get.
    pub(crate) fn template(self, payload: usize) -> Template {
        match self {
            Self::Dubbo => dubbo::template(payload),
            Self::Bolt => bolt::template(payload),
        }
    }

    /// The id of a connection's first call. Connections share four starts, so that ids of different
    /// callers collide as those of real processes do; Bolt's wrap within a run.
    pub(crate) const fn first_id(self, connection: usize) -> u64 {
        let start = (connection % 4) as u64 * 1000;
        match self {
            Self::Dubbo => 0xff53_a6db_a3fd_0900_u64.wrapping_add(start),
            Self::Bolt => 0xffff_f000 + start,
        }
    }

    /// The id that `sequence` calls after `first` have, in this protocol's width.
    pub(crate) const fn nth_id(self, first: u64, sequence: u64) -> u64 {
        match self {
            Self::Dubbo => first.wrapping_add(sequence),
            Self::Bolt => first.wrapping_add(sequence) & 0xffff_ffff,
        }
    }

    /// The octets of the frame that begins `bytes`, once they can be known.
    pub(crate) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
        match bytes.first() {
            None => Ok(None),
            Some(0xda) => dubbo::length(bytes),
            Some(1) => bolt::length(bytes),
            Some(_) => Err(Garbled("neither Dubbo nor Bolt v1")),
        }
    }

    /// What a whole frame is to a caller.
    pub(crate) fn see(frame: &[u8]) -> Seen {
        match frame.first() {
            Some(0xda) => dubbo::see(frame),
            _ => bolt::see(frame),
        }
    }

    /// Does what a server owes for a whole frame: an echo, a heartbeat's answer or nothing.
    pub(crate) fn serve(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
        match frame.first() {
            Some(0xda) => dubbo::serve(frame, out),
            _ => bolt::serve(frame, out),
        }
    }

    /// Whether a whole answer says that the call succeeded.
    pub(crate) fn succeeded(frame: &[u8]) -> bool {
        match frame.first() {
            Some(0xda) => at(frame, 3) == 20 && matches!(at(frame, 16), 0x91 | 0x94),
            _ => at(frame, 10) == 0 && at(frame, 11) == 0,
        }
    }

    /// The status in an answer and what text it carries, for a message.
    pub(crate) fn describe(frame: &[u8]) -> String {
        let (status, text) = match frame.first() {
            Some(0xda) => (u16::from(at(frame, 3)), frame.get(16..)),
            _ => (
                u16::from_be_bytes([at(frame, 10), at(frame, 11)]),
                frame.get(20..),
            ),
        };
        let text: String = String::from_utf8_lossy(text.unwrap_or_default())
            .chars()
            .filter(|c| !c.is_control())
            .take(120)
            .collect();
        format!("status {status}: {text}")
    }
}

/// The octet at `index`, zero beyond the end.
fn at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;

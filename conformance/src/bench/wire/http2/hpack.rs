//! Header compression (RFC 7541): a writer that uses the table as gRPC's own clients do, and a reader
//! that keeps the peer's table and looks at statuses only.

use super::{Garbled, huffman};
use std::collections::VecDeque;

/// Octets of a table that nobody has changed, and what an entry counts beside its text.
const TABLE: usize = 4096;
const OVERHEAD: usize = 32;
/// Entries of the static table, and those of it that say `:status`.
const STATIC: usize = 61;
const STATUSES: [&[u8]; 7] = [b"200", b"204", b"206", b"304", b"400", b"404", b"500"];
const FIRST_STATUS: usize = 8;

/// Writes the same fields again and again: whole at first, by their places in the table later.
#[derive(Default)]
pub(super) struct Writer {
    /// Fields in the peer's table; field n was the n-th to be entered.
    known: usize,
    /// The peer keeps no table, or a small one: everything is written whole.
    whole: bool,
    /// The peer has yet to be told that its wish for a small table was heard.
    owed: bool,
}

impl Writer {
    /// Obeys the peer's limit of the table.
    pub(super) const fn limit(&mut self, size: u32) {
        if (size as usize) < TABLE {
            *self = Self {
                known: 0,
                whole: true,
                owed: true,
            };
        }
    }

    /// Appends the fields with the numbers from `first` on; the numbers of a connection's fields go
    /// on without a gap.
    pub(super) fn fields(&mut self, first: usize, fields: &[(&str, &str)], out: &mut Vec<u8>) {
        if std::mem::take(&mut self.owed) {
            out.push(0x20);
        }
        for (at, (name, value)) in fields.iter().enumerate() {
            if first + at < self.known {
                out.push(0x80 | (STATIC + self.known - (first + at)) as u8);
                continue;
            }
            out.push(if self.whole { 0 } else { 0x40 });
            self.known += usize::from(!self.whole);
            for text in [name, value] {
                // Shorter than 127 octets, all of them.
                out.push(text.len() as u8);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// What an answer's header block says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) status: Option<Vec<u8>>,
    pub(super) grpc_status: Option<Vec<u8>>,
    pub(super) grpc_message: Option<Vec<u8>>,
}

/// The fields that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Status,
    GrpcStatus,
    GrpcMessage,
    Other,
}

impl Name {
    fn of(text: &[u8]) -> Self {
        match text {
            b":status" => Self::Status,
            b"grpc-status" => Self::GrpcStatus,
            b"grpc-message" => Self::GrpcMessage,
            _ => Self::Other,
        }
    }
}

/// An entry of the peer's table; the value of a field that is looked at.
struct Entry {
    name: Name,
    name_length: usize,
    value: Vec<u8>,
    size: usize,
}

/// The peer's table, latest entry first.
pub(super) struct Reader {
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: TABLE,
        }
    }
}

impl Reader {
    /// Reads a whole block.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Result<Fields, Garbled> {
        let mut fields = Fields::default();
        while let Some(first) = block.first().copied() {
            match first {
                0x80.. => {
                    let place = integer(&mut block, 7)?;
                    self.indexed(place, &mut fields)?;
                }
                0x40.. => {
                    let (name, name_length) = self.name(&mut block, 6)?;
                    let value = string(&mut block)?.decoded()?;
                    let size = name_length + value.len() + OVERHEAD;
                    fields.set(name, || value.clone());
                    self.enter(Entry {
                        name,
                        name_length,
                        value,
                        size,
                    });
                }
                0x20.. => {
                    self.limit = integer(&mut block, 5)?.min(TABLE);
                    self.shrink(0);
                }
                _ => {
                    let (name, _) = self.name(&mut block, 4)?;
                    let value = string(&mut block)?;
                    if name != Name::Other {
                        let value = value.decoded()?;
                        fields.set(name, || value);
                    }
                }
            }
        }
        Ok(fields)
    }

    fn indexed(&self, place: usize, fields: &mut Fields) -> Result<(), Garbled> {
        if place > STATIC {
            let entry = self.entry(place)?;
            fields.set(entry.name, || entry.value.clone());
        } else if let Some(status) = place
            .checked_sub(FIRST_STATUS)
            .and_then(|at| STATUSES.get(at))
        {
            fields.set(Name::Status, || status.to_vec());
        }
        Ok(())
    }

    /// The name of a literal field, and the octets of it if they will count in the table.
    fn name(&self, block: &mut &[u8], bits: u32) -> Result<(Name, usize), Garbled> {
        match integer(block, bits)? {
            0 => {
                let text = string(block)?.decoded()?;
                Ok((Name::of(&text), text.len()))
            }
            place if place > STATIC => {
                let entry = self.entry(place)?;
                Ok((entry.name, entry.name_length))
            }
            place => {
                let is_status = (FIRST_STATUS..FIRST_STATUS + STATUSES.len()).contains(&place);
                let name = if is_status { Name::Status } else { Name::Other };
                let length = STATIC_NAMES.get(place).copied().unwrap_or(0);
                Ok((name, length.into()))
            }
        }
    }

    fn entry(&self, place: usize) -> Result<&Entry, Garbled> {
        self.entries
            .get(place - STATIC - 1)
            .ok_or(Garbled("a place beyond the table"))
    }

    fn enter(&mut self, entry: Entry) {
        self.shrink(entry.size);
        if entry.size <= self.limit {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    /// Makes room for an entry.
    fn shrink(&mut self, room: usize) {
        while self.size + room > self.limit {
            let Some(oldest) = self.entries.pop_back() else {
                break;
            };
            self.size -= oldest.size;
        }
    }
}

impl Fields {
    fn set(&mut self, name: Name, value: impl FnOnce() -> Vec<u8>) {
        match name {
            Name::Status => self.status = Some(value()),
            Name::GrpcStatus => self.grpc_status = Some(value()),
            Name::GrpcMessage => self.grpc_message = Some(value()),
            Name::Other => {}
        }
    }
}

/// Octets of the static table's names (appendix A), by place; they count when a field that has its
/// name from there is entered.
const STATIC_NAMES: [u8; STATIC + 1] = [
    0, 10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16,
    14, 16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6,
    10, 25, 17, 10, 4, 3, 16,
];

/// A text as it was sent.
struct Text<'b> {
    huffman: bool,
    octets: &'b [u8],
}

impl Text<'_> {
    fn decoded(&self) -> Result<Vec<u8>, Garbled> {
        if self.huffman {
            huffman::decode(self.octets).ok_or(Garbled("not the code of a header's text"))
        } else {
            Ok(self.octets.to_vec())
        }
    }
}

/// Takes an integer whose first octet has room for `bits` bits of it (5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Garbled> {
    const SHORT: Garbled = Garbled("half a header block");
    let mask = (1 << bits) - 1;
    let (first, rest) = block.split_first().ok_or(SHORT)?;
    *block = rest;
    let mut value = usize::from(*first) & mask;
    if value < mask {
        return Ok(value);
    }
    for shift in [0, 7, 14] {
        let (octet, rest) = block.split_first().ok_or(SHORT)?;
        *block = rest;
        value += usize::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Garbled("a number that no header block has"))
}

/// Takes a text (5.2).
fn string<'b>(block: &mut &'b [u8]) -> Result<Text<'b>, Garbled> {
    let huffman = block.first().is_some_and(|octet| octet & 0x80 != 0);
    let length = integer(block, 7)?;
    let (octets, rest) = block
        .split_at_checked(length)
        .ok_or(Garbled("a text beyond its block"))?;
    *block = rest;
    Ok(Text { huffman, octets })
}

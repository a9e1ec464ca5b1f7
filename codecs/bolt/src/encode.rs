//! Writing a frame again under another id, and with header map entries changed.

use bytes::Bytes;
use crossdock_framework::{
    codec::CannotEdit,
    edits::{Edits, Effect},
    frame::{Frame, WireId},
    out::Out,
};

use crate::{
    head::{CRC_LEN, Head, MAX_SHORT},
    header_map::{Entry, HeaderMap, Sink, put_entry, text},
    view,
};

pub(crate) fn encode(
    frame: &Frame<Head>,
    patch: &Patch,
    edits: &Edits,
    out: &mut Out,
) -> Result<(), CannotEdit> {
    let rewrite = match edits.is_empty() {
        true => None,
        false => Rewrite::of(frame, edits)?,
    };
    match rewrite {
        Some(rewrite) => rewrite.write(frame, patch, out),
        None => renumber(frame, patch, out),
    }
    Ok(())
}

/// The octets of the fixed header that differ, from the id on: the id alone, or everything up to the
/// timeout.
pub(crate) struct Patch {
    octets: [u8; 10],
    len: usize,
}

impl Patch {
    /// Another id.
    pub(crate) fn id(id: WireId) -> Self {
        let mut octets = [0; 10];
        let id = wire_id(id);
        octets[..id.len()].copy_from_slice(&id);
        let len = id.len();
        Self { octets, len }
    }

    /// Another id and another timeout, in ms, of a request.
    pub(crate) fn timeout(head: &Head, id: WireId, timeout: i32) -> Self {
        let mut patch = Self::id(id);
        let timeout = timeout.to_be_bytes();
        let between: &[u8] = match head.dialect.has_switch() {
            true => &[head.codec, head.switch],
            false => &[head.codec],
        };
        for octet in between.iter().chain(&timeout) {
            if let Some(place) = patch.octets.get_mut(patch.len) {
                *place = *octet;
                patch.len += 1;
            }
        }
        patch
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// The low 32 bits are what Bolt carries.
pub(crate) fn wire_id(id: WireId) -> [u8; 4] {
    let [.., a, b, c, d] = id.0.to_be_bytes();
    [a, b, c, d]
}

/// Copies the frame but for what differs. Small frames go into the batch, large ones are shared.
fn renumber(frame: &Frame<Head>, patch: &Patch, out: &mut Out) {
    let at = frame.head.dialect.id_at();
    let patch = patch.octets();
    if !frame.head.has_crc() {
        out.patched(&frame.bytes, at, patch);
        return;
    }
    let covered = frame.bytes.len().saturating_sub(CRC_LEN);
    let parts = (
        frame.bytes.get(..at),
        frame.bytes.get(at + patch.len()..covered),
    );
    let (Some(before), Some(after)) = parts else {
        // A header alone, or less: there is no checksum to keep right.
        out.patched(&frame.bytes, at, patch);
        return;
    };
    let mut crc = crc32fast::Hasher::new();
    crc.update(before);
    crc.update(patch);
    crc.update(after);
    out.patched(&frame.bytes.slice(..covered), at, patch);
    out.copy(&crc.finalize().to_be_bytes());
}

/// The header map as it will be.
struct Rewrite<'e> {
    /// What becomes of each name that is changed. Few: a route edits a handful of headers.
    changes: Vec<Change<'e>>,
    header_len: u16,
}

struct Change<'e> {
    name: &'e str,
    /// The new value; `None` takes the entries away.
    value: Option<String>,
    /// How many entries have this name.
    present: usize,
}

impl<'e> Rewrite<'e> {
    /// `None` when the edits change nothing.
    fn of(frame: &Frame<Head>, edits: &'e Edits) -> Result<Option<Self>, CannotEdit> {
        let map = header_map(frame)?;
        let mut changes = Vec::new();
        for name in edits.names() {
            if view::is_derived(name) {
                return Err(CannotEdit("a word that Bolt derives cannot be changed"));
            }
            let value = match edits.effect(name, map.get(name).map(text).as_deref()) {
                Effect::Keep => continue,
                Effect::Remove => None,
                Effect::Become(value) => Some(value),
            };
            let present = entries(map).filter(|entry| entry.is_named(name)).count();
            changes.push(Change {
                name,
                value,
                present,
            });
        }
        if changes.is_empty() {
            return Ok(None);
        }
        let mut rewrite = Self {
            changes,
            header_len: 0,
        };
        let mut counter = Counter(0);
        rewrite.put_map(map, &mut counter);
        rewrite.header_len = u16::try_from(counter.0)
            .ok()
            .filter(|len| *len <= MAX_SHORT)
            .ok_or(CannotEdit("the header map would grow over 32767 octets"))?;
        Ok(Some(rewrite))
    }

    /// Writes the map: entries that are not touched as they came, a changed value at the place of
    /// the first entry of its name, and new names, which stand in lower case, at the end.
    fn put_map(&self, map: HeaderMap<'_>, to: &mut impl Sink) {
        let mut written = vec![false; self.changes.len()];
        for entry in entries(map) {
            let touched = (self.changes.iter().zip(&mut written))
                .find(|(change, _)| entry.is_named(change.name));
            let Some((change, written)) = touched else {
                to.put(entry.raw);
                continue;
            };
            if let (Some(key), Some(value), false) = (entry.key, &change.value, *written) {
                put_entry(to, key, value.as_bytes());
                *written = true;
            }
        }
        for change in self.changes.iter().filter(|change| change.present == 0) {
            if let Some(value) = &change.value {
                put_entry(to, change.name.as_bytes(), value.as_bytes());
            }
        }
    }

    fn write(&self, frame: &Frame<Head>, patch: &Patch, out: &mut Out) {
        let (head, bytes) = (&frame.head, &frame.bytes);
        let id_at = head.dialect.id_at();
        let len_at = head.header_len_at();
        let mut sink = Summed {
            crc: head.has_crc().then(crc32fast::Hasher::new),
            out,
        };
        sink.put(part(bytes, 0..id_at));
        sink.put(patch.octets());
        sink.put(part(bytes, id_at + patch.octets().len()..len_at));
        sink.put(&self.header_len.to_be_bytes());
        sink.put(part(bytes, len_at + 2..head.header_range().start));
        self.put_map(HeaderMap::new(part(bytes, head.header_range())), &mut sink);
        sink.share(bytes.slice(head.content_range()));
        sink.finish();
    }
}

/// The header map of a whole frame, every entry of which can be read.
fn header_map(frame: &Frame<Head>) -> Result<HeaderMap<'_>, CannotEdit> {
    let block = frame.bytes.get(frame.head.header_range());
    let whole = frame.bytes.get(frame.head.content_range()).is_some();
    let map = HeaderMap::new(block.filter(|_| whole).ok_or(CannotEdit("half a frame"))?);
    match map.entries().all(|entry| entry.is_ok()) {
        true => Ok(map),
        false => Err(CannotEdit("the header block is no map")),
    }
}

fn entries(map: HeaderMap<'_>) -> impl Iterator<Item = Entry<'_>> {
    map.entries().map_while(Result::ok)
}

fn part(bytes: &Bytes, range: std::ops::Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

/// Counts what a map takes.
struct Counter(usize);

impl Sink for Counter {
    fn put(&mut self, octets: &[u8]) {
        self.0 += octets.len();
    }
}

/// Sums what it writes.
struct Summed<'o> {
    crc: Option<crc32fast::Hasher>,
    out: &'o mut Out,
}

impl Sink for Summed<'_> {
    fn put(&mut self, octets: &[u8]) {
        if let Some(crc) = &mut self.crc {
            crc.update(octets);
        }
        self.out.copy(octets);
    }
}

impl Summed<'_> {
    fn share(&mut self, bytes: Bytes) {
        if let Some(crc) = &mut self.crc {
            crc.update(&bytes);
        }
        self.out.share(bytes);
    }

    fn finish(self) {
        if let Some(crc) = self.crc {
            self.out.copy(&crc.finalize().to_be_bytes());
        }
    }
}

//! What is noted of a request: its first strings, and where its attachments stand. Only what is plain
//! is noted; anything else is read again.

use crossdock_framework::notes::{Lengths, NOTES, Notes, Span};

use crate::{
    head::Serialization,
    plain::{self, Ascii, Found, Strings},
};

/// 1 when the strings have been noted.
const STRINGS: usize = 0;
/// The four strings, from the start of the body.
const TEXTS: usize = 1;
/// Where the value behind the strings stands.
const REST: usize = 5;
/// Where the attachments stand, and one.
const ATTACHMENTS: usize = 6;
/// How many attachments have been noted, and one; [`TOO_MANY`] when they cannot be.
const COUNT: usize = 7;
/// The lengths of their keys.
const LENGTHS: usize = 8;
/// Keys and values by turns, from the start of the attachments.
const ENTRIES: usize = 9;

/// A string that is null. None that is plain is so long.
const NULL: u32 = u32::MAX;
const TOO_MANY: u32 = u32::MAX;

/// The strings that begin a call, if they are plain.
pub(crate) fn strings<'f>(
    serialization: Serialization,
    body: &'f [u8],
    notes: &Notes,
) -> Option<Strings<'f>> {
    if notes.get(STRINGS) == 0 {
        let strings = plain::strings(serialization, body)?;
        note_strings(&strings, body, notes);
        return Some(strings);
    }
    let mut texts = [None; 4];
    for (at, text) in texts.iter_mut().enumerate() {
        *text = match notes.get(TEXTS + at) {
            NULL => None,
            note => Some(Ascii::known(Span::unpack(note).of(body)?)),
        };
    }
    let rest = notes.get(REST) as usize;
    Some(Strings { texts, rest })
}

fn note_strings(strings: &Strings<'_>, body: &[u8], notes: &Notes) {
    for (at, text) in strings.texts.iter().enumerate() {
        let note = match text {
            None => Some(NULL),
            Some(text) => span(text.octets(), body).pack(),
        };
        let Some(note) = note else { return };
        notes.set(TEXTS + at, note);
    }
    if let Ok(rest) = u32::try_from(strings.rest) {
        notes.set(REST, rest);
        notes.set(STRINGS, 1);
    }
}

/// Where the attachments stand in the body, which `find` tells.
pub(crate) fn attachments_at(notes: &Notes, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
    match notes.get(ATTACHMENTS) {
        0 => {
            let at = find()?;
            let note = u32::try_from(at).ok().and_then(|at| at.checked_add(1));
            notes.set(ATTACHMENTS, note.unwrap_or(0));
            Some(at)
        }
        note => Some(note as usize - 1),
    }
}

/// Whether it is known that no attachment has a name of this length.
#[inline]
pub(crate) fn lacks(name: &str, notes: &Notes) -> bool {
    !matches!(notes.get(COUNT), 0 | TOO_MANY) && !Lengths(notes.get(LENGTHS)).may_have(name.len())
}

/// Looks for an attachment in the map at the start of `map`.
pub(crate) fn find<'f>(
    serialization: Serialization,
    map: &'f [u8],
    name: &str,
    notes: &Notes,
) -> Found<'f> {
    if notes.get(COUNT) == 0 {
        notes.set(COUNT, note_entries(serialization, map, notes));
    }
    let count = notes.get(COUNT);
    if count == TOO_MANY {
        return plain::find(serialization, map, name);
    }
    if lacks(name, notes) {
        return Found::Absent;
    }
    let mut found = Found::Absent;
    for entry in 0..count as usize - 1 {
        let key = Span::unpack(notes.get(ENTRIES + 2 * entry));
        if key.len != name.len() {
            continue;
        }
        let named = |key: &[u8]| key.eq_ignore_ascii_case(name.as_bytes());
        if key.of(map).is_some_and(named) {
            let value = Span::unpack(notes.get(ENTRIES + 2 * entry + 1));
            found = value
                .of(map)
                .map_or(Found::Unknown, |value| Found::Value(Ascii::known(value)));
        }
    }
    found
}

fn note_entries(serialization: Serialization, map: &[u8], notes: &Notes) -> u32 {
    let (mut next, mut fits, mut lengths) = (ENTRIES, true, Lengths::default());
    let whole = plain::entries(serialization, map, |key, value| {
        lengths.add(key.octets().len());
        for text in [key, value] {
            match span(text.octets(), map).pack() {
                Some(note) if next < NOTES => notes.set(next, note),
                _ => fits = false,
            }
            next += 1;
        }
    });
    match whole {
        Some(()) if fits => {
            notes.set(LENGTHS, lengths.0);
            ((next - ENTRIES) / 2 + 1) as u32
        }
        _ => TOO_MANY,
    }
}

/// Where `part` stands in `whole`, which it is a part of.
fn span(part: &[u8], whole: &[u8]) -> Span {
    Span {
        at: (part.as_ptr().addr()).wrapping_sub(whole.as_ptr().addr()),
        len: part.len(),
    }
}

//! What is noted of a frame: where the entries of its header map stand, and which of them name the
//! service and the method. A map with too many entries is read again each time.

use crossdock_framework::notes::{Lengths, NOTES, Notes, Span};

use crate::{
    header_map::HeaderMap,
    sofa::{Named, Target},
};

/// How many entries have been noted, and one; [`TOO_MANY`] when they cannot be.
const COUNT: usize = 0;
/// The service's unique name, from the start of the header map.
const SERVICE: usize = 1;
/// The method.
const METHOD: usize = 2;
/// 1 when service and method have been noted.
const NAMES: usize = 3;
/// The lengths of the keys.
const LENGTHS: usize = 4;
/// Keys and values by turns.
const ENTRIES: usize = 5;

const TOO_MANY: u32 = u32::MAX;
/// There is no such name. Empty ones are none either, so nothing that is there has this span.
const NONE: u32 = 0;

/// The names of service and method in a header map.
pub(crate) fn target<'f>(block: &'f [u8], notes: &Notes) -> Target<'f> {
    if notes.get(NAMES) == 1 {
        let name = |at| match notes.get(at) {
            NONE => None,
            note => Span::unpack(note).of(block),
        };
        return Target::named(name(SERVICE), name(METHOD));
    }
    let named = Named::of_headers(HeaderMap::new(block));
    let note = |name: Option<&[u8]>| match name {
        Some(name) => span(name, block).pack(),
        None => Some(NONE),
    };
    if let (Some(service), Some(method)) = (note(named.service()), note(named.method)) {
        notes.set(SERVICE, service);
        notes.set(METHOD, method);
        notes.set(NAMES, 1);
    }
    Target::named(named.service(), named.method)
}

/// The value of the last entry whose key is `name`, ignoring ASCII case.
pub(crate) fn find<'f>(block: &'f [u8], name: &str, notes: &Notes) -> Option<&'f [u8]> {
    if !noted(block, notes) {
        return HeaderMap::new(block).get(name);
    }
    if !Lengths(notes.get(LENGTHS)).may_have(name.len()) {
        return None;
    }
    let mut found = None;
    for entry in 0..notes.get(COUNT) as usize - 1 {
        let key = Span::unpack(notes.get(ENTRIES + 2 * entry));
        if key.len != name.len() {
            continue;
        }
        let named = |key: &[u8]| key.eq_ignore_ascii_case(name.as_bytes());
        if key.of(block).is_some_and(named) {
            found = Span::unpack(notes.get(ENTRIES + 2 * entry + 1)).of(block);
        }
    }
    found
}

/// Whether the map has been noted, which is tried now if it was not before.
fn noted(block: &[u8], notes: &Notes) -> bool {
    if notes.get(COUNT) == 0 {
        let count = note(block, notes);
        notes.set(COUNT, count.unwrap_or(TOO_MANY));
    }
    notes.get(COUNT) != TOO_MANY
}

/// Notes the map; `None` when it is malformed or has too many entries.
fn note(block: &[u8], notes: &Notes) -> Option<u32> {
    let (mut lengths, mut next) = (Lengths::default(), ENTRIES);
    for entry in HeaderMap::new(block).entries() {
        let entry = entry.ok()?;
        // Java ignores the others.
        if let (Some(key), Some(value)) = (entry.key, entry.value) {
            lengths.add(key.len());
            for part in [key, value] {
                notes.set(next, span(part, block).pack().filter(|_| next < NOTES)?);
                next += 1;
            }
        }
    }
    notes.set(LENGTHS, lengths.0);
    u32::try_from((next - ENTRIES) / 2 + 1).ok()
}

/// Where `part` stands in `whole`, which it is a part of.
fn span(part: &[u8], whole: &[u8]) -> Span {
    Span {
        at: part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr()),
        len: part.len(),
    }
}

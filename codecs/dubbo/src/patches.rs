//! Which octets of a body an edit replaces.
//!
//! Strings take no part in the numbering of classes, types and references, so a string can be
//! added, replaced or cut out without touching anything else. Lists, maps and objects do take part
//! and stay where they are: an edit that would remove one is refused.

use std::ops::Range;

use crossdock_framework::{
    codec::CannotEdit,
    edits::{Edits, Effect},
    frame::{Frame, Head as _, Kind},
    notes::Notes,
};
use crossdock_hessian::{Grammar, Writer};

use crate::{
    body::{Entry, Values},
    call::Call,
    head::{HEADER_LEN, Head, Serialization},
    jsonb, reply,
};

const OPAQUE: CannotEdit = CannotEdit("the serialization of the message is not read");
const UNREADABLE: CannotEdit = CannotEdit("the body of the message cannot be read");
const NO_ATTACHMENTS: CannotEdit = CannotEdit("the response carries no attachments");
const CONTAINER: CannotEdit = CannotEdit("the attachment is an object that others may refer to");
const TWICE: CannotEdit = CannotEdit("two edits change the same attachment");
const NOT_AN_ATTACHMENT: CannotEdit = CannotEdit("only attachments of a Dubbo message can change");

/// Room made at once for the attachments of a message; more cost another allocation.
const USUAL_ENTRIES: usize = 16;

/// Room made at once for new octets.
const USUAL_GROWTH: usize = 128;

/// Replacements in a body, from its start to its end.
#[derive(Debug, Default)]
pub(crate) struct Patches {
    list: Vec<Patch>,
    /// The new octets of all of them.
    fresh: Vec<u8>,
}

#[derive(Debug)]
struct Patch {
    /// Octets of the old body that go.
    at: Range<usize>,
    /// Octets of [`Patches::fresh`] that come.
    with: Range<usize>,
}

impl Patches {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What the length `old` becomes, of the body or of a part that holds every patch.
    pub(crate) fn length_of(&self, old: usize) -> usize {
        let gone: usize = self.list.iter().map(|patch| patch.at.len()).sum();
        old + self.fresh.len() - gone
    }

    /// The replaced range and its new octets, one after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Range<usize>, &[u8])> {
        self.list.iter().map(|patch| {
            let fresh = self.fresh.get(patch.with.clone());
            (&patch.at, fresh.unwrap_or_default())
        })
    }

    fn replace(&mut self, at: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.fresh.len();
        write(&mut self.fresh);
        let with = start..self.fresh.len();
        self.list.push(Patch { at, with });
    }

    fn sort(&mut self) -> Result<(), CannotEdit> {
        self.list.sort_by_key(|patch| patch.at.start);
        let overlap = |pair: &[Patch]| match pair {
            [one, other] => one.at.end > other.at.start,
            _ => false,
        };
        match self.list.windows(2).any(overlap) {
            true => Err(TWICE),
            false => Ok(()),
        }
    }
}

/// The patches that carry out `edits` on the attachments of a call or a response.
pub(crate) fn plan(frame: &Frame<Head>, edits: &Edits) -> Result<Patches, CannotEdit> {
    let body = frame.bytes.get(HEADER_LEN..).unwrap_or_default();
    let serialization = frame.head.serialization();
    let map = Map::read(find_map(frame.head, body)?)?;
    let mut plan = Plan {
        serialization,
        patches: Patches {
            list: Vec::with_capacity(edits.iter().len() + 2),
            fresh: Vec::with_capacity(USUAL_GROWTH),
        },
        added: Vec::with_capacity(USUAL_GROWTH),
    };
    for name in edits.names() {
        let attachment = attachment_of(name)?;
        let current = map.named(attachment).last();
        let current = current.and_then(|last| last.value.to_cow());
        match edits.effect(name, current.as_deref()) {
            Effect::Keep => {}
            Effect::Remove => plan.remove(map.named(attachment))?,
            Effect::Become(value) => plan.set(attachment, &value, &map)?,
        }
    }
    plan.finish(&map)
}

/// The attachments of a message.
struct Map<'f> {
    entries: Vec<Entry<'f>>,
    /// Where in the body the value begins that is the map.
    start: usize,
    /// Where the end octet stands; `None` when there is null instead of a map.
    end: Option<usize>,
    /// Where the value ends.
    past: usize,
}

impl<'f> Map<'f> {
    fn read(mut values: Values<'f>) -> Result<Self, CannotEdit> {
        let start = values.pos();
        let mut list = Vec::with_capacity(USUAL_ENTRIES);
        let mut end = None;
        if let Some(mut entries) = values.map().map_err(|_| UNREADABLE)? {
            while let Some(entry) = entries.next().map_err(|_| UNREADABLE)? {
                list.push(entry);
            }
            end = Some(entries.pos() - 1);
        }
        Ok(Self {
            entries: list,
            start,
            end,
            past: values.pos(),
        })
    }

    /// Every entry of this name, ASCII letters compared without case.
    fn named(&self, name: &str) -> impl DoubleEndedIterator<Item = &Entry<'f>> {
        self.entries
            .iter()
            .filter(move |entry| entry.key.is_some_and(|key| key.eq_ignore_ascii_case(name)))
    }
}

/// The values of a body at its attachments.
fn find_map(head: Head, body: &[u8]) -> Result<Values<'_>, CannotEdit> {
    if head.kind() == Kind::Response {
        return match reply::attachments(head, body) {
            Some(values) => values.map_err(|_| UNREADABLE),
            None => Err(NO_ATTACHMENTS),
        };
    }
    let call = Call::read(head.serialization(), body, &Notes::default()).ok_or(OPAQUE)?;
    let call = call.map_err(|_| UNREADABLE)?;
    match call.attachments(head.serialization(), body) {
        Some(Ok((_, values))) => Ok(values),
        _ => Err(UNREADABLE),
    }
}

/// The attachment that holds the header `name`.
fn attachment_of(name: &str) -> Result<&str, CannotEdit> {
    match name {
        "x-dubbo-group" => Ok("group"),
        "x-dubbo-generic" | "x-dubbo-version" | "x-dubbo-serialization" | "host" => {
            Err(NOT_AN_ATTACHMENT)
        }
        pseudo if pseudo.starts_with(':') => Err(NOT_AN_ATTACHMENT),
        name => Ok(name),
    }
}

/// Patches as they are put together.
struct Plan {
    serialization: Serialization,
    patches: Patches,
    /// New entries, key and value in turn.
    added: Vec<u8>,
}

impl Plan {
    fn remove<'a, 'f: 'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry<'f>>,
    ) -> Result<(), CannotEdit> {
        for entry in entries {
            if !entry.loose {
                return Err(CONTAINER);
            }
            self.patches.replace(entry.span.clone(), |_| {});
        }
        Ok(())
    }

    /// Leaves one entry of the name, with this value. It keeps the spelling of its key: the
    /// service may ask for it by that.
    fn set(&mut self, name: &str, value: &str, map: &Map<'_>) -> Result<(), CannotEdit> {
        let mut entries = map.named(name);
        let last = entries.next_back();
        self.remove(entries)?;
        let serialization = self.serialization;
        match last {
            Some(last) if last.loose => {
                self.patches.replace(last.value_at..last.span.end, |out| {
                    write_string(serialization, out, value);
                });
            }
            // The object stays in its place and is overridden: of two equal keys the last counts.
            Some(last) => {
                let key = last.key.ok_or(CONTAINER)?.to_cow();
                self.add(&key, value);
            }
            None => self.add(name, value),
        }
        Ok(())
    }

    fn add(&mut self, key: &str, value: &str) {
        write_string(self.serialization, &mut self.added, key);
        write_string(self.serialization, &mut self.added, value);
    }

    /// Puts the new entries at the end of the map, and the length of the map right.
    fn finish(mut self, map: &Map<'_>) -> Result<Patches, CannotEdit> {
        let fast = self.serialization == Serialization::FASTJSON2;
        match (map.end, self.added.is_empty()) {
            (_, true) => {}
            (Some(end), false) => self
                .patches
                .replace(end..end, |out| out.extend(&self.added)),
            // Null becomes a map.
            (None, false) => self.patches.replace(map.past - 1..map.past, |out| {
                let [first, last] = if fast {
                    [jsonb::OBJECT, jsonb::END]
                } else {
                    *b"HZ"
                };
                out.push(first);
                out.extend(&self.added);
                out.push(last);
            }),
        }
        if fast && !self.patches.is_empty() {
            let length = self
                .patches
                .length_of(map.past.saturating_sub(map.start + 4));
            let length = u32::try_from(length).map_err(|_| UNREADABLE)?;
            self.patches.replace(map.start..map.start + 4, |out| {
                out.extend(length.to_be_bytes());
            });
        }
        self.patches.sort()?;
        Ok(self.patches)
    }
}

fn write_string(serialization: Serialization, out: &mut Vec<u8>, text: &str) {
    match serialization {
        Serialization::FASTJSON2 => jsonb::write_string(out, text),
        _ => Writer::new(out, Grammar::V2).string(text),
    }
}

#[cfg(test)]
mod tests;

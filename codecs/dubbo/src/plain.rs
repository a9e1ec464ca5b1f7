//! The common case, read without a walker: strings of ASCII in one short chunk, and scalars.
//!
//! Nearly every name, attachment and small argument is one of these. Whoever meets anything else
//! starts over with [`Values`](crate::body::Values), which reads everything.

use std::borrow::Cow;

use crate::{head::Serialization, jsonb};

/// Octets that are all ASCII. They become a `str` only when one is asked for: checking each string
/// that is merely passed over would cost more than all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ascii<'f>(&'f [u8]);

impl<'f> Ascii<'f> {
    /// Octets that were found to be ASCII before.
    pub(crate) const fn known(octets: &'f [u8]) -> Self {
        Self(octets)
    }

    pub(crate) const fn octets(self) -> &'f [u8] {
        self.0
    }

    pub(crate) fn as_str(self) -> &'f str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

/// The name of something, checked only when it is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Name<'f> {
    Ascii(Ascii<'f>),
    Text(Cow<'f, str>),
}

impl Name<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Ascii(ascii) => ascii.as_str(),
            Self::Text(text) => text,
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Self::Ascii(ascii) => ascii.octets(),
            Self::Text(text) => text.as_bytes(),
        }
    }
}

/// A string of hessian2: one octet for each of its units, as they are ASCII.
#[inline]
pub(crate) fn hessian_text(octets: &[u8]) -> Option<(Ascii<'_>, &[u8])> {
    let (length, rest) = match *octets {
        [tag @ 0..=0x1f, ref rest @ ..] => (usize::from(tag), rest),
        [tag @ 0x30..=0x33, low, ref rest @ ..] => {
            (usize::from(tag - 0x30) << 8 | usize::from(low), rest)
        }
        _ => return None,
    };
    ascii(length, rest)
}

/// A string of JSONB.
#[inline]
fn jsonb_text(octets: &[u8]) -> Option<(Ascii<'_>, &[u8])> {
    match *octets {
        [tag @ 0x49..=0x78, ref rest @ ..] => ascii(usize::from(tag - 0x49), rest),
        _ => None,
    }
}

#[inline]
fn ascii(length: usize, octets: &[u8]) -> Option<(Ascii<'_>, &[u8])> {
    let (text, rest) = octets.split_at_checked(length)?;
    text.is_ascii().then_some((Ascii(text), rest))
}

/// Passes over a value of hessian2 that neither holds other values nor is counted by references.
pub(crate) fn skip_scalar(octets: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = octets.split_first()?;
    let after = match tag {
        0..=0x1f | 0x30..=0x33 => return hessian_text(octets).map(|(_, rest)| rest),
        b'F' | b'N' | b'T' | 0x5b | 0x5c | 0x80..=0xbf | 0xd8..=0xef => 0,
        0x5d | 0xc0..=0xcf | 0xf0..=0xff => 1,
        0x38..=0x3f | 0x5e | 0xd0..=0xd7 => 2,
        b'I' | b'K' | b'Y' | 0x5f => 4,
        b'D' | b'J' | b'L' => 8,
        0x20..=0x2f => usize::from(tag - 0x20),
        _ => return None,
    };
    rest.get(after..)
}

/// What a plain map says about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'f> {
    /// The value of the last entry of that name.
    Value(Ascii<'f>),
    /// There is no such entry.
    Absent,
    /// The map is not plain; ask the walker.
    Unknown,
}

/// Looks for `name` in the map at the start of `octets`, ASCII letters compared without case.
pub(crate) fn find<'f>(serialization: Serialization, octets: &'f [u8], name: &str) -> Found<'f> {
    let mut found = Found::Absent;
    let whole = entries(serialization, octets, |key, value| {
        if key.0.eq_ignore_ascii_case(name.as_bytes()) {
            found = Found::Value(value);
        }
    });
    whole.map_or(Found::Unknown, |()| found)
}

/// Shows every entry of the map at the start of `octets`; `None` when something is not plain.
pub(crate) fn entries<'f>(
    serialization: Serialization,
    octets: &'f [u8],
    each: impl FnMut(Ascii<'f>, Ascii<'f>),
) -> Option<()> {
    match serialization {
        Serialization::HESSIAN2 => walk(octets.strip_prefix(b"H")?, b'Z', hessian_text, each),
        Serialization::FASTJSON2 => {
            let (map, _) = prefixed(octets)?;
            let entries = map.strip_prefix(&[jsonb::OBJECT])?;
            walk(entries, jsonb::END, jsonb_text, each)
        }
        _ => None,
    }
}

#[inline]
fn walk<'f>(
    octets: &'f [u8],
    end: u8,
    split: impl Fn(&'f [u8]) -> Option<(Ascii<'f>, &'f [u8])>,
    mut each: impl FnMut(Ascii<'f>, Ascii<'f>),
) -> Option<()> {
    let mut rest = octets;
    while *rest.first()? != end {
        let (key, after) = split(rest)?;
        let (value, after) = split(after)?;
        each(key, value);
        rest = after;
    }
    Some(())
}

/// The first strings of a call, and where the next value stands; `None` in place of a string is
/// null.
pub(crate) struct Strings<'f> {
    pub(crate) texts: [Option<Ascii<'f>>; 4],
    pub(crate) rest: usize,
}

/// Reads the four strings that begin a call.
pub(crate) fn strings(serialization: Serialization, body: &[u8]) -> Option<Strings<'_>> {
    let mut texts = [None; 4];
    let mut rest = body;
    for text in &mut texts {
        let after;
        (*text, after) = match serialization {
            Serialization::HESSIAN2 => hessian_text_or_null(rest)?,
            Serialization::FASTJSON2 => prefixed_text_or_null(rest)?,
            _ => return None,
        };
        rest = after;
    }
    let rest = body.len() - rest.len();
    Some(Strings { texts, rest })
}

#[inline]
fn hessian_text_or_null(octets: &[u8]) -> Option<(Option<Ascii<'_>>, &[u8])> {
    match octets {
        [b'N', rest @ ..] => Some((None, rest)),
        _ => hessian_text(octets).map(|(text, rest)| (Some(text), rest)),
    }
}

/// A string or null with its length in front of it.
#[inline]
fn prefixed_text_or_null(octets: &[u8]) -> Option<(Option<Ascii<'_>>, &[u8])> {
    let (value, rest) = prefixed(octets)?;
    match (value, jsonb_text(value)) {
        ([jsonb::NULL], _) => Some((None, rest)),
        (_, Some((text, []))) => Some((Some(text), rest)),
        _ => None,
    }
}

/// A value with its length in front of it.
#[inline]
fn prefixed(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests;

//! Text as Java writes it: UTF-16 units, each in one to three octets, in chunks of any size.

use std::borrow::Cow;
use std::fmt;

use crate::input::Input;
use crate::{Error, ErrorKind, Grammar, Kind};

/// A string where it stands in the stream.
///
/// A supplementary character is two surrogates of three octets each, so the octets need not be
/// UTF-8, and a lone surrogate is legal.
#[derive(Clone, Copy)]
pub struct Str<'a> {
    /// The text; with the heads of the chunks between when `chunked`.
    octets: &'a [u8],
    units: usize,
    chunked: bool,
}

impl<'a> Str<'a> {
    #[inline]
    pub(crate) const fn whole(octets: &'a [u8], units: usize) -> Self {
        Self {
            octets,
            units,
            chunked: false,
        }
    }

    /// Length in UTF-16 units: Java's `length()`.
    #[must_use]
    pub const fn unit_len(&self) -> usize {
        self.units
    }

    /// Whether there is no character.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// Whether every character is ASCII: one octet a unit, in one chunk.
    #[inline]
    const fn is_plain(&self) -> bool {
        !self.chunked && self.octets.len() == self.units
    }

    /// The text itself when it is one chunk of valid UTF-8, as nearly every name is.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        if self.chunked {
            return None;
        }
        std::str::from_utf8(self.octets).ok()
    }

    /// The text, borrowed where [`Str::as_str`] can; a lone surrogate becomes U+FFFD.
    #[must_use]
    pub fn to_cow(&self) -> Cow<'a, str> {
        match self.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.chars().collect()),
        }
    }

    /// Whether the text is exactly `other`. A lone surrogate equals nothing.
    #[inline]
    #[must_use]
    pub fn eq_str(&self, other: &str) -> bool {
        if self.is_plain() {
            return self.octets == other.as_bytes();
        }
        self.units().eq(other.encode_utf16())
    }

    /// As [`Str::eq_str`], ASCII letters compared without case.
    #[inline]
    #[must_use]
    pub fn eq_ignore_ascii_case(&self, other: &str) -> bool {
        if self.is_plain() {
            return self.octets.eq_ignore_ascii_case(other.as_bytes());
        }
        self.units().map(lower).eq(other.encode_utf16().map(lower))
    }

    /// The UTF-16 units.
    #[must_use]
    pub const fn units(&self) -> Units<'a> {
        Units {
            chunks: self.chunks(),
            chunk: &[],
            low: None,
        }
    }

    /// The octets of the text, chunk by chunk, without the heads of the chunks.
    #[must_use]
    pub const fn chunks(&self) -> Chunks<'a> {
        Chunks {
            octets: self.octets,
            chunked: self.chunked,
        }
    }

    fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        char::decode_utf16(self.units()).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

/// Only ASCII changes.
fn lower(unit: u16) -> u16 {
    u8::try_from(unit).map_or(unit, |octet| octet.to_ascii_lowercase().into())
}

/// Equal as text, whatever the chunks.
impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.units == other.units && self.units().eq(other.units())
    }
}

impl Eq for Str<'_> {}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        self.eq_str(other)
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.eq_str(other)
    }
}

/// The text; a lone surrogate shows as U+FFFD.
impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        match self.as_str() {
            Some(text) => f.write_str(text),
            None => self.chars().try_for_each(|char| f.write_char(char)),
        }
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_cow(), f)
    }
}

/// The chunks of a [`Str`], as octets.
#[derive(Debug, Clone)]
pub struct Chunks<'a> {
    octets: &'a [u8],
    chunked: bool,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.octets.is_empty() {
            return None;
        }
        if !self.chunked {
            return Some(std::mem::take(&mut self.octets));
        }
        // The string was checked when it was read, so neither step can fail.
        let mut input = Input::new(self.octets);
        input.set_lenient();
        let head = head_of_either(&mut input)?;
        let chunk = input.units(head.units).ok()?;
        self.octets = input.rest();
        Some(chunk)
    }
}

/// The UTF-16 units of a [`Str`].
#[derive(Debug, Clone)]
pub struct Units<'a> {
    chunks: Chunks<'a>,
    chunk: &'a [u8],
    /// The second half of a four-octet sequence.
    low: Option<u16>,
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some(low) = self.low.take() {
            return Some(low);
        }
        while self.chunk.is_empty() {
            self.chunk = self.chunks.next()?;
        }
        let six = |octet: u8| u32::from(octet & 0x3f);
        let (code, rest) = match self.chunk {
            [a @ 0x00..=0x7f, rest @ ..] => (u32::from(*a), rest),
            [a @ 0xc0..=0xdf, b, rest @ ..] => (u32::from(a & 0x1f) << 6 | six(*b), rest),
            [a @ 0xe0..=0xef, b, c, rest @ ..] => {
                (u32::from(a & 0x0f) << 12 | six(*b) << 6 | six(*c), rest)
            }
            [a, b, c, d, rest @ ..] => (
                u32::from(a & 0x07) << 18 | six(*b) << 12 | six(*c) << 6 | six(*d),
                rest,
            ),
            _ => return None,
        };
        self.chunk = rest;
        if let Ok(unit) = u16::try_from(code) {
            return Some(unit);
        }
        let mut pair = [0; 2];
        char::from_u32(code)?.encode_utf16(&mut pair);
        self.low = Some(pair[1]);
        Some(pair[0])
    }
}

/// The head of one chunk of a string.
#[derive(Clone, Copy)]
struct Head {
    units: usize,
    last: bool,
}

impl Head {
    #[inline]
    const fn last(units: usize) -> Self {
        Self { units, last: true }
    }
}

/// The head that begins with `tag`, the octet just read; `None` when `tag` begins no string.
#[inline]
fn head(input: &mut Input<'_>, tag: u8, grammar: Grammar) -> Result<Option<Head>, Error> {
    Ok(Some(match (tag, grammar) {
        (0x00..=0x1f, _) => Head::last(usize::from(tag)),
        (b'S', _) | (b'X', Grammar::V3) => Head::last(input.u16()?.into()),
        (0x30..=0x33, Grammar::V2) => {
            Head::last((usize::from(tag - 0x30) << 8) + usize::from(input.u8()?))
        }
        (b'R', Grammar::V2) | (b's' | b'x', Grammar::V3) => Head {
            units: input.u16()?.into(),
            last: false,
        },
        _ => return Ok(None),
    }))
}

/// The next head of a string already checked. No octet heads a chunk in both grammars with two
/// meanings, so the grammar need not be kept.
fn head_of_either(input: &mut Input<'_>) -> Option<Head> {
    let tag = input.u8().ok()?;
    let in_v2 = head(input, tag, Grammar::V2).ok()?;
    in_v2.or_else(|| head(input, tag, Grammar::V3).ok().flatten())
}

impl<'a> Input<'a> {
    /// A whole string, all its chunks.
    #[inline]
    pub(crate) fn string(&mut self, grammar: Grammar) -> Result<Str<'a>, Error> {
        let tag = self.peek()?;
        match self.string_of(tag, grammar)? {
            Some(string) => Ok(string),
            None => Err(self.error(ErrorKind::Expected {
                wanted: Kind::String,
                octet: tag,
            })),
        }
    }

    /// The string that begins with `tag`, the next octet; `None` (and nothing read) when `tag`
    /// begins no string.
    #[inline]
    pub(crate) fn string_of(
        &mut self,
        tag: u8,
        grammar: Grammar,
    ) -> Result<Option<Str<'a>>, Error> {
        let mut input = *self;
        input.skip(1)?;
        let Some(head) = head(&mut input, tag, grammar)? else {
            return Ok(None);
        };
        if head.last {
            let string = Str::whole(input.units(head.units)?, head.units);
            *self = input;
            return Ok(Some(string));
        }
        self.chunked_string(grammar).map(Some)
    }

    #[cold]
    fn chunked_string(&mut self, grammar: Grammar) -> Result<Str<'a>, Error> {
        let start = self.pos();
        let mut units = 0;
        loop {
            let tag = self.u8()?;
            let Some(head) = head(self, tag, grammar)? else {
                let wanted = Kind::String;
                return Err(self.error_before(ErrorKind::Expected { wanted, octet: tag }));
            };
            self.units(head.units)?;
            units += head.units;
            if head.last {
                return Ok(Str {
                    octets: self.since(start),
                    units,
                    chunked: true,
                });
            }
        }
    }
}

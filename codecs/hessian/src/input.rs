//! A cursor over octets that no peer can move past the end.

use crate::{Error, ErrorKind, Kind};

/// The octets of a stream and how far they have been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    lenient: bool,
}

impl<'a> Input<'a> {
    pub(crate) const fn new(all: &'a [u8]) -> Self {
        Self {
            all,
            rest: all,
            lenient: false,
        }
    }

    /// The same stream, read again from `offset`.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> Self {
        Self {
            rest: self.all.get(offset..).unwrap_or_default(),
            ..*self
        }
    }

    pub(crate) const fn set_lenient(&mut self) {
        self.lenient = true;
    }

    #[inline]
    pub(crate) const fn pos(&self) -> usize {
        self.all.len() - self.rest.len()
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The octets from `offset` to the cursor.
    pub(crate) fn since(&self, offset: usize) -> &'a [u8] {
        self.all.get(offset..self.pos()).unwrap_or_default()
    }

    /// An error at the next octet.
    #[cold]
    pub(crate) const fn error(&self, kind: ErrorKind) -> Error {
        Error {
            offset: self.pos(),
            kind,
        }
    }

    /// An error at the octet just read.
    #[cold]
    pub(crate) const fn error_before(&self, kind: ErrorKind) -> Error {
        Error {
            offset: self.pos().saturating_sub(1),
            kind,
        }
    }

    #[cold]
    const fn truncated(&self) -> Error {
        self.error(ErrorKind::Truncated)
    }

    #[inline]
    pub(crate) fn peek(&self) -> Result<u8, Error> {
        self.rest.first().copied().ok_or_else(|| self.truncated())
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let Some((&first, rest)) = self.rest.split_first() else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn skip(&mut self, octets: usize) -> Result<(), Error> {
        let Some(rest) = self.rest.get(octets..) else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(())
    }

    /// An int where the grammar needs one: a count, a class index, a type index.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Error> {
        let tag = self.peek()?;
        match self.int_of(tag)? {
            Some(int) => Ok(int),
            None => Err(self.error(ErrorKind::Expected {
                wanted: Kind::Int,
                octet: tag,
            })),
        }
    }

    /// The int that begins with `tag`, the next octet; `None` (and nothing read) when `tag`
    /// begins no int. The forms are those of both grammars.
    #[inline]
    pub(crate) fn int_of(&mut self, tag: u8) -> Result<Option<i32>, Error> {
        let mut input = *self;
        input.skip(1)?;
        let high = i32::from(tag);
        let int = match tag {
            0x80..=0xbf => high - 0x90,
            0xc0..=0xcf => ((high - 0xc8) << 8) + i32::from(input.u8()?),
            0xd0..=0xd7 => ((high - 0xd4) << 16) + i32::from(input.u16()?),
            b'I' => input.i32()?,
            _ => return Ok(None),
        };
        *self = input;
        Ok(Some(int))
    }

    /// A count of things that take at least one octet each, so never more than what is left.
    #[inline]
    pub(crate) fn count(&mut self) -> Result<u32, Error> {
        let count = self.int()?;
        self.checked_count(count)
    }

    /// As [`Input::count`], for a count already read.
    #[inline]
    pub(crate) fn checked_count(&self, count: i32) -> Result<u32, Error> {
        let Ok(count) = u32::try_from(count) else {
            return Err(self.error(ErrorKind::NegativeLength(count)));
        };
        if count as usize > self.rest.len() {
            return Err(self.truncated());
        }
        Ok(count)
    }

    /// The octets of `units` UTF-16 units.
    #[inline]
    pub(crate) fn units(&mut self, units: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(units) {
            Some((head, rest)) if head.is_ascii() => {
                self.rest = rest;
                Ok(head)
            }
            Some(_) => self.wide_units(units),
            None => Err(self.truncated()),
        }
    }

    /// [`Input::units`] when they are not all ASCII. Only what Java writes passes: Java would read
    /// a sloppy sequence as some other character, and a rule must not see a different name than
    /// the server does.
    #[cold]
    fn wide_units(&mut self, units: usize) -> Result<&'a [u8], Error> {
        let start = self.rest;
        let mut left = units;
        while left > 0 {
            let (octets, units) = match *self.rest {
                [0x00..=0x7f, ..] => (1, 1),
                [0xc2..=0xdf, 0x80..=0xbf, ..] => (2, 1),
                [0xe0, 0xa0..=0xbf, 0x80..=0xbf, ..]
                | [0xe1..=0xef, 0x80..=0xbf, 0x80..=0xbf, ..] => (3, 1),
                [0xf0, 0x90..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
                | [0xf1..=0xf3, 0x80..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
                | [0xf4, 0x80..=0x8f, 0x80..=0xbf, 0x80..=0xbf, ..]
                    if self.lenient && left >= 2 =>
                {
                    (4, 2)
                }
                _ => return Err(self.bad_sequence()),
            };
            self.rest = self.rest.get(octets..).unwrap_or_default();
            left -= units;
        }
        let octets = start.len() - self.rest.len();
        Ok(start.get(..octets).unwrap_or_default())
    }

    /// Whether the sequence at the cursor is cut short or wrong.
    fn bad_sequence(&self) -> Error {
        let Some((&lead, tail)) = self.rest.split_first() else {
            return self.truncated();
        };
        let wanted = match lead {
            0xc2..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf4 if self.lenient => 3,
            _ => 0,
        };
        if tail.len() < wanted && tail.iter().all(|octet| octet & 0xc0 == 0x80) {
            return self.truncated();
        }
        self.error(ErrorKind::BadUtf8(lead))
    }
}

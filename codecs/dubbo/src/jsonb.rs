//! JSONB as fastjson2 writes it: enough to read strings and ints, to pass over everything else,
//! and to write strings.
//!
//! Sources: `JSONB.Constants` and `JSONReaderJSONB` of fastjson2 2.0.56. Inside a Dubbo body each
//! value has its length as a `u32` in front of it, which is not part of JSONB.

use std::borrow::Cow;

/// Containers inside each other. Attachments are flat; the limit only stops hostile ones.
const DEPTH: usize = 32;

/// A value that is cut short, or that JSONB does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

const SHORT: Malformed = Malformed("a JSONB value is cut short");
const DEEP: Malformed = Malformed("JSONB values nest too deep");
const UNKNOWN: Malformed = Malformed("an octet begins no JSONB value");

/// The octet of null.
pub(crate) const NULL: u8 = 0xaf;
/// The octet that begins an object.
pub(crate) const OBJECT: u8 = 0xa6;
/// The octet that ends an object.
pub(crate) const END: u8 = 0xa5;
const TYPED: u8 = 0x92;
const SYMBOL: u8 = 0x7f;

/// A string where it stands in the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'f> {
    coding: Coding,
    octets: &'f [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Latin1,
    Utf8,
    Utf16Be,
    Utf16Le,
}

impl<'f> Text<'f> {
    /// The text; what is no character becomes U+FFFD.
    pub(crate) fn to_cow(self) -> Cow<'f, str> {
        match self.coding {
            Coding::Latin1 if !self.octets.is_ascii() => {
                self.octets.iter().map(|&octet| char::from(octet)).collect()
            }
            Coding::Latin1 | Coding::Utf8 => String::from_utf8_lossy(self.octets),
            Coding::Utf16Be => self.wide(u16::from_be_bytes),
            Coding::Utf16Le => self.wide(u16::from_le_bytes),
        }
    }

    /// Whether the text is `other`, ASCII letters compared without case.
    pub(crate) fn eq_ignore_ascii_case(self, other: &str) -> bool {
        match self.coding {
            Coding::Latin1 | Coding::Utf8 if self.octets.is_ascii() || self.is_utf8() => {
                self.octets.eq_ignore_ascii_case(other.as_bytes())
            }
            _ => self.to_cow().eq_ignore_ascii_case(other),
        }
    }

    fn is_utf8(self) -> bool {
        self.coding == Coding::Utf8
    }

    fn wide(self, unit: fn([u8; 2]) -> u16) -> Cow<'f, str> {
        let pairs = self.octets.chunks_exact(2).map(|pair| match *pair {
            [a, b] => unit([a, b]),
            _ => u16::default(),
        });
        char::decode_utf16(pairs)
            .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    }
}

/// What a value is, as far as rules can use it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'f> {
    Null,
    Bool(bool),
    Int(i64),
    Text(Text<'f>),
}

/// What follows the head of a value.
enum Rest<'f> {
    /// Nothing: this was all of it.
    Scalar(Option<Scalar<'f>>),
    /// This many values.
    Values(u64),
    /// Keys and values up to the end octet.
    Entries,
}

/// A cursor over JSONB octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'f> {
    rest: &'f [u8],
}

impl<'f> Reader<'f> {
    pub(crate) const fn new(octets: &'f [u8]) -> Self {
        Self { rest: octets }
    }

    /// The octets not read yet.
    pub(crate) const fn rest(&self) -> &'f [u8] {
        self.rest
    }

    /// Reads the octet `wanted` if it is next, and says whether it was.
    pub(crate) fn take(&mut self, wanted: u8) -> bool {
        match self.rest.split_first() {
            Some((&octet, rest)) if octet == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Whether a symbol or a type name is next, which later values may name by its number.
    pub(crate) fn at_name(&self) -> bool {
        matches!(self.rest.first(), Some(&(SYMBOL | TYPED)))
    }

    /// Reads the type in front of a value, `None` when there is none or it was named before.
    pub(crate) fn take_type(&mut self) -> Result<Option<Text<'f>>, Malformed> {
        match self.take(TYPED) {
            true => self.name(),
            false => Ok(None),
        }
    }

    /// Reads a key: its text, or `None` when it is no string or a symbol defined elsewhere.
    pub(crate) fn key(&mut self) -> Result<Option<Text<'f>>, Malformed> {
        match self.rest.first() {
            Some(&SYMBOL) => {
                self.skip(1)?;
                self.name()
            }
            _ => match self.value()? {
                Some(Scalar::Text(text)) => Ok(Some(text)),
                _ => Ok(None),
            },
        }
    }

    /// Reads one value with all that it contains; `None` when it is no null, boolean, integer or
    /// string.
    pub(crate) fn value(&mut self) -> Result<Option<Scalar<'f>>, Malformed> {
        let mut left = [0; DEPTH];
        let mut depth = 0;
        let (mut count, mut entries) = match self.head()? {
            Rest::Scalar(scalar) => return Ok(scalar),
            Rest::Values(count) => (count, false),
            Rest::Entries => (0, true),
        };
        loop {
            let over = match entries {
                true => self.take(END),
                false => count == 0,
            };
            if over {
                let Some(outer) = usize::checked_sub(depth, 1) else {
                    return Ok(None);
                };
                depth = outer;
                // The low bit tells an object from an array.
                let saved: u64 = left.get(depth).copied().unwrap_or_default();
                (count, entries) = (saved >> 1, saved & 1 == 1);
                continue;
            }
            // Keys are passed over as if they were values: no value begins with the end octet.
            if !entries {
                count -= 1;
            }
            let (inner, inner_entries) = match self.head()? {
                Rest::Scalar(_) => continue,
                Rest::Values(count) => (count, false),
                Rest::Entries => (0, true),
            };
            *left.get_mut(depth).ok_or(DEEP)? = count << 1 | u64::from(entries);
            depth += 1;
            (count, entries) = (inner, inner_entries);
        }
    }

    /// Reads a scalar, or the head of a container with the type in front of it.
    fn head(&mut self) -> Result<Rest<'f>, Malformed> {
        self.take_type()?;
        let tag = self.octet()?;
        let integer = |int| Ok(Rest::Scalar(Some(Scalar::Int(int))));
        match tag {
            0x00..=0x48 | 0xbc..=0xff => return integer(self.integer(tag)?),
            0x49..=0x7d => return Ok(Rest::Scalar(Some(Scalar::Text(self.text(tag)?)))),
            NULL => return Ok(Rest::Scalar(Some(Scalar::Null))),
            0xb0 | 0xb1 => return Ok(Rest::Scalar(Some(Scalar::Bool(tag == 0xb1)))),
            0x94..=0xa3 => return Ok(Rest::Values((tag - 0x94).into())),
            0xa4 => {
                let count = self.length()?;
                return Ok(Rest::Values(count as u64));
            }
            OBJECT => return Ok(Rest::Entries),
            _ => self.other(tag)?,
        }
        Ok(Rest::Scalar(None))
    }

    /// Passes over a scalar that no rule uses; its tag has been read.
    fn other(&mut self, tag: u8) -> Result<(), Malformed> {
        match tag {
            // 7e GB18030 text, 91 octets, bb big integer: a length and as many octets.
            0x7e | 0x91 | 0xbb => {
                let octets = self.length()?;
                self.skip(octets)
            }
            SYMBOL => self.name().map(drop),
            // 90 a character, b4 and b6 floats that are whole, b8 a decimal, ba a big integer.
            0x90 | 0xb4 | 0xb6 | 0xb8 | 0xba => self.int().map(drop),
            // A path to a value met earlier.
            0x93 => self.string().map(drop),
            // a7 local time, a8 local date and time, aa the same with a zone: nanoseconds follow.
            0xa7 => self.skip(3).and_then(|()| self.int()).map(drop),
            0xa8 => self.skip(7).and_then(|()| self.int()).map(drop),
            0xaa => {
                self.skip(7)?;
                self.int()?;
                self.string().map(drop)
            }
            // a9 local date, ac and ad times, b7 a float of 32 bits.
            0xa9 | 0xac | 0xad | 0xb7 => self.skip(4),
            // ab a time in ms, b5 a float of 64 bits.
            0xab | 0xb5 => self.skip(8),
            // ae an instant: seconds and nanoseconds. b9 a decimal: scale and digits.
            0xae => self.int().and_then(|_| self.int()).map(drop),
            0xb9 => {
                self.int()?;
                match self.take(0xbb) {
                    true => self.other(0xbb),
                    false => self.int().map(drop),
                }
            }
            // Floats 0 and 1.
            0xb2 | 0xb3 => Ok(()),
            _ => Err(UNKNOWN),
        }
    }

    /// The name of a symbol or a type: its text where it is defined, with its number after it;
    /// elsewhere only the number.
    fn name(&mut self) -> Result<Option<Text<'f>>, Malformed> {
        let text = match self.rest.first() {
            Some(0x49..=0x7d) => Some(self.string()?),
            _ => None,
        };
        self.int()?;
        Ok(text)
    }

    fn string(&mut self) -> Result<Text<'f>, Malformed> {
        match self.octet()? {
            tag @ 0x49..=0x7d => self.text(tag),
            _ => Err(UNKNOWN),
        }
    }

    /// The string that began with `tag`, which has been read.
    fn text(&mut self, tag: u8) -> Result<Text<'f>, Malformed> {
        let octets = match tag {
            0x49..=0x78 => usize::from(tag - 0x49),
            _ => self.length()?,
        };
        let coding = match tag {
            0x7a => Coding::Utf8,
            0x7b | 0x7d => Coding::Utf16Be,
            0x7c => Coding::Utf16Le,
            _ => Coding::Latin1,
        };
        let (octets, rest) = self.rest.split_at_checked(octets).ok_or(SHORT)?;
        self.rest = rest;
        Ok(Text { coding, octets })
    }

    /// Reads an integer of any width.
    pub(crate) fn int(&mut self) -> Result<i64, Malformed> {
        let tag = self.octet()?;
        self.integer(tag)
    }

    /// The integer that began with `tag`, which has been read.
    fn integer(&mut self, tag: u8) -> Result<i64, Malformed> {
        let high = i64::from(tag);
        let small = i64::from(tag.cast_signed());
        Ok(match tag {
            0x00..=0x2f | 0xf0..=0xff => small,
            0x30..=0x3f => ((high - 0x38) << 8) + i64::from(self.octet()?),
            0x40..=0x47 => ((high - 0x44) << 16) + i64::from(u16::from_be_bytes(self.array()?)),
            0x48 | 0xbf => i32::from_be_bytes(self.array()?).into(),
            0xbc => i16::from_be_bytes(self.array()?).into(),
            0xbd => i64::from(self.octet()?.cast_signed()),
            0xbe => i64::from_be_bytes(self.array()?),
            0xc0..=0xc7 => ((high - 0xc4) << 16) + i64::from(u16::from_be_bytes(self.array()?)),
            0xc8..=0xd7 => ((high - 0xd0) << 8) + i64::from(self.octet()?),
            0xd8..=0xef => high - 0xe0,
            _ => return Err(UNKNOWN),
        })
    }

    /// A count of octets or values, each of which takes at least one octet.
    fn length(&mut self) -> Result<usize, Malformed> {
        let length = usize::try_from(self.int()?).map_err(|_| SHORT)?;
        match length <= self.rest.len() {
            true => Ok(length),
            false => Err(SHORT),
        }
    }

    fn octet(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*head)
    }

    fn skip(&mut self, octets: usize) -> Result<(), Malformed> {
        self.rest = self.rest.get(octets..).ok_or(SHORT)?;
        Ok(())
    }
}

/// Appends the type of the value that follows; the first in its stream.
pub(crate) fn write_type(out: &mut Vec<u8>, name: &str) {
    out.push(TYPED);
    write_string(out, name);
    write_int(out, 0);
}

/// Appends a string: ASCII as it is, all else as UTF-8.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    match (text.is_ascii(), text.len()) {
        (true, short @ 0..=47) => out.push(0x49 + short as u8),
        (true, long) => {
            out.push(0x79);
            write_int(out, long);
        }
        (false, long) => {
            out.push(0x7a);
            write_int(out, long);
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends an int that is not below zero.
pub(crate) fn write_int(out: &mut Vec<u8>, value: usize) {
    let [.., b2, b1, b0] = value.to_be_bytes();
    match value {
        0..=0x2f => out.push(b0),
        0x30..=0x7ff => out.extend([0x38 + b1, b0]),
        0x800..=0x3_ffff => out.extend([0x44 + b2, b1, b0]),
        _ => {
            let value = i32::try_from(value).expect("a text is shorter than 2 GiB");
            out.push(0x48);
            out.extend(value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;

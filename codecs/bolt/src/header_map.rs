//! The header map between class name and content: `{ i32 length, key, i32 length, value }` to the
//! end of the block (SOFABolt's `SimpleMapSerializer`). Text is UTF-8, a length of -1 is null.
//!
//! Java believes the lengths and cuts silently; here a length that does not fit makes the block
//! [`Malformed`], and nothing in it is used: a raw Bolt application may put octets of its own there.

use std::borrow::Cow;

use crossdock_framework::out::Out;
use thiserror::Error;

/// A header block that is no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the header block is no map of keys and values")]
pub struct Malformed;

/// The header map of a frame, read in place. Entries stand in the order of the wire; Java's order
/// is that of a `HashMap` and means nothing, and where a key stands twice the last one counts.
#[derive(Clone, Copy, Debug)]
pub struct HeaderMap<'f> {
    block: &'f [u8],
}

/// One entry of a [`HeaderMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'f> {
    /// The key; `None` is null, and Java ignores such an entry.
    pub key: Option<&'f [u8]>,
    /// The value; `None` is null, and Java ignores such an entry.
    pub value: Option<&'f [u8]>,
    /// The octets of the whole entry.
    pub raw: &'f [u8],
}

impl<'f> HeaderMap<'f> {
    /// The map in `block`. Nothing is read yet.
    pub fn new(block: &'f [u8]) -> Self {
        Self { block }
    }

    /// The entries, up to and including the first [`Malformed`] place.
    pub fn entries(self) -> Entries<'f> {
        Entries { rest: self.block }
    }

    /// The value of the last entry whose key is `name`, ignoring ASCII case, as Envoy's rules only
    /// know names in lower case. `None` also when the block is [`Malformed`].
    pub fn get(self, name: &str) -> Option<&'f [u8]> {
        let mut found = None;
        for entry in self.entries() {
            let entry = entry.ok()?;
            if let (Some(value), true) = (entry.value, entry.is_named(name)) {
                found = Some(value);
            }
        }
        found
    }
}

impl<'f> Entry<'f> {
    /// Whether the key is `name`, ignoring ASCII case.
    #[inline]
    pub fn is_named(&self, name: &str) -> bool {
        self.key
            .is_some_and(|key| key.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Key and value as text, if neither is null.
    pub fn text(&self) -> Option<(Cow<'f, str>, Cow<'f, str>)> {
        Some((text(self.key?), text(self.value?)))
    }
}

/// What Java would make of `octets`: invalid UTF-8 becomes U+FFFD.
pub(crate) fn text(octets: &[u8]) -> Cow<'_, str> {
    // Lossy is several times slower, also where nothing is lost.
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(octets),
    }
}

/// Walks a [`HeaderMap`].
#[derive(Clone, Debug)]
pub struct Entries<'f> {
    rest: &'f [u8],
}

impl<'f> Iterator for Entries<'f> {
    type Item = Result<Entry<'f>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_none() {
            self.rest = &[];
        }
        Some(entry.ok_or(Malformed))
    }
}

impl<'f> Entries<'f> {
    fn entry(&mut self) -> Option<Entry<'f>> {
        let start = self.rest;
        let key = self.part()?;
        let value = self.part()?;
        let raw = start.get(..start.len() - self.rest.len())?;
        Some(Entry { key, value, raw })
    }

    /// Reads a length and as many octets. The outer `None` is a length that does not fit.
    fn part(&mut self) -> Option<Option<&'f [u8]>> {
        let (len, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            return Some(None);
        };
        let (part, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Some(part))
    }
}

/// Octets that an entry takes.
pub(crate) fn entry_len(key: &[u8], value: &[u8]) -> usize {
    8 + key.len() + value.len()
}

/// Something that a frame is written to piece by piece.
pub(crate) trait Sink {
    fn put(&mut self, octets: &[u8]);
}

impl Sink for Out {
    fn put(&mut self, octets: &[u8]) {
        self.copy(octets);
    }
}

/// Writes one entry.
pub(crate) fn put_entry(to: &mut impl Sink, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        let len =
            u32::try_from(part.len()).expect("a header of a frame or a rule is far below 4 GiB");
        to.put(&len.to_be_bytes());
        to.put(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] = b"\0\0\0\x01a\0\0\0\x021!\0\0\0\x01A\0\0\0\0\0\0\0\x01b\xff\xff\xff\xff";

    #[test]
    fn the_last_of_equal_names_counts_and_null_is_absent() {
        let map = HeaderMap::new(BLOCK);
        assert_eq!(map.get("a"), Some(&b""[..]));
        assert_eq!(map.get("b"), None);
        assert_eq!(map.get("c"), None);
        let raw: Vec<u8> = map
            .entries()
            .flat_map(|e| e.unwrap().raw.to_vec())
            .collect();
        assert_eq!(raw, BLOCK);
    }

    #[test]
    fn a_length_that_does_not_fit_spoils_the_block() {
        for len in 1..BLOCK.len() {
            let whole = [11, 20].contains(&len);
            let cut = HeaderMap::new(&BLOCK[..len]);
            assert_eq!(cut.entries().all(|entry| entry.is_ok()), whole, "{len}");
            assert_eq!(cut.get("a").is_some(), whole, "{len}");
        }
        let huge = [BLOCK, b"\x7f\xff\xff\xff\0\0\0\0"].concat();
        assert_eq!(HeaderMap::new(&huge).get("a"), None);
        assert_eq!(HeaderMap::new(&huge).entries().count(), 4);
    }
}

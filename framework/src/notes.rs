//! What one look at a frame found, for the next look at it.

use std::cell::Cell;

/// How many numbers can be noted of a frame.
pub const NOTES: usize = 44;

/// Numbers that a codec notes of a frame when it is first looked at: where names and headers stand.
///
/// A call is looked at when it is decided upon and again when it is counted and logged. Its relay keeps
/// the notes with it, so that [`Codec::view_noted`](crate::codec::Codec::view_noted) walks through the
/// frame once. Each number means what the codec says; all are 0 at first.
#[derive(Debug)]
pub struct Notes([Cell<u32>; NOTES]);

impl Default for Notes {
    fn default() -> Self {
        Self([const { Cell::new(0) }; NOTES])
    }
}

impl Notes {
    /// The number at a place; 0 where there is no such place.
    #[inline]
    pub fn get(&self, at: usize) -> u32 {
        self.0.get(at).map_or(0, Cell::get)
    }

    /// Notes a number. One beyond the last place is forgotten.
    #[inline]
    pub fn set(&self, at: usize, number: u32) {
        if let Some(cell) = self.0.get(at) {
            cell.set(number);
        }
    }
}

/// The lengths of names, as a note: whether a name may be among them is seen at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths(pub u32);

impl Lengths {
    /// Adds the length of a name.
    #[inline]
    pub fn add(&mut self, len: usize) {
        self.0 |= Self::bit(len);
    }

    /// Whether a name of this length may have been added: lengths that differ by 32 are not told apart.
    #[inline]
    pub fn may_have(self, len: usize) -> bool {
        self.0 & Self::bit(len) != 0
    }

    const fn bit(len: usize) -> u32 {
        1 << (len % 32)
    }
}

/// Where an octet string stands: from which octet on, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first octet, counted from wherever the codec counts.
    pub at: usize,
    /// How many there are.
    pub len: usize,
}

impl Span {
    /// As a note; `None` beyond 64 KiB.
    #[inline]
    pub fn pack(self) -> Option<u32> {
        let (at, len) = (u16::try_from(self.at).ok()?, u16::try_from(self.len).ok()?);
        Some(u32::from(at) << 16 | u32::from(len))
    }

    /// The inverse of [`Span::pack`].
    #[inline]
    pub fn unpack(note: u32) -> Self {
        Self {
            at: (note >> 16) as usize,
            len: (note & 0xffff) as usize,
        }
    }

    /// What stands there.
    #[inline]
    pub fn of(self, octets: &[u8]) -> Option<&[u8]> {
        octets.get(self.at..self.at + self.len)
    }
}

/// Notes that a view has: its own, or those that are kept for the next.
#[derive(Debug)]
pub enum Noted<'n> {
    /// Its own.
    Own(Notes),
    /// Those of whoever keeps them.
    Kept(&'n Notes),
}

impl Default for Noted<'_> {
    fn default() -> Self {
        Self::Own(Notes::default())
    }
}

impl std::ops::Deref for Noted<'_> {
    type Target = Notes;

    #[inline]
    fn deref(&self) -> &Notes {
        match self {
            Self::Own(notes) => notes,
            Self::Kept(notes) => notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_beyond_the_last_are_forgotten() {
        let notes = Notes::default();
        for at in 0..NOTES + 2 {
            notes.set(at, 7);
        }
        assert_eq!(notes.get(NOTES - 1), 7);
        assert_eq!(notes.get(NOTES), 0);
    }

    #[test]
    fn lengths_that_were_added_are_there() {
        let mut lengths = Lengths::default();
        assert!((0..100).all(|len| !lengths.may_have(len)));
        lengths.add(9);
        lengths.add(64);
        let found: Vec<_> = (0..80).filter(|len| lengths.may_have(*len)).collect();
        assert_eq!(found, [0, 9, 32, 41, 64, 73]);
    }

    #[test]
    fn spans_come_back_or_are_not_packed() {
        for (at, len) in [(0, 0), (1, 65_535), (65_535, 1)] {
            let span = Span { at, len };
            assert_eq!(span.pack().map(Span::unpack), Some(span));
        }
        assert_eq!(Span { at: 65_536, len: 0 }.pack(), None);
        assert_eq!(Span { at: 0, len: 65_536 }.pack(), None);
        assert_eq!(Span { at: 2, len: 2 }.of(b"abc"), None);
    }
}

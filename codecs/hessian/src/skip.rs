//! Passing over values with an explicit stack.

use crate::{Error, ErrorKind, Grammar, MAX_DEPTH, Walker};
use crate::{v2, v3};

/// What follows the head of a value: nothing, or the elements of a container.
///
/// One word, because the stack of [`Walker::skip_value`] is an array of them. Counts stay below
/// 2^31, so the largest numbers are free for the open ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body(u32);

impl Body {
    pub(crate) const SCALAR: Self = Self(u32::MAX);
    /// Values up to the end octet.
    pub(crate) const LIST: Self = Self(u32::MAX - 1);
    /// Keys and values up to the end octet; a key or the end comes next.
    pub(crate) const MAP: Self = Self(u32::MAX - 2);
    /// As [`Body::MAP`]; a value comes next.
    const MAP_VALUE: Self = Self(u32::MAX - 3);
    const EMPTY: Self = Self(0);

    /// A container of exactly `count` values.
    #[inline]
    pub(crate) const fn of(count: u32) -> Self {
        Self(count)
    }

    /// The exact count, or `None` when the end octet tells.
    pub(crate) const fn count(self) -> Option<u32> {
        if self.0 <= i32::MAX as u32 {
            Some(self.0)
        } else {
            None
        }
    }

    /// Whether one more value of the container follows; it counts as walked.
    #[inline]
    fn next(&mut self, walker: &mut Walker<'_>) -> Result<bool, Error> {
        *self = match *self {
            Self::EMPTY => return Ok(false),
            Self::LIST | Self::MAP if walker.end()? => return Ok(false),
            Self::LIST => Self::LIST,
            Self::MAP => Self::MAP_VALUE,
            Self::MAP_VALUE => Self::MAP,
            Self(left) => Self(left - 1),
        };
        Ok(true)
    }
}

impl Walker<'_> {
    /// Passes over one value with all that it contains, and over the class definitions in front.
    ///
    /// # Errors
    /// Whatever is wrong with the value; see [`ErrorKind`].
    #[inline]
    pub fn skip_value(&mut self) -> Result<(), Error> {
        match self.open()? {
            Body::SCALAR => Ok(()),
            body => self.skip_body(body),
        }
    }

    /// Reads a scalar, or the head of a container.
    #[inline]
    pub(crate) fn open(&mut self) -> Result<Body, Error> {
        let tag = self.tag()?;
        self.count_value()?;
        self.input.skip(1)?;
        match self.grammar() {
            Grammar::V2 => v2::open(self, tag),
            Grammar::V3 => v3::open(self, tag),
        }
    }

    /// Walks the elements of a container whose head has been read, and of all containers in it.
    fn skip_body(&mut self, body: Body) -> Result<(), Error> {
        let limit = self.limits.depth;
        let mut outer = [Body::EMPTY; MAX_DEPTH as usize];
        let mut height = usize::from(self.depth);
        let floor = height;
        if height >= usize::from(limit) {
            return Err(self.input.error_before(ErrorKind::TooDeep { limit }));
        }
        let mut body = body;
        loop {
            if !body.next(self)? {
                if height == floor {
                    return Ok(());
                }
                height -= 1;
                body = outer.get(height).copied().unwrap_or(Body::EMPTY);
                continue;
            }
            let inner = self.open()?;
            if inner == Body::SCALAR {
                continue;
            }
            match outer.get_mut(height) {
                Some(slot) if height + 1 < usize::from(limit) => *slot = body,
                _ => return Err(self.input.error_before(ErrorKind::TooDeep { limit })),
            }
            height += 1;
            body = inner;
        }
    }
}

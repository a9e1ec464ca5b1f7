//! Cursors over the elements of a container that a caller looks into.
//!
//! Each borrows the walker. After a step the walker stands at one value: read it through
//! `value()`, enter it, or leave it alone, then the next step skips it. A cursor walked to its end
//! leaves the walker after the container; one dropped earlier leaves it in the middle, where only
//! [`Walker::pos`] and [`Walker::rest`] mean anything.

use crate::input::Input;
use crate::skip::Body;
use crate::{Error, Kind, Str, Walker};

/// The value that a step has reached, to see whether the caller read it.
#[derive(Debug, Clone, Copy)]
enum Pending {
    None,
    /// How many values the walker had read when it came to this one.
    At(u32),
    Ended,
}

impl Pending {
    /// Skips the value if the caller did not read it. `false` when the container has ended.
    fn settle(&mut self, walker: &mut Walker<'_>) -> Result<bool, Error> {
        match *self {
            Self::Ended => return Ok(false),
            Self::At(values) if values == walker.values() => walker.skip_value()?,
            Self::At(_) | Self::None => {}
        }
        *self = Self::None;
        Ok(true)
    }

    const fn end(&mut self, walker: &mut Walker<'_>) {
        *self = Self::Ended;
        walker.leave();
    }
}

/// The entries of a map, in the order of the stream; a key may come twice, and the last one wins
/// in Java.
#[derive(Debug)]
pub struct MapEntries<'w, 'a> {
    walker: &'w mut Walker<'a>,
    pending: Pending,
}

impl<'w, 'a> MapEntries<'w, 'a> {
    pub(crate) const fn new(walker: &'w mut Walker<'a>) -> Self {
        Self {
            walker,
            pending: Pending::None,
        }
    }

    /// Goes to the next entry: `None` after the last, `Some(None)` when the key is no string (it
    /// has been skipped).
    ///
    /// # Errors
    /// Whatever is wrong with the value left unread or with the key.
    pub fn next_key(&mut self) -> Result<Option<Option<Str<'a>>>, Error> {
        if !self.pending.settle(self.walker)? {
            return Ok(None);
        }
        if self.walker.end()? {
            self.pending.end(self.walker);
            return Ok(None);
        }
        let key = match self.walker.peek_kind()? {
            Kind::String => Some(self.walker.read_string()?),
            _ => {
                self.walker.skip_value()?;
                None
            }
        };
        self.pending = Pending::At(self.walker.values());
        Ok(Some(key))
    }

    /// The walker, at the value of the entry. Read exactly that value, or nothing.
    #[inline]
    pub const fn value(&mut self) -> &mut Walker<'a> {
        self.walker
    }

    /// Skips the entries that are left.
    ///
    /// # Errors
    /// Whatever is wrong with them.
    pub fn finish(mut self) -> Result<(), Error> {
        while self.next_key()?.is_some() {}
        Ok(())
    }
}

/// The values of a list.
#[derive(Debug)]
pub struct ListItems<'w, 'a> {
    walker: &'w mut Walker<'a>,
    pending: Pending,
    left: Option<u32>,
}

impl<'w, 'a> ListItems<'w, 'a> {
    pub(crate) const fn new(walker: &'w mut Walker<'a>, body: Body) -> Self {
        Self {
            walker,
            pending: Pending::None,
            left: body.count(),
        }
    }

    /// Goes to the next value and gives the walker that stands there; `None` after the last.
    ///
    /// # Errors
    /// Whatever is wrong with the value left unread.
    pub fn next_item(&mut self) -> Result<Option<&mut Walker<'a>>, Error> {
        if !self.pending.settle(self.walker)? {
            return Ok(None);
        }
        let ended = match &mut self.left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => self.walker.end()?,
        };
        if ended {
            self.pending.end(self.walker);
            return Ok(None);
        }
        self.pending = Pending::At(self.walker.values());
        Ok(Some(self.walker))
    }

    /// Skips the values that are left.
    ///
    /// # Errors
    /// Whatever is wrong with them.
    pub fn finish(mut self) -> Result<(), Error> {
        while self.next_item()?.is_some() {}
        Ok(())
    }
}

/// The fields of an object, in the order of its class definition.
///
/// Names are read again from the definition in the stream, so that walking an object costs the
/// octets of its definition besides its own.
#[derive(Debug)]
pub struct ObjectFields<'w, 'a> {
    walker: &'w mut Walker<'a>,
    pending: Pending,
    class: Str<'a>,
    /// The definition, at the name of the next field.
    names: Input<'a>,
    left: u32,
}

impl<'w, 'a> ObjectFields<'w, 'a> {
    /// `names` stands at the class name of a definition that has been read once.
    pub(crate) fn new(
        walker: &'w mut Walker<'a>,
        mut names: Input<'a>,
        left: u32,
    ) -> Result<Self, Error> {
        let class = walker.class_name(&mut names)?;
        names.int()?;
        Ok(Self {
            walker,
            pending: Pending::None,
            class,
            names,
            left,
        })
    }

    /// The name of the class.
    #[must_use]
    pub const fn class_name(&self) -> Str<'a> {
        self.class
    }

    /// Goes to the next field and gives its name; `None` after the last.
    ///
    /// # Errors
    /// Whatever is wrong with the value left unread.
    pub fn next_field(&mut self) -> Result<Option<Str<'a>>, Error> {
        if !self.pending.settle(self.walker)? {
            return Ok(None);
        }
        if self.left == 0 {
            self.pending.end(self.walker);
            return Ok(None);
        }
        self.left -= 1;
        let name = self.names.string(self.walker.grammar())?;
        self.pending = Pending::At(self.walker.values());
        Ok(Some(name))
    }

    /// The walker, at the value of the field. Read exactly that value, or nothing.
    #[inline]
    pub const fn value(&mut self) -> &mut Walker<'a> {
        self.walker
    }

    /// Skips the fields that are left.
    ///
    /// # Errors
    /// Whatever is wrong with them.
    pub fn finish(mut self) -> Result<(), Error> {
        while self.next_field()?.is_some() {}
        Ok(())
    }
}

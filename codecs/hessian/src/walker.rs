//! The walk over one stream.

use crate::input::Input;
use crate::skip::Body;
use crate::tables::{Class, Classes};
use crate::{Error, ErrorKind, Grammar, Kind, Limits, MAX_DEPTH, Str};
use crate::{ListItems, MapEntries, ObjectFields};
use crate::{v2, v3};

/// A cursor over the values of one stream.
///
/// A stream is everything that shares references, class definitions and types: one Dubbo body, or
/// one Bolt content, with all its top-level values. Walk it with one `Walker` from its first
/// octet; what is skipped is counted too.
///
/// Class definitions stand in front of the value that needs them. Each method passes over them
/// first, so no caller meets one.
#[derive(Debug, Clone)]
pub struct Walker<'a> {
    pub(crate) input: Input<'a>,
    grammar: Grammar,
    pub(crate) limits: Limits,
    /// Containers that a cursor has entered and not left.
    pub(crate) depth: u16,
    values: u32,
    references: u32,
    types: u32,
    classes: Classes,
}

impl<'a> Walker<'a> {
    /// A walk over `octets` from their start.
    #[inline]
    #[must_use]
    pub fn new(octets: &'a [u8], grammar: Grammar, limits: Limits) -> Self {
        let limits = Limits {
            depth: limits.depth.min(MAX_DEPTH),
            ..limits
        };
        Self {
            input: Input::new(octets),
            grammar,
            limits,
            depth: 0,
            values: 0,
            references: 0,
            types: 0,
            classes: Classes::default(),
        }
    }

    /// Accepts a four-octet UTF-8 sequence as two units, as some Go and Rust writers count it.
    /// Java fails on it, so the default is to reject it.
    #[must_use]
    pub const fn lenient(mut self) -> Self {
        self.input.set_lenient();
        self
    }

    /// The grammar of the stream.
    #[must_use]
    pub const fn grammar(&self) -> Grammar {
        self.grammar
    }

    /// Octets read so far.
    #[inline]
    #[must_use]
    pub const fn pos(&self) -> usize {
        self.input.pos()
    }

    /// The octets not read yet.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.input.rest()
    }

    /// Whether every octet has been read.
    #[inline]
    #[must_use]
    pub const fn at_end(&self) -> bool {
        self.input.rest().is_empty()
    }

    /// What the next value is. Reads the class definitions in front of it, but not the value.
    ///
    /// # Errors
    /// [`ErrorKind::BadTag`] where no value begins (the end octet of a container included),
    /// [`ErrorKind::Truncated`] at the end of the stream, and whatever is wrong with a class
    /// definition.
    pub fn peek_kind(&mut self) -> Result<Kind, Error> {
        let tag = self.tag()?;
        let kind = match self.grammar {
            Grammar::V2 => v2::kind(tag),
            Grammar::V3 => v3::kind(tag),
        };
        kind.ok_or_else(|| self.input.error(ErrorKind::BadTag(tag)))
    }

    /// Reads a string.
    ///
    /// # Errors
    /// [`ErrorKind::Expected`] when another kind of value is next, and whatever is wrong with the
    /// string.
    #[inline]
    pub fn read_string(&mut self) -> Result<Str<'a>, Error> {
        self.tag()?;
        let mut input = self.input;
        let string = input.string(self.grammar)?;
        self.count_value()?;
        self.input = input;
        Ok(string)
    }

    /// Reads a string, or null as `None`.
    ///
    /// # Errors
    /// As [`Walker::read_string`].
    #[inline]
    pub fn read_string_or_null(&mut self) -> Result<Option<Str<'a>>, Error> {
        if self.read_null()? {
            return Ok(None);
        }
        self.read_string().map(Some)
    }

    /// Reads null if it is next, and says whether it was.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] at the end of the stream.
    #[inline]
    pub fn read_null(&mut self) -> Result<bool, Error> {
        if self.tag()? != b'N' {
            return Ok(false);
        }
        self.count_value()?;
        self.input.skip(1)?;
        Ok(true)
    }

    /// Reads an int; a long that fits is taken too, as Java readers do.
    ///
    /// # Errors
    /// [`ErrorKind::Expected`] when another kind of value is next or the long is too large.
    #[inline]
    pub fn read_int(&mut self) -> Result<i32, Error> {
        let tag = self.tag()?;
        let (long, input) = self.long_of(tag)?;
        let Ok(int) = i32::try_from(long) else {
            return Err(self.expected(Kind::Int, tag));
        };
        self.count_value()?;
        self.input = input;
        Ok(int)
    }

    /// Reads a long; an int is taken too, as Java readers do.
    ///
    /// # Errors
    /// [`ErrorKind::Expected`] when another kind of value is next.
    #[inline]
    pub fn read_long(&mut self) -> Result<i64, Error> {
        let tag = self.tag()?;
        let (long, input) = self.long_of(tag)?;
        self.count_value()?;
        self.input = input;
        Ok(long)
    }

    /// Reads a boolean.
    ///
    /// # Errors
    /// [`ErrorKind::Expected`] when another kind of value is next.
    #[inline]
    pub fn read_bool(&mut self) -> Result<bool, Error> {
        let bool = match self.tag()? {
            b'T' => true,
            b'F' => false,
            tag => return Err(self.expected(Kind::Bool, tag)),
        };
        self.count_value()?;
        self.input.skip(1)?;
        Ok(bool)
    }

    /// Enters a map, to read it entry by entry.
    ///
    /// # Errors
    /// [`ErrorKind::Expected`] when another kind of value is next, and whatever is wrong with the
    /// head of the map.
    pub fn map(&mut self) -> Result<MapEntries<'_, 'a>, Error> {
        self.enter(Kind::Map)?;
        Ok(MapEntries::new(self))
    }

    /// Enters a list, to read it value by value.
    ///
    /// # Errors
    /// As [`Walker::map`].
    pub fn list(&mut self) -> Result<ListItems<'_, 'a>, Error> {
        let body = self.enter(Kind::List)?;
        Ok(ListItems::new(self, body))
    }

    /// Enters an object, to read it field by field.
    ///
    /// # Errors
    /// As [`Walker::map`], and [`ErrorKind::UnknownClass`].
    pub fn object(&mut self) -> Result<ObjectFields<'_, 'a>, Error> {
        let class = self.next_class()?;
        self.enter(Kind::Object)?;
        let names = self.input.at(class.offset);
        ObjectFields::new(self, names, class.fields)
    }

    /// The class name of the object that is next, which is not read; `None` when the next value
    /// is no object.
    ///
    /// # Errors
    /// As [`Walker::peek_kind`], and [`ErrorKind::UnknownClass`].
    pub fn peek_class(&mut self) -> Result<Option<Str<'a>>, Error> {
        if self.peek_kind()? != Kind::Object {
            return Ok(None);
        }
        let class = self.next_class()?;
        self.class_name(&mut self.input.at(class.offset)).map(Some)
    }

    /// Values read so far, skipped ones included.
    #[inline]
    pub(crate) const fn values(&self) -> u32 {
        self.values
    }

    /// The next octet after the class definitions.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<u8, Error> {
        loop {
            let tag = self.input.peek()?;
            if tag != self.grammar.definition() {
                return Ok(tag);
            }
            self.define_class()?;
        }
    }

    #[inline]
    pub(crate) fn count_value(&mut self) -> Result<(), Error> {
        if self.values >= self.limits.values {
            let limit = self.limits.values;
            return Err(self.input.error(ErrorKind::TooManyValues { limit }));
        }
        self.values += 1;
        Ok(())
    }

    #[cold]
    const fn expected(&self, wanted: Kind, octet: u8) -> Error {
        self.input.error(ErrorKind::Expected { wanted, octet })
    }

    /// The long or int that begins with `tag`, the next octet, and the input after it.
    #[inline]
    fn long_of(&self, tag: u8) -> Result<(i64, Input<'a>), Error> {
        let mut input = self.input;
        if let Some(int) = input.int_of(tag)? {
            return Ok((int.into(), input));
        }
        input.skip(1)?;
        let high = i64::from(tag);
        let long = match (tag, self.grammar) {
            (0xd8..=0xef, _) => high - 0xe0,
            (0xf0..=0xff, _) => ((high - 0xf8) << 8) + i64::from(input.u8()?),
            (0x38..=0x3f, _) => ((high - 0x3c) << 16) + i64::from(input.u16()?),
            (b'L', _) => input.i64()?,
            (b'Y', Grammar::V2) | (b'w', Grammar::V3) => input.i32()?.into(),
            _ => return Err(self.expected(Kind::Long, tag)),
        };
        Ok((long, input))
    }

    /// The end octet, if it is next.
    #[inline]
    pub(crate) fn end(&mut self) -> Result<bool, Error> {
        if self.input.peek()? != self.grammar.end() {
            return Ok(false);
        }
        self.input.skip(1)?;
        Ok(true)
    }

    /// Reads the head of a container that a cursor is to walk.
    fn enter(&mut self, wanted: Kind) -> Result<Body, Error> {
        if self.peek_kind()? != wanted {
            let tag = self.input.peek()?;
            return Err(self.expected(wanted, tag));
        }
        let limit = self.limits.depth;
        if self.depth >= limit {
            return Err(self.input.error(ErrorKind::TooDeep { limit }));
        }
        let body = self.open()?;
        self.depth += 1;
        Ok(body)
    }

    /// Leaves a container that [`Walker::enter`] entered.
    pub(crate) const fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The class of the object that is next, which is not read.
    fn next_class(&mut self) -> Result<Class, Error> {
        let tag = self.tag()?;
        let mut probe = self.input;
        probe.skip(1)?;
        let index = match (tag, self.grammar) {
            (b'O', Grammar::V2) | (b'o', Grammar::V3) => probe.int()?,
            (0x60..=0x6f, Grammar::V2) => i32::from(tag - 0x60),
            _ => return Err(self.expected(Kind::Object, tag)),
        };
        self.class(index)
    }

    #[inline]
    fn class(&self, index: i32) -> Result<Class, Error> {
        let class = self.classes.get(index);
        class.ok_or_else(|| self.input.error_before(ErrorKind::UnknownClass(index)))
    }

    /// Reads a class definition.
    #[cold]
    fn define_class(&mut self) -> Result<(), Error> {
        let limit = self.limits.classes;
        if self.classes.count() >= limit {
            return Err(self.input.error(ErrorKind::TooManyClasses { limit }));
        }
        let mut input = self.input;
        input.skip(1)?;
        let offset = input.pos();
        self.class_name(&mut input)?;
        let fields = input.count()?;
        let limit = self.limits.fields;
        if fields > limit {
            return Err(input.error_before(ErrorKind::TooManyFields { limit }));
        }
        for _ in 0..fields {
            input.string(self.grammar)?;
        }
        self.input = input;
        self.classes.push(Class { offset, fields });
        Ok(())
    }

    /// The name at the start of a class definition.
    pub(crate) fn class_name(&self, input: &mut Input<'a>) -> Result<Str<'a>, Error> {
        match self.grammar {
            Grammar::V2 => input.string(Grammar::V2),
            Grammar::V3 => {
                let units = input.count()? as usize;
                Ok(Str::whole(input.units(units)?, units))
            }
        }
    }

    /// An object of class `index`, whose head has just been read.
    #[inline]
    pub(crate) fn open_object(&mut self, index: i32) -> Result<Body, Error> {
        let fields = self.class(index)?.fields;
        self.references += 1;
        Ok(Body::of(fields))
    }

    /// A container is about to begin: it takes the next reference.
    #[inline]
    pub(crate) const fn take_reference(&mut self) {
        self.references += 1;
    }

    /// A type name has been read: it takes the next type index.
    #[inline]
    pub(crate) const fn take_type(&mut self) {
        self.types += 1;
    }

    /// Checks a type index that has just been read.
    #[inline]
    pub(crate) fn check_type(&self, index: i32) -> Result<(), Error> {
        match u32::try_from(index) {
            Ok(known) if known < self.types => Ok(()),
            _ => Err(self.input.error_before(ErrorKind::UnknownType(index))),
        }
    }

    /// Checks a reference that has just been read.
    #[inline]
    pub(crate) fn check_reference(&self, index: i32) -> Result<Body, Error> {
        match u32::try_from(index) {
            Ok(known) if known < self.references => Ok(Body::SCALAR),
            _ => Err(self.input.error_before(ErrorKind::UnknownReference(index))),
        }
    }
}

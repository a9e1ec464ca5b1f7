//! A body as a row of values, whatever its serialization.

use std::{borrow::Cow, fmt, ops::Range};

use crossdock_hessian::{Error, Grammar, Kind, Limits, MapEntries, Str, Walker};

use crate::{
    head::Serialization,
    jsonb::{self, Scalar},
};

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The grammar of hessian is broken.
    Hessian(Error),
    /// The grammar of JSONB, or a length in front of a value, is broken.
    Jsonb(&'static str),
    /// The values are not those of a Dubbo message.
    Dubbo(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hessian(error) => error.fmt(f),
            Self::Jsonb(reason) | Self::Dubbo(reason) => f.write_str(reason),
        }
    }
}

impl From<Error> for Malformed {
    fn from(error: Error) -> Self {
        Self::Hessian(error)
    }
}

impl From<jsonb::Malformed> for Malformed {
    fn from(jsonb::Malformed(reason): jsonb::Malformed) -> Self {
        Self::Jsonb(reason)
    }
}

const NOT_TEXT: Malformed = Malformed::Dubbo("a value that has to be a string is none");
const NOT_INT: Malformed = Malformed::Dubbo("a value that has to be an int is none");
const NO_MAP: Malformed = Malformed::Dubbo("the attachments are no map");
const CUT: Malformed = Malformed::Jsonb("a length is larger than what is left");

/// A cursor over the values of a body.
#[derive(Clone, Debug)]
pub(crate) struct Values<'f> {
    /// Where in the body the cursor was made.
    base: usize,
    source: Source<'f>,
}

/// No allocation on the path of a call: a box would cost one each time a rule asks for a header.
#[expect(clippy::large_enum_variant, reason = "see above")]
#[derive(Clone, Debug)]
enum Source<'f> {
    Hessian(Walker<'f>),
    /// Each value has its length in front of it.
    Jsonb {
        whole: usize,
        rest: &'f [u8],
    },
}

impl<'f> Values<'f> {
    /// The values of `body` from offset `base` on, before which nothing but strings and numbers
    /// may stand. `None` for a serialization that is not read.
    pub(crate) fn at(serialization: Serialization, body: &'f [u8], base: usize) -> Option<Self> {
        let rest = body.get(base..)?;
        let source = match serialization {
            Serialization::HESSIAN2 => {
                Source::Hessian(Walker::new(rest, Grammar::V2, Limits::DEFAULT))
            }
            Serialization::FASTJSON2 => Source::Jsonb {
                whole: rest.len(),
                rest,
            },
            _ => return None,
        };
        Some(Self { base, source })
    }

    /// Octets of the body in front of the next value.
    pub(crate) fn pos(&self) -> usize {
        self.base
            + match &self.source {
                Source::Hessian(walker) => walker.pos(),
                Source::Jsonb { whole, rest } => whole - rest.len(),
            }
    }

    /// Whether every octet has been read.
    pub(crate) fn at_end(&self) -> bool {
        match &self.source {
            Source::Hessian(walker) => walker.at_end(),
            Source::Jsonb { rest, .. } => rest.is_empty(),
        }
    }

    /// Reads a string or null.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Option<Cow<'f, str>>, Malformed> {
        match &mut self.source {
            Source::Hessian(walker) => {
                let text = walker.read_string_or_null()?;
                Ok(text.map(|text| text.to_cow()))
            }
            Source::Jsonb { rest, .. } => match scalar(take(rest)?)? {
                Some(Scalar::Text(text)) => Ok(Some(text.to_cow())),
                Some(Scalar::Null) => Ok(None),
                _ => Err(NOT_TEXT),
            },
        }
    }

    /// Reads an int.
    pub(crate) fn int(&mut self) -> Result<i64, Malformed> {
        match &mut self.source {
            Source::Hessian(walker) => Ok(walker.read_int()?.into()),
            Source::Jsonb { rest, .. } => match scalar(take(rest)?)? {
                Some(Scalar::Int(int)) => Ok(int),
                _ => Err(NOT_INT),
            },
        }
    }

    /// Reads an int if one is next, and only in hessian2.
    pub(crate) fn int_if_next(&mut self) -> Result<Option<i64>, Malformed> {
        let Source::Hessian(walker) = &mut self.source else {
            return Ok(None);
        };
        match walker.peek_kind()? {
            Kind::Int => Ok(Some(walker.read_int()?.into())),
            _ => Ok(None),
        }
    }

    /// Passes over a value.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        match &mut self.source {
            Source::Hessian(walker) => Ok(walker.skip_value()?),
            Source::Jsonb { rest, .. } => take(rest).map(drop),
        }
    }

    /// Reads the object that is next for its class and one of its int fields; `None` when it is no
    /// object.
    pub(crate) fn object(&mut self, field: &str) -> Result<Option<Object<'f>>, Malformed> {
        match &mut self.source {
            Source::Hessian(walker) => hessian_object(walker, field),
            Source::Jsonb { rest, .. } => jsonb_object(take(rest)?, field),
        }
    }

    /// Enters the map that is next, `None` for null, which is read.
    pub(crate) fn map(&mut self) -> Result<Option<Entries<'_, 'f>>, Malformed> {
        let base = self.base;
        match &mut self.source {
            Source::Hessian(walker) => {
                if walker.read_null()? {
                    return Ok(None);
                }
                let entries = walker.map()?;
                Ok(Some(Entries::Hessian { base, entries }))
            }
            Source::Jsonb { whole, rest } => {
                let value = take(rest)?;
                let end = base + *whole - rest.len();
                let mut reader = jsonb::Reader::new(value);
                reader.take_type()?;
                if reader.rest() == [jsonb::NULL] {
                    return Ok(None);
                }
                match reader.take(jsonb::OBJECT) {
                    true => Ok(Some(Entries::Jsonb { end, reader })),
                    false => Err(NO_MAP),
                }
            }
        }
    }
}

/// An object as far as an exception needs it.
#[derive(Clone, Debug)]
pub(crate) struct Object<'f> {
    /// The name of its class.
    pub(crate) class: Cow<'f, str>,
    /// The field asked for, when it is there and an integer.
    pub(crate) int: Option<i64>,
}

fn hessian_object<'f>(
    walker: &mut Walker<'f>,
    field: &str,
) -> Result<Option<Object<'f>>, Malformed> {
    if walker.peek_kind()? != Kind::Object {
        walker.skip_value()?;
        return Ok(None);
    }
    let mut fields = walker.object()?;
    let class = fields.class_name().to_cow();
    let mut int = None;
    while let Some(name) = fields.next_field()? {
        if name.eq_str(field) && fields.value().peek_kind()? == Kind::Int {
            int = Some(fields.value().read_int()?.into());
        }
    }
    Ok(Some(Object { class, int }))
}

fn jsonb_object<'f>(value: &'f [u8], field: &str) -> Result<Option<Object<'f>>, Malformed> {
    let mut reader = jsonb::Reader::new(value);
    let Some(class) = reader.take_type()? else {
        return Ok(None);
    };
    let class = class.to_cow();
    let mut int = None;
    if !reader.take(jsonb::OBJECT) {
        return Ok(None);
    }
    while !reader.take(jsonb::END) {
        let key = reader.key()?;
        let value = reader.value()?;
        if let (Some(key), Some(Scalar::Int(found))) = (key, value)
            && key.to_cow() == field
        {
            int = Some(found);
        }
    }
    Ok(Some(Object { class, int }))
}

/// The next length-prefixed value.
fn take<'f>(rest: &mut &'f [u8]) -> Result<&'f [u8], Malformed> {
    let (length, after) = rest.split_first_chunk().ok_or(CUT)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CUT)?;
    let (value, after) = after.split_at_checked(length).ok_or(CUT)?;
    *rest = after;
    Ok(value)
}

/// The scalar that fills `value`.
fn scalar(value: &[u8]) -> Result<Option<Scalar<'_>>, Malformed> {
    let mut reader = jsonb::Reader::new(value);
    let scalar = reader.value()?;
    match reader.rest().is_empty() {
        true => Ok(scalar),
        false => Err(CUT),
    }
}

/// The entries of a map in the order of the body.
pub(crate) enum Entries<'w, 'f> {
    Hessian {
        base: usize,
        entries: MapEntries<'w, 'f>,
    },
    Jsonb {
        /// Where in the body the map ends.
        end: usize,
        reader: jsonb::Reader<'f>,
    },
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'f> {
    /// `None` when it is no string.
    pub(crate) key: Option<Text<'f>>,
    pub(crate) value: Value<'f>,
    /// Where key and value stand in the body.
    pub(crate) span: Range<usize>,
    /// Where the value begins.
    pub(crate) value_at: usize,
    /// Whether the entry can be cut out: nothing later refers to what it defines.
    pub(crate) loose: bool,
}

impl<'f> Entries<'_, 'f> {
    /// Octets of the body in front of the next entry.
    pub(crate) fn pos(&mut self) -> usize {
        match self {
            Self::Hessian { base, entries } => *base + entries.value().pos(),
            Self::Jsonb { end, reader } => *end - reader.rest().len(),
        }
    }

    /// The next entry; `None` after the last, when the end octet has been read too.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'f>>, Malformed> {
        let start = self.pos();
        match self {
            Self::Hessian { base, entries } => {
                let first = entries.value().rest().first().copied();
                let Some(key) = entries.next_key()? else {
                    return Ok(None);
                };
                let value_at = *base + entries.value().pos();
                let second = entries.value().rest().first().copied();
                let (value, container) = hessian_value(entries.value())?;
                // A class definition may stand in front of any value.
                let defines = [first, second].contains(&Some(b'C'));
                Ok(Some(Entry {
                    key: key.map(Text::Hessian),
                    value,
                    span: start..*base + entries.value().pos(),
                    value_at,
                    loose: !defines && !container && key.is_some(),
                }))
            }
            Self::Jsonb { end, reader } => {
                if reader.take(jsonb::END) {
                    return match reader.rest().is_empty() {
                        true => Ok(None),
                        false => Err(CUT),
                    };
                }
                let named = reader.at_name();
                let key = reader.key()?;
                let value_at = *end - reader.rest().len();
                let named = named || reader.at_name();
                let value = reader.value()?;
                Ok(Some(Entry {
                    key: key.map(Text::Jsonb),
                    value: Value::from(value),
                    span: start..*end - reader.rest().len(),
                    value_at,
                    loose: !named && key.is_some() && value.is_some(),
                }))
            }
        }
    }
}

/// Reads a value, and tells whether it takes a number that later references count by.
fn hessian_value<'f>(walker: &mut Walker<'f>) -> Result<(Value<'f>, bool), Malformed> {
    let kind = walker.peek_kind()?;
    let value = match kind {
        Kind::String => Value::Text(Text::Hessian(walker.read_string()?)),
        Kind::Int | Kind::Long => Value::Int(walker.read_long()?),
        Kind::Bool => Value::Bool(walker.read_bool()?),
        _ => {
            walker.skip_value()?;
            Value::Other
        }
    };
    let container = matches!(kind, Kind::List | Kind::Map | Kind::Object);
    Ok((value, container))
}

/// The value of an attachment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'f> {
    Text(Text<'f>),
    Int(i64),
    Bool(bool),
    /// Null, and what has no form as text: attachments of Dubbo 3 may be any object.
    Other,
}

impl<'f> Value<'f> {
    /// The value as a header.
    pub(crate) fn to_cow(self) -> Option<Cow<'f, str>> {
        Some(match self {
            Self::Text(text) => text.to_cow(),
            Self::Int(int) => int.to_string().into(),
            Self::Bool(true) => "true".into(),
            Self::Bool(false) => "false".into(),
            Self::Other => return None,
        })
    }
}

impl<'f> From<Option<Scalar<'f>>> for Value<'f> {
    fn from(scalar: Option<Scalar<'f>>) -> Self {
        match scalar {
            Some(Scalar::Text(text)) => Self::Text(Text::Jsonb(text)),
            Some(Scalar::Int(int)) => Self::Int(int),
            Some(Scalar::Bool(bool)) => Self::Bool(bool),
            Some(Scalar::Null) | None => Self::Other,
        }
    }
}

/// A string where it stands in the body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Text<'f> {
    Hessian(Str<'f>),
    Jsonb(jsonb::Text<'f>),
}

impl<'f> Text<'f> {
    /// The text, borrowed where it is one piece of UTF-8.
    pub(crate) fn to_cow(self) -> Cow<'f, str> {
        match self {
            Self::Hessian(text) => text.to_cow(),
            Self::Jsonb(text) => text.to_cow(),
        }
    }

    /// Whether the text is `other`, ASCII letters compared without case.
    pub(crate) fn eq_ignore_ascii_case(self, other: &str) -> bool {
        match self {
            Self::Hessian(text) => text.eq_ignore_ascii_case(other),
            Self::Jsonb(text) => text.eq_ignore_ascii_case(other),
        }
    }
}

//! The two grammars, the kinds of value they share, and the limits of a walk.

use std::fmt;

/// Which of the two encodings called *hessian2* a stream uses.
///
/// They share the octets of short strings and ints but little else, so a wrong guess fails late.
/// A body that begins with an object tells them apart: its first octet is `0x43` in
/// [`Grammar::V2`] and `0x4f` in [`Grammar::V3`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grammar {
    /// Hessian 2.0: Dubbo's hessian-lite, sofa-hessian 4.x, hessian.js v2.
    V2,
    /// The draft of Caucho 3.1, kept by sofa-hessian 3.x: SOFARPC's default.
    V3,
}

impl Grammar {
    /// The grammar of a stream whose first value is an object, from its first octet; `None` when
    /// the first value is something else.
    #[must_use]
    pub const fn of_object(first: u8) -> Option<Self> {
        match first {
            0x43 => Some(Self::V2),
            0x4f => Some(Self::V3),
            _ => None,
        }
    }

    /// The octet that ends a container of unknown length.
    #[inline]
    pub(crate) const fn end(self) -> u8 {
        match self {
            Self::V2 => b'Z',
            Self::V3 => b'z',
        }
    }

    /// The octet that begins a class definition.
    #[inline]
    pub(crate) const fn definition(self) -> u8 {
        match self {
            Self::V2 => b'C',
            Self::V3 => b'O',
        }
    }
}

/// What stands at a place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No value.
    Null,
    /// True or false.
    Bool,
    /// A 32-bit integer.
    Int,
    /// A 64-bit integer.
    Long,
    /// A 64-bit float (32 bits in one form of [`Grammar::V3`]).
    Double,
    /// A point in time.
    Date,
    /// Text, or its first chunk.
    String,
    /// Octets, or their first chunk.
    Binary,
    /// A list or array.
    List,
    /// A map, typed or not.
    Map,
    /// An instance of a class defined earlier in the stream.
    Object,
    /// A reference to a list, map or object that began earlier in the stream.
    Reference,
    /// A remote object: a type and an address; [`Grammar::V3`] only.
    Remote,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Double => "a double",
            Self::Date => "a date",
            Self::String => "a string",
            Self::Binary => "binary",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Object => "an object",
            Self::Reference => "a reference",
            Self::Remote => "a remote object",
        })
    }
}

/// The deepest nesting that a [`Walker`](crate::Walker) can be told to allow.
pub const MAX_DEPTH: u16 = 256;

/// What one stream may cost. Octets are bounded by the slice itself.
///
/// Every value takes at least one octet, so the time of a walk is linear in the slice even
/// without these; they stop a hostile stream earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lists, maps and objects inside each other. Default 128: Java has no limit, and real
    /// arguments stay far below. Values over [`MAX_DEPTH`] count as [`MAX_DEPTH`].
    pub depth: u16,
    /// Values in the stream, the elements of containers included. Default 4 194 304: an `int[]`
    /// that fills half of Dubbo's 8 MiB payload still passes.
    pub values: u32,
    /// Class definitions. Default 1024. The first 16 cost no allocation, each further one 16
    /// octets.
    pub classes: u32,
    /// Fields of one class. Default 4096.
    pub fields: u32,
}

impl Limits {
    /// The defaults, usable in constants.
    pub const DEFAULT: Self = Self {
        depth: 128,
        values: 1 << 22,
        classes: 1024,
        fields: 4096,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

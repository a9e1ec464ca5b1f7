//! Why a walk stopped, and where.

use crate::Kind;

/// A walk stopped: what was wrong, at which octet.
///
/// A `read_*` method that fails, and a cursor refused with [`ErrorKind::Expected`], have consumed
/// no part of the value, so that the caller can try another reading. After any other error the
/// rest of the stream cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hessian, offset {offset}: {kind}")]
pub struct Error {
    /// Octets from the start of the stream to the place that is wrong.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ErrorKind,
}

impl Error {
    /// Whether the input ended too early: what is there may be the beginning of a good stream.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        matches!(self.kind, ErrorKind::Truncated)
    }
}

/// What can be wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input ends inside a value, or a length is larger than what is left.
    #[error("the input ends inside a value")]
    Truncated,
    /// The octet begins no value in this grammar.
    #[error("octet {0:#04x} begins no value")]
    BadTag(u8),
    /// Another kind of value stands where the caller or the grammar needs this one.
    #[error("expected {wanted}, found octet {octet:#04x}")]
    Expected {
        /// The kind that is needed.
        wanted: Kind,
        /// The octet found instead.
        octet: u8,
    },
    /// A length or count below zero.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// A reference to a list, map or object that has not begun yet.
    #[error("reference to unknown value {0}")]
    UnknownReference(i32),
    /// An object of a class that is not defined yet.
    #[error("object of undefined class {0}")]
    UnknownClass(i32),
    /// A type index that is not in the type table yet.
    #[error("unknown type {0}")]
    UnknownType(i32),
    /// Text that Java could not have written: a bad or overlong sequence, or one of four octets
    /// (Java writes two surrogates of three octets each; see [`crate::Walker::lenient`]).
    #[error("octet {0:#04x} breaks the string encoding")]
    BadUtf8(u8),
    /// More containers inside each other than [`crate::Limits::depth`].
    #[error("values nest deeper than {limit}")]
    TooDeep {
        /// The limit in force.
        limit: u16,
    },
    /// More values than [`crate::Limits::values`].
    #[error("more than {limit} values")]
    TooManyValues {
        /// The limit in force.
        limit: u32,
    },
    /// More class definitions than [`crate::Limits::classes`].
    #[error("more than {limit} class definitions")]
    TooManyClasses {
        /// The limit in force.
        limit: u32,
    },
    /// A class with more fields than [`crate::Limits::fields`].
    #[error("a class of more than {limit} fields")]
    TooManyFields {
        /// The limit in force.
        limit: u32,
    },
}

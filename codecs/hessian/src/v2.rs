//! Hessian 2.0: what each tag octet means in value position.
//!
//! Source: the Hessian 2.0 serialization protocol (Caucho) as hessian-lite 4.x and sofa-hessian
//! 4.x write it.

use crate::skip::Body;
use crate::{Error, ErrorKind, Grammar, Kind, Walker};

/// The kind of value that begins with `tag`.
pub(crate) const fn kind(tag: u8) -> Option<Kind> {
    Some(match tag {
        0x00..=0x1f | 0x30..=0x33 | b'R' | b'S' => Kind::String,
        0x20..=0x2f | 0x34..=0x37 | b'A' | b'B' => Kind::Binary,
        0x38..=0x3f | b'L' | b'Y' | 0xd8..=0xff => Kind::Long,
        b'I' | 0x80..=0xd7 => Kind::Int,
        b'D' | 0x5b..=0x5f => Kind::Double,
        b'F' | b'T' => Kind::Bool,
        b'H' | b'M' => Kind::Map,
        b'J' | b'K' => Kind::Date,
        b'N' => Kind::Null,
        b'O' | 0x60..=0x6f => Kind::Object,
        b'Q' => Kind::Reference,
        b'U' | b'V' | b'W' | b'X' | 0x70..=0x7f => Kind::List,
        _ => return None,
    })
}

/// Reads the value that began with `tag`, which has been read: all of a scalar, the head of a
/// container.
#[inline]
pub(crate) fn open(walker: &mut Walker<'_>, tag: u8) -> Result<Body, Error> {
    let input = &mut walker.input;
    match tag {
        0x00..=0x1f => input.units(tag.into()).map(drop)?,
        0x20..=0x2f => input.skip(usize::from(tag - 0x20))?,
        0x30..=0x33 | b'R' | b'S' => {
            *input = input.at(input.pos() - 1);
            input.string(Grammar::V2)?;
        }
        0x34..=0x37 | b'A' | b'B' => binary(walker, tag)?,
        b'F' | b'N' | b'T' | 0x5b | 0x5c | 0x80..=0xbf | 0xd8..=0xef => {}
        0x5d | 0xc0..=0xcf | 0xf0..=0xff => input.skip(1)?,
        0x38..=0x3f | 0x5e | 0xd0..=0xd7 => input.skip(2)?,
        b'I' | b'K' | b'Y' | 0x5f => input.skip(4)?,
        b'D' | b'J' | b'L' => input.skip(8)?,
        b'H' => return Ok(take(walker, Body::MAP)),
        b'M' => {
            read_type(walker)?;
            return Ok(take(walker, Body::MAP));
        }
        b'O' => {
            let class = input.int()?;
            return walker.open_object(class);
        }
        0x60..=0x6f => return walker.open_object(i32::from(tag - 0x60)),
        b'Q' => {
            let index = input.int()?;
            return walker.check_reference(index);
        }
        b'U' => {
            read_type(walker)?;
            return Ok(take(walker, Body::LIST));
        }
        b'V' => {
            read_type(walker)?;
            return counted(walker);
        }
        b'W' => return Ok(take(walker, Body::LIST)),
        b'X' => return counted(walker),
        0x70..=0x77 => {
            read_type(walker)?;
            return fixed(walker, tag - 0x70);
        }
        0x78..=0x7f => return fixed(walker, tag - 0x78),
        _ => return Err(input.error_before(ErrorKind::BadTag(tag))),
    }
    Ok(Body::SCALAR)
}

#[inline]
const fn take(walker: &mut Walker<'_>, body: Body) -> Body {
    walker.take_reference();
    body
}

/// A list whose count comes next.
fn counted(walker: &mut Walker<'_>) -> Result<Body, Error> {
    let count = walker.input.count()?;
    Ok(take(walker, Body::of(count)))
}

/// A list whose count was in its tag.
#[inline]
fn fixed(walker: &mut Walker<'_>, count: u8) -> Result<Body, Error> {
    let count = walker.input.checked_count(count.into())?;
    Ok(take(walker, Body::of(count)))
}

/// A type: a name, which takes the next index, or the index of an earlier one.
fn read_type(walker: &mut Walker<'_>) -> Result<(), Error> {
    let tag = walker.input.peek()?;
    if walker.input.string_of(tag, Grammar::V2)?.is_some() {
        walker.take_type();
        return Ok(());
    }
    match walker.input.int_of(tag)? {
        Some(index) => walker.check_type(index),
        None => {
            let wanted = Kind::String;
            Err(walker
                .input
                .error(ErrorKind::Expected { wanted, octet: tag }))
        }
    }
}

/// Octets in chunks of any size; `tag` began the first.
#[cold]
fn binary(walker: &mut Walker<'_>, tag: u8) -> Result<(), Error> {
    let input = &mut walker.input;
    let mut tag = tag;
    loop {
        match tag {
            0x20..=0x2f => return input.skip(usize::from(tag - 0x20)),
            0x34..=0x37 => {
                let low = usize::from(input.u8()?);
                return input.skip((usize::from(tag - 0x34) << 8) + low);
            }
            b'B' => {
                let octets = input.u16()?;
                return input.skip(octets.into());
            }
            b'A' => {
                let octets = input.u16()?;
                input.skip(octets.into())?;
                tag = input.u8()?;
            }
            octet => {
                let wanted = Kind::Binary;
                return Err(input.error_before(ErrorKind::Expected { wanted, octet }));
            }
        }
    }
}

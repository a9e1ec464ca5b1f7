//! The 3.x draft: what each tag octet means in value position.
//!
//! Source: sofa-hessian, branch 3.x (`Hessian2Input`, Caucho 3.1), SOFARPC's default.

use crate::skip::Body;
use crate::{Error, ErrorKind, Grammar, Kind, Walker};

/// The kind of value that begins with `tag`.
pub(crate) const fn kind(tag: u8) -> Option<Kind> {
    Some(match tag {
        0x00..=0x1f | b'S' | b's' | b'X' | b'x' => Kind::String,
        0x20..=0x2f | b'B' | b'b' => Kind::Binary,
        0x38..=0x3f | b'L' | b'w' | 0xd8..=0xff => Kind::Long,
        b'I' | 0x80..=0xd7 => Kind::Int,
        b'D' | 0x67..=0x6b => Kind::Double,
        b'F' | b'T' => Kind::Bool,
        b'M' => Kind::Map,
        b'd' => Kind::Date,
        b'N' => Kind::Null,
        b'o' => Kind::Object,
        b'J' | b'K' | b'R' => Kind::Reference,
        b'V' | b'v' => Kind::List,
        b'r' => Kind::Remote,
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
        b'S' | b's' | b'X' | b'x' => {
            *input = input.at(input.pos() - 1);
            input.string(Grammar::V3)?;
        }
        b'B' | b'b' => binary(walker, tag)?,
        b'F' | b'N' | b'T' | 0x67 | 0x68 | 0x80..=0xbf | 0xd8..=0xef => {}
        0x69 | 0xc0..=0xcf | 0xf0..=0xff => input.skip(1)?,
        0x38..=0x3f | 0x6a | 0xd0..=0xd7 => input.skip(2)?,
        b'I' | b'w' | 0x6b => input.skip(4)?,
        b'D' | b'L' | b'd' => input.skip(8)?,
        b'J' => {
            let index = i32::from(input.u8()?);
            return walker.check_reference(index);
        }
        b'K' => {
            let index = i32::from(input.u16()?);
            return walker.check_reference(index);
        }
        b'R' => {
            let index = input.i32()?;
            return walker.check_reference(index);
        }
        b'M' => {
            read_type(walker)?;
            walker.take_reference();
            return Ok(Body::MAP);
        }
        b'V' => {
            read_type(walker)?;
            read_length(walker)?;
            walker.take_reference();
            return Ok(Body::LIST);
        }
        b'v' => {
            let index = input.int()?;
            walker.check_type(index)?;
            let count = walker.input.count()?;
            walker.take_reference();
            return Ok(Body::of(count));
        }
        b'o' => {
            let class = input.int()?;
            return walker.open_object(class);
        }
        b'r' => {
            read_type(walker)?;
            walker.input.string(Grammar::V3)?;
        }
        _ => return Err(input.error_before(ErrorKind::BadTag(tag))),
    }
    Ok(Body::SCALAR)
}

/// A type, where one is given: a name, which takes the next index, or the index of an earlier
/// one. `T` is an index here and never the value true, as in `Hessian2Input.readType`.
fn read_type(walker: &mut Walker<'_>) -> Result<(), Error> {
    let input = &mut walker.input;
    match input.peek()? {
        b't' => {
            input.skip(1)?;
            let units = input.u16()?;
            input.units(units.into())?;
            walker.take_type();
            Ok(())
        }
        b'u' | b'T' => {
            input.skip(1)?;
            let index = input.int()?;
            walker.check_type(index)
        }
        _ => Ok(()),
    }
}

/// The length of a list, where one is given. The end octet tells in any case; a length that
/// cannot be true is an error all the same, because a reader would make room for it.
fn read_length(walker: &mut Walker<'_>) -> Result<(), Error> {
    let input = &mut walker.input;
    let length = match input.peek()? {
        b'n' => {
            input.skip(1)?;
            input.u8()?.into()
        }
        b'l' => {
            input.skip(1)?;
            input.i32()?
        }
        _ => return Ok(()),
    };
    input.checked_count(length).map(drop)
}

/// Octets in chunks of any size; `tag` began the first.
#[cold]
fn binary(walker: &mut Walker<'_>, tag: u8) -> Result<(), Error> {
    let input = &mut walker.input;
    let mut tag = tag;
    loop {
        match tag {
            0x20..=0x2f => return input.skip(usize::from(tag - 0x20)),
            b'B' => {
                let octets = input.u16()?;
                return input.skip(octets.into());
            }
            b'b' => {
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

//! A frame is forwarded as the bytes that came, under another id.

use bytes::Bytes;
use crossdock_framework::{
    codec::Codec,
    edits::Edits,
    frame::{Frame, Head, WireId},
    out::Out,
};

use super::{Broken, Case, Law, cut_one};
use crate::vectors::Vector;

/// Bytes that a checksum may take.
const CHECKSUM: usize = 8;

/// Writing a frame under its own id gives the bytes as they came.
///
/// # Errors
/// The first vector for which it does not.
pub fn encoding_is_the_identity<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("encoding_is_the_identity", vectors) {
        for cut in case.cut::<C>()? {
            let again = encoded::<C>(&case, &cut.frame, cut.frame.head.id())?;
            case.check(again == cut.frame.bytes, || "other bytes".to_owned())?;
        }
    }
    Ok(())
}

/// A new id changes the bytes of the id and of a checksum over them, and nothing else; the frame
/// decodes with it, and the old id brings the old bytes back.
///
/// # Errors
/// The first vector for which that is not so.
pub fn only_the_id_changes<C: Codec>(vectors: &[Vector]) -> Law {
    let mask = u64::MAX >> (64 - C::ID_BITS.clamp(1, 64));
    for case in Case::each("only_the_id_changes", vectors) {
        for cut in case.cut::<C>()? {
            if cut.damaged.is_some() {
                continue;
            }
            let ids = [
                0,
                mask,
                1,
                1 << (C::ID_BITS - 1),
                0x0123_4567_89ab_cdef & mask,
            ];
            let mut places = Vec::new();
            for id in ids.map(WireId) {
                let bytes = encoded::<C>(&case, &cut.frame, id)?;
                let renamed = renamed::<C>(&case, &bytes, id)?;
                case.check(renamed.head.kind() == cut.frame.head.kind(), || {
                    format!("the kind became {:?}", renamed.head.kind())
                })?;
                let back = encoded::<C>(&case, &renamed, cut.frame.head.id())?;
                case.check(back == cut.frame.bytes, || {
                    format!("id {} leaves a trace", id.0)
                })?;
                places.extend(differing(&cut.frame.bytes, &bytes));
            }
            places.sort_unstable();
            places.dedup();
            let allowed = C::ID_BITS.div_ceil(8) as usize + CHECKSUM;
            case.check(places.len() <= allowed, || {
                format!("bytes {places:?} change with the id")
            })?;
        }
    }
    Ok(())
}

fn renamed<C: Codec>(case: &Case<'_>, bytes: &Bytes, id: WireId) -> Result<Frame<C::Head>, Broken> {
    let mut out = Out::default();
    out.copy(bytes);
    let frame = cut_one::<C>(&out).map_err(|what| case.broken(what))?;
    case.check(frame.head.id() == id, || {
        format!("id {} decodes as {}", id.0, frame.head.id().0)
    })?;
    Ok(frame)
}

fn encoded<C: Codec>(case: &Case<'_>, frame: &Frame<C::Head>, id: WireId) -> Result<Bytes, Broken> {
    let mut out = Out::default();
    C::default()
        .encode(frame, id, &Edits::none(), &mut out)
        .map_err(|error| case.broken(error.to_string()))?;
    let bytes = Bytes::from(out.to_vec());
    case.check(bytes.len() == frame.bytes.len(), || {
        format!("{} bytes became {}", frame.bytes.len(), bytes.len())
    })?;
    Ok(bytes)
}

fn differing<'b>(a: &'b [u8], b: &'b [u8]) -> impl Iterator<Item = usize> {
    (a.iter().zip(b).enumerate()).filter_map(|(at, (a, b))| (a != b).then_some(at))
}

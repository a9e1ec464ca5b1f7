//! Where the network cuts the stream means nothing.

use bytes::{Bytes, BytesMut};
use crossdock_framework::codec::{Codec, Decoded, FrameLimits};

use super::{Case, Cut, Law, cut::told, cut_all};
use crate::vectors::Vector;

/// Every place is tried in the first and last bytes of a stream, and this many between.
const PLACES: usize = 2048;

/// A stream split at every byte, and fed byte by byte, gives the same frames as the whole; and a
/// decoder never waits for more than is missing.
///
/// # Errors
/// The first vector for which that is not so.
pub fn split_anywhere<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("split_anywhere", vectors) {
        let whole = case.cut::<C>()?;
        let bytes = &case.vector.bytes;
        for at in places(bytes.len()) {
            let (first, second) = bytes.split_at(at);
            same::<C>(&case, &whole, &[first, second])?;
        }
        if bytes.len() <= PLACES {
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            same::<C>(&case, &whole, &single)?;
        }
    }
    Ok(())
}

/// Feeds the pieces one after the other and compares the frames with `whole`.
fn same<C: Codec>(case: &Case<'_>, whole: &[Cut<C::Head>], pieces: &[&[u8]]) -> Law {
    let mut codec = C::default();
    let mut buf = BytesMut::new();
    let mut cuts = Vec::new();
    let mut left = case.vector.bytes.len();
    for piece in pieces {
        buf.extend_from_slice(piece);
        left -= piece.len();
        while !buf.is_empty() {
            match codec.decode(&mut buf, &FrameLimits::default()) {
                Ok(Decoded::Frame(frame)) => cuts.push(Cut {
                    frame,
                    damaged: None,
                }),
                Ok(Decoded::Damaged { frame, reason }) => cuts.push(Cut {
                    frame,
                    damaged: Some(reason),
                }),
                Ok(Decoded::More(missing)) if (1..=left).contains(&missing) => break,
                other => {
                    let said = told(&other);
                    return Err(case.broken(format!("with {left} bytes to come: {said}")));
                }
            }
        }
    }
    let alike = whole.len() == cuts.len() && whole.iter().zip(&cuts).all(|(a, b)| a.is_like(b));
    case.check(alike, || {
        format!("other frames in pieces of {:?}", lengths(pieces))
    })
}

fn lengths(pieces: &[&[u8]]) -> Vec<usize> {
    pieces.iter().take(4).map(|piece| piece.len()).collect()
}

/// A stream that ends early gives the frames that are whole, and then waits without taking a byte.
///
/// # Errors
/// The first vector for which that is not so.
pub fn truncation_waits<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("truncation_waits", vectors) {
        let first = case.cut::<C>()?.swap_remove(0).frame.bytes.len();
        for at in places(first).filter(|at| *at < first) {
            let mut buf = BytesMut::from(case.vector.bytes.slice(..at).as_ref());
            match C::default().decode(&mut buf, &FrameLimits::default()) {
                Ok(Decoded::More(1..)) if buf.len() == at => {}
                other => {
                    let said = told(&other);
                    return Err(case.broken(format!("{at} of {first} bytes: {said}")));
                }
            }
        }
    }
    Ok(())
}

/// Frames that stand back to back, each vector twice, come out one by one.
///
/// # Errors
/// When they do not.
pub fn frames_follow_each_other<C: Codec>(vectors: &[Vector]) -> Law {
    let mut stream = BytesMut::new();
    let mut wanted = Vec::new();
    for case in Case::each("frames_follow_each_other", vectors) {
        for _ in 0..2 {
            stream.extend_from_slice(&case.vector.bytes);
            wanted.extend(case.cut::<C>()?);
        }
    }
    let stream = Vector::new("all vectors", stream.freeze());
    let case = Case {
        law: "frames_follow_each_other",
        vector: &stream,
    };
    let found = cut_all::<C>(&Bytes::clone(&stream.bytes)).map_err(|what| case.broken(what))?;
    let alike = wanted.len() == found.len() && wanted.iter().zip(&found).all(|(a, b)| a.is_like(b));
    case.check(alike, || "other frames than alone".to_owned())
}

/// Places at which a stream of `len` bytes is cut: all of a short one.
fn places(len: usize) -> impl Iterator<Item = usize> {
    let step = len.div_ceil(PLACES).max(1);
    (0..=len).filter(move |at| at % step == 0 || *at < 64 || len - at < 64)
}

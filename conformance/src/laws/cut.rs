//! Cutting frames for the laws.

use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    codec::{Codec, DecodeError, Decoded, FrameLimits},
    frame::{Frame, Head},
    out::Out,
};

/// A frame as a decoder gave it.
#[derive(Clone, Debug)]
pub struct Cut<H> {
    /// The frame.
    pub frame: Frame<H>,
    /// What is wrong with it, where the decoder said so.
    pub damaged: Option<&'static str>,
}

impl<H: Head> Cut<H> {
    /// Whether `other` is the same frame in every respect that a relay sees.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.frame, &other.frame);
        a.bytes == b.bytes
            && self.damaged == other.damaged
            && (a.head.id(), a.head.kind()) == (b.head.id(), b.head.kind())
            && (a.head.timeout(), a.head.variant()) == (b.head.timeout(), b.head.variant())
    }
}

/// Cuts `bytes` into whole frames.
///
/// # Errors
/// When the codec refuses them, or something is left.
pub fn cut_all<C: Codec>(bytes: &Bytes) -> Result<Vec<Cut<C::Head>>, String> {
    let mut codec = C::default();
    let mut buf = BytesMut::from(bytes.as_ref());
    let mut cuts = Vec::new();
    while !buf.is_empty() {
        cuts.push(cut_next(&mut codec, &mut buf, &FrameLimits::default())?);
    }
    Ok(cuts)
}

/// Cuts what a codec wrote, which has to be exactly one frame.
///
/// # Errors
/// When it is something else.
pub fn cut_one<C: Codec>(out: &Out) -> Result<Frame<C::Head>, String> {
    let mut cuts = cut_all::<C>(&Bytes::from(out.to_vec()))?;
    match (cuts.pop(), cuts.is_empty()) {
        (Some(Cut { frame, damaged }), true) => match damaged {
            None => Ok(frame),
            Some(reason) => Err(format!("a damaged frame: {reason}")),
        },
        (None, _) => Err("nothing was written".to_owned()),
        (Some(_), false) => Err("more than one frame".to_owned()),
    }
}

fn cut_next<C: Codec>(
    codec: &mut C,
    buf: &mut BytesMut,
    limits: &FrameLimits,
) -> Result<Cut<C::Head>, String> {
    match codec.decode(buf, limits) {
        Ok(Decoded::Frame(frame)) => Ok(Cut {
            frame,
            damaged: None,
        }),
        Ok(Decoded::Damaged { frame, reason }) => Ok(Cut {
            frame,
            damaged: Some(reason),
        }),
        Ok(Decoded::More(missing)) => Err(format!("{missing} bytes are missing")),
        Ok(Decoded::Oversized { .. }) => Err("longer than the default limit".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a decoder said, in words.
pub(crate) fn told<H: Head>(said: &Result<Decoded<H>, DecodeError>) -> String {
    match said {
        Ok(Decoded::More(missing)) => format!("waits for {missing} bytes"),
        Ok(Decoded::Frame(frame)) => format!("a frame of {} bytes", frame.bytes.len()),
        Ok(Decoded::Oversized { rest, .. }) => format!("oversized, {rest} bytes to come"),
        Ok(Decoded::Damaged { reason, .. }) => format!("damaged: {reason}"),
        Err(error) => error.to_string(),
    }
}

//! Bytes that nobody should send.

use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    codec::{Codec, Decoded, FrameLimits},
    edits::{Edit, Edits},
    frame::{Frame, Head, Kind, WireId},
    out::Out,
    status::{Cause, Status},
    view::{Key, RoutingView},
};

use super::{Broken, Case, Law, answers::answers, cut::told};
use crate::vectors::Vector;

/// What a read buffer may hold beyond what was put into it: allocators round up.
const SLACK: usize = 4096;

/// A frame over the limit is refused as soon as its header is there, the header tells how much to
/// discard, a request can be answered from it, and the next frame is found behind.
///
/// # Errors
/// The first vector for which that is not so.
pub fn oversized_is_refused_early<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("oversized_is_refused_early", vectors) {
        let whole = case.cut::<C>()?.swap_remove(0).frame;
        let limits = FrameLimits {
            frame: whole.bytes.len() - 1,
        };
        let mut codec = C::default();
        let mut buf = BytesMut::new();
        let mut bytes = whole.bytes.iter();
        let (frame, rest) = loop {
            match codec.decode(&mut buf, &limits) {
                Ok(Decoded::More(_)) => match bytes.next() {
                    Some(byte) => buf.extend_from_slice(&[*byte]),
                    None => return Err(case.broken("the whole frame was buffered")),
                },
                Ok(Decoded::Oversized { frame, rest }) => break (frame, rest),
                other => return Err(case.broken(told(&other))),
            }
        };
        let told = frame.bytes.len() as u64 + rest;
        case.check(told == whole.bytes.len() as u64, || {
            format!("{told} bytes instead of {}", whole.bytes.len())
        })?;
        // What an event says stands in its body.
        let kind = whole.head.kind();
        let is_call = matches!(kind, Kind::Request | Kind::Oneway | Kind::Response);
        let same = frame.head.id() == whole.head.id() && (!is_call || frame.head.kind() == kind);
        case.check(same, || "another id or kind".to_owned())?;
        if frame.head.kind() == Kind::Request {
            answers::<C>(&case, &frame)?;
        }
        poke::<C>(&frame);
    }
    Ok(())
}

/// Vectors with bytes changed, cut out, doubled and cut off, and noise: the codec cuts frames that
/// are no more than the input, or waits, or gives up; it never panics, never stands still and
/// never asks for more memory than the input takes.
///
/// `rounds` mutations of each vector, all drawn from `seed`.
///
/// # Errors
/// The first vector for which that is not so.
pub fn mutations_do_no_harm<C: Codec>(vectors: &[Vector], seed: u64, rounds: usize) -> Law {
    let mut random = fastrand::Rng::with_seed(seed);
    for case in Case::each("mutations_do_no_harm", vectors) {
        for _ in 0..rounds {
            let stream = mutated(&case.vector.bytes, &mut random);
            harmless::<C>(&case, stream)?;
            let noise: Vec<u8> = (0..random.usize(..256)).map(|_| random.u8(..)).collect();
            harmless::<C>(&case, noise)?;
        }
    }
    Ok(())
}

fn mutated(bytes: &Bytes, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut stream = bytes.to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..stream.len().max(1));
        match random.u8(..6) {
            0 => stream.truncate(at),
            1 => drop(stream.drain(at..(at + random.usize(..8)).min(stream.len()))),
            2 => {
                let copy = stream.get(at..).unwrap_or_default().to_vec();
                stream.extend(copy);
            }
            3 => stream.insert(at.min(stream.len()), random.u8(..)),
            // Lengths live in the first bytes, and the extremes hurt most.
            4 => set(
                &mut stream,
                at % 32,
                [0, 0x7f, 0x80, 0xff][random.usize(..4)],
            ),
            _ => set(&mut stream, at, random.u8(..)),
        }
    }
    stream
}

fn set(stream: &mut [u8], at: usize, to: u8) {
    if let Some(byte) = stream.get_mut(at) {
        *byte = to;
    }
}

fn harmless<C: Codec>(case: &Case<'_>, stream: Vec<u8>) -> Law {
    any_input_is_harmless::<C>(&stream).map_err(|broken| Broken {
        what: format!("{}: {stream:02x?}", broken.what),
        ..case.broken("")
    })
}

/// What became of a stream that may be anything.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// The bytes of each frame, and whether it is damaged.
    frames: Vec<(Bytes, bool)>,
    end: End,
}

/// Why no more frames came.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Waiting,
    Oversized(u64),
    Lost(String),
}

/// Whatever the bytes are, and whether they come at once or one by one: the same frames come out,
/// no more than went in, and then a wait or an error; no question about them panics, and writing
/// a sound one gives its bytes again. For fuzz targets.
///
/// # Errors
/// What went wrong; the vector's name is empty.
pub fn any_input_is_harmless<C: Codec>(octets: &[u8]) -> Law {
    let vector = Vector::new("", Bytes::copy_from_slice(octets));
    let case = Case {
        law: "any_input_is_harmless",
        vector: &vector,
    };
    let whole = read::<C>(&case, octets.len().max(1))?;
    let single = read::<C>(&case, 1)?;
    case.check(whole == single, || {
        format!("{whole:?}, byte by byte {single:?}")
    })
}

fn read<C: Codec>(case: &Case<'_>, piece: usize) -> Result<Read, Broken> {
    let limits = FrameLimits { frame: 64 * 1024 };
    let (len, mut codec) = (case.vector.bytes.len(), C::default());
    let mut buf = BytesMut::with_capacity(len);
    let mut frames = Vec::new();
    for piece in case.vector.bytes.chunks(piece) {
        buf.extend_from_slice(piece);
        loop {
            let before = buf.len();
            let decoded = codec.decode(&mut buf, &limits);
            let capacity = buf.capacity();
            case.check(capacity <= len + SLACK, || {
                format!("a buffer of {capacity}")
            })?;
            let (frame, damaged) = match decoded {
                Ok(Decoded::Frame(frame)) => (frame, false),
                Ok(Decoded::Damaged { frame, .. }) => (frame, true),
                Ok(Decoded::Oversized { frame, rest }) => {
                    poke::<C>(&frame);
                    let end = End::Oversized(rest);
                    return Ok(Read { frames, end });
                }
                Ok(Decoded::More(missing)) => {
                    case.check(missing > 0, || "waits for nothing".to_owned())?;
                    break;
                }
                Err(error) => {
                    let end = End::Lost(error.to_string());
                    return Ok(Read { frames, end });
                }
            };
            let taken = before - buf.len();
            case.check(taken > 0 && frame.bytes.len() <= taken, || {
                format!("{taken} bytes gave {}", frame.bytes.len())
            })?;
            poke::<C>(&frame);
            if !damaged {
                same_again::<C>(case, &frame)?;
            }
            frames.push((frame.bytes, damaged));
        }
    }
    let end = End::Waiting;
    Ok(Read { frames, end })
}

fn same_again<C: Codec>(case: &Case<'_>, frame: &Frame<C::Head>) -> Law {
    let mut out = Out::default();
    let id = frame.head.id();
    let done = C::default().encode(frame, id, &Edits::none(), &mut out);
    let same = done.is_ok() && out.to_vec() == frame.bytes;
    case.check(same, || "a frame is written as other bytes".to_owned())
}

/// Asks a codec everything about a frame and has it written in every way, for the panics that it
/// may cost.
pub fn poke<C: Codec>(frame: &Frame<C::Head>) {
    let view = C::view(frame);
    for key in [
        Key::Authority,
        Key::Path,
        Key::HttpMethod,
        Key::Scheme,
        Key::Header("x-law"),
        Key::Header("service"),
        Key::Header("group"),
        Key::Header("x-sofa-version"),
        Key::Header("x-dubbo-version"),
    ] {
        let _ = view.get(key);
    }
    let _ = (view.service(), view.method(), view.timeout());
    view.headers(&mut |_, _| {});
    let _ = C::classify(frame);
    let mut edits = Edits::none();
    edits.push(Edit::Append("x-law".into(), "1".into()));
    edits.push(Edit::Remove("group".into()));
    for edits in [Edits::none(), edits] {
        let mut out = Out::default();
        let refused = C::default()
            .encode(frame, WireId(9), &edits, &mut out)
            .is_err();
        assert!(!refused || out.is_empty(), "a refused edit wrote something");
    }
    let mut out = Out::default();
    C::default().answer(frame, &Status::new(Cause::BadRequest, "bad"), &mut out);
    C::default().answer(frame, &Status::new(Cause::Denied, "no"), &mut out);
    C::default().heartbeat_ack(frame, &mut out);
}

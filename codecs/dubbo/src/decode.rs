//! Cutting messages off a stream, and telling the protocol by its first octets.

use bytes::BytesMut;
use crossdock_framework::{
    codec::{DecodeError, Decoded, FrameLimits, Probe},
    frame::{Frame, Kind},
};

use crate::{
    NAME,
    head::{EVENT, HEADER_LEN, Head, ID_AT, LENGTH_AT, MAGIC, REQUEST, Serialization},
};

/// The longest body of an event that is looked at: `deserialization.event.size` of Dubbo, which
/// refuses longer ones. They pass as plain events.
pub(crate) const EVENT_LIMIT: usize = 15;

/// Cuts the next message off `buf`.
///
/// Java looks for the next `da bb` when a message does not begin with it, and offers what stands
/// before to its telnet handler. Here the framing counts as lost: a gateway that resynchronises
/// inside foreign data could take a part of one message for another.
pub(crate) fn decode(
    buf: &mut BytesMut,
    limits: &FrameLimits,
) -> Result<Decoded<Head>, DecodeError> {
    let magic = buf.iter().zip(MAGIC);
    if magic.into_iter().any(|(octet, wanted)| *octet != wanted) {
        return Err(not_dubbo());
    }
    let Some(octets) = buf.first_chunk::<HEADER_LEN>() else {
        return Ok(Decoded::More(HEADER_LEN - buf.len()));
    };
    let head = Head::read(octets).ok_or_else(not_dubbo)?;
    let rest = u64::from(head.body_len());
    let whole = match usize::try_from(rest + HEADER_LEN as u64) {
        Ok(whole) if whole <= limits.frame => whole,
        _ => {
            let bytes = buf.split_to(HEADER_LEN).freeze();
            return Ok(Decoded::Oversized {
                frame: Frame { head, bytes },
                rest,
            });
        }
    };
    if buf.len() < whole {
        return Ok(Decoded::More(whole - buf.len()));
    }
    let bytes = buf.split_to(whole).freeze();
    let head = match head.is_event() && head.is_request() {
        true => head.of_event(event_kind(
            head,
            bytes.get(HEADER_LEN..).unwrap_or_default(),
        )),
        false => head,
    };
    Ok(Decoded::Frame(Frame { head, bytes }))
}

const fn not_dubbo() -> DecodeError {
    DecodeError {
        protocol: NAME,
        reason: "a message does not begin with da bb",
    }
}

/// What an event means. Its body is one value: null for a heartbeat, `R` and `W` for a provider
/// that begins and ceases to close.
fn event_kind(head: Head, body: &[u8]) -> Kind {
    if body.len() > EVENT_LIMIT {
        return Kind::Event;
    }
    match (head.serialization(), body) {
        (_, []) => Kind::Heartbeat,
        (Serialization::HESSIAN2, [b'N', ..]) => Kind::Heartbeat,
        (Serialization::HESSIAN2, [1, b'R']) => Kind::GoAway,
        (Serialization::HESSIAN2, [1, b'W']) => Kind::Resume,
        (Serialization::FASTJSON2, [0, 0, 0, 1, 0xaf]) => Kind::Heartbeat,
        (Serialization::FASTJSON2, [0, 0, 0, 2, 0x4a, b'R']) => Kind::GoAway,
        (Serialization::FASTJSON2, [0, 0, 0, 2, 0x4a, b'W']) => Kind::Resume,
        (Serialization::HESSIAN2 | Serialization::FASTJSON2, _) => Kind::Event,
        // Null in a serialization that is not read here. `R` and `W` are never two-way.
        _ if head.is_two_way() => Kind::Heartbeat,
        _ => Kind::Event,
    }
}

/// Judges every field of the header that has a rule; the id has none.
pub(crate) fn probe(prefix: &[u8]) -> Probe {
    let known = prefix.get(..HEADER_LEN).unwrap_or(prefix);
    let flag = known.get(2).copied().unwrap_or(REQUEST);
    let fits = known.iter().enumerate().all(|(at, &octet)| match at {
        0 | 1 => MAGIC.get(at) == Some(&octet),
        2 => octet & 0x1f != 0,
        3 if flag & REQUEST != 0 => octet == 0,
        3 => (20..=100).contains(&octet),
        ID_AT..LENGTH_AT => true,
        LENGTH_AT if flag & EVENT == 0 => octet < 0x80,
        15 if flag & EVENT != 0 => usize::from(octet) <= EVENT_LIMIT,
        _ => flag & EVENT == 0 || octet == 0,
    });
    match (fits, known.len() == HEADER_LEN) {
        (false, _) => Probe::No,
        (true, true) => Probe::Yes,
        (true, false) => Probe::More,
    }
}

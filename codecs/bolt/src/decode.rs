//! Cutting frames off a stream, and telling Bolt from other protocols by a stream's first octets.

use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    codec::{DecodeError, Decoded, FrameLimits, Probe},
    frame::{Frame, Kind},
};

use crate::{
    Bolt,
    head::{CRC_LEN, Fault, GOAWAY, HEARTBEAT, Head, RPC_REQUEST, RPC_RESPONSE},
};

/// The serialisations that SOFABolt's users have: hessian2, java, the old constant of hessian2,
/// protobuf, JSON, msgpack, protostuff, fury2 and fory.
const SERIALIZATIONS: [u8; 9] = [1, 2, 4, 11, 12, 13, 14, 22, 23];

pub(crate) fn decode(
    buf: &mut BytesMut,
    limits: &FrameLimits,
) -> Result<Decoded<Head>, DecodeError> {
    let head = match Head::read(buf) {
        Ok(head) => head,
        Err(Fault::Short(missing)) => return Ok(Decoded::More(missing)),
        Err(Fault::Bad(reason)) => {
            return Err(DecodeError {
                protocol: <Bolt as crossdock_framework::codec::Codec>::NAME,
                reason,
            });
        }
    };
    let whole = match usize::try_from(head.frame_len()) {
        Ok(whole) if whole <= limits.frame => whole,
        _ => return Ok(oversized(buf, head)),
    };
    if buf.len() < whole {
        return Ok(Decoded::More(whole - buf.len()));
    }
    let bytes = buf.split_to(whole).freeze();
    let defect = match checksum_holds(&head, &bytes) {
        true => head.defect(),
        false => Some("the checksum is wrong"),
    };
    let frame = Frame { head, bytes };
    Ok(match defect {
        Some(reason) => Decoded::Damaged { frame, reason },
        None => Decoded::Frame(frame),
    })
}

/// Cuts the header alone, however much of the frame has come, so that the answer to an oversized
/// request does not depend on how the network cut it.
fn oversized(buf: &mut BytesMut, head: Head) -> Decoded<Head> {
    let bytes = buf.split_to(head.fixed_len()).freeze();
    Decoded::Oversized {
        rest: head.frame_len() - head.fixed_len() as u64,
        frame: Frame { head, bytes },
    }
}

/// Whether the checksum of a whole frame is right, or it has none.
///
/// CRC-32 of IEEE 802.3 over everything before it (SOFABolt's `CrcUtil`, `RpcCommandDecoderV2`).
pub(crate) fn checksum_holds(head: &Head, bytes: &Bytes) -> bool {
    if !head.has_crc() {
        return true;
    }
    let Some((covered, crc)) = bytes.split_last_chunk::<CRC_LEN>() else {
        return false;
    };
    crc32fast::hash(covered) == u32::from_be_bytes(*crc)
}

/// Judges everything that a fixed header tells, because the first octet alone says next to nothing.
pub(crate) fn probe(prefix: &[u8]) -> Probe {
    let head = match Head::read(prefix) {
        Ok(head) => head,
        Err(Fault::Short(_)) => return Probe::More,
        Err(Fault::Bad(_)) => return Probe::No,
    };
    let command = match head.kind {
        Kind::Request | Kind::Oneway => head.command == RPC_REQUEST,
        Kind::Response => head.command == RPC_RESPONSE,
        Kind::Heartbeat | Kind::HeartbeatAck => head.command == HEARTBEAT && is_empty(&head),
        Kind::GoAway => head.command == GOAWAY && is_empty(&head),
        Kind::Resume | Kind::Event => false,
    };
    let known = command
        && head.ver2 == 1
        && head.defect().is_none()
        && SERIALIZATIONS.contains(&head.codec);
    if known { Probe::Yes } else { Probe::No }
}

fn is_empty(head: &Head) -> bool {
    head.class_len == 0 && head.header_len == 0 && head.content_len == 0
}

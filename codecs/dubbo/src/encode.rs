//! Writing a message again: a new id, and attachments changed in place.

use std::ops::Range;

use crossdock_framework::{
    codec::CannotEdit,
    edits::Edits,
    frame::{Frame, Head as _, Kind, WireId},
    out::Out,
};

use crate::{
    head::{self, HEADER_LEN, Head, ID_AT},
    patches::{Patches, plan},
};

/// Writes `frame` under `id` with `edits` applied to its attachments.
pub(crate) fn encode(
    frame: &Frame<Head>,
    id: WireId,
    edits: &Edits,
    out: &mut Out,
) -> Result<(), CannotEdit> {
    let is_call = matches!(
        frame.head.kind(),
        Kind::Request | Kind::Oneway | Kind::Response
    );
    // Messages about the connection carry no attachments.
    if is_call && !edits.is_empty() {
        let patches = plan(frame, edits)?;
        if !patches.is_empty() {
            return write(frame, id, &patches, out);
        }
    }
    out.patched(&frame.bytes, ID_AT, &id.0.to_be_bytes());
    Ok(())
}

/// Writes the header with its new length, then the old octets and the new ones in turn.
fn write(
    frame: &Frame<Head>,
    id: WireId,
    patches: &Patches,
    out: &mut Out,
) -> Result<(), CannotEdit> {
    let length = patches.length_of(frame.bytes.len().saturating_sub(HEADER_LEN));
    let length = u32::try_from(length).map_err(|_| CannotEdit("the message grows over 4 GiB"))?;
    out.copy(&head::header(
        frame.head.flag(),
        frame.head.status(),
        id,
        length,
    ));
    let mut from = HEADER_LEN;
    for (at, fresh) in patches.iter() {
        share(frame, from..HEADER_LEN + at.start, out);
        out.copy(fresh);
        from = HEADER_LEN + at.end;
    }
    share(frame, from..frame.bytes.len(), out);
    Ok(())
}

/// Queues octets of the old message: few as a copy, many shared with it.
fn share(frame: &Frame<Head>, range: Range<usize>, out: &mut Out) {
    match frame.bytes.get(range.clone()) {
        Some(octets) if octets.len() < crossdock_framework::out::SHARE_FROM => out.copy(octets),
        Some(_) => out.share(frame.bytes.slice(range)),
        None => {}
    }
}

//! Bolt, the protocol of SOFABolt and SOFARPC: version 1, and version 2 with its checksum.
//!
//! [`Bolt`] cuts frames, finds service and method in them and writes them out again under another
//! id, without unpacking what they carry. `head` has the layout, `header_map` the part that rules
//! read and edit, `sofa` what SOFARPC makes of both, `answer` what callers are told by the gateway
//! itself.
#![forbid(unsafe_code)]

mod answer;
mod decode;
mod encode;
mod head;
mod header_map;
mod inspect;
mod noted;
mod sofa;
mod status;
mod view;

use std::time::Duration;

use bytes::BytesMut;
use crossdock_framework::{
    codec::{CannotEdit, Codec, DecodeError, Decoded, FrameLimits, PoolMode, Probe},
    edits::Edits,
    frame::{Frame, Variant, WireId},
    notes::{Noted, Notes},
    out::Out,
    status::{Class, Status},
};

use encode::Patch;
pub use head::{Dialect, Head};
pub use header_map::{Entries, Entry, HeaderMap, Malformed};
pub use inspect::{Inspection, inspect};
pub use sofa::{REQUEST_CLASS, RESPONSE_CLASS, SERVER_EXCEPTION_CLASS};
pub use view::View;

/// The Bolt codec. It holds no state: everything stands in the frames.
///
/// - A frame whose checksum is wrong, a request of an unknown command and a response of an unknown
///   command or status are [`Decoded::Damaged`]: the frame can be cut, but a SOFABolt receiver
///   would close the connection over it, with every other call there.
/// - Edits change the header map. Words that are read from elsewhere (`:path`, `x-sofa-version`,
///   ...) cannot be changed: [`CannotEdit`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Bolt;

impl Codec for Bolt {
    const NAME: &'static str = "bolt";
    const POOL: PoolMode = PoolMode::Multiplex;
    const ID_BITS: u32 = 32;

    type Head = Head;
    type View<'f> = View<'f>;

    fn probe(prefix: &[u8]) -> Probe {
        decode::probe(prefix)
    }

    fn decode(
        &mut self,
        buf: &mut BytesMut,
        limits: &FrameLimits,
    ) -> Result<Decoded<Head>, DecodeError> {
        decode::decode(buf, limits)
    }

    fn view(frame: &Frame<Head>) -> View<'_> {
        View::new(frame)
    }

    fn view_noted<'f>(frame: &'f Frame<Head>, notes: &'f Notes) -> View<'f> {
        View::noted(frame, Noted::Kept(notes))
    }

    fn encode(
        &mut self,
        frame: &Frame<Head>,
        id: WireId,
        edits: &Edits,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        encode::encode(frame, &Patch::id(id), edits, out)
    }

    fn encode_within(
        &mut self,
        frame: &Frame<Head>,
        id: WireId,
        edits: &Edits,
        left: Duration,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        // Zero and less mean no timeout at all.
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).max(1);
        encode::encode(frame, &Patch::timeout(&frame.head, id, left), edits, out)
    }

    fn answer(&mut self, to: &Frame<Head>, status: &Status, out: &mut Out) {
        answer::answer(to, status, out);
    }

    fn classify(response: &Frame<Head>) -> Class {
        status::classify(response)
    }

    fn conceals(response: &Frame<Head>) -> bool {
        response.head.status() == Some(status::SUCCESS)
    }

    /// The pool of threads takes no call: it is full, or the server is about to close.
    fn refuses(response: &Frame<Head>, _: bool) -> bool {
        response.head.status() == Some(status::SERVER_BUSY)
    }

    fn heartbeat(&mut self, variant: Variant, id: WireId, out: &mut Out) {
        answer::heartbeat(variant, id, out);
    }

    fn heartbeat_ack(&mut self, to: &Frame<Head>, out: &mut Out) {
        answer::heartbeat_ack(&to.head, out);
    }

    fn goaway(&mut self, variant: Variant, id: WireId, out: &mut Out) -> bool {
        answer::goaway(variant, id, out);
        true
    }
}

/// Whether the checksum of a whole frame is right, or it has none.
pub fn checksum_holds(frame: &Frame<Head>) -> bool {
    decode::checksum_holds(&frame.head, &frame.bytes)
}

//! The codec seam: a framed RPC protocol as a function of bytes.

use std::time::Duration;

use bytes::BytesMut;
use thiserror::Error;

use crate::{
    edits::Edits,
    frame::{Frame, Head, Variant, WireId},
    notes::Notes,
    out::Out,
    status::{Class, Status},
    view::RoutingView,
};

/// A framed RPC protocol: no I/O, no clock, no task, and no heap per frame.
///
/// A codec cuts frames, answers questions about them and writes them out again. It never decides
/// anything: routing, limits and retries ask through [`RoutingView`] and speak through [`Status`].
/// One value serves one direction of one connection, so it may hold state; most hold none.
pub trait Codec: Default + 'static {
    /// The name used in configuration, logs and metrics, such as `dubbo`.
    const NAME: &'static str;

    /// How calls share an upstream connection.
    const POOL: PoolMode;

    /// How many bits of a [`WireId`] the protocol carries.
    const ID_BITS: u32;

    /// The fixed part of a frame.
    type Head: Head;

    /// What rules may ask of a frame. Borrows the frame and reads it on demand.
    type View<'f>: RoutingView
    where
        Self: 'f;

    /// Judges the first bytes of a connection by the whole fixed header, not by a magic byte alone.
    ///
    /// The probes of all codecs exclude each other: for any prefix at most one says
    /// [`Probe::Yes`].
    fn probe(prefix: &[u8]) -> Probe;

    /// Cuts the next message off the front of `buf`.
    ///
    /// No length field is believed before it is checked against `limits`. The bytes of a cut frame
    /// are split off `buf` and shared, not copied. After an error the framing is lost and the
    /// connection has to be closed.
    fn decode(
        &mut self,
        buf: &mut BytesMut,
        limits: &FrameLimits,
    ) -> Result<Decoded<Self::Head>, DecodeError>;

    /// The frame in the words that rules use. Nothing is parsed until it is asked for.
    fn view(frame: &Frame<Self::Head>) -> Self::View<'_>;

    /// The same for a frame that is looked at more than once: `notes` are those of the looks before,
    /// and take what this one finds. A codec whose frames are read quickly has no use for them.
    fn view_noted<'f>(frame: &'f Frame<Self::Head>, notes: &'f Notes) -> Self::View<'f> {
        let _ = notes;
        Self::view(frame)
    }

    /// Writes `frame` under `id`.
    ///
    /// Without edits only the bytes of the id (and a checksum over them) differ from the frame as
    /// it came. With edits the part that they touch is written anew and everything else stays
    /// bit-identical.
    ///
    /// # Errors
    ///
    /// [`CannotEdit`] when the frame cannot carry the edits, for instance a header in an opaque
    /// serialisation. Nothing has been written then.
    fn encode(
        &mut self,
        frame: &Frame<Self::Head>,
        id: WireId,
        edits: &Edits,
        out: &mut Out,
    ) -> Result<(), CannotEdit>;

    /// Writes the request `frame` under `id`, and tells the host that `left` is left of the deadline
    /// that the caller gave, in the field that holds it
    /// ([`Head::timeout`], [`RoutingView::timeout`]). Apart from that it
    /// is [`Codec::encode`], which is also what a protocol without such a field does.
    ///
    /// # Errors
    ///
    /// As [`Codec::encode`].
    fn encode_within(
        &mut self,
        frame: &Frame<Self::Head>,
        id: WireId,
        edits: &Edits,
        left: Duration,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        let _ = left;
        self.encode(frame, id, edits, out)
    }

    /// Writes a local answer to the request `to` in the caller's own protocol, under the
    /// request's own id. `to` may hold no more than its fixed header (a refused oversized frame).
    fn answer(&mut self, to: &Frame<Self::Head>, status: &Status, out: &mut Out);

    /// How the call ended that this response answers.
    fn classify(response: &Frame<Self::Head>) -> Class;

    /// Whether the status of this response says success, so that a failure which
    /// [`Codec::classify`] tells of was found within it.
    fn conceals(response: &Frame<Self::Head>) -> bool;

    /// Whether the host says with this response that it has not begun the call, so that another one may: it had no
    /// room for it or, `leaving`, has told before that it is going away. Where a protocol cannot tell: no.
    fn refuses(response: &Frame<Self::Head>, leaving: bool) -> bool {
        let _ = (response, leaving);
        false
    }

    /// Writes a heartbeat request under `id`.
    fn heartbeat(&mut self, variant: Variant, id: WireId, out: &mut Out);

    /// Writes the answer to the heartbeat `to`, or nothing where none is expected.
    fn heartbeat_ack(&mut self, to: &Frame<Self::Head>, out: &mut Out);

    /// Tells the peer to send no new calls on this connection: Dubbo's read-only event, Bolt's
    /// command 100. Called only where the configuration asks for it. Returns whether the protocol
    /// has such a message (and it was written).
    fn goaway(&mut self, variant: Variant, id: WireId, out: &mut Out) -> bool;
}

/// How calls share an upstream connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// Many calls at once, told apart by their ids.
    Multiplex,
    /// One call at a time on each connection.
    PingPong,
    /// One upstream connection for each downstream connection; they close together. For protocols
    /// that keep state in the connection or whose servers call back.
    Binding,
}

/// What a codec says to the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// These bytes cannot start a frame of the protocol.
    No,
    /// These bytes start a frame of the protocol.
    Yes,
    /// Too few bytes to tell.
    More,
}

/// What was found at the front of a read buffer.
#[derive(Debug)]
pub enum Decoded<H> {
    /// Not a whole frame yet: at least this many more bytes are needed (never zero).
    More(usize),
    /// A whole frame.
    Frame(Frame<H>),
    /// A frame longer than the limit. `frame` holds its fixed header (and perhaps more), so that
    /// a request can be answered; the caller discards the next `rest` bytes of the stream, of
    /// which `buf` may still hold some.
    Oversized {
        /// The header, cut off `buf`.
        frame: Frame<H>,
        /// How many bytes of the frame are still to come.
        rest: u64,
    },
    /// A whole frame that is damaged inside while the framing holds, such as a wrong checksum.
    /// Only its own call suffers.
    Damaged {
        /// The frame as it came.
        frame: Frame<H>,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What a decoder may believe.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// The longest frame in bytes, header included. Default 8 MiB, as Dubbo's `payload`.
    pub frame: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            frame: 8 * 1024 * 1024 + 16,
        }
    }
}

/// The framing of a connection is lost: nothing after these bytes can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{protocol}: {reason}")]
pub struct DecodeError {
    /// The codec that gave up.
    pub protocol: &'static str,
    /// What it met.
    pub reason: &'static str,
}

/// A frame cannot carry an edit that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct CannotEdit(pub &'static str);

//! A message of a framed protocol: the bytes as they came, and the few facts that every call needs.

use std::time::Duration;

use bytes::Bytes;

/// The id that pairs an answer with its request on one connection.
///
/// Protocols with narrower ids (Bolt: 32 bits) use the low bits; see [`Codec::ID_BITS`].
/// Ids are compared, never ordered: negative and zero values are ordinary.
///
/// [`Codec::ID_BITS`]: crate::codec::Codec::ID_BITS
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireId(pub u64);

/// What a frame is for. Either side of a connection may send any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call that waits for exactly one answer.
    Request,
    /// A call that is never answered.
    Oneway,
    /// The answer to a request.
    Response,
    /// Asks whether the peer is alive; answered hop by hop, never routed.
    Heartbeat,
    /// The answer to a heartbeat.
    HeartbeatAck,
    /// "No new calls on this connection": Dubbo's read-only event, Bolt's command 100.
    GoAway,
    /// Takes a [`Kind::GoAway`] back: Dubbo's writeable event.
    Resume,
    /// Any other message about the connection itself; dropped and counted.
    Event,
}

/// The fixed part of a frame, read once when the frame is cut. Small and `Copy`.
pub trait Head: Copy + Send + 'static {
    /// The id that the sender gave.
    fn id(&self) -> WireId;

    /// What the frame is for.
    fn kind(&self) -> Kind;

    /// The caller's deadline, where the fixed header carries one (Bolt does, Dubbo does not).
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Which dialect of the protocol the frame speaks.
    ///
    /// Frames of different variants never share an upstream connection: a SOFABolt server, for
    /// one, answers everything in the dialect of the first frame it saw.
    fn variant(&self) -> Variant {
        Variant(0)
    }
}

/// A dialect of one protocol, as its codec numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant(pub u8);

/// One whole message. Immutable: a retry, a mirror or a log entry is a clone, and a clone copies
/// no byte.
#[derive(Clone, Debug)]
pub struct Frame<H> {
    /// The fixed part, already read.
    pub head: H,
    /// Every byte of the message, header included, as it came.
    pub bytes: Bytes,
}

//! A protocol made for these tests: narrow or wide ids, any kind of pool, faults on demand.
//!
//! | offset | octets | field |
//! |---|---|---|
//! | 0 | 1 | `T` |
//! | 1 | 1 | kind, see [`Kind`] |
//! | 2 | 1 | variant |
//! | 3 | 1 | status: 0 fine, 1 a local answer, 255 damaged |
//! | 4 | 8 | id |
//! | 12 | 4 | timeout in ms, 0 for none |
//! | 16 | 4 | length of the body |
//!
//! The body of a request begins with its service and a `/`.

use std::{borrow::Cow, time::Duration};

use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    codec::{CannotEdit, Codec, DecodeError, Decoded, FrameLimits, PoolMode, Probe},
    edits::Edits,
    frame::{self, Frame, Kind, Variant, WireId},
    out::Out,
    status::{Class, Status},
    view::{Key, RoutingView},
};

/// Octets of the fixed header.
pub(crate) const HEADER: usize = 20;

/// The status octet of an answer that the gateway gives.
pub(crate) const LOCAL: u8 = 1;

/// The status octet of a frame that the decoder calls damaged.
pub(crate) const DAMAGED: u8 = 255;

const KINDS: [Kind; 8] = [
    Kind::Request,
    Kind::Oneway,
    Kind::Response,
    Kind::Heartbeat,
    Kind::HeartbeatAck,
    Kind::GoAway,
    Kind::Resume,
    Kind::Event,
];

/// A message as tests write and read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Msg {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) variant: u8,
    pub(crate) status: u8,
    pub(crate) timeout_ms: u32,
    pub(crate) body: Vec<u8>,
}

impl Msg {
    pub(crate) fn new(kind: Kind, id: u64, body: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            id,
            variant: 0,
            status: 0,
            timeout_ms: 0,
            body: body.into(),
        }
    }

    pub(crate) fn request(id: u64, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Request, id, body)
    }

    pub(crate) fn oneway(id: u64, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Oneway, id, body)
    }

    /// The answer to `self` with `body`.
    pub(crate) fn answer(&self, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Response, self.id, body)
    }

    /// The answer that [`crate::rig::echo`] gives.
    pub(crate) fn echo(&self) -> Self {
        self.answer([b"re:", self.body.as_slice()].concat())
    }

    pub(crate) fn with_variant(self, variant: u8) -> Self {
        Self { variant, ..self }
    }

    pub(crate) fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn with_timeout(self, timeout_ms: u32) -> Self {
        Self { timeout_ms, ..self }
    }

    /// What the gateway says of its own accord: the cause, as `Cause`'s `Debug` writes it.
    pub(crate) fn cause(&self) -> &str {
        assert_eq!(self.status, LOCAL, "no local answer: {}", self.text());
        let text = std::str::from_utf8(&self.body).expect("causes are text");
        text.split(':').next().expect("split gives a first part")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body.get(..200).unwrap_or(&self.body)).into_owned()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = header(
            self.kind,
            self.variant,
            self.status,
            self.id,
            self.timeout_ms,
        );
        bytes.extend((self.body.len() as u32).to_be_bytes());
        bytes.extend(&self.body);
        bytes
    }

    /// The message at the front of `bytes`, and its length.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.first_chunk::<HEADER>()?;
        let (read, length) = read_head(head).expect("the relay writes whole frames");
        let body = bytes.get(HEADER..HEADER + length as usize)?.to_vec();
        let whole = HEADER + body.len();
        Some((
            Self {
                kind: read.kind,
                id: read.id,
                variant: read.variant,
                status: read.status,
                timeout_ms: read.timeout_ms,
                body,
            },
            whole,
        ))
    }
}

fn header(kind: Kind, variant: u8, status: u8, id: u64, timeout_ms: u32) -> Vec<u8> {
    let kind = KINDS
        .iter()
        .position(|known| *known == kind)
        .expect("every kind") as u8;
    let mut bytes = vec![b'T', kind, variant, status];
    bytes.extend(id.to_be_bytes());
    bytes.extend(timeout_ms.to_be_bytes());
    bytes
}

/// The fixed header, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    kind: Kind,
    variant: u8,
    status: u8,
    id: u64,
    timeout_ms: u32,
}

impl frame::Head for Head {
    fn id(&self) -> WireId {
        WireId(self.id)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn timeout(&self) -> Option<Duration> {
        (self.timeout_ms > 0).then(|| Duration::from_millis(self.timeout_ms.into()))
    }

    fn variant(&self) -> Variant {
        Variant(self.variant)
    }
}

fn read_head(head: &[u8; HEADER]) -> Option<(Head, u32)> {
    let number = |range: std::ops::Range<usize>| {
        head[range]
            .iter()
            .fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet))
    };
    if head[0] != b'T' {
        return None;
    }
    let read = Head {
        kind: *KINDS.get(usize::from(head[1]))?,
        variant: head[2],
        status: head[3],
        id: number(4..12),
        timeout_ms: number(12..16) as u32,
    };
    Some((read, number(16..20) as u32))
}

/// Shares connections among calls.
pub(crate) const MULTIPLEX: u8 = 0;
/// One call at a time.
pub(crate) const PING_PONG: u8 = 1;
/// One connection for one connection.
pub(crate) const BINDING: u8 = 2;

/// The codec, with ids of `BITS` bits and pools of the kind `POOL`.
#[derive(Debug, Default)]
pub(crate) struct Toy<const BITS: u32 = 64, const POOL: u8 = MULTIPLEX>;

impl<const BITS: u32, const POOL: u8> Codec for Toy<BITS, POOL> {
    const NAME: &'static str = "toy";
    const POOL: PoolMode = match POOL {
        PING_PONG => PoolMode::PingPong,
        BINDING => PoolMode::Binding,
        _ => PoolMode::Multiplex,
    };
    const ID_BITS: u32 = BITS;
    type Head = Head;
    type View<'f> = View<'f>;

    fn probe(prefix: &[u8]) -> Probe {
        match prefix.first() {
            None => Probe::More,
            Some(b'T') => Probe::Yes,
            Some(_) => Probe::No,
        }
    }

    fn decode(
        &mut self,
        buf: &mut BytesMut,
        limits: &FrameLimits,
    ) -> Result<Decoded<Head>, DecodeError> {
        let Some(octets) = buf.first_chunk::<HEADER>() else {
            return Ok(Decoded::More(HEADER - buf.len()));
        };
        let Some((head, length)) = read_head(octets) else {
            let (protocol, reason) = ("toy", "a frame does not begin with T");
            return Err(DecodeError { protocol, reason });
        };
        let whole = HEADER + length as usize;
        if whole > limits.frame {
            let bytes = buf.split_to(HEADER).freeze();
            let frame = Frame { head, bytes };
            return Ok(Decoded::Oversized {
                frame,
                rest: length.into(),
            });
        }
        if buf.len() < whole {
            return Ok(Decoded::More(whole - buf.len()));
        }
        let bytes = buf.split_to(whole).freeze();
        let frame = Frame { head, bytes };
        Ok(match head.status {
            DAMAGED => Decoded::Damaged {
                frame,
                reason: "it says so",
            },
            _ => Decoded::Frame(frame),
        })
    }

    fn view(frame: &Frame<Head>) -> View<'_> {
        View(frame.bytes.get(HEADER..).unwrap_or_default())
    }

    /// Every edit is told at the end of the body; `cannot` cannot be edited.
    fn encode(
        &mut self,
        frame: &Frame<Head>,
        id: WireId,
        edits: &Edits,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        if edits.names().any(|name| name == "cannot") {
            return Err(CannotEdit("the toy cannot"));
        }
        if edits.is_empty() {
            out.patched(&frame.bytes, 4, &id.0.to_be_bytes());
            return Ok(());
        }
        let (mut msg, _) = Msg::parse(&frame.bytes).ok_or(CannotEdit("half a frame"))?;
        msg.id = id.0;
        for edit in edits.iter() {
            msg.body.extend(format!(";{}", edit.name()).into_bytes());
        }
        out.share(Bytes::from(msg.to_bytes()));
        Ok(())
    }

    fn encode_within(
        &mut self,
        frame: &Frame<Head>,
        id: WireId,
        edits: &Edits,
        left: Duration,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        let (mut msg, _) = Msg::parse(&frame.bytes).ok_or(CannotEdit("half a frame"))?;
        msg.timeout_ms = left.as_millis() as u32;
        let bytes = Bytes::from(msg.to_bytes());
        let head = frame.head;
        self.encode(&Frame { head, bytes }, id, edits, out)
    }

    fn answer(&mut self, to: &Frame<Head>, status: &Status, out: &mut Out) {
        let body = format!("{:?}: {}", status.cause, status.text);
        let answer = Msg::new(Kind::Response, to.head.id, body)
            .with_variant(to.head.variant)
            .with_status(LOCAL);
        out.copy(&answer.to_bytes());
    }

    fn conceals(_: &Frame<Head>) -> bool {
        false
    }

    fn classify(response: &Frame<Head>) -> Class {
        class(response.head.status)
    }

    fn heartbeat(&mut self, variant: Variant, id: WireId, out: &mut Out) {
        out.copy(
            &Msg::new(Kind::Heartbeat, id.0, "")
                .with_variant(variant.0)
                .to_bytes(),
        );
    }

    fn heartbeat_ack(&mut self, to: &Frame<Head>, out: &mut Out) {
        out.copy(&Msg::new(Kind::HeartbeatAck, to.head.id, "").to_bytes());
    }

    fn goaway(&mut self, variant: Variant, id: WireId, out: &mut Out) -> bool {
        out.copy(
            &Msg::new(Kind::GoAway, id.0, "")
                .with_variant(variant.0)
                .to_bytes(),
        );
        true
    }
}

/// The status octets of answers that are neither fine nor [`LOCAL`].
pub(crate) const STATUSES: [(u8, Class); 6] = [
    (2, Class::Overload),
    (3, Class::Timeout),
    (4, Class::Business),
    (5, Class::Client),
    (6, Class::Codec),
    (7, Class::Unavailable),
];

fn class(status: u8) -> Class {
    let known = STATUSES.iter().find(|known| known.0 == status);
    match (status, known) {
        (0, _) => Class::Ok,
        (_, Some((_, class))) => *class,
        (_, None) => Class::Unavailable,
    }
}

/// The service is what stands before the first `/` of the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'f>(&'f [u8]);

impl RoutingView for View<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let service = self.0.split(|octet| *octet == b'/').next()?;
        match key {
            Key::Authority => std::str::from_utf8(service).ok().map(Cow::Borrowed),
            _ => None,
        }
    }

    fn protocol(&self) -> &'static str {
        "toy"
    }
}

//! The 16 octets in front of every message.
//!
//! Source: `ExchangeCodec` of Apache Dubbo.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 2 | `da bb` |
//! | 2 | 1 | flag: `80` request, `40` two-way, `20` event, low 5 bits serialization |
//! | 3 | 1 | status of a response, 0 in requests |
//! | 4 | 8 | id |
//! | 12 | 4 | body length |

use std::fmt;

use crossdock_framework::frame::{self, Kind, WireId};

/// Octets of the fixed header.
pub const HEADER_LEN: usize = 16;

/// Where the id stands.
pub(crate) const ID_AT: usize = 4;

/// Where the body length stands.
pub(crate) const LENGTH_AT: usize = 12;

/// How every message begins.
pub(crate) const MAGIC: [u8; 2] = [0xda, 0xbb];

pub(crate) const REQUEST: u8 = 0x80;
pub(crate) const TWO_WAY: u8 = 0x40;
pub(crate) const EVENT: u8 = 0x20;
const SERIALIZATION: u8 = 0x1f;

/// The fixed header of a message, and what the message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    id: u64,
    body: u32,
    flag: u8,
    status: u8,
    kind: Kind,
}

impl Head {
    /// The header that `octets` are, `None` when they do not begin with `da bb`.
    ///
    /// An event is a plain [`Kind::Event`] until its body is known, see [`Head::of_event`].
    pub(crate) fn read(octets: &[u8; HEADER_LEN]) -> Option<Self> {
        let [m0, m1, flag, status, rest @ ..] = *octets;
        if [m0, m1] != MAGIC {
            return None;
        }
        let [i0, i1, i2, i3, i4, i5, i6, i7, l0, l1, l2, l3] = rest;
        Some(Self {
            id: u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            body: u32::from_be_bytes([l0, l1, l2, l3]),
            flag,
            status,
            kind: kind_of(flag),
        })
    }

    /// The same header once the body of the event has told what it is.
    pub(crate) const fn of_event(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The flag octet as it came.
    pub const fn flag(self) -> u8 {
        self.flag
    }

    /// How the body is written.
    pub const fn serialization(self) -> Serialization {
        Serialization(self.flag & SERIALIZATION)
    }

    /// The status octet of a response; 0 in a request.
    pub const fn status(self) -> u8 {
        self.status
    }

    /// Octets after the header, as the header tells.
    pub const fn body_len(self) -> u32 {
        self.body
    }

    /// Whether the sender asks, be it a call or an event.
    pub const fn is_request(self) -> bool {
        self.flag & REQUEST != 0
    }

    /// Whether the sender of a request waits for an answer.
    pub const fn is_two_way(self) -> bool {
        self.flag & TWO_WAY != 0
    }

    /// Whether the message is about the connection itself.
    pub const fn is_event(self) -> bool {
        self.flag & EVENT != 0
    }
}

impl frame::Head for Head {
    fn id(&self) -> WireId {
        WireId(self.id)
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

/// What the flag alone tells.
const fn kind_of(flag: u8) -> Kind {
    match (flag & REQUEST != 0, flag & EVENT != 0, flag & TWO_WAY != 0) {
        (true, true, _) => Kind::Event,
        (true, false, true) => Kind::Request,
        (true, false, false) => Kind::Oneway,
        (false, true, _) => Kind::HeartbeatAck,
        (false, false, _) => Kind::Response,
    }
}

/// The header of a message with these fields.
pub(crate) fn header(flag: u8, status: u8, id: WireId, body: u32) -> [u8; HEADER_LEN] {
    let [i0, i1, i2, i3, i4, i5, i6, i7] = id.0.to_be_bytes();
    let [l0, l1, l2, l3] = body.to_be_bytes();
    let [m0, m1] = MAGIC;
    [
        m0, m1, flag, status, i0, i1, i2, i3, i4, i5, i6, i7, l0, l1, l2, l3,
    ]
}

/// How a body is written: the low five bits of the flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serialization(pub u8);

impl Serialization {
    /// Hessian 2.0 as hessian-lite writes it: the default of every Dubbo.
    pub const HESSIAN2: Self = Self(2);
    /// Length-prefixed JSONB values: preferred by Dubbo 3.3 where both sides have it.
    pub const FASTJSON2: Self = Self(23);

    /// The name that Dubbo's `serialization` parameter uses; `None` for an id that no release has.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            2 => "hessian2",
            3 => "java",
            4 => "compactedjava",
            6 => "fastjson",
            7 => "nativejava",
            8 => "kryo",
            9 => "fst",
            10 => "native-hessian",
            11 => "avro",
            12 => "protostuff",
            16 => "gson",
            18 => "jackson",
            21 => "protobuf-json",
            22 => "protobuf",
            23 => "fastjson2",
            25 => "kryo2",
            27 => "msgpack",
            28 => "fury",
            31 => "custom-msgpack",
            _ => return None,
        })
    }
}

impl fmt::Display for Serialization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The status octets of responses.
pub mod status {
    /// The call was carried out; the body tells how it ended.
    pub const OK: u8 = 20;
    /// The response could not be written, for instance because it is over the payload limit.
    pub const SERIALIZATION_ERROR: u8 = 25;
    /// No answer in time; made by the client itself.
    pub const CLIENT_TIMEOUT: u8 = 30;
    /// No answer in time, says the server.
    pub const SERVER_TIMEOUT: u8 = 31;
    /// The connection is gone; made by the client itself.
    pub const CHANNEL_INACTIVE: u8 = 35;
    /// The request could not be read.
    pub const BAD_REQUEST: u8 = 40;
    /// The response could not be written.
    pub const BAD_RESPONSE: u8 = 50;
    /// No such service. Java has the code and never sends it.
    pub const SERVICE_NOT_FOUND: u8 = 60;
    /// The service could not be invoked, for instance because it is not exported.
    pub const SERVICE_ERROR: u8 = 70;
    /// The server failed.
    pub const SERVER_ERROR: u8 = 80;
    /// The response could not be read; made by the client itself.
    pub const CLIENT_ERROR: u8 = 90;
    /// No thread is free.
    pub const THREADPOOL_EXHAUSTED: u8 = 100;
}

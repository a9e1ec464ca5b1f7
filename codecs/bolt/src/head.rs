//! The fixed header of a Bolt frame, both versions.
//!
//! Version 2 is version 1 with two octets more: `ver1` after the protocol octet and `switch` after
//! the serialisation. All numbers are big-endian.
//!
//! | offset v1 | v2 | octets | request | response |
//! |---|---|---|---|---|
//! | 0 | 0 | 1 | protocol, 1 or 2 | |
//! | | 1 | 1 | ver1: 1, or 2 (may carry a CRC) | |
//! | 1 | 2 | 1 | type: 1 request, 2 one-way | 0 |
//! | 2 | 3 | 2 | command code | |
//! | 4 | 5 | 1 | ver2, 1 | |
//! | 5 | 6 | 4 | request id | |
//! | 9 | 10 | 1 | serialisation | |
//! | | 11 | 1 | switch, bit 0: a CRC follows the content (if ver1 is 2) | |
//! | 10 | 12 | 4 / 2 | timeout, ms, -1 for none | status |
//! | 14 / 12 | 16 / 14 | 2 | length of the class name | |
//! | 16 / 14 | 18 / 16 | 2 | length of the header map | |
//! | 18 / 16 | 20 / 18 | 4 | length of the content | |

use std::{ops::Range, time::Duration};

use bytes::Buf;
use crossdock_framework::frame::{self, Kind, Variant, WireId};

/// Type octet of a response.
pub(crate) const TYPE_RESPONSE: u8 = 0;
/// Type octet of a request.
pub(crate) const TYPE_REQUEST: u8 = 1;
/// Type octet of a call that is never answered.
pub(crate) const TYPE_ONEWAY: u8 = 2;

/// Command code of heartbeats and their answers.
pub(crate) const HEARTBEAT: u16 = 0;
/// Command code of calls.
pub(crate) const RPC_REQUEST: u16 = 1;
/// Command code of answers.
pub(crate) const RPC_RESPONSE: u16 = 2;
/// Command code of "no new calls on this connection", an extension that MOSN made.
pub(crate) const GOAWAY: u16 = 100;

/// The shortest header: a version 1 response.
const SHORTEST: usize = 20;

/// Class name and header map are `short`s in Java: lengths from here on are negative there.
pub(crate) const MAX_SHORT: u16 = 0x7fff;

/// Octets of the checksum behind the content.
pub(crate) const CRC_LEN: usize = 4;

/// A version of the protocol. Frames of different dialects never share an upstream connection: a
/// SOFABolt server answers everything in the dialect of the first frame (`ProtocolCodeBasedEncoder`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Version 1, which SOFARPC always uses.
    V1,
    /// Version 2 with `ver1` = 1: never a checksum, whatever the switch says.
    V2,
    /// Version 2 with `ver1` = 2: a checksum where the switch asks for it.
    V2Crc,
}

impl Dialect {
    /// The dialect that a [`Variant`] stands for: 1, 2, 3 in the order of the enum; anything else
    /// is version 1.
    pub const fn of(variant: Variant) -> Self {
        match variant.0 {
            2 => Self::V2,
            3 => Self::V2Crc,
            _ => Self::V1,
        }
    }

    /// The number under which the framework knows the dialect.
    pub const fn variant(self) -> Variant {
        Variant(match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V2Crc => 3,
        })
    }

    /// The first octets of every frame: the protocol, and `ver1` where there is one.
    pub(crate) const fn preamble(self) -> &'static [u8] {
        match self {
            Self::V1 => &[1],
            Self::V2 => &[2, 1],
            Self::V2Crc => &[2, 2],
        }
    }

    pub(crate) const fn id_at(self) -> usize {
        match self {
            Self::V1 => 5,
            Self::V2 | Self::V2Crc => 6,
        }
    }

    /// Where timeout or status stand.
    const fn rest_at(self) -> usize {
        match self {
            Self::V1 => 10,
            Self::V2 | Self::V2Crc => 12,
        }
    }

    pub(crate) const fn has_switch(self) -> bool {
        !matches!(self, Self::V1)
    }
}

/// The fixed header of a frame, read and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub(crate) kind: Kind,
    pub(crate) dialect: Dialect,
    pub(crate) response: bool,
    pub(crate) codec: u8,
    pub(crate) switch: u8,
    pub(crate) ver2: u8,
    pub(crate) command: u16,
    pub(crate) id: u32,
    /// The timeout of a request, the status of a response.
    pub(crate) rest: i32,
    pub(crate) class_len: u16,
    pub(crate) header_len: u16,
    pub(crate) content_len: u32,
}

/// Why a header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// At least this many octets more are needed.
    Short(usize),
    /// No Bolt frame starts like this, or it cannot be cut.
    Bad(&'static str),
}

impl Head {
    /// Reads the header at the start of `prefix`. Every octet is judged as soon as it is there.
    pub(crate) fn read(prefix: &[u8]) -> Result<Self, Fault> {
        let missing = |wanted: usize| Fault::Short(wanted.saturating_sub(prefix.len()).max(1));
        let dialect = match (prefix.first(), prefix.get(1)) {
            (None, _) | (Some(2), None) => return Err(missing(SHORTEST)),
            (Some(1), _) => Dialect::V1,
            (Some(2), Some(1)) => Dialect::V2,
            (Some(2), Some(2)) => Dialect::V2Crc,
            (Some(2), Some(_)) => return Err(Fault::Bad("unknown version of protocol 2")),
            (Some(_), _) => return Err(Fault::Bad("the protocol octet is neither 1 nor 2")),
        };
        let type_at = dialect.preamble().len();
        let response = match prefix.get(type_at) {
            Some(&TYPE_RESPONSE) => true,
            Some(&(TYPE_REQUEST | TYPE_ONEWAY)) => false,
            Some(_) => return Err(Fault::Bad("the type is none of 0, 1 and 2")),
            None => return Err(missing(SHORTEST)),
        };
        let fixed = fixed_len(dialect, response);
        let Some(header) = prefix.get(type_at..fixed) else {
            return Err(missing(fixed));
        };
        Self::fields(dialect, response, header)
            .map_err(|_| missing(fixed))?
            .judged()
    }

    /// Reads the fields of a whole header from its type octet on.
    fn fields(
        dialect: Dialect,
        response: bool,
        mut header: &[u8],
    ) -> Result<Self, bytes::TryGetError> {
        let header = &mut header;
        let kind = header.try_get_u8()?;
        let command = header.try_get_u16()?;
        Ok(Self {
            kind: kind_of(kind, command),
            dialect,
            response,
            command,
            ver2: header.try_get_u8()?,
            id: header.try_get_u32()?,
            codec: header.try_get_u8()?,
            switch: match dialect.has_switch() {
                true => header.try_get_u8()?,
                false => 0,
            },
            rest: match response {
                true => header.try_get_u16()?.into(),
                false => header.try_get_i32()?,
            },
            class_len: header.try_get_u16()?,
            header_len: header.try_get_u16()?,
            content_len: header.try_get_u32()?,
        })
    }

    fn judged(self) -> Result<Self, Fault> {
        if self.class_len > MAX_SHORT || self.header_len > MAX_SHORT {
            return Err(Fault::Bad("a class or header length is negative"));
        }
        if i32::try_from(self.content_len).is_err() {
            return Err(Fault::Bad("the content length is negative"));
        }
        if self.switch > 0x7f {
            return Err(Fault::Bad("unknown switch"));
        }
        Ok(self)
    }

    /// Octets of the fixed header.
    pub fn fixed_len(&self) -> usize {
        fixed_len(self.dialect, self.response)
    }

    /// Octets of the whole frame, checksum included.
    pub fn frame_len(&self) -> u64 {
        let crc = if self.has_crc() { CRC_LEN } else { 0 };
        (self.fixed_len() + usize::from(self.class_len) + usize::from(self.header_len) + crc) as u64
            + u64::from(self.content_len)
    }

    /// Whether a checksum follows the content: decided by each frame for itself, because SOFABolt
    /// sends heartbeats and error replies without one on a connection that else has them.
    pub fn has_crc(&self) -> bool {
        self.dialect == Dialect::V2Crc && self.switch & 1 == 1
    }

    /// The version of the protocol that the frame speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The number of the serialisation: 1 hessian2 (both grammars), 11 protobuf, 12 JSON, ...
    pub fn serialization(&self) -> u8 {
        self.codec
    }

    /// The command code: 0 heartbeat, 1 request, 2 response, 100 goaway.
    pub fn command(&self) -> u16 {
        self.command
    }

    /// The timeout field of a request in milliseconds as it stands there (-1: none); `None` for a
    /// response, which has no such field.
    pub fn timeout_ms(&self) -> Option<i32> {
        (!self.response).then_some(self.rest)
    }

    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        match self.response {
            true => u16::try_from(self.rest).ok(),
            false => None,
        }
    }

    /// What is wrong with a frame that can be cut but not understood by its receiver, who would
    /// close the connection over it and hurt the other calls there.
    pub(crate) fn defect(&self) -> Option<&'static str> {
        let calls = matches!(self.kind, Kind::Request | Kind::Oneway);
        if calls && self.command != RPC_REQUEST {
            return Some("the command code of the request is unknown");
        }
        if self.kind != Kind::Response {
            return None;
        }
        if self.command != RPC_RESPONSE {
            return Some("the command code of the response is unknown");
        }
        (!self.status().is_some_and(crate::status::is_known))
            .then_some("the status of the response is unknown")
    }

    /// Where the class name stands in the frame.
    pub(crate) fn class_range(&self) -> Range<usize> {
        let start = self.fixed_len();
        start..start + usize::from(self.class_len)
    }

    /// Where the header map stands in the frame.
    pub(crate) fn header_range(&self) -> Range<usize> {
        let start = self.class_range().end;
        start..start + usize::from(self.header_len)
    }

    /// Where the content stands in the frame.
    pub(crate) fn content_range(&self) -> Range<usize> {
        let start = self.header_range().end;
        start..start.saturating_add(self.content_len as usize)
    }

    /// Where the length of the header map stands in the fixed header.
    pub(crate) fn header_len_at(&self) -> usize {
        let rest = if self.response { 2 } else { 4 };
        self.dialect.rest_at() + rest + 2
    }
}

impl frame::Head for Head {
    fn id(&self) -> WireId {
        WireId(self.id.into())
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn timeout(&self) -> Option<Duration> {
        let ms = self.timeout_ms().and_then(|ms| u64::try_from(ms).ok())?;
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    fn variant(&self) -> Variant {
        self.dialect.variant()
    }
}

/// Octets of the fixed header: requests have a timeout of four where responses have a status of two.
pub(crate) const fn fixed_len(dialect: Dialect, response: bool) -> usize {
    dialect.rest_at() + if response { 10 } else { 12 }
}

/// What a frame is for. A request or response of an unknown command keeps its kind, so that its
/// call can be answered; see [`Head::defect`].
fn kind_of(kind: u8, command: u16) -> Kind {
    match (kind, command) {
        (TYPE_REQUEST, HEARTBEAT) => Kind::Heartbeat,
        (TYPE_RESPONSE, HEARTBEAT) => Kind::HeartbeatAck,
        (TYPE_REQUEST | TYPE_ONEWAY, GOAWAY) => Kind::GoAway,
        (TYPE_ONEWAY, HEARTBEAT) | (TYPE_RESPONSE, GOAWAY) => Kind::Event,
        (TYPE_REQUEST, _) => Kind::Request,
        (TYPE_ONEWAY, _) => Kind::Oneway,
        (_, _) => Kind::Response,
    }
}

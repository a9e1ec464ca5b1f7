//! Finds out what a file holds, and reads it.

use bytes::BytesMut;
use crossdock_bolt::{Bolt, Dialect};
use crossdock_conformance::vectors::Vector;
use crossdock_dubbo::Dubbo;
use crossdock_framework::{
    codec::{Codec, Decoded, FrameLimits, Probe},
    frame::{Frame, Head as _, Kind},
};
use crossdock_hessian::{Grammar, Limits, Walker};

use super::line::{Headers, Line};

/// The whole file is in memory already, so that no frame in it is too long.
const LIMITS: FrameLimits = FrameLimits { frame: usize::MAX };

/// One line for each frame, or one for all values of a stream.
pub(crate) fn lines(vector: &Vector) -> Vec<Line> {
    match Content::of(vector) {
        Content::Bolt => cut::<Bolt>(vector, bolt),
        Content::Dubbo => cut::<Dubbo>(vector, dubbo),
        Content::Values(grammar) => vec![values(&vector.bytes, grammar)],
    }
}

/// What a file holds.
enum Content {
    Bolt,
    Dubbo,
    Values(Grammar),
}

impl Content {
    /// By the first bytes if they are those of a frame, else by the words of the name.
    fn of(vector: &Vector) -> Self {
        if Dubbo::probe(&vector.bytes) == Probe::Yes {
            return Self::Dubbo;
        }
        if Bolt::probe(&vector.bytes) == Probe::Yes {
            return Self::Bolt;
        }
        let has = |wanted: fn(&str) -> bool| vector.name.split('_').any(wanted);
        if has(|word| word.starts_with("bolt") || word.starts_with("jbolt")) {
            return Self::Bolt;
        }
        if has(|word| word.contains("dubbo") || word.starts_with("jd")) {
            return Self::Dubbo;
        }
        match has(|word| ["h3", "sofa3", "jsofa"].contains(&word)) {
            true => Self::Values(Grammar::V3),
            false => Self::Values(Grammar::V2),
        }
    }
}

/// Cuts the frames of a file. What cannot be cut gives one line more, and ends the file.
fn cut<C: Codec>(vector: &Vector, read: fn(&Frame<C::Head>) -> Line) -> Vec<Line> {
    let mut codec = C::default();
    let mut buf = BytesMut::from(vector.bytes.as_ref());
    let mut lines = Vec::new();
    while !buf.is_empty() {
        let line = match codec.decode(&mut buf, &LIMITS) {
            Ok(Decoded::Frame(frame) | Decoded::Damaged { frame, .. }) => read(&frame),
            Ok(Decoded::More(missing)) => {
                buf.clear();
                Line::broken(format!("{missing} bytes are missing at the end"))
            }
            Ok(Decoded::Oversized { .. }) => {
                buf.clear();
                Line::broken("longer than any limit")
            }
            Err(error) => {
                buf.clear();
                Line::broken(error.to_string())
            }
        };
        lines.push(line);
    }
    if lines.is_empty() {
        lines.push(Line::broken("the file is empty"));
    }
    lines
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Oneway => "oneway",
        Kind::Response => "response",
        Kind::Heartbeat => "heartbeat",
        Kind::HeartbeatAck => "heartbeat-ack",
        Kind::GoAway | Kind::Resume | Kind::Event => "event",
    }
}

fn class<C: Codec>(frame: &Frame<C::Head>) -> Option<&'static str> {
    (frame.head.kind() == Kind::Response).then(|| C::classify(frame).name())
}

fn bolt(frame: &Frame<crossdock_bolt::Head>) -> Line {
    let seen = crossdock_bolt::inspect(frame);
    let reason = match (seen.checksum_holds, seen.walked) {
        (false, _) => Some("the checksum is wrong"),
        (true, false) => Some("header map or content cannot be walked"),
        (true, true) => None,
    };
    let [.., a, b, c, d] = frame.head.id().0.to_be_bytes();
    Line {
        protocol: Some(match frame.head.dialect() {
            Dialect::V1 => "bolt1",
            Dialect::V2 | Dialect::V2Crc => "bolt2",
        }),
        kind: Some(kind(frame.head.kind())),
        id: Some(i32::from_be_bytes([a, b, c, d]).into()),
        service: seen.service,
        method: seen.method,
        version: seen.version,
        timeout: frame.head.timeout_ms().map(i64::from),
        headers: Headers::of(seen.headers),
        status: frame.head.status(),
        class: class::<Bolt>(frame),
        ok: reason.is_none(),
        reason: reason.map(Into::into),
        ..Line::default()
    }
}

fn dubbo(frame: &Frame<crossdock_dubbo::Head>) -> Line {
    let seen = crossdock_dubbo::inspect(frame);
    let headers = Headers::of(seen.attachments);
    Line {
        protocol: Some("dubbo2"),
        kind: Some(kind(frame.head.kind())),
        id: Some(frame.head.id().0.cast_signed()),
        service: seen.service,
        method: seen.method,
        version: seen.version,
        timeout: (headers.as_ref())
            .and_then(|headers| headers.get("timeout"))
            .and_then(|timeout| timeout.trim().parse().ok()),
        headers,
        status: (!frame.head.is_request()).then(|| frame.head.status().into()),
        class: class::<Dubbo>(frame),
        ok: seen.walked,
        reason: seen.error,
        ..Line::default()
    }
}

/// Walks all values of a stream.
fn values(octets: &[u8], grammar: Grammar) -> Line {
    let mut line = Line {
        kind: Some("value"),
        ok: true,
        ..Line::default()
    };
    let mut walker = Walker::new(octets, grammar, Limits::DEFAULT);
    while !walker.at_end() {
        if let Err(error) = walker.skip_value() {
            line.ok = false;
            line.reason = Some(error.to_string());
            break;
        }
    }
    line
}

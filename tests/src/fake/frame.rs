//! Frames of Dubbo and Bolt, octet by octet.

use std::ops::Range;

/// The service that every call is for.
const SERVICE: &str = "peer.api.Echo";
/// Its method.
const METHOD: &str = "echo";

const REQUEST_CLASS: &[u8] = b"com.alipay.sofa.rpc.core.request.SofaRequest";
const RESPONSE_CLASS: &[u8] = b"com.alipay.sofa.rpc.core.response.SofaResponse";

/// Octets of Dubbo's header.
const DUBBO_HEADER: usize = 16;
/// The shortest of its fixed headers: that of an answer of version 1.
const BOLT_HEADER: usize = 20;

/// A protocol with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Dubbo2 with hessian2.
    Dubbo,
    /// Bolt version 1.
    Bolt1,
    /// Bolt version 2 without checksums.
    Bolt2,
    /// Bolt version 2 with checksums.
    Bolt2Crc,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call that waits for an answer.
    Request,
    /// A call that does not.
    Oneway,
    /// An answer.
    Response,
    /// A question whether the peer is alive.
    Heartbeat,
    /// The answer to one.
    HeartbeatAck,
    /// Dubbo's read-only event, Bolt's command 100.
    GoAway,
}

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The protocol that it speaks.
    pub wire: Wire,
    /// What it is for.
    pub kind: Kind,
    /// Its id.
    pub id: u64,
    /// Dubbo's or Bolt's status octets of an answer, 0 else.
    pub status: u16,
    /// All of its octets.
    pub octets: Vec<u8>,
}

impl Wire {
    /// Every protocol.
    pub const ALL: [Self; 4] = [Self::Dubbo, Self::Bolt1, Self::Bolt2, Self::Bolt2Crc];

    /// The bits of an id that the protocol carries.
    #[must_use]
    pub fn id_mask(self) -> u64 {
        match self {
            Self::Dubbo => u64::MAX,
            Self::Bolt1 | Self::Bolt2 | Self::Bolt2Crc => u64::from(u32::MAX),
        }
    }

    /// A call of `peer.api.Echo.echo` with this text.
    #[must_use]
    pub fn request(self, id: u64, text: &str) -> Vec<u8> {
        self.call(true, id, SERVICE, text, -1)
    }

    /// A call that is never answered.
    #[must_use]
    pub fn oneway(self, id: u64, text: &str) -> Vec<u8> {
        self.call(false, id, SERVICE, text, -1)
    }

    /// A call of a service that has no route.
    #[must_use]
    pub fn stray(self, id: u64, text: &str) -> Vec<u8> {
        self.call(true, id, "peer.api.Nobody", text, -1)
    }

    /// A call with a deadline of its own: an attachment in Dubbo, a field of the header in Bolt.
    #[must_use]
    pub fn hurried(self, id: u64, text: &str, timeout_ms: i32) -> Vec<u8> {
        self.call(true, id, SERVICE, text, timeout_ms)
    }

    fn call(self, two_way: bool, id: u64, service: &str, text: &str, timeout: i32) -> Vec<u8> {
        match self {
            Self::Dubbo => {
                let mut body = Vec::with_capacity(text.len() + 128);
                for word in [
                    "2.0.2",
                    service,
                    "0.0.0",
                    METHOD,
                    "Ljava/lang/String;",
                    text,
                ] {
                    hessian(&mut body, word);
                }
                body.push(b'H');
                if timeout >= 0 {
                    hessian(&mut body, "timeout");
                    hessian(&mut body, &timeout.to_string());
                }
                body.push(b'Z');
                let flag = if two_way { 0xc2 } else { 0x82 };
                dubbo(flag, 0, id, &body)
            }
            _ => {
                let mut map = Vec::new();
                entry(
                    &mut map,
                    "sofa_head_target_service",
                    &format!("{service}:1.0"),
                );
                entry(&mut map, "sofa_head_method_name", METHOD);
                let kind = if two_way { 1 } else { 2 };
                let rest = timeout.to_be_bytes();
                self.bolt(kind, 1, id, &rest, REQUEST_CLASS, &map, text.as_bytes())
            }
        }
    }

    /// A good answer with this text.
    #[must_use]
    pub fn response(self, id: u64, text: &str) -> Vec<u8> {
        match self {
            Self::Dubbo => {
                let mut body = vec![0x91];
                hessian(&mut body, text);
                dubbo(0x02, 20, id, &body)
            }
            _ => self.bolt(0, 2, id, &[0, 0], RESPONSE_CLASS, b"", text.as_bytes()),
        }
    }

    /// An answer with this status and nothing else that makes sense.
    #[must_use]
    pub fn status(self, id: u64, status: u16) -> Vec<u8> {
        match self {
            Self::Dubbo => {
                let mut body = Vec::new();
                hessian(&mut body, "failed");
                dubbo(0x02, status as u8, id, &body)
            }
            _ => self.bolt(0, 2, id, &status.to_be_bytes(), b"", b"", b""),
        }
    }

    /// A request of a Bolt command that nobody knows.
    #[must_use]
    pub fn unknown_command(self, id: u64, command: u16) -> Vec<u8> {
        self.bolt(1, command, id, &(-1_i32).to_be_bytes(), b"", b"", b"?")
    }

    /// A heartbeat.
    #[must_use]
    pub fn heartbeat(self, id: u64) -> Vec<u8> {
        match self {
            Self::Dubbo => dubbo(0xe2, 0, id, b"N"),
            _ => self
                .plain()
                .bolt(1, 0, id, &(-1_i32).to_be_bytes(), b"", b"", b""),
        }
    }

    /// The answer to a heartbeat.
    #[must_use]
    pub fn heartbeat_ack(self, id: u64) -> Vec<u8> {
        match self {
            Self::Dubbo => dubbo(0x22, 20, id, b"N"),
            _ => self.plain().bolt(0, 0, id, &[0, 0], b"", b"", b""),
        }
    }

    /// "No new calls on this connection."
    #[must_use]
    pub fn goaway(self) -> Vec<u8> {
        match self {
            Self::Dubbo => dubbo(0xa2, 0, 0, b"\x01R"),
            _ => self
                .plain()
                .bolt(1, 100, 0, &(-1_i32).to_be_bytes(), b"", b"", b""),
        }
    }

    /// The version without a checksum, in which SOFABolt sends everything that is no call.
    fn plain(self) -> Self {
        match self {
            Self::Bolt2Crc => Self::Bolt2,
            other => other,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of the header, in order"
    )]
    fn bolt(
        self,
        kind: u8,
        command: u16,
        id: u64,
        rest: &[u8],
        class: &[u8],
        map: &[u8],
        content: &[u8],
    ) -> Vec<u8> {
        let mut frame: Vec<u8> = match self {
            Self::Bolt2 => vec![2, 1],
            Self::Bolt2Crc => vec![2, 2],
            Self::Dubbo | Self::Bolt1 => vec![1],
        };
        frame.push(kind);
        frame.extend(command.to_be_bytes());
        frame.push(1);
        frame.extend((id as u32).to_be_bytes());
        frame.push(1);
        match self {
            Self::Bolt2 => frame.push(0),
            Self::Bolt2Crc => frame.push(1),
            Self::Dubbo | Self::Bolt1 => {}
        }
        frame.extend(rest);
        frame.extend((class.len() as u16).to_be_bytes());
        frame.extend((map.len() as u16).to_be_bytes());
        frame.extend((content.len() as u32).to_be_bytes());
        frame.extend([class, map, content].concat());
        if self == Self::Bolt2Crc {
            frame.extend(crc32(&frame).to_be_bytes());
        }
        frame
    }
}

impl Frame {
    /// The frame at the front of `octets`, or nothing while it is not whole.
    ///
    /// # Panics
    /// When no frame begins like this: the gateway wrote it.
    #[must_use]
    pub fn cut(octets: &[u8]) -> Option<Self> {
        match octets.first()? {
            0xda => Self::cut_dubbo(octets),
            1 => Self::cut_bolt(octets, Wire::Bolt1),
            2 => match octets.get(1)? {
                1 => Self::cut_bolt(octets, Wire::Bolt2),
                _ => Self::cut_bolt(octets, Wire::Bolt2Crc),
            },
            other => panic!("no frame begins with {other:#04x}"),
        }
    }

    fn cut_dubbo(octets: &[u8]) -> Option<Self> {
        let header = octets.get(..DUBBO_HEADER)?;
        let whole = DUBBO_HEADER + number(header, 12..16) as usize;
        let octets = octets.get(..whole)?.to_vec();
        let flag = header[2];
        let kind = match (flag & 0x80 != 0, flag & 0x20 != 0, flag & 0x40 != 0) {
            (true, true, _) if octets.ends_with(b"\x01R") => Kind::GoAway,
            (true, true, _) => Kind::Heartbeat,
            (true, false, true) => Kind::Request,
            (true, false, false) => Kind::Oneway,
            (false, true, _) => Kind::HeartbeatAck,
            (false, false, _) => Kind::Response,
        };
        Some(Self {
            wire: Wire::Dubbo,
            kind,
            id: number(header, 4..12),
            status: header[3].into(),
            octets,
        })
    }

    fn cut_bolt(octets: &[u8], wire: Wire) -> Option<Self> {
        let start = if wire == Wire::Bolt1 { 1 } else { 2 };
        let response = *octets.get(start)? == 0;
        let rest = start + 9 + usize::from(wire != Wire::Bolt1);
        let lengths = rest + if response { 2 } else { 4 };
        let header = octets.get(..lengths + 8)?;
        let crc = wire == Wire::Bolt2Crc && header[11] & 1 == 1;
        let body = number(header, lengths..lengths + 2)
            + number(header, lengths + 2..lengths + 4)
            + number(header, lengths + 4..lengths + 8);
        let whole = lengths + 8 + body as usize + if crc { 4 } else { 0 };
        let octets = octets.get(..whole)?.to_vec();
        if crc {
            let (covered, sum) = octets.split_at(whole - 4);
            assert_eq!(
                u64::from(crc32(covered)),
                number(sum, 0..4),
                "the gateway's checksum"
            );
        }
        let kind = match (octets[start], number(&octets, start + 1..start + 3)) {
            (1, 0) => Kind::Heartbeat,
            (0, 0) => Kind::HeartbeatAck,
            (1 | 2, 100) => Kind::GoAway,
            (1, _) => Kind::Request,
            (2, _) => Kind::Oneway,
            _ => Kind::Response,
        };
        let status = if response {
            number(&octets, rest..rest + 2)
        } else {
            0
        };
        Some(Self {
            wire,
            kind,
            id: number(&octets, start + 4..start + 8),
            status: status as u16,
            octets,
        })
    }

    /// The text between `<<` and `>>`, which calls carry to be known again.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        // An id of 15420 looks like the beginning of a text.
        let header = if self.wire == Wire::Dubbo {
            DUBBO_HEADER
        } else {
            BOLT_HEADER
        };
        let from = header + find(self.octets.get(header..)?, b"<<")? + 2;
        let len = find(self.octets.get(from..)?, b">>")?;
        std::str::from_utf8(self.octets.get(from..from + len)?).ok()
    }

    /// Whether the answer is a good one of a host.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match self.wire {
            Wire::Dubbo => self.status == 20 && self.octets.get(DUBBO_HEADER) == Some(&0x91),
            _ => self.status == 0 && find(&self.octets, b"sofa_head_response_error").is_none(),
        }
    }

    /// Whether some text stands anywhere in the frame.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        find(&self.octets, text.as_bytes()).is_some()
    }

    /// The answer that says the token of a call again.
    #[must_use]
    pub fn echo(&self) -> Vec<u8> {
        let token = self.token().unwrap_or("no token");
        self.wire.response(self.id, &format!("<<{token}>>"))
    }
}

fn dubbo(flag: u8, status: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xda, 0xbb, flag, status];
    frame.extend(id.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// Hessian 2.0's string; the text is ASCII, so that characters are octets.
fn hessian(body: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while rest.len() > 0x8000 {
        let (chunk, after) = rest.split_at(0x8000);
        body.extend([b'R', 0x80, 0]);
        body.extend(chunk);
        rest = after;
    }
    match rest.len() {
        short @ ..32 => body.push(short as u8),
        long => {
            body.push(b'S');
            body.extend((long as u16).to_be_bytes());
        }
    }
    body.extend(rest);
}

/// An entry of Bolt's header map.
fn entry(map: &mut Vec<u8>, key: &str, value: &str) {
    for text in [key, value] {
        map.extend((text.len() as u32).to_be_bytes());
        map.extend(text.as_bytes());
    }
}

fn number(octets: &[u8], range: Range<usize>) -> u64 {
    octets[range]
        .iter()
        .fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// CRC-32 of IEEE 802.3, bit by bit: slow, and nobody else's.
fn crc32(octets: &[u8]) -> u32 {
    let sum = octets.iter().fold(u32::MAX, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0x3c3c is `<<`.
    #[test]
    fn an_id_is_not_taken_for_text() {
        for wire in Wire::ALL {
            for octets in [
                wire.request(0x3c3c, "<<text>>"),
                wire.response(0x3c3c, "<<text>>"),
            ] {
                let frame = Frame::cut(&octets).unwrap();
                assert_eq!(
                    (frame.id, frame.token()),
                    (0x3c3c, Some("text")),
                    "{wire:?}"
                );
            }
        }
    }

    #[test]
    fn frames_are_cut_as_they_were_made() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let long = "x".repeat(70_000);
        for wire in Wire::ALL {
            let made = [
                (Kind::Request, wire.request(7, "<<a>>")),
                (Kind::Oneway, wire.oneway(7, &format!("<<a>>{long}"))),
                (Kind::Response, wire.response(7, "<<a>>")),
                (Kind::Heartbeat, wire.heartbeat(7)),
                (Kind::HeartbeatAck, wire.heartbeat_ack(7)),
            ];
            for (kind, octets) in made {
                let whole = [octets.as_slice(), b"\x01more"].concat();
                let frame = Frame::cut(&whole).expect("whole");
                assert_eq!((frame.kind, frame.id), (kind, 7), "{wire:?}");
                assert_eq!(frame.octets, octets);
                assert!((0..octets.len()).all(|end| Frame::cut(&octets[..end]).is_none()));
                let calls = matches!(kind, Kind::Request | Kind::Oneway | Kind::Response);
                assert_eq!(frame.token(), calls.then_some("a"));
            }
        }
    }
}

//! Dubbo2 frames with hessian2 bodies.

use super::framed::Seen;
use super::{Garbled, Stencil, Template, argument};

/// The octet that begins every frame.
pub(super) const FIRST: u8 = 0xda;
/// Octets of the fixed header.
const HEADER: usize = 16;
/// Where the id lies.
const ID: std::ops::Range<usize> = 4..12;
/// Header flags (org.apache.dubbo.remoting.exchange.codec.ExchangeCodec).
const REQUEST: u8 = 0x80;
const TWO_WAY: u8 = 0x40;
const EVENT: u8 = 0x20;
const HESSIAN2: u8 = 0x02;
/// Status OK.
const OK: u8 = 20;
/// The largest body that this benchmark's own calls can have.
const MAX_BODY: usize = 16 << 20;

/// What a Dubbo 3.3 consumer writes by itself, in its order, then the tag that a header route reads.
pub(super) const ATTACHMENTS: [(&str, &str); 6] = [
    ("path", "peer.api.Echo"),
    ("remote.application", "peer-consumer"),
    ("interface", "peer.api.Echo"),
    ("version", "1.0.0"),
    ("timeout", "30000"),
    ("dubbo.tag", "gray"),
];

/// What a Dubbo 3.3 provider attaches to an answer, and one attachment of the application.
const ANSWER_ATTACHMENTS: [(&str, &str); 2] = [("dubbo", "2.0.2"), ("x-provider", "v1")];

pub(super) fn template(payload: usize) -> Template {
    let text = argument(payload);
    let (request, mark) = request(&text, &ATTACHMENTS);
    let mut answer = header(HESSIAN2, OK);
    answer.push(0x94);
    let start = answer.len();
    string(&text, &mut answer);
    let answer_mark = start + string_head(text.len());
    map(&ANSWER_ATTACHMENTS, &mut answer);
    seal(&mut answer, 0);
    Template {
        request: Stencil::new(request, ID, mark),
        answer: Stencil::new(answer, ID, answer_mark),
    }
}

/// `peer.api.Echo#echo(String)`, and where its argument's first character lies.
pub(super) fn request(text: &[u8], attachments: &[(&str, &str)]) -> (Vec<u8>, usize) {
    let mut frame = header(REQUEST | TWO_WAY | HESSIAN2, 0);
    for word in [
        "2.0.2",
        "peer.api.Echo",
        "1.0.0",
        "echo",
        "Ljava/lang/String;",
    ] {
        string(word.as_bytes(), &mut frame);
    }
    let mark = frame.len() + string_head(text.len());
    string(text, &mut frame);
    map(attachments, &mut frame);
    seal(&mut frame, 0);
    (frame, mark)
}

pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    let Some(head) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    if head[1] != 0xbb {
        return Err(Garbled("wrong Dubbo magic"));
    }
    let body = u32::from_be_bytes([head[12], head[13], head[14], head[15]]) as usize;
    if body > MAX_BODY {
        return Err(Garbled("a Dubbo body larger than any call has"));
    }
    Ok(Some(HEADER + body))
}

pub(super) fn see(frame: &[u8]) -> Seen {
    let Some(head) = frame.first_chunk::<HEADER>() else {
        return Seen::Notice;
    };
    let flags = head[2];
    if flags & EVENT != 0 {
        return if flags & (REQUEST | TWO_WAY) == REQUEST | TWO_WAY {
            Seen::Heartbeat
        } else {
            Seen::Notice
        };
    }
    if flags & REQUEST != 0 {
        return Seen::Notice;
    }
    let mut id = [0; 8];
    id.copy_from_slice(&head[ID]);
    Seen::Answer(u64::from_be_bytes(id))
}

pub(super) fn serve(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    let Some(head) = frame.first_chunk::<HEADER>() else {
        return Err(Garbled("short Dubbo frame"));
    };
    if head[2] & REQUEST == 0 || head[2] & TWO_WAY == 0 {
        return Ok(());
    }
    let start = out.len();
    if head[2] & EVENT != 0 {
        out.extend_from_slice(&header(EVENT | head[2] & 0x1f, OK));
        out.push(b'N');
    } else {
        let body = &frame[HEADER..];
        let mut at = 0;
        for _ in 0..5 {
            at = string_end(body, at)?;
        }
        let end = string_end(body, at)?;
        out.extend_from_slice(&header(HESSIAN2, OK));
        out.push(0x94);
        out.extend_from_slice(&body[at..end]);
        map(&ANSWER_ATTACHMENTS, out);
    }
    out[start..][ID].copy_from_slice(&head[ID]);
    seal(out, start);
    Ok(())
}

fn header(flags: u8, status: u8) -> Vec<u8> {
    vec![
        0xda, 0xbb, flags, status, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]
}

/// Writes the length of the body of the frame that begins at `start` and ends `out`.
fn seal(out: &mut [u8], start: usize) {
    let body = (out.len() - start - HEADER) as u32;
    out[start + 12..start + HEADER].copy_from_slice(&body.to_be_bytes());
}

fn map(pairs: &[(&str, &str)], out: &mut Vec<u8>) {
    out.push(b'H');
    for (key, value) in pairs {
        string(key.as_bytes(), out);
        string(value.as_bytes(), out);
    }
    out.push(b'Z');
}

/// Octets before the first character of a string of `len` ASCII characters.
const fn string_head(len: usize) -> usize {
    match len {
        0..32 => 1,
        32..1024 => 2,
        _ => 3,
    }
}

/// Appends ASCII text as a Hessian 2.0 string.
fn string(text: &[u8], out: &mut Vec<u8>) {
    const CHUNK: usize = 0x8000;
    let mut rest = text;
    while rest.len() > CHUNK {
        out.extend_from_slice(&[b'R', (CHUNK >> 8) as u8, CHUNK as u8]);
        out.extend_from_slice(&rest[..CHUNK]);
        rest = &rest[CHUNK..];
    }
    let [high, low] = (rest.len() as u16).to_be_bytes();
    match string_head(rest.len()) {
        1 => out.push(low),
        2 => out.extend_from_slice(&[0x30 + high, low]),
        _ => out.extend_from_slice(&[b'S', high, low]),
    }
    out.extend_from_slice(rest);
}

/// Where the ASCII string (or null) at `at` ends.
fn string_end(body: &[u8], mut at: usize) -> Result<usize, Garbled> {
    loop {
        let octet = |i: usize| body.get(i).copied().ok_or(Garbled("short string"));
        let kind = octet(at)?;
        let (head, len) = match kind {
            0..0x20 => (1, usize::from(kind)),
            0x30..0x34 => (
                2,
                usize::from(kind - 0x30) << 8 | usize::from(octet(at + 1)?),
            ),
            b'S' | b'R' => (
                3,
                usize::from(octet(at + 1)?) << 8 | usize::from(octet(at + 2)?),
            ),
            b'N' => (1, 0),
            _ => return Err(Garbled("not a string")),
        };
        at += head + len;
        if at > body.len() {
            return Err(Garbled("string beyond its body"));
        }
        if kind != b'R' {
            return Ok(at);
        }
    }
}

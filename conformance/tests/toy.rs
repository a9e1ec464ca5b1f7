//! The toy protocol of docs/adding-a-codec.md, from nothing to passing the laws. The guide quotes
//! this file; `the_guide_quotes_this_file` checks that it does.

use std::borrow::Cow;

use bytes::BytesMut;
use crossdock_conformance::{laws, vectors::Vector};
use crossdock_framework::{
    codec::{CannotEdit, Codec, DecodeError, Decoded, FrameLimits, PoolMode, Probe},
    edits::{Edits, Effect},
    frame::{Frame, Head, Kind, Variant, WireId},
    out::Out,
    status::{Class, Status},
    view::{Key, RoutingView},
};

// 1. The head.

/// `P K kind status id:u32 headers:u16 body:u32`, then `name=value\n` lines, then the body.
const FIXED: usize = 14;

#[derive(Clone, Copy, Debug)]
struct ToyHead {
    kind: Kind,
    status: u8,
    id: u32,
    headers: usize,
    body: usize,
}

impl Head for ToyHead {
    fn id(&self) -> WireId {
        WireId(u64::from(self.id))
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

impl ToyHead {
    /// Reads the fixed header; `None` when these bytes are no toy.
    fn read(bytes: &[u8; FIXED]) -> Option<Self> {
        let [b'P', b'K', kind, status, rest @ ..] = bytes else {
            return None;
        };
        let kind = match kind {
            b'q' => Kind::Request,
            b'o' => Kind::Oneway,
            b'r' => Kind::Response,
            b'h' => Kind::Heartbeat,
            b'a' => Kind::HeartbeatAck,
            _ => return None,
        };
        let [a, b, c, d, e, f, g, h, i, j] = *rest;
        Some(Self {
            kind,
            status: *status,
            id: u32::from_be_bytes([a, b, c, d]),
            headers: u16::from_be_bytes([e, f]).into(),
            body: u32::from_be_bytes([g, h, i, j]) as usize,
        })
    }

    fn write(&self, out: &mut Out) {
        let kind = match self.kind {
            Kind::Oneway => b'o',
            Kind::Response => b'r',
            Kind::Heartbeat => b'h',
            Kind::HeartbeatAck => b'a',
            _ => b'q',
        };
        out.copy(&[b'P', b'K', kind, self.status]);
        out.copy(&self.id.to_be_bytes());
        out.copy(&(self.headers as u16).to_be_bytes());
        out.copy(&(self.body as u32).to_be_bytes());
    }
}

// 2. The view.

struct ToyView<'f> {
    headers: &'f str,
    path: Option<Cow<'f, str>>,
}

impl<'f> ToyView<'f> {
    fn header(&self, name: &str) -> Option<&'f str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once('='));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

impl RoutingView for ToyView<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        match key {
            Key::Authority => self.header("service").map(Cow::Borrowed),
            Key::Path => self.path.as_deref().map(Cow::Borrowed),
            Key::HttpMethod => Some("POST".into()),
            Key::Scheme => Some("http".into()),
            Key::Header(name) => self.header(name).map(Cow::Borrowed),
        }
    }

    fn method(&self) -> Option<Cow<'_, str>> {
        self.header("method").map(Cow::Borrowed)
    }

    fn protocol(&self) -> &'static str {
        Toy::NAME
    }
}

// 3. The codec.

#[derive(Default)]
struct Toy;

impl Codec for Toy {
    const NAME: &'static str = "toy";
    const POOL: PoolMode = PoolMode::Multiplex;
    const ID_BITS: u32 = 32;

    type Head = ToyHead;
    type View<'f> = ToyView<'f>;

    fn probe(prefix: &[u8]) -> Probe {
        match prefix.first_chunk::<FIXED>() {
            Some(fixed) if ToyHead::read(fixed).is_some() => Probe::Yes,
            Some(_) => Probe::No,
            None if b"PK".starts_with(prefix.get(..2).unwrap_or(prefix)) => Probe::More,
            None => Probe::No,
        }
    }

    fn decode(
        &mut self,
        buf: &mut BytesMut,
        limits: &FrameLimits,
    ) -> Result<Decoded<ToyHead>, DecodeError> {
        let Some(fixed) = buf.first_chunk::<FIXED>() else {
            return Ok(Decoded::More(FIXED - buf.len()));
        };
        let lost = DecodeError {
            protocol: Self::NAME,
            reason: "no toy header",
        };
        let head = ToyHead::read(fixed).ok_or(lost)?;
        let whole = FIXED + head.headers + head.body;
        if whole > limits.frame {
            let frame = Frame {
                head,
                bytes: buf.split_to(FIXED).freeze(),
            };
            return Ok(Decoded::Oversized {
                frame,
                rest: (whole - FIXED) as u64,
            });
        }
        match whole.checked_sub(buf.len()) {
            Some(missing) if missing > 0 => Ok(Decoded::More(missing)),
            _ => Ok(Decoded::Frame(Frame {
                head,
                bytes: buf.split_to(whole).freeze(),
            })),
        }
    }

    fn view(frame: &Frame<ToyHead>) -> ToyView<'_> {
        let block = frame
            .bytes
            .get(FIXED..FIXED + frame.head.headers)
            .unwrap_or_default();
        let mut view = ToyView {
            headers: std::str::from_utf8(block).unwrap_or_default(),
            path: None,
        };
        if let (Some(service), Some(method)) = (view.header("service"), view.header("method")) {
            view.path = Some(format!("/{service}/{method}").into());
        }
        view
    }

    fn encode(
        &mut self,
        frame: &Frame<ToyHead>,
        id: WireId,
        edits: &Edits,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        let headers = match edits.is_empty() {
            true => None,
            false => edited(&Self::view(frame), edits),
        };
        let Some(headers) = headers else {
            out.patched(&frame.bytes, 4, &(id.0 as u32).to_be_bytes());
            return Ok(());
        };
        if headers.len() > usize::from(u16::MAX) {
            return Err(CannotEdit("the headers would be longer than 65535 bytes"));
        }
        ToyHead {
            id: id.0 as u32,
            headers: headers.len(),
            ..frame.head
        }
        .write(out);
        out.copy(headers.as_bytes());
        out.share(
            frame
                .bytes
                .slice((FIXED + frame.head.headers).min(frame.bytes.len())..),
        );
        Ok(())
    }

    fn answer(&mut self, to: &Frame<ToyHead>, status: &Status, out: &mut Out) {
        let (kind, body) = (Kind::Response, status.text.len());
        ToyHead {
            kind,
            status: 1,
            headers: 0,
            body,
            ..to.head
        }
        .write(out);
        out.copy(status.text.as_bytes());
    }

    fn conceals(_: &Frame<ToyHead>) -> bool {
        false
    }

    fn classify(response: &Frame<ToyHead>) -> Class {
        match response.head.status {
            0 => Class::Ok,
            _ => Class::Unavailable,
        }
    }

    fn heartbeat(&mut self, _: Variant, id: WireId, out: &mut Out) {
        let kind = Kind::Heartbeat;
        ToyHead {
            kind,
            status: 0,
            id: id.0 as u32,
            headers: 0,
            body: 0,
        }
        .write(out);
    }

    fn heartbeat_ack(&mut self, to: &Frame<ToyHead>, out: &mut Out) {
        ToyHead {
            kind: Kind::HeartbeatAck,
            headers: 0,
            body: 0,
            ..to.head
        }
        .write(out);
    }

    fn goaway(&mut self, _: Variant, _: WireId, _: &mut Out) -> bool {
        false
    }
}

/// The header lines after the edits; `None` when nothing changes.
fn edited(view: &ToyView<'_>, edits: &Edits) -> Option<String> {
    let effects: Vec<_> = edits
        .names()
        .map(|name| (name, edits.effect(name, view.header(name))))
        .collect();
    if effects.iter().all(|(_, effect)| *effect == Effect::Keep) {
        return None;
    }
    let mut lines = String::new();
    for line in view.headers.split_inclusive('\n') {
        let name = line.split('=').next().unwrap_or_default();
        let effect = effects
            .iter()
            .find(|(edited, _)| edited.eq_ignore_ascii_case(name));
        match effect.map(|(_, effect)| effect) {
            None | Some(Effect::Keep) => lines.push_str(line),
            Some(Effect::Remove | Effect::Become(_)) => {}
        }
    }
    for (name, effect) in &effects {
        if let Effect::Become(value) = effect {
            lines.push_str(&format!("{name}={value}\n"));
        }
    }
    Some(lines)
}

// 4. The laws.

fn frame(kind: u8, status: u8, headers: &str, body: &str) -> Vec<u8> {
    let mut bytes = vec![b'P', b'K', kind, status, 0, 0, 0, 7];
    bytes.extend((headers.len() as u16).to_be_bytes());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(headers.as_bytes());
    bytes.extend(body.as_bytes());
    bytes
}

fn vectors() -> Vec<Vector> {
    let headers = "service=com.acme.Toys\nmethod=play\nx-user=ann\n";
    [
        ("request", frame(b'q', 0, headers, "a body")),
        ("oneway", frame(b'o', 0, headers, "")),
        ("response", frame(b'r', 0, "", "an answer")),
        ("failure", frame(b'r', 1, "", "no")),
        ("heartbeat", frame(b'h', 0, "", "")),
    ]
    .map(|(name, bytes)| Vector::new(name, bytes))
    .into()
}

#[test]
fn every_law_holds() {
    laws::all::<Toy>(&vectors()).unwrap();
}

#[test]
fn edits_leave_the_body_alone() {
    let edited = laws::edits_spare_the_payload::<Toy>(&vectors(), |frame| {
        frame.bytes.slice(FIXED + frame.head.headers..).to_vec()
    });
    assert!(edited.unwrap() > 0);
}

#[test]
fn it_is_told_from_the_protocols_that_are_there() {
    use crossdock_bolt::Bolt;
    use crossdock_dubbo::Dubbo;
    let probes: [laws::ProbeFn; 3] = [
        (Toy::NAME, Toy::probe),
        (Bolt::NAME, Bolt::probe),
        (Dubbo::NAME, Dubbo::probe),
    ];
    laws::probes_exclude_each_other(&vectors(), &probes, |_| Toy::NAME).unwrap();
}

#[test]
fn a_rule_reads_it() {
    let mut buf = BytesMut::from(vectors()[0].bytes.as_ref());
    let Ok(Decoded::Frame(frame)) = Toy.decode(&mut buf, &FrameLimits::default()) else {
        panic!("a whole frame")
    };
    let view = Toy::view(&frame);
    assert_eq!(view.get(Key::Path).as_deref(), Some("/com.acme.Toys/play"));
    assert_eq!(view.get(Key::Header("x-user")).as_deref(), Some("ann"));
}

/// Every code block of the guide stands in this file, but for line breaks.
#[test]
fn the_guide_quotes_this_file() {
    let bare = |text: &str| text.replace([' ', '\n', ','], "");
    let guide = include_str!("../../docs/adding-a-codec.md");
    let source = bare(include_str!("toy.rs"));
    let blocks = guide.split("```rust\n").skip(1);
    let blocks: Vec<_> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5, "the guide shows the codec");
    for block in blocks {
        assert!(
            source.contains(&bare(block)),
            "not in conformance/tests/toy.rs:\n{block}"
        );
    }
}

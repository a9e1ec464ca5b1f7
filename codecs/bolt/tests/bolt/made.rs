//! Frames made for a test.

use bytes::{Bytes, BytesMut};
use crossdock_bolt::{Bolt, Dialect, Head, REQUEST_CLASS};
use crossdock_framework::{
    codec::{Codec, DecodeError, Decoded, FrameLimits},
    frame::{Frame, WireId},
    out::Out,
};
use crossdock_hessian::{Grammar, Writer};

/// Every field of a frame, and the parts behind the header.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) dialect: Dialect,
    pub(crate) kind: u8,
    pub(crate) command: u16,
    pub(crate) id: u32,
    pub(crate) codec: u8,
    pub(crate) switch: u8,
    pub(crate) timeout: i32,
    pub(crate) status: u16,
    pub(crate) class: Vec<u8>,
    pub(crate) header: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

impl Made {
    /// A SOFARPC request of version 1 with an empty header map and content.
    pub(crate) fn request() -> Self {
        Self {
            dialect: Dialect::V1,
            kind: 1,
            command: 1,
            id: 7,
            codec: 1,
            switch: 0,
            timeout: 3000,
            status: 0,
            class: REQUEST_CLASS.into(),
            header: Vec::new(),
            content: Vec::new(),
        }
    }

    /// A response of version 1 without anything inside.
    pub(crate) fn response(status: u16) -> Self {
        Self {
            kind: 0,
            command: 2,
            status,
            class: Vec::new(),
            ..Self::request()
        }
    }

    pub(crate) fn header(self, entries: &[(&str, &str)]) -> Self {
        Self {
            header: entries.iter().flat_map(|(k, v)| entry(k, v)).collect(),
            ..self
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = match self.dialect {
            Dialect::V1 => vec![1],
            Dialect::V2 => vec![2, 1],
            Dialect::V2Crc => vec![2, 2],
        };
        bytes.push(self.kind);
        bytes.extend(self.command.to_be_bytes());
        bytes.push(1);
        bytes.extend(self.id.to_be_bytes());
        bytes.push(self.codec);
        if self.dialect != Dialect::V1 {
            bytes.push(self.switch);
        }
        match self.kind {
            0 => bytes.extend(self.status.to_be_bytes()),
            _ => bytes.extend(self.timeout.to_be_bytes()),
        }
        bytes.extend((self.class.len() as u16).to_be_bytes());
        bytes.extend((self.header.len() as u16).to_be_bytes());
        bytes.extend((self.content.len() as u32).to_be_bytes());
        for part in [&self.class, &self.header, &self.content] {
            bytes.extend(part);
        }
        if self.dialect == Dialect::V2Crc && self.switch & 1 == 1 {
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        }
        bytes
    }

    /// The frame as the codec cuts it.
    pub(crate) fn frame(&self) -> Frame<Head> {
        match decode(&self.bytes()) {
            Ok(Decoded::Frame(frame)) => frame,
            other => panic!("{other:?}"),
        }
    }
}

/// One entry of a header map.
pub(crate) fn entry(key: &str, value: &str) -> Vec<u8> {
    [key, value]
        .iter()
        .flat_map(|part| [&(part.len() as u32).to_be_bytes()[..], part.as_bytes()].concat())
        .collect()
}

/// Decodes what may be a frame, under the default limits.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded<Head>, DecodeError> {
    decode_within(bytes, FrameLimits::default())
}

pub(crate) fn decode_within(
    bytes: &[u8],
    limits: FrameLimits,
) -> Result<Decoded<Head>, DecodeError> {
    Bolt.decode(&mut BytesMut::from(bytes), &limits)
}

/// The one frame that was written.
pub(crate) fn written(out: &Out) -> Frame<Head> {
    let bytes = out.to_vec();
    match decode(&bytes) {
        Ok(Decoded::Frame(frame)) if frame.bytes.len() == bytes.len() => frame,
        other => panic!("{other:?}"),
    }
}

/// The frame under another id, without edits.
pub(crate) fn renumbered(frame: &Frame<Head>, id: u64) -> Bytes {
    let mut out = Out::default();
    let edits = crossdock_framework::edits::Edits::none();
    Bolt.encode(frame, WireId(id), &edits, &mut out)
        .expect("no edit, no refusal");
    Bytes::from(out.to_vec())
}

/// A `SofaRequest` with its fields in this order, as Java or Node write it.
pub(crate) fn sofa_request(grammar: Grammar, fields: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = Writer::new(&mut content, grammar);
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let class = writer.define_class(REQUEST_CLASS, &names);
    writer.object(class);
    for (_, value) in fields {
        writer.string_or_null(*value);
    }
    content
}

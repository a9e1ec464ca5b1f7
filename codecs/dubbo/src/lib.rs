//! Dubbo2 for Crossdock.
//!
//! A message is 16 octets of header ([`Head`]) and a body in one of many serializations. Bodies in
//! hessian2 and fastjson2 are read in place as far as a rule asks ([`View`]); any other passes
//! unread and can be routed by listener only. A body that cannot be read never costs more than its
//! own call: the header tells where it ends.
//!
//! Sources: `org.apache.dubbo.remoting.exchange.codec.ExchangeCodec` and
//! `org.apache.dubbo.rpc.protocol.dubbo.{DubboCodec, DecodeableRpcInvocation, DecodeableRpcResult}`
//! of Apache Dubbo 3.3.
#![forbid(unsafe_code)]

use std::time::Duration;

use bytes::BytesMut;
use crossdock_framework::{
    codec::{CannotEdit, Codec, DecodeError, Decoded, FrameLimits, PoolMode, Probe},
    edits::{Edit, Edits},
    frame::{Frame, Head as _, Kind, Variant, WireId},
    notes::{Noted, Notes},
    out::Out,
    status::{Class, Status},
};

mod answer;
mod body;
mod call;
mod decode;
mod encode;
mod head;
mod inspect;
mod jsonb;
mod noted;
mod patches;
mod path;
mod plain;
mod reply;
mod view;

pub use answer::LocalReply;
pub use head::{HEADER_LEN, Head, Serialization, status};
pub use inspect::{Inspection, inspect};
pub use view::View;

/// The name of the protocol in configuration, logs and metrics.
pub const NAME: &str = "dubbo";

/// The Dubbo2 codec. Holds no state but its settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dubbo {
    local_reply: LocalReply,
}

impl Dubbo {
    /// A codec that answers in the given way.
    pub const fn with_local_reply(local_reply: LocalReply) -> Self {
        Self { local_reply }
    }
}

impl Codec for Dubbo {
    const NAME: &'static str = NAME;
    const POOL: PoolMode = PoolMode::Multiplex;
    const ID_BITS: u32 = 64;
    type Head = Head;
    type View<'f> = View<'f>;

    fn probe(prefix: &[u8]) -> Probe {
        decode::probe(prefix)
    }

    fn decode(
        &mut self,
        buf: &mut BytesMut,
        limits: &FrameLimits,
    ) -> Result<Decoded<Head>, DecodeError> {
        decode::decode(buf, limits)
    }

    fn view(frame: &Frame<Head>) -> View<'_> {
        View::new(frame)
    }

    fn view_noted<'f>(frame: &'f Frame<Head>, notes: &'f Notes) -> View<'f> {
        View::noted(frame, Noted::Kept(notes))
    }

    fn encode(
        &mut self,
        frame: &Frame<Head>,
        id: WireId,
        edits: &Edits,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        encode::encode(frame, id, edits, out)
    }

    /// The attachment `timeout` is a text in milliseconds. Where it cannot be changed, the host is
    /// told what the caller said.
    fn encode_within(
        &mut self,
        frame: &Frame<Head>,
        id: WireId,
        edits: &Edits,
        left: Duration,
        out: &mut Out,
    ) -> Result<(), CannotEdit> {
        let mut told = edits.clone();
        let left = left.as_millis().max(1).to_string();
        told.push(Edit::Set("timeout".into(), left.into()));
        encode::encode(frame, id, &told, out).or_else(|_| self.encode(frame, id, edits, out))
    }

    fn answer(&mut self, to: &Frame<Head>, status: &Status, out: &mut Out) {
        answer::answer(to, status, self.local_reply, out);
    }

    fn classify(response: &Frame<Head>) -> Class {
        let body = response.bytes.get(HEADER_LEN..).unwrap_or_default();
        reply::classify(response.head, body)
    }

    fn conceals(response: &Frame<Head>) -> bool {
        response.head.status() == head::status::OK
    }

    fn refuses(response: &Frame<Head>, leaving: bool) -> bool {
        reply::refuses(response.head, response.bytes.get(HEADER_LEN..), leaving)
    }

    /// A two-way event whose body is null in hessian2, which every Dubbo reads.
    fn heartbeat(&mut self, _: Variant, id: WireId, out: &mut Out) {
        let flag = head::REQUEST | head::TWO_WAY | head::EVENT | Serialization::HESSIAN2.0;
        out.copy(&head::header(flag, 0, id, 1));
        out.copy(b"N");
    }

    /// The body of the heartbeat goes back as it came: it is null in the sender's serialization.
    fn heartbeat_ack(&mut self, to: &Frame<Head>, out: &mut Out) {
        if to.head.kind() != Kind::Heartbeat || !to.head.is_two_way() {
            return;
        }
        let body = to.bytes.get(HEADER_LEN..).unwrap_or_default();
        let flag = head::EVENT | to.head.serialization().0;
        out.copy(&head::header(
            flag,
            status::OK,
            to.head.id(),
            to.head.body_len(),
        ));
        out.copy(body);
    }

    /// The read-only event, as a provider writes it when it begins to close.
    fn goaway(&mut self, _: Variant, id: WireId, out: &mut Out) -> bool {
        let flag = head::REQUEST | head::EVENT | Serialization::HESSIAN2.0;
        out.copy(&head::header(flag, 0, id, 2));
        out.copy(b"\x01R");
        true
    }
}

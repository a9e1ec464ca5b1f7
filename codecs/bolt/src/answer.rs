//! Answers that the gateway itself gives, and the small messages of a connection.
//!
//! A cause is told in the way that makes the caller's own framework throw what it would throw for
//! that cause, and with the text wherever there is a place for one:
//!
//! | cause | told as | SOFARPC throws | raw Bolt throws |
//! |---|---|---|---|
//! | no route, no cluster | error `RPC-020100010: text`, a provider's words for an unknown service | `SofaRpcException` (199) with the text | `InvokeServerException`, the text in its cause |
//! | no host | error `RPC-020060001: text`, the client's own words for a service without address | (199) with the text | as above |
//! | denied, cannot edit, draining, direct response, fault | error with the text | (199) with the text | as above |
//! | overload, rate limited | a thrown `SofaRpcException` of type 100; raw: status 4 | (100) with the text | `InvokeServerBusyException` |
//! | timeout | status 7 | `SofaTimeOutException` (200) | `InvokeTimeoutException` |
//! | connect failed | status 8 | (250) | `InvokeSendFailedException` |
//! | connection lost | status 16 | (250) | `ConnectionClosedException` |
//! | bad request, request too large | status 18 | (130) | `DeserializationException` |
//! | bad answer, answer too large | status 17 | (120) | `SerializationException` |
//!
//! - An *error* is, for SOFARPC, status 0 with `sofa_head_response_error=true` and a `SofaResponse`
//!   whose `isError` is true, in the request's own grammar (protobuf: the text; JSON: the text as a
//!   JSON string). For raw Bolt with hessian2 it is status 2 with an `RpcServerException`.
//! - Status 4 would be repeated by a SOFARPC client with retries, three times in all for two of them,
//!   and so multiply the load of whoever refuses. An exception in a response is not: it is thrown as it
//!   is. Without hessian2 there is none, and status 4 must do.
//! - Where neither can be written (another serialisation, a content whose grammar cannot be told),
//!   the status alone must do: 6 for no route, 16 for no host and draining, 2 else.
//! - A direct response or a fault follows the HTTP status that it names: 429 as overload, 408 and
//!   504 as timeout, 404 and 501 as no route. It is an error even when that status is 200, because an
//!   RPC caller waits for a value of its own type that no configuration can make up.
//! - Only statuses that Java knows are used: it closes the connection over any other.
//! - Answers speak the version of the request and carry no checksum, as SOFABolt's error replies.

use crossdock_framework::{
    frame::{Frame, Kind, Variant, WireId},
    out::Out,
    status::{Cause, Class, Status, class_of_http},
};
use crossdock_hessian::{Grammar, Writer};

use crate::{
    encode::wire_id,
    head::{Dialect, GOAWAY, HEARTBEAT, Head, RPC_RESPONSE, TYPE_REQUEST, TYPE_RESPONSE},
    header_map::{entry_len, put_entry},
    sofa, status,
    view::View,
};

/// How a cause is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// By a status alone.
    Bare(u16),
    /// By an exception that says busy, with a text; by status 4 where none can be written.
    Busy,
    /// By an error with a text behind `code`; by the status alone where no text can be written.
    Error {
        code: Option<&'static str>,
        bare: u16,
    },
}

impl Speech {
    const NOT_FOUND: Self = Self::Error {
        code: Some(sofa::SERVICE_NOT_FOUND),
        bare: status::NO_PROCESSOR,
    };
    const NO_HOST: Self = Self::Error {
        code: Some(sofa::NO_PROVIDER),
        bare: status::CONNECTION_CLOSED,
    };
    const REFUSED: Self = Self::Error {
        code: None,
        bare: status::SERVER_EXCEPTION,
    };
    const CLOSING: Self = Self::Error {
        code: None,
        bare: status::CONNECTION_CLOSED,
    };

    fn of(told: &Status) -> Self {
        match told.cause {
            Cause::NoRoute | Cause::NoCluster => Self::NOT_FOUND,
            Cause::NoHost => Self::NO_HOST,
            Cause::Overload | Cause::RateLimited => Self::Busy,
            Cause::Timeout => Self::Bare(status::TIMEOUT),
            Cause::ConnectFailed => Self::Bare(status::SEND_ERROR),
            Cause::ConnectionLost => Self::Bare(status::CONNECTION_CLOSED),
            Cause::BadRequest | Cause::RequestTooLarge => {
                Self::Bare(status::SERVER_DESERIAL_EXCEPTION)
            }
            Cause::BadResponse | Cause::ResponseTooLarge => {
                Self::Bare(status::SERVER_SERIAL_EXCEPTION)
            }
            Cause::Denied | Cause::CannotEdit => Self::REFUSED,
            Cause::Draining => Self::CLOSING,
            Cause::Fault | Cause::DirectResponse => Self::of_http(told.http),
        }
    }

    fn of_http(http: u16) -> Self {
        match class_of_http(http) {
            Class::Overload => Self::Busy,
            Class::Timeout => Self::Bare(status::TIMEOUT),
            Class::NotFound => Self::NOT_FOUND,
            Class::Ok | Class::Business | Class::Client | Class::Unavailable | Class::Codec => {
                Self::REFUSED
            }
        }
    }
}

/// Answers a request; any other frame waits for nothing, and nothing is written.
pub(crate) fn answer(to: &Frame<Head>, told: &Status, out: &mut Out) {
    if to.head.kind != Kind::Request {
        return;
    }
    let error = match Speech::of(told) {
        Speech::Bare(status) => Err(status),
        Speech::Busy => Body::busy(to, &told.text).ok_or(status::SERVER_BUSY),
        Speech::Error { code, bare } => Body::error(to, code, &told.text).ok_or(bare),
    };
    match error {
        Ok(body) => body.write(&to.head, out),
        Err(status) => Body::bare(status).write(&to.head, out),
    }
}

/// What follows the fixed header of an answer.
struct Body {
    status: u16,
    class: &'static str,
    /// Whether the header map tells of an error.
    flagged: bool,
    content: Vec<u8>,
}

impl Body {
    const fn bare(status: u16) -> Self {
        Self {
            status,
            class: "",
            flagged: false,
            content: Vec::new(),
        }
    }

    /// An error with a text, if the caller of `to` has a form for that.
    fn error(to: &Frame<Head>, code: Option<&str>, text: &str) -> Option<Self> {
        let text = match code {
            Some(code) => format!("{code}: {text}"),
            None => text.to_owned(),
        };
        let view = View::new(to);
        let is_sofa = view.class() == sofa::REQUEST_CLASS;
        let grammar = view.content().first().copied().and_then(Grammar::of_object);
        match (to.head.codec, is_sofa, grammar) {
            (sofa::HESSIAN, true, Some(grammar)) => Some(Self::sofa(sofa_response(&text, grammar))),
            (sofa::PROTOBUF, true, _) => Some(Self::sofa(text.into_bytes())),
            (sofa::JSON, true, _) => Some(Self::sofa(json_string(&text).into_bytes())),
            (sofa::HESSIAN, false, Some(grammar)) => Some(Self {
                status: status::SERVER_EXCEPTION,
                class: sofa::SERVER_EXCEPTION_CLASS,
                flagged: false,
                content: server_exception(&text, grammar),
            }),
            _ => None,
        }
    }

    /// An exception that says busy, if the caller of `to` has a form for that.
    fn busy(to: &Frame<Head>, text: &str) -> Option<Self> {
        let view = View::new(to);
        let is_sofa = to.head.codec == sofa::HESSIAN && view.class() == sofa::REQUEST_CLASS;
        let grammar = view.content().first().copied().and_then(Grammar::of_object);
        let grammar = grammar.filter(|_| is_sofa)?;
        Some(Self::sofa(busy_response(text, grammar)))
    }

    const fn sofa(content: Vec<u8>) -> Self {
        Self {
            status: status::SUCCESS,
            class: sofa::RESPONSE_CLASS,
            flagged: true,
            content,
        }
    }

    fn write(&self, to: &Head, out: &mut Out) {
        let flag = (sofa::RESPONSE_ERROR.as_bytes(), &b"true"[..]);
        let header_len = if self.flagged {
            entry_len(flag.0, flag.1)
        } else {
            0
        };
        put_head(
            out,
            to.dialect,
            TYPE_RESPONSE,
            RPC_RESPONSE,
            to.id.to_be_bytes(),
            to.codec,
        );
        out.copy(&self.status.to_be_bytes());
        put_lengths(out, self.class.len(), header_len, self.content.len());
        out.copy(self.class.as_bytes());
        if self.flagged {
            put_entry(out, flag.0, flag.1);
        }
        out.copy(&self.content);
    }
}

/// Fields of a `SofaResponse`.
const RESPONSE: [&str; 4] = ["isError", "errorMsg", "appResponse", "responseProps"];

/// A `SofaResponse` that tells of a framework error.
fn sofa_response(text: &str, grammar: Grammar) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = Writer::new(&mut content, grammar);
    let class = writer.define_class(sofa::RESPONSE_CLASS, &RESPONSE);
    writer.object(class);
    writer.bool(true);
    writer.string(text);
    writer.null();
    writer.null();
    content
}

/// A `SofaResponse` with an exception to throw: the server is busy.
fn busy_response(text: &str, grammar: Grammar) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = Writer::new(&mut content, grammar);
    let class = writer.define_class(sofa::RESPONSE_CLASS, &RESPONSE);
    writer.object(class);
    writer.bool(false);
    writer.null();
    let kind = (sofa::ERROR_TYPE, sofa::SERVER_BUSY);
    writer.throwable(sofa::RPC_EXCEPTION_CLASS, &[kind], text);
    writer.null();
    content
}

/// What a SOFABolt server sends when its handler throws. An empty stack, because a Java caller
/// prints the one it finds.
fn server_exception(text: &str, grammar: Grammar) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = Writer::new(&mut content, grammar);
    let fields = ["detailMessage", "stackTrace", "cause"];
    let class = writer.define_class(sofa::SERVER_EXCEPTION_CLASS, &fields);
    writer.object(class);
    writer.string(text);
    writer.begin_list("[java.lang.StackTraceElement", 0);
    writer.end_list();
    writer.null();
    content
}

fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            control if control < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// A heartbeat as SOFABolt writes it: hessian2, no timeout, no checksum.
pub(crate) fn heartbeat(variant: Variant, id: WireId, out: &mut Out) {
    empty_request(Dialect::of(variant), HEARTBEAT, id, out);
}

/// MOSN's "no new calls on this connection".
pub(crate) fn goaway(variant: Variant, id: WireId, out: &mut Out) {
    empty_request(Dialect::of(variant), GOAWAY, id, out);
}

/// Answers a heartbeat with its own serialisation octet, which is not always hessian2's.
pub(crate) fn heartbeat_ack(to: &Head, out: &mut Out) {
    if to.kind != Kind::Heartbeat {
        return;
    }
    put_head(
        out,
        to.dialect,
        TYPE_RESPONSE,
        HEARTBEAT,
        to.id.to_be_bytes(),
        to.codec,
    );
    out.copy(&status::SUCCESS.to_be_bytes());
    put_lengths(out, 0, 0, 0);
}

fn empty_request(dialect: Dialect, command: u16, id: WireId, out: &mut Out) {
    put_head(
        out,
        dialect,
        TYPE_REQUEST,
        command,
        wire_id(id),
        sofa::HESSIAN,
    );
    out.copy(&(-1_i32).to_be_bytes());
    put_lengths(out, 0, 0, 0);
}

/// The header up to timeout or status.
fn put_head(out: &mut Out, dialect: Dialect, kind: u8, command: u16, id: [u8; 4], codec: u8) {
    out.copy(dialect.preamble());
    out.copy(&[kind]);
    out.copy(&command.to_be_bytes());
    out.copy(&[1]);
    out.copy(&id);
    out.copy(&[codec]);
    if dialect != Dialect::V1 {
        out.copy(&[0]);
    }
}

fn put_lengths(out: &mut Out, class: usize, header: usize, content: usize) {
    let short = |len: usize| {
        u16::try_from(len)
            .expect("our names are short")
            .to_be_bytes()
    };
    let content = u32::try_from(content).expect("our texts are short");
    out.copy(&short(class));
    out.copy(&short(header));
    out.copy(&content.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_told_by_a_status_that_java_knows() {
        for http in [200, 404, 408, 429, 500, 501, 503, 504] {
            match Speech::of_http(http) {
                Speech::Bare(bare) | Speech::Error { bare, .. } => assert!(status::is_known(bare)),
                Speech::Busy => assert!(status::is_known(status::SERVER_BUSY)),
            }
        }
        let denied = Status::new(Cause::Denied, "no");
        assert_eq!(Speech::of(&denied), Speech::REFUSED);
    }

    #[test]
    fn json_text_is_escaped() {
        assert_eq!(json_string("a\"b\\c\nd中"), r#""a\"b\\c\u000ad中""#);
    }
}

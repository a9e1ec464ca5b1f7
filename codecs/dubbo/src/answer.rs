//! Local answers, in the words that a Dubbo consumer understands.

use crossdock_framework::{
    frame::{Frame, Head as _, Kind},
    out::Out,
    status::{Cause, Class, Status, class_of_http},
};
use crossdock_hessian::{Grammar, Writer};

use crate::{
    head::{self, Head, Serialization, status},
    jsonb,
    reply::{BodyFlag, RPC_EXCEPTION, code},
};

/// How a call is told that the gateway refuses it or failed with it.
///
/// A Dubbo 3.3 consumer repeats a call on every status but 20, three tries in all by default and
/// even towards one address; it does not repeat a call that was answered with an exception. Tried
/// with consumers of Dubbo 3.3.6 (hessian2 and fastjson2) and 2.7.23 (which repeats nothing towards
/// one address):
///
/// | cause | answer by [`LocalReply::Exception`] | code | tries of 3.3.6 |
/// |---|---|---|---|
/// | no route, no cluster, no host | exception | 6 no invoker | 1 |
/// | overload, rate limit | exception | 7 limit exceeded | 1 |
/// | denied | exception | 4 forbidden | 1 |
/// | request too large | exception | 1 network | 1 |
/// | request or response damaged, response too large, edit impossible | exception | 5 serialization | 1 |
/// | fault, direct response with HTTP status 400 and above | exception | by that status | 1 |
/// | direct response below 400 | the text as value | | 1 |
/// | fault below 400 | exception | 1 network | 1 |
/// | timeout | status 31 | 2 timeout | 3 |
/// | connect failed, connection lost, draining | status 80 | 1 network | 3 |
///
/// The code is that of the `org.apache.dubbo.rpc.RpcException` which the caller catches, with one
/// exception to it: a filter of Dubbo 3.3 (`RpcExceptionFilter`) wraps each `RpcException` that
/// arrives in an answer, so that a synchronous caller catches code 0 and finds the code in the
/// cause of the cause. An asynchronous caller, and 2.7.23, catch the code itself.
///
/// The others are told by a status because another try may get around them and because Dubbo
/// repeats its own time-outs and network errors likewise. Status 80 and not 35, which Java makes for
/// itself and takes for the same: other libraries do not know 35, and dubbo-ssl-python reads
/// nothing more from a connection on which it came. A caller in a serialization that is not
/// read always gets a status: no consumer reads an answer in another serialization than its own,
/// unless its status says failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalReply {
    /// Status 20 and an `RpcException`, wherever a repetition would only multiply the load.
    #[default]
    Exception,
    /// A status other than 20 and a text, for every cause: 60 no route, no cluster or no host; 100
    /// overload; 80 denied or no connection; 31 timeout; 40 request unusable or too large; 50 and
    /// 25 response damaged or too large. For consumers that do not know the class, such as Dubbo
    /// 2.6. Code 2 for status 31, 5 for 25, else 1; three tries each.
    Status,
}

/// The longest text of an answer in octets; what is longer is cut.
const TEXT_LIMIT: usize = 8 * 1024;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    /// Status 20 and the text as the value of the call.
    Value,
    /// Status 20 and an `RpcException` with this code.
    Throw(i32),
    /// This status.
    Tell(u8),
}

/// Writes the answer to the call `to`. Nothing but a two-way call is answered.
pub(crate) fn answer(to: &Frame<Head>, why: &Status, how: LocalReply, out: &mut Out) {
    if to.head.kind() != Kind::Request {
        return;
    }
    let text = cut(&why.text);
    let say = match (how, to.head.serialization()) {
        (LocalReply::Exception, Serialization::HESSIAN2 | Serialization::FASTJSON2) => say(why),
        // No consumer reads a value in another serialization than its own.
        _ => plain(why),
    };
    let fast = to.head.serialization() == Serialization::FASTJSON2;
    let mut body = Vec::with_capacity(text.len() + 160);
    match (say, fast) {
        (Say::Value, false) => hessian_value(&mut body, text),
        (Say::Value, true) => jsonb_value(&mut body, text),
        (Say::Throw(code), false) => hessian_exception(&mut body, code, text),
        (Say::Throw(code), true) => jsonb_exception(&mut body, code, text),
        (Say::Tell(_), _) => Writer::new(&mut body, Grammar::V2).string(text),
    }
    let (octet, serialization) = match say {
        Say::Tell(octet) => (octet, Serialization::HESSIAN2),
        Say::Value | Say::Throw(_) => (status::OK, to.head.serialization()),
    };
    let length = u32::try_from(body.len()).expect("a cut text is short");
    out.copy(&head::header(serialization.0, octet, to.head.id(), length));
    out.copy(&body);
}

/// What a consumer of Dubbo gets for the same cause from Dubbo itself, told so that it is not
/// repeated where that cannot help.
fn say(why: &Status) -> Say {
    match why.cause {
        Cause::NoRoute | Cause::NoCluster | Cause::NoHost => Say::Throw(code::NO_INVOKER),
        Cause::Overload | Cause::RateLimited => Say::Throw(code::LIMIT_EXCEEDED),
        Cause::Denied => Say::Throw(code::FORBIDDEN),
        Cause::RequestTooLarge => Say::Throw(code::NETWORK),
        Cause::BadRequest | Cause::BadResponse | Cause::ResponseTooLarge | Cause::CannotEdit => {
            Say::Throw(code::SERIALIZATION)
        }
        Cause::Fault | Cause::DirectResponse => by_rule(why),
        Cause::Timeout => Say::Tell(status::SERVER_TIMEOUT),
        Cause::ConnectFailed | Cause::ConnectionLost | Cause::Draining => {
            Say::Tell(status::SERVER_ERROR)
        }
    }
}

/// A rule's own answer, by the HTTP status that it names.
fn by_rule(why: &Status) -> Say {
    Say::Throw(match (why.http, why.class()) {
        (_, Class::Ok | Class::Business) => return Say::Value,
        (401 | 403, _) => code::FORBIDDEN,
        (_, Class::NotFound) => code::NO_INVOKER,
        (_, Class::Overload) => code::LIMIT_EXCEEDED,
        (_, Class::Timeout) => code::TIMEOUT,
        (_, Class::Unavailable) => code::NETWORK,
        (_, Class::Client | Class::Codec) => code::UNKNOWN,
    })
}

/// The same causes as a status.
fn plain(why: &Status) -> Say {
    Say::Tell(match why.cause {
        Cause::NoRoute | Cause::NoCluster | Cause::NoHost => status::SERVICE_NOT_FOUND,
        Cause::Overload | Cause::RateLimited => status::THREADPOOL_EXHAUSTED,
        Cause::Timeout => status::SERVER_TIMEOUT,
        Cause::BadRequest | Cause::RequestTooLarge | Cause::CannotEdit => status::BAD_REQUEST,
        Cause::BadResponse => status::BAD_RESPONSE,
        Cause::ResponseTooLarge => status::SERIALIZATION_ERROR,
        Cause::Denied | Cause::ConnectFailed | Cause::ConnectionLost | Cause::Draining => {
            status::SERVER_ERROR
        }
        Cause::Fault | Cause::DirectResponse => match class_of_http(why.http) {
            Class::NotFound => status::SERVICE_NOT_FOUND,
            Class::Overload => status::THREADPOOL_EXHAUSTED,
            Class::Timeout => status::SERVER_TIMEOUT,
            Class::Client | Class::Codec => status::BAD_REQUEST,
            // A value cannot be told by a status.
            Class::Ok | Class::Business | Class::Unavailable => status::SERVER_ERROR,
        },
    })
}

fn hessian_value(body: &mut Vec<u8>, text: &str) {
    let mut writer = Writer::new(body, Grammar::V2);
    writer.int(BodyFlag::VALUE.0.into());
    writer.string(text);
}

/// Body flag 0 and not 3: attachments would need a caller that says it reads them, and an
/// oversized request cannot be asked.
fn hessian_exception(body: &mut Vec<u8>, code: i32, text: &str) {
    let mut writer = Writer::new(body, Grammar::V2);
    writer.int(BodyFlag::EXCEPTION.0.into());
    writer.throwable(RPC_EXCEPTION, &[("code", code)], text);
}

fn jsonb_value(body: &mut Vec<u8>, text: &str) {
    prefixed(body, |body| {
        jsonb::write_int(body, BodyFlag::VALUE.0.into())
    });
    prefixed(body, |body| jsonb::write_string(body, text));
}

fn jsonb_exception(body: &mut Vec<u8>, code: i32, text: &str) {
    let code = usize::try_from(code).expect("codes begin at 0");
    prefixed(body, |body| {
        jsonb::write_int(body, BodyFlag::EXCEPTION.0.into())
    });
    prefixed(body, |body| {
        jsonb::write_type(body, RPC_EXCEPTION);
        body.push(jsonb::OBJECT);
        jsonb::write_string(body, "code");
        jsonb::write_int(body, code);
        jsonb::write_string(body, "message");
        jsonb::write_string(body, text);
        body.push(jsonb::END);
    });
}

/// Writes a value with its length in front of it.
fn prefixed(body: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let at = body.len();
    body.extend([0; 4]);
    value(body);
    let length = u32::try_from(body.len() - at - 4).expect("a cut text is short");
    if let Some(slot) = body.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

//! The body of a response: how the call ended, the value passed over, the attachments behind it.
//!
//! Source: `DubboCodec.encodeResponseData` and `DecodeableRpcResult` of Apache Dubbo. With status
//! 20 a body is an int flag, the value or the exception, and the map of attachments where the flag
//! says so; with any other status it is one string.

use crossdock_framework::status::Class;

use crate::{
    body::{Malformed, Values},
    head::{Head, Serialization, status},
    plain,
};

const UNKNOWN_FLAG: Malformed = Malformed::Dubbo("a response has an unknown body flag");

/// The class of the exceptions that Dubbo itself throws.
pub(crate) const RPC_EXCEPTION: &str = "org.apache.dubbo.rpc.RpcException";
/// The same before Dubbo went to Apache, up to 2.6.
const OLD_RPC_EXCEPTION: &str = "com.alibaba.dubbo.rpc.RpcException";

/// The codes of an `RpcException`, 8 and above since Dubbo 3.
pub(crate) mod code {
    pub(crate) const UNKNOWN: i32 = 0;
    pub(crate) const NETWORK: i32 = 1;
    pub(crate) const TIMEOUT: i32 = 2;
    pub(crate) const FORBIDDEN: i32 = 4;
    pub(crate) const SERIALIZATION: i32 = 5;
    pub(crate) const NO_INVOKER: i32 = 6;
    pub(crate) const LIMIT_EXCEEDED: i32 = 7;
    pub(crate) const TIMEOUT_TERMINATE: i32 = 8;
    pub(crate) const METHOD_NOT_FOUND: i32 = 11;
    pub(crate) const VALIDATION: i32 = 12;
    pub(crate) const AUTHORIZATION: i32 = 13;
}

/// What the body flag of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyFlag(pub(crate) u8);

impl BodyFlag {
    pub(crate) const EXCEPTION: Self = Self(0);
    pub(crate) const VALUE: Self = Self(1);

    pub(crate) fn read(values: &mut Values<'_>) -> Result<Self, Malformed> {
        match u8::try_from(values.int()?) {
            Ok(flag @ 0..=5) => Ok(Self(flag)),
            _ => Err(UNKNOWN_FLAG),
        }
    }

    pub(crate) const fn is_exception(self) -> bool {
        matches!(self.0, 0 | 3)
    }

    /// Whether a value or an exception follows.
    pub(crate) const fn has_value(self) -> bool {
        !matches!(self.0, 2 | 5)
    }

    /// Whether attachments stand at the end.
    pub(crate) const fn has_attachments(self) -> bool {
        self.0 >= 3
    }
}

/// The values of a body at its attachments; `None` when there are none or cannot be read.
pub(crate) fn attachments(head: Head, body: &[u8]) -> Option<Result<Values<'_>, Malformed>> {
    if head.status() != status::OK {
        return None;
    }
    let values = Values::at(head.serialization(), body, 0)?;
    past_value(values).transpose()
}

fn past_value(mut values: Values<'_>) -> Result<Option<Values<'_>>, Malformed> {
    let flag = BodyFlag::read(&mut values)?;
    if flag.has_value() {
        values.skip()?;
    }
    Ok(flag.has_attachments().then_some(values))
}

/// Where in the body the attachments begin; `None` when there are none or what stands in front of
/// them cannot be read.
pub(crate) fn attachments_at(head: Head, body: &[u8]) -> Option<usize> {
    if (head.serialization(), head.status()) == (Serialization::HESSIAN2, status::OK) {
        let behind = match body {
            [0x93 | 0x94, value @ ..] => plain::skip_scalar(value),
            [0x95, behind @ ..] => Some(behind),
            _ => None,
        };
        if let Some(behind) = behind {
            return Some(body.len() - behind.len());
        }
    }
    Some(attachments(head, body)?.ok()?.pos())
}

/// How the call ended.
pub(crate) fn classify(head: Head, body: &[u8]) -> Class {
    match head.status() {
        status::OK => class_of_body(head.serialization(), body),
        status::CLIENT_TIMEOUT | status::SERVER_TIMEOUT => Class::Timeout,
        status::BAD_REQUEST => Class::Client,
        status::SERIALIZATION_ERROR | status::BAD_RESPONSE | status::CLIENT_ERROR => Class::Codec,
        status::SERVICE_NOT_FOUND => Class::NotFound,
        status::THREADPOOL_EXHAUSTED => Class::Overload,
        // 35, 70, 80, and what no release has sent yet.
        _ => Class::Unavailable,
    }
}

/// Of the text of an error, so much is looked at: the class of the exception and the begin of its message.
const LOOKED_AT: usize = 160;

/// What a provider says (`DubboProtocol.getInvoker`) of a service that it does not offer, or no longer.
const NOT_EXPORTED: &[u8] = b"Not found exported service";

/// Whether the provider has not begun the call: its pool of threads was full or, after its read-only event, it has
/// withdrawn its services, as 2.7 does at once.
pub(crate) fn refuses(head: Head, body: Option<&[u8]>, leaving: bool) -> bool {
    let withdrawn = || {
        let text = body.unwrap_or_default();
        let text = text.get(..LOOKED_AT.min(text.len())).unwrap_or_default();
        text.windows(NOT_EXPORTED.len())
            .any(|words| words == NOT_EXPORTED)
    };
    match head.status() {
        status::THREADPOOL_EXHAUSTED => true,
        status::SERVICE_ERROR => leaving && withdrawn(),
        _ => false,
    }
}

/// A body that cannot be read counts as a success: status 20 says that the call was carried out.
fn class_of_body(serialization: Serialization, body: &[u8]) -> Class {
    match serialization {
        // Nearly every response ends here, after one octet.
        Serialization::HESSIAN2 if !matches!(body, [0x90 | 0x93, ..]) => return Class::Ok,
        _ => {}
    }
    let Some(mut values) = Values::at(serialization, body, 0) else {
        return Class::Ok;
    };
    match BodyFlag::read(&mut values) {
        Ok(flag) if flag.is_exception() => class_of_exception(&mut values),
        _ => Class::Ok,
    }
}

/// The service's own exceptions are its business; those of Dubbo's filters tell by their code.
fn class_of_exception(values: &mut Values<'_>) -> Class {
    let Ok(Some(thrown)) = values.object("code") else {
        return Class::Business;
    };
    if ![RPC_EXCEPTION, OLD_RPC_EXCEPTION].contains(&thrown.class.as_ref()) {
        return Class::Business;
    }
    match thrown.int.and_then(|code| i32::try_from(code).ok()) {
        Some(code::NETWORK | code::NO_INVOKER) => Class::Unavailable,
        Some(code::TIMEOUT | code::TIMEOUT_TERMINATE) => Class::Timeout,
        Some(code::FORBIDDEN | code::VALIDATION | code::AUTHORIZATION) => Class::Client,
        Some(code::METHOD_NOT_FOUND) => Class::NotFound,
        Some(code::SERIALIZATION) => Class::Codec,
        Some(code::LIMIT_EXCEEDED) => Class::Overload,
        _ => Class::Business,
    }
}

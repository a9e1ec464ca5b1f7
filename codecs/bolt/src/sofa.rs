//! SOFARPC on Bolt: what its header map and its two objects mean.
//!
//! A Java caller names service and method in the header map; a Node caller with hessian2 writes
//! only `service`, and its method stands in the `SofaRequest` that begins the content.

use std::borrow::Cow;

use crossdock_framework::status::Class;
use crossdock_hessian::{Error, Grammar, Limits, Walker};

use crate::header_map::{Entry, HeaderMap, text};

/// The class name of SOFARPC requests, and of the object in a hessian2 request.
pub const REQUEST_CLASS: &str = "com.alipay.sofa.rpc.core.request.SofaRequest";
/// The class name of SOFARPC responses, and of the object in a hessian2 response.
pub const RESPONSE_CLASS: &str = "com.alipay.sofa.rpc.core.response.SofaResponse";
/// The class name of the object in an answer of status 2.
pub const SERVER_EXCEPTION_CLASS: &str = "com.alipay.remoting.rpc.exception.RpcServerException";

/// The class of the exceptions that SOFARPC itself throws.
pub(crate) const RPC_EXCEPTION_CLASS: &str = "com.alipay.sofa.rpc.core.exception.SofaRpcException";
/// Its field for the kind of error.
pub(crate) const ERROR_TYPE: &str = "errorType";
/// The server is busy (`RpcErrorType.SERVER_BUSY`).
pub(crate) const SERVER_BUSY: i32 = 100;

/// Serialisation hessian2, of either grammar.
pub(crate) const HESSIAN: u8 = 1;
/// Serialisation protobuf.
pub(crate) const PROTOBUF: u8 = 11;
/// Serialisation JSON.
pub(crate) const JSON: u8 = 12;

/// The header that tells an error inside status 0.
pub(crate) const RESPONSE_ERROR: &str = "sofa_head_response_error";
/// SOFARPC's code for a service that a provider does not have (`LogCodes`).
pub(crate) const SERVICE_NOT_FOUND: &str = "RPC-020100010";
/// SOFARPC's code for a method that a provider does not have.
const METHOD_NOT_FOUND: &str = "RPC-020100011";
/// SOFARPC's code for a service without an address.
pub(crate) const NO_PROVIDER: &str = "RPC-020060001";

/// The service and method that a request names; empty text counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'f> {
    /// The unique name, `interface:version[:uniqueId]`.
    pub(crate) service: Option<Cow<'f, str>>,
    pub(crate) method: Option<Cow<'f, str>>,
}

/// The entries of a header map that name service and method, as far as they were seen.
#[derive(Debug, Default)]
pub(crate) struct Named<'f> {
    service: Option<&'f [u8]>,
    target: Option<&'f [u8]>,
    pub(crate) method: Option<&'f [u8]>,
}

impl<'f> Named<'f> {
    /// What a header map names; its keys are case-sensitive.
    pub(crate) fn of_headers(map: HeaderMap<'f>) -> Self {
        let mut named = Self::default();
        for entry in map.entries() {
            match entry {
                Ok(entry) => named.see(&entry),
                Err(_) => return Self::default(),
            }
        }
        named
    }

    #[inline]
    fn see(&mut self, entry: &Entry<'f>) {
        let name = match entry.key {
            Some(b"service") => &mut self.service,
            Some(b"sofa_head_target_service") => &mut self.target,
            Some(b"sofa_head_method_name") => &mut self.method,
            _ => return,
        };
        *name = entry.value.filter(|value| !value.is_empty());
    }

    /// The unique name: `service` comes before `sofa_head_target_service`, as in SOFARPC's
    /// `SofaRpcSerialization`.
    pub(crate) fn service(&self) -> Option<&'f [u8]> {
        self.service.or(self.target)
    }
}

impl<'f> Target<'f> {
    /// A target of these names.
    pub(crate) fn named(service: Option<&'f [u8]>, method: Option<&'f [u8]>) -> Self {
        Self {
            service: service.map(text),
            method: method.map(text),
        }
    }

    /// Fills what is missing from the `SofaRequest` at the start of a hessian2 content.
    pub(crate) fn or_content(mut self, content: &'f [u8]) -> Self {
        if self.service.is_some() && self.method.is_some() {
            return self;
        }
        let body = Self::of_content(content).unwrap_or_default();
        self.service = self.service.or(body.service);
        self.method = self.method.or(body.method);
        self
    }

    /// Fields stand in any order: Java and Node write different ones. The walk ends with the
    /// second name, mostly before the arguments.
    fn of_content(content: &'f [u8]) -> Option<Self> {
        let mut target = Self::default();
        let mut walker = walker(content)?;
        let mut fields = walker.object().ok()?;
        if !fields.class_name().eq_str(REQUEST_CLASS) {
            return None;
        }
        while let Ok(Some(name)) = fields.next_field() {
            let slot = match name.as_str() {
                Some("methodName") => &mut target.method,
                Some("targetServiceUniqueName") => &mut target.service,
                _ => continue,
            };
            let value = fields.value().read_string_or_null().ok()?;
            *slot = value
                .filter(|value| !value.is_empty())
                .map(|value| value.to_cow());
            if target.service.is_some() && target.method.is_some() {
                break;
            }
        }
        Some(target)
    }
}

/// The parts of a unique name: `interface:version[:uniqueId]`.
pub(crate) fn interface(unique: &str) -> &str {
    let colon = unique.bytes().position(|octet| octet == b':');
    colon.and_then(|at| unique.get(..at)).unwrap_or(unique)
}

/// The version in a unique name, `1.0` where nobody set one.
pub(crate) fn version(unique: &str) -> Option<&str> {
    unique.split(':').nth(1).filter(|part| !part.is_empty())
}

/// The unique id in a unique name: what tells two providers of one interface and version apart.
pub(crate) fn unique_id(unique: &str) -> Option<&str> {
    unique.splitn(3, ':').nth(2).filter(|part| !part.is_empty())
}

/// A walk over a content whose first value is an object; `None` when it is something else, whose
/// grammar cannot be told.
pub(crate) fn walker(content: &[u8]) -> Option<Walker<'_>> {
    let grammar = Grammar::of_object(*content.first()?)?;
    Some(Walker::new(content, grammar, Limits::DEFAULT))
}

/// How a call ended whose status is 0 and whose header map says `sofa_head_response_error=true`.
///
/// A framework error has a text (and in hessian2 `isError`); an exception of the service stands in
/// its place otherwise. What cannot be read counts as the service's own exception, which neither
/// repeats the call nor ejects the host.
pub(crate) fn hidden_error(serialization: u8, content: &[u8]) -> Class {
    match serialization {
        HESSIAN => match hidden(content) {
            Ok(Hidden::Error(text)) if is_not_found(&text) => Class::NotFound,
            Ok(Hidden::Error(_)) => Class::Unavailable,
            Ok(Hidden::Busy) => Class::Overload,
            Ok(Hidden::Thrown) | Err(_) => Class::Business,
        },
        // The text alone, of either kind of error.
        PROTOBUF if is_not_found(&text(content)) => Class::NotFound,
        JSON if is_not_found(text(content).trim_start_matches('"')) => Class::NotFound,
        _ => Class::Business,
    }
}

fn is_not_found(text: &str) -> bool {
    text.starts_with(SERVICE_NOT_FOUND) || text.starts_with(METHOD_NOT_FOUND)
}

/// What a `SofaResponse` tells.
enum Hidden<'c> {
    /// `isError` and the `errorMsg`.
    Error(Cow<'c, str>),
    /// A `SofaRpcException` that says busy.
    Busy,
    /// Any other exception.
    Thrown,
}

fn hidden(content: &[u8]) -> Result<Hidden<'_>, Error> {
    let Some(mut walker) = walker(content) else {
        return Ok(Hidden::Thrown);
    };
    let (mut is_error, mut message, mut busy) = (false, None, false);
    let mut fields = walker.object()?;
    while let Some(name) = fields.next_field()? {
        match name.as_str() {
            Some("isError") => is_error = fields.value().read_bool()?,
            Some("errorMsg") => message = fields.value().read_string_or_null()?,
            Some("appResponse") => busy = says_busy(fields.value())?,
            _ => {}
        }
    }
    Ok(match (is_error, busy) {
        (true, _) => Hidden::Error(message.map_or(Cow::Borrowed(""), |text| text.to_cow())),
        (false, true) => Hidden::Busy,
        (false, false) => Hidden::Thrown,
    })
}

fn says_busy(value: &mut Walker<'_>) -> Result<bool, Error> {
    let class = value.peek_class()?;
    if !class.is_some_and(|class| class.eq_str(RPC_EXCEPTION_CLASS)) {
        return Ok(false);
    }
    let mut kind = 0;
    let mut fields = value.object()?;
    while let Some(name) = fields.next_field()? {
        if name.as_str() == Some(ERROR_TYPE) {
            kind = fields.value().read_int()?;
        }
    }
    Ok(kind == SERVER_BUSY)
}

//! Dubbo's frames, with bodies in Hessian 2.0.

use crossdock_dubbo::{Dubbo, HEADER_LEN, status};
use crossdock_framework::frame::{Frame, WireId};
use crossdock_hessian::{Error, Grammar, Limits, Walker, Writer};

use super::{Call, Wire};
use crate::sample::Told;

/// The flag octets of a two-way request and of a response, both in Hessian 2.0.
const REQUEST: u8 = 0xc2;
const RESPONSE: u8 = 0x02;

impl Wire for Dubbo {
    /// Header, then version, path, service version, method, parameter types, argument and
    /// attachments.
    fn request(id: WireId, call: &Call<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, Grammar::V2);
        for text in [
            "2.0.2",
            call.service,
            "1.0.0",
            call.method,
            "Ljava/lang/String;",
        ] {
            writer.string(text);
        }
        writer.string(call.argument);
        let known = [
            ("path", call.service),
            ("interface", call.service),
            ("version", "1.0.0"),
        ];
        writer.string_map(known.into_iter().chain(call.header));
        frame(REQUEST, 0, id, &body)
    }

    /// A value with attachments (body flag 4).
    fn response(id: WireId, text: &str) -> Vec<u8> {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body, Grammar::V2);
        writer.int(4);
        writer.string(text);
        writer.string_map([("dubbo", "2.0.2")]);
        frame(RESPONSE, status::OK, id, &body)
    }

    fn failure(id: WireId, text: &str) -> Vec<u8> {
        let mut body = Vec::new();
        Writer::new(&mut body, Grammar::V2).string(text);
        frame(RESPONSE, status::SERVER_ERROR, id, &body)
    }

    fn told(answer: &Frame<Self::Head>) -> Told {
        let status = answer.head.status();
        match status {
            status::OK => {
                let body = answer.bytes.get(HEADER_LEN..).unwrap_or_default();
                result(body).unwrap_or_else(|error| Told::failed(format!("status 20, {error}")))
            }
            _ => Told::failed(format!("status {status} {}", status_name(status))),
        }
    }
}

fn frame(flag: u8, status: u8, id: WireId, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xda, 0xbb, flag, status];
    frame.extend(id.0.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// What stands in a body of status 20: a flag, and a value or an exception.
fn result(body: &[u8]) -> Result<Told, Error> {
    let mut values = Walker::new(body, Grammar::V2, Limits::DEFAULT);
    Ok(match values.read_int()? {
        0 | 3 => Told::failed(exception(&mut values)?),
        1 | 4 => Told::done("status 20 OK", &values.read_string()?.to_cow()),
        _ => Told::failed("status 20 OK, null"),
    })
}

/// The class of an exception, and its code where it is Dubbo's own.
fn exception(values: &mut Walker<'_>) -> Result<String, Error> {
    let mut fields = values.object()?;
    let class = fields.class_name().to_cow().into_owned();
    let class = class.rsplit('.').next().unwrap_or_default();
    while let Some(name) = fields.next_field()? {
        if name.eq_str("code") {
            let code = fields.value().read_int()?;
            return Ok(format!("{class} {code} {}", code_name(code)));
        }
    }
    Ok(class.to_owned())
}

/// The constants of `org.apache.dubbo.remoting.exchange.Response`.
fn status_name(status: u8) -> &'static str {
    match status {
        status::SERIALIZATION_ERROR => "SERIALIZATION_ERROR",
        status::CLIENT_TIMEOUT => "CLIENT_TIMEOUT",
        status::SERVER_TIMEOUT => "SERVER_TIMEOUT",
        status::CHANNEL_INACTIVE => "CHANNEL_INACTIVE",
        status::BAD_REQUEST => "BAD_REQUEST",
        status::BAD_RESPONSE => "BAD_RESPONSE",
        status::SERVICE_NOT_FOUND => "SERVICE_NOT_FOUND",
        status::SERVICE_ERROR => "SERVICE_ERROR",
        status::SERVER_ERROR => "SERVER_ERROR",
        status::CLIENT_ERROR => "CLIENT_ERROR",
        status::THREADPOOL_EXHAUSTED => "SERVER_THREADPOOL_EXHAUSTED_ERROR",
        _ => "unknown",
    }
}

/// The constants of `org.apache.dubbo.rpc.RpcException`.
fn code_name(code: i32) -> &'static str {
    match code {
        0 => "UNKNOWN_EXCEPTION",
        1 => "NETWORK_EXCEPTION",
        2 => "TIMEOUT_EXCEPTION",
        3 => "BIZ_EXCEPTION",
        4 => "FORBIDDEN_EXCEPTION",
        5 => "SERIALIZATION_EXCEPTION",
        6 => "NO_INVOKER_AVAILABLE_AFTER_FILTER",
        7 => "LIMIT_EXCEEDED_EXCEPTION",
        _ => "unknown",
    }
}

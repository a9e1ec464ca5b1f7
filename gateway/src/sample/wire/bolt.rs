//! SOFARPC's frames over Bolt v1, with contents in SOFARPC's Hessian 3.x grammar.

use crossdock_bolt::{Bolt, REQUEST_CLASS, RESPONSE_CLASS, SERVER_EXCEPTION_CLASS};
use crossdock_framework::{
    codec::Codec as _,
    frame::{Frame, WireId},
};
use crossdock_hessian::{Error, Grammar, Limits, Walker, Writer};

use super::{Call, Wire};
use crate::sample::Told;

/// Statuses of SOFABolt's `ResponseStatus`.
const SUCCESS: u16 = 0;
const SERVER_EXCEPTION: u16 = 2;

/// Of SOFARPC's `RpcErrorType`.
const SERVER_BUSY: i32 = 100;

/// What a caller waits at most, in milliseconds.
const TIMEOUT: u32 = 3000;

impl Wire for Bolt {
    fn request(id: WireId, call: &Call<'_>) -> Vec<u8> {
        let unique = format!("{}:1.0", call.service);
        let mut content = Vec::new();
        let mut writer = Writer::new(&mut content, Grammar::V3);
        let fields = [
            "targetAppName",
            "methodName",
            "targetServiceUniqueName",
            "requestProps",
            "methodArgSigs",
        ];
        let class = writer.define_class(REQUEST_CLASS, &fields);
        writer.object(class);
        writer.null();
        writer.string(call.method);
        writer.string(&unique);
        writer.null();
        writer.begin_list("[string", 1);
        writer.string("java.lang.String");
        writer.end_list();
        writer.string(call.argument);
        let known = [
            ("service", unique.as_str()),
            ("sofa_head_target_service", unique.as_str()),
            ("sofa_head_method_name", call.method),
            ("type", "sync"),
        ];
        let headers = header_map(known.into_iter().chain(call.header));
        let mut frame = vec![1, 1, 0, 1, 1];
        frame.extend((id.0 as u32).to_be_bytes());
        frame.push(1);
        frame.extend(TIMEOUT.to_be_bytes());
        rest(&mut frame, REQUEST_CLASS, &headers, &content);
        frame
    }

    fn response(id: WireId, text: &str) -> Vec<u8> {
        let mut content = Vec::new();
        let mut writer = Writer::new(&mut content, Grammar::V3);
        let fields = ["isError", "errorMsg", "appResponse", "responseProps"];
        let class = writer.define_class(RESPONSE_CLASS, &fields);
        writer.object(class);
        writer.bool(false);
        writer.null();
        writer.string(text);
        writer.null();
        answer(id, SUCCESS, RESPONSE_CLASS, &content)
    }

    /// As of a server whose handler threw.
    fn failure(id: WireId, text: &str) -> Vec<u8> {
        let mut content = Vec::new();
        Writer::new(&mut content, Grammar::V3).throwable(SERVER_EXCEPTION_CLASS, &[], text);
        answer(id, SERVER_EXCEPTION, SERVER_EXCEPTION_CLASS, &content)
    }

    fn told(answer: &Frame<Self::Head>) -> Told {
        match answer.head.status() {
            Some(SUCCESS) => {
                let view = Self::view(answer);
                result(view.content())
                    .unwrap_or_else(|error| Told::failed(format!("status 0, {error}")))
            }
            Some(status) => Told::failed(format!("status {status} {}", status_name(status))),
            None => Told::failed("no status"),
        }
    }
}

fn answer(id: WireId, status: u16, class: &str, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0, 2, 1];
    frame.extend((id.0 as u32).to_be_bytes());
    frame.push(1);
    frame.extend(status.to_be_bytes());
    rest(&mut frame, class, &[], content);
    frame
}

fn header_map<'h>(entries: impl Iterator<Item = (&'h str, &'h str)>) -> Vec<u8> {
    let mut map = Vec::new();
    for text in entries.flat_map(|(key, value)| [key, value]) {
        map.extend((text.len() as u32).to_be_bytes());
        map.extend(text.as_bytes());
    }
    map
}

/// The lengths of class, header map and content, and the three themselves.
fn rest(frame: &mut Vec<u8>, class: &str, headers: &[u8], content: &[u8]) {
    frame.extend((class.len() as u16).to_be_bytes());
    frame.extend((headers.len() as u16).to_be_bytes());
    frame.extend((content.len() as u32).to_be_bytes());
    frame.extend(class.as_bytes());
    frame.extend(headers);
    frame.extend(content);
}

/// What stands in a `SofaResponse`: SOFARPC's own error, what was thrown, or the value.
fn result(content: &[u8]) -> Result<Told, Error> {
    let mut values = Walker::new(content, Grammar::V3, Limits::DEFAULT);
    let mut fields = values.object()?;
    let (mut error, mut value) = (None, None);
    while let Some(name) = fields.next_field()? {
        let slot = match name.as_str() {
            Some("errorMsg") => &mut error,
            Some("appResponse") => &mut value,
            _ => continue,
        };
        let held = fields.value();
        if let Some(class) = held.peek_class()? {
            let class = class.to_cow().into_owned();
            return Ok(Told::failed(thrown(&class, held)?));
        }
        *slot = held.read_string_or_null()?;
    }
    Ok(match (error, value) {
        (Some(error), _) => Told::failed(format!("status 0 SUCCESS, error {}", error.to_cow())),
        (None, Some(value)) => Told::done("status 0 SUCCESS", &value.to_cow()),
        (None, None) => Told::failed("status 0 SUCCESS, null"),
    })
}

/// An exception by its class and, if it is SOFARPC's own, the number in it.
fn thrown(class: &str, exception: &mut Walker<'_>) -> Result<String, Error> {
    let name = class.rsplit('.').next().unwrap_or(class);
    let mut fields = exception.object()?;
    while let Some(field) = fields.next_field()? {
        if field.as_str() == Some("errorType") {
            let number = fields.value().read_int()?;
            return Ok(match number {
                SERVER_BUSY => format!("{name} {number} SERVER_BUSY"),
                number => format!("{name} {number}"),
            });
        }
    }
    Ok(name.to_owned())
}

/// The constants of SOFABolt's `ResponseStatus`.
fn status_name(status: u16) -> &'static str {
    match status {
        1 => "ERROR",
        SERVER_EXCEPTION => "SERVER_EXCEPTION",
        3 => "UNKNOWN",
        4 => "SERVER_THREADPOOL_BUSY",
        5 => "ERROR_COMM",
        6 => "NO_PROCESSOR",
        7 => "TIMEOUT",
        8 => "CLIENT_SEND_ERROR",
        9 => "CODEC_EXCEPTION",
        16 => "CONNECTION_CLOSED",
        17 => "SERVER_SERIAL_EXCEPTION",
        18 => "SERVER_DESERIAL_EXCEPTION",
        _ => "unknown",
    }
}

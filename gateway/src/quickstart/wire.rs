//! The few frames that the quickstart's own services and callers need. Real services and callers
//! bring their own.

use crossdock_bolt::{REQUEST_CLASS, RESPONSE_CLASS};
use crossdock_framework::frame::WireId;
use crossdock_hessian::{Grammar, Writer};

/// A call as the quickstart makes it: one text in, one text out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'c> {
    pub(super) service: &'c str,
    pub(super) method: &'c str,
    pub(super) argument: &'c str,
    /// An attachment, or an entry of the header map.
    pub(super) header: Option<(&'c str, &'c str)>,
}

/// A Dubbo request: header, then version, path, service version, method, parameter types,
/// argument and attachments in Hessian 2.0.
pub(super) fn dubbo_request(id: WireId, call: &Call<'_>) -> Vec<u8> {
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
    dubbo_frame(0xc2, 0, id, &body)
}

/// Its answer: a value with attachments (body flag 4).
pub(super) fn dubbo_response(id: WireId, text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let mut writer = Writer::new(&mut body, Grammar::V2);
    writer.int(4);
    writer.string(text);
    writer.string_map([("dubbo", "2.0.2")]);
    dubbo_frame(0x02, 20, id, &body)
}

fn dubbo_frame(flag: u8, status: u8, id: WireId, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xda, 0xbb, flag, status];
    frame.extend(id.0.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// A SOFARPC request over Bolt v1, its content in SOFARPC's Hessian 3.x grammar.
pub(super) fn bolt_request(id: WireId, call: &Call<'_>) -> Vec<u8> {
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
    frame.extend(3000_u32.to_be_bytes());
    bolt_rest(&mut frame, REQUEST_CLASS, &headers, &content);
    frame
}

/// Its answer.
pub(super) fn bolt_response(id: WireId, text: &str) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = Writer::new(&mut content, Grammar::V3);
    let fields = ["isError", "errorMsg", "appResponse", "responseProps"];
    let class = writer.define_class(RESPONSE_CLASS, &fields);
    writer.object(class);
    writer.bool(false);
    writer.null();
    writer.string(text);
    writer.null();
    let mut frame = vec![1, 0, 0, 2, 1];
    frame.extend((id.0 as u32).to_be_bytes());
    frame.push(1);
    frame.extend(0_u16.to_be_bytes());
    bolt_rest(&mut frame, RESPONSE_CLASS, &[], &content);
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
fn bolt_rest(frame: &mut Vec<u8>, class: &str, headers: &[u8], content: &[u8]) {
    frame.extend((class.len() as u16).to_be_bytes());
    frame.extend((headers.len() as u16).to_be_bytes());
    frame.extend((content.len() as u32).to_be_bytes());
    frame.extend(class.as_bytes());
    frame.extend(headers);
    frame.extend(content);
}

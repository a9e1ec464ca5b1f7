//! SOFABolt v1 frames as SOFARPC's Java client writes them: class, header map, a `SofaRequest` in the
//! Hessian 3.x grammar, then the argument.

use super::framed::Seen;
use super::{Garbled, Stencil, Template, argument, at};

/// The octet that begins every frame: the version.
pub(super) const FIRST: u8 = 1;
/// Octets of the fixed header of a request and of a response.
const REQUEST_HEADER: usize = 22;
const RESPONSE_HEADER: usize = 20;
/// Where the id lies, in both.
const ID: std::ops::Range<usize> = 5..9;
/// Command codes.
const HEARTBEAT: u8 = 0;
const RPC_REQUEST: u8 = 1;
const RPC_RESPONSE: u8 = 2;
/// Types.
const RESPONSE: u8 = 0;
const REQUEST: u8 = 1;
/// Codec of the body: hessian2.
const HESSIAN: u8 = 1;
/// Status SERVER_DESERIAL_EXCEPTION.
const NOT_UNDERSTOOD: u8 = 18;
/// The largest body that this benchmark's own calls can have.
const MAX_CONTENT: usize = 16 << 20;

const REQUEST_CLASS: &[u8] = b"com.alipay.sofa.rpc.core.request.SofaRequest";
const RESPONSE_CLASS: &[u8] = b"com.alipay.sofa.rpc.core.response.SofaResponse";
const SERVICE: &str = "peer.api.Echo:1.0";

/// The header map of a synchronous call (SofaRpcSerialization of SOFARPC 5.13), in HashMap order.
pub(super) const HEADERS: [(&str, &str); 11] = [
    ("sofa_head_target_service", SERVICE),
    ("app", "peer-consumer"),
    ("rpc_trace_context.sofaRpcId", "0"),
    ("protocol", "bolt"),
    ("rpc_trace_context.samp", "true"),
    ("rpc_trace_context.sofaTraceId", TRACE),
    ("service", SERVICE),
    ("rpc_trace_context.sysPenAttrs", ""),
    ("rpc_trace_context.sofaPenAttrs", ""),
    ("sofa_head_method_name", "echo"),
    ("type", "sync"),
];
/// Milliseconds: more than any stall of a machine that also compiles something.
const TIMEOUT: u32 = 30_000;
const TRACE: &str = "c00002021795422390555101618390";

pub(super) fn template(payload: usize) -> Template {
    let text = argument(payload);
    let (request, mark) = request("echo", &text, &HEADERS, TRACE);
    let mut answer = Vec::new();
    let start = answer_with(|out| string(&text, out), &mut answer);
    Template {
        request: Stencil::new(request, ID, mark),
        answer: Stencil::new(answer, ID, start + string_head(text.len())),
    }
}

/// A call of `method(String)`, and where its argument's first character lies.
pub(super) fn request(
    method: &str,
    text: &[u8],
    headers: &[(&str, &str)],
    trace: &str,
) -> (Vec<u8>, usize) {
    let mut map = Vec::new();
    for (key, value) in headers {
        for word in [key, value] {
            map.extend_from_slice(&(word.len() as u32).to_be_bytes());
            map.extend_from_slice(word.as_bytes());
        }
    }
    let mut content = sofa_request(method, trace);
    let prefix = content.len();
    string(text, &mut content);
    let mut frame = vec![1, REQUEST, 0, RPC_REQUEST, 1, 0, 0, 0, 0, HESSIAN];
    frame.extend_from_slice(&TIMEOUT.to_be_bytes());
    frame.extend_from_slice(&(REQUEST_CLASS.len() as u16).to_be_bytes());
    frame.extend_from_slice(&(map.len() as u16).to_be_bytes());
    frame.extend_from_slice(&(content.len() as u32).to_be_bytes());
    frame.extend_from_slice(REQUEST_CLASS);
    frame.extend_from_slice(&map);
    let mark = frame.len() + prefix + string_head(text.len());
    frame.extend_from_slice(&content);
    (frame, mark)
}

pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    let Some(kind) = bytes.get(1) else {
        return Ok(None);
    };
    let (header, class) = match *kind {
        RESPONSE => (RESPONSE_HEADER, 12),
        REQUEST | 2 => (REQUEST_HEADER, 14),
        _ => return Err(Garbled("unknown Bolt type")),
    };
    if bytes.len() < header {
        return Ok(None);
    }
    let short = |i| usize::from(u16::from_be_bytes([at(bytes, i), at(bytes, i + 1)]));
    let content = short(class + 4) << 16 | short(class + 6);
    if content > MAX_CONTENT {
        return Err(Garbled("a Bolt content larger than any call has"));
    }
    Ok(Some(header + short(class) + short(class + 2) + content))
}

pub(super) fn see(frame: &[u8]) -> Seen {
    let id = u32::from_be_bytes([at(frame, 5), at(frame, 6), at(frame, 7), at(frame, 8)]);
    match (at(frame, 1), at(frame, 3)) {
        (RESPONSE, RPC_RESPONSE) => Seen::Answer(u64::from(id)),
        (REQUEST, HEARTBEAT) => Seen::Heartbeat,
        _ => Seen::Notice,
    }
}

pub(super) fn serve(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    if at(frame, 1) != REQUEST {
        return Ok(());
    }
    let start = out.len();
    if at(frame, 3) == HEARTBEAT {
        out.extend_from_slice(&head(HEARTBEAT, 0, 0, 0));
    } else if let Some(argument) = argument_of(frame) {
        answer_with(|out| out.extend_from_slice(argument), out);
    } else {
        out.extend_from_slice(&head(RPC_RESPONSE, NOT_UNDERSTOOD, 0, 0));
    }
    out[start..][ID].copy_from_slice(&frame[ID]);
    Ok(())
}

/// The argument of one of this benchmark's own calls: what follows its `SofaRequest`, whose last
/// octets are the signature of `(String)`.
fn argument_of(frame: &[u8]) -> Option<&[u8]> {
    const SIGNATURE: &[u8] = b"\x10java.lang.Stringz";
    const OBJECT: usize = 336;
    let short = |i| usize::from(u16::from_be_bytes([at(frame, i), at(frame, i + 1)]));
    let content = frame.get(REQUEST_HEADER + short(14) + short(16)..)?;
    let (object, argument) = content.split_at_checked(OBJECT)?;
    object.ends_with(SIGNATURE).then_some(argument)
}

fn head(command: u8, status: u8, class: usize, content: usize) -> [u8; RESPONSE_HEADER] {
    let mut head = [
        1, RESPONSE, 0, command, 1, 0, 0, 0, 0, HESSIAN, 0, status, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    head[12..14].copy_from_slice(&(class as u16).to_be_bytes());
    head[16..20].copy_from_slice(&(content as u32).to_be_bytes());
    head
}

/// Appends a `SofaResponse` whose `appResponse` is what `value` writes; says where that begins,
/// counted from the start of `out`.
fn answer_with(value: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&head(RPC_RESPONSE, 0, RESPONSE_CLASS.len(), 0));
    out.extend_from_slice(RESPONSE_CLASS);
    let content = out.len();
    class(
        RESPONSE_CLASS,
        &["isError", "errorMsg", "appResponse", "responseProps"],
        out,
    );
    out.extend_from_slice(b"o\x90FN");
    let at = out.len();
    value(out);
    out.push(b'N');
    let size = (out.len() - content) as u32;
    out[start + 16..start + 20].copy_from_slice(&size.to_be_bytes());
    at
}

fn sofa_request(method: &str, trace: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = [
        "targetAppName",
        "methodName",
        "targetServiceUniqueName",
        "requestProps",
        "methodArgSigs",
    ];
    class(REQUEST_CLASS, &fields, &mut out);
    out.extend_from_slice(b"o\x90N");
    string(method.as_bytes(), &mut out);
    string(SERVICE.as_bytes(), &mut out);
    let words = |words: &[&str], out: &mut Vec<u8>| {
        for word in words {
            string(word.as_bytes(), out);
        }
    };
    out.push(b'M');
    words(
        &[
            "app",
            "peer-consumer",
            "protocol",
            "bolt",
            "rpc_trace_context",
        ],
        &mut out,
    );
    out.push(b'M');
    words(
        &["sofaRpcId", "0", "samp", "true", "sysPenAttrs", ""],
        &mut out,
    );
    words(&["sofaTraceId", trace, "sofaPenAttrs", ""], &mut out);
    out.push(b'z');
    words(&["type", "sync"], &mut out);
    out.extend_from_slice(b"zVt\x00\x07[stringn\x01");
    words(&["java.lang.String"], &mut out);
    out.push(b'z');
    out
}

/// Appends a class definition of the Hessian 3.x grammar.
fn class(name: &[u8], fields: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'O', 0x90 + name.len() as u8]);
    out.extend_from_slice(name);
    out.push(0x90 + fields.len() as u8);
    for field in fields {
        string(field.as_bytes(), out);
    }
}

/// Octets before the first character of a string of `len` ASCII characters.
const fn string_head(len: usize) -> usize {
    if len < 32 { 1 } else { 3 }
}

/// Appends ASCII text as a Hessian 3.x string.
fn string(text: &[u8], out: &mut Vec<u8>) {
    const CHUNK: usize = 0x8000;
    let mut rest = text;
    while rest.len() > CHUNK {
        out.extend_from_slice(&[b's', (CHUNK >> 8) as u8, CHUNK as u8]);
        out.extend_from_slice(&rest[..CHUNK]);
        rest = &rest[CHUNK..];
    }
    if rest.len() >= 32 {
        out.push(b'S');
        out.push((rest.len() >> 8) as u8);
    }
    out.push(rest.len() as u8);
    out.extend_from_slice(rest);
}

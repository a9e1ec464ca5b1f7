//! Compiles direct responses.

use std::fs::File;
use std::io::Read as _;

use crossdock_framework::route::Direct;
use envoy_types::pb::envoy::config::{
    core::v3::{DataSource, data_source::Specifier as Source},
    route::v3::DirectResponseAction,
};

use crate::problem::{Place, Problems};

/// The answer of a route itself, its body at most `limit` bytes long.
pub(super) fn compile(
    message: &DirectResponseAction,
    limit: usize,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Direct> {
    if message.body_format.is_some() {
        problems.add(
            &place.field("body_format"),
            "formatted bodies are not in this version",
            "write the text in body",
        );
    }
    let status = u16::try_from(message.status).ok();
    let status = status.filter(|status| (200..600).contains(status));
    if status.is_none() {
        problems.add(
            &place.field("status"),
            format!("{} is not a final HTTP status", message.status),
            "use 200 to 599",
        );
    }
    let body = match &message.body {
        Some(source) => body(source, limit, &place.field("body"), problems)?,
        None => String::new(),
    };
    Some(Direct {
        status: status?,
        body: body.into(),
    })
}

fn body(
    source: &DataSource,
    limit: usize,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let (field, body) = match &source.specifier {
        Some(Source::InlineString(text)) => ("inline_string", Ok(text.clone().into_bytes())),
        Some(Source::InlineBytes(bytes)) => ("inline_bytes", Ok(bytes.clone())),
        Some(Source::Filename(path)) => ("filename", read(path, limit)),
        Some(Source::EnvironmentVariable(name)) => {
            let value = std::env::var(name).map(String::into_bytes);
            (
                "environment_variable",
                value.map_err(|error| error.to_string()),
            )
        }
        None => return Some(String::new()),
    };
    let place = place.field(field);
    let body = match body {
        Ok(body) => body,
        Err(reason) => {
            problems.add(
                &place,
                reason,
                "correct it, or write the body as inline_string",
            );
            return None;
        }
    };
    if body.len() > limit {
        let more = match field {
            "filename" => format!("more than the {limit} bytes that are allowed"),
            _ => format!("{} bytes, where {limit} are allowed", body.len()),
        };
        let cure = "shorten it, or raise max_direct_response_body_size_bytes of the route table";
        problems.add(&place, more, cure);
        return None;
    }
    let text = String::from_utf8(body);
    if text.is_err() {
        let reason = "the body of a direct response has to be text in UTF-8";
        problems.add(&place, reason, "write it as inline_string");
    }
    text.ok()
}

/// What stands in a file, read once, and one byte more than allowed at most.
fn read(path: &str, limit: usize) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| format!("{path} cannot be read: {error}");
    let file = File::open(path).map_err(wrong)?;
    let mut body = Vec::new();
    let longest = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(longest).read_to_end(&mut body).map_err(wrong)?;
    Ok(body)
}

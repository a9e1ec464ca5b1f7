//! Secrets that stand in a file of their own (SDS): certificates, keys and who is trusted.

use std::path::Path;

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use prost::Name as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value, prost::Message as _};

use super::read::{MAX_FILE_BYTES, RESPONSE, WRAPPER};
use crate::{
    Problem, Rejected, coverage,
    document::{self, Document, Source, Wanted},
    rules::{self, unpack},
    support::Extensions,
};

/// The secret of this name in a file, which is a `DiscoveryResponse` as YAML or JSON.
///
/// # Errors
/// When the file cannot be read, anything in it is wrong, or it has no such secret.
pub fn secret(path: &Path, name: &str) -> Result<Secret, Rejected> {
    let file = path.display().to_string();
    let (text, format) = document::text_of(path, MAX_FILE_BYTES)
        .map_err(|malformed| document::reject(&file, malformed))?;
    let source = Source {
        name: &file,
        text: &text,
        format,
    };
    let wanted = Wanted {
        message: RESPONSE,
        most_bytes: MAX_FILE_BYTES,
        allow_unknown_fields: true,
    };
    let Document {
        message,
        positions,
        mut findings,
        ..
    } = document::read(&[source], &wanted)?;
    let mut found = None;
    let mut others = Vec::new();
    if let Some(message) = &message {
        rules::check(message, &positions, &mut findings);
        coverage::judge(message, &Extensions::default(), &positions, &mut findings);
        let resources = message.get_field_by_name("resources");
        let resources = resources.as_deref().and_then(Value::as_list);
        for (index, any) in resources.unwrap_or_default().iter().enumerate() {
            let Some(secret) = any.as_message().and_then(of_any) else {
                let path = format!("resources[{index}]");
                findings.problem(Problem {
                    at: positions.locate(&path),
                    path,
                    reason: format!("SDS takes resources of the type {}", Secret::full_name()),
                    cure: "leave others out".into(),
                });
                continue;
            };
            match secret.name == name {
                true => found = Some(secret),
                false => others.push(format!("'{}'", secret.name)),
            }
        }
    }
    if found.is_none() && findings.problems.is_empty() {
        let has = match others.is_empty() {
            true => "no secrets".into(),
            false => others.join(", "),
        };
        findings.problem(Problem {
            at: positions.locate("resources"),
            path: "resources".into(),
            reason: format!("there is no secret '{name}': it has {has}"),
            cure: "add it, or correct the name".into(),
        });
    }
    findings.sort();
    match found {
        Some(secret) if findings.problems.is_empty() => Ok(secret),
        _ => Err(Rejected {
            problems: findings.problems,
            unused: findings.unused,
            refused: None,
        }),
    }
}

/// A secret, or one with something around it.
fn of_any(any: &DynamicMessage) -> Option<Secret> {
    let outer = unpack(any)?;
    let inner = match outer.descriptor().full_name() {
        WRAPPER => unpack(outer.get_field_by_name("resource")?.as_message()?)?,
        _ => outer,
    };
    match inner.descriptor().full_name() == Secret::full_name() {
        true => Secret::decode(inner.encode_to_vec().as_slice()).ok(),
        false => None,
    }
}

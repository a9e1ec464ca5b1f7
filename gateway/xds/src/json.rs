//! Messages written as JSON, as Envoy's admin endpoint shows its configuration.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost::{Message, Name};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value,
};
use serde_json::{Map, Value as Json};

use crate::descriptors;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Messages within each other that are written out; what lies deeper is shown as its octets.
const MAX_LEVELS: usize = 200;

/// A message as JSON: the protobuf mapping with the field names of the `.proto` files, fields
/// that are not set left out, and 64-bit integers as text.
///
/// An `Any` is shown with its content, or, when its type is not known, as `{"@type", "value"}`
/// with the octets in base64. A field that Envoy's API marks as sensitive
/// (`udpa.annotations.sensitive`) shows [`REDACTED`] in place of every text and octet string
/// within it, and no numbers.
///
/// `null` if the type of the message itself is not among Envoy's configuration.
#[must_use]
pub fn to_json<M: Message + Name>(message: &M) -> Json {
    let (name, bytes) = (M::full_name(), message.encode_to_vec());
    let mut types = BTreeSet::from([name.clone()]);
    // Each round knows the types that the round before has met; it ends because they are finite.
    loop {
        let pool = descriptors::pool(types.iter().map(String::as_str));
        let Some(descriptor) = pool.get_message_by_name(&name) else {
            return Json::Null;
        };
        let Ok(message) = DynamicMessage::decode(descriptor, bytes.as_slice()) else {
            return Json::Null;
        };
        let mut writer = Writer {
            missing: BTreeSet::new(),
        };
        let json = writer.message(&message, Secrecy::Open, MAX_LEVELS);
        writer.missing.retain(|name| descriptors::is_known(name));
        if writer.missing.is_subset(&types) {
            return json;
        }
        types.append(&mut writer.missing);
    }
}

/// Whether values may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Open,
    Sensitive,
}

struct Writer {
    /// Types of `Any`s that the pool does not hold.
    missing: BTreeSet<String>,
}

impl Writer {
    fn message(&mut self, message: &DynamicMessage, secrecy: Secrecy, levels: usize) -> Json {
        let descriptor = message.descriptor();
        let Some(levels) = levels.checked_sub(1) else {
            return base64(&message.encode_to_vec());
        };
        match descriptor.full_name() {
            "google.protobuf.Any" => self.any(message, secrecy, levels),
            name if name.starts_with("google.protobuf.") => match secrecy {
                // These types know their own JSON, and whether it is text does not matter here.
                Secrecy::Sensitive => REDACTED.into(),
                Secrecy::Open => serde_json::to_value(message).unwrap_or_default(),
            },
            _ => Json::Object(self.fields(message, secrecy, levels)),
        }
    }

    fn fields(
        &mut self,
        message: &DynamicMessage,
        secrecy: Secrecy,
        levels: usize,
    ) -> Map<String, Json> {
        let mut object = Map::new();
        for (field, value) in message.fields() {
            let secrecy = match is_sensitive(&field) {
                true => Secrecy::Sensitive,
                false => secrecy,
            };
            if let Some(json) = self.value(&field.kind(), value, secrecy, levels) {
                object.insert(field.name().to_owned(), json);
            }
        }
        object
    }

    /// `None` for a number that is not to be shown.
    fn value(
        &mut self,
        kind: &Kind,
        value: &Value,
        secrecy: Secrecy,
        levels: usize,
    ) -> Option<Json> {
        let open = secrecy == Secrecy::Open;
        Some(match value {
            Value::String(_) if !open => REDACTED.into(),
            Value::Bytes(_) if !open => base64(REDACTED.as_bytes()),
            Value::String(text) => text.as_str().into(),
            Value::Bytes(octets) => base64(octets),
            Value::Message(inner) => self.message(inner, secrecy, levels),
            Value::List(items) => {
                let items = items.iter();
                Json::Array(
                    items
                        .filter_map(|item| self.value(kind, item, secrecy, levels))
                        .collect(),
                )
            }
            Value::Map(entries) => {
                let kind = map_value(kind)?;
                let entries = entries.iter().filter_map(|(key, item)| {
                    Some((key_text(key), self.value(&kind, item, secrecy, levels)?))
                });
                Json::Object(entries.collect())
            }
            _ if !open => return None,
            Value::Bool(truth) => (*truth).into(),
            Value::I32(number) => (*number).into(),
            Value::U32(number) => (*number).into(),
            Value::I64(number) => number.to_string().into(),
            Value::U64(number) => number.to_string().into(),
            Value::F32(number) => float(f64::from(*number)),
            Value::F64(number) => float(*number),
            Value::EnumNumber(number) => enumerator(kind.as_enum(), *number),
        })
    }

    fn any(&mut self, any: &DynamicMessage, secrecy: Secrecy, levels: usize) -> Json {
        let url = any.get_field_by_name("type_url");
        let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
        let octets = any.get_field_by_name("value");
        let octets = octets
            .as_deref()
            .and_then(Value::as_bytes)
            .cloned()
            .unwrap_or_default();
        let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
        let inner = any.descriptor().parent_pool().get_message_by_name(name);
        if inner.is_none() {
            self.missing.insert(name.to_owned());
        }
        let inner = inner.and_then(|inner| DynamicMessage::decode(inner, octets.clone()).ok());
        let mut object = match inner {
            Some(inner) if name.starts_with("google.protobuf.") => {
                Map::from_iter([("value".to_owned(), self.message(&inner, secrecy, levels))])
            }
            Some(inner) => self.fields(&inner, secrecy, levels),
            None => {
                let shown = match secrecy {
                    Secrecy::Open => octets.as_ref(),
                    Secrecy::Sensitive => REDACTED.as_bytes(),
                };
                Map::from_iter([("value".to_owned(), base64(shown))])
            }
        };
        object.insert("@type".to_owned(), url.into());
        Json::Object(object)
    }
}

fn is_sensitive(field: &FieldDescriptor) -> bool {
    let pool = field.parent_pool();
    // No file of the pool can be marked when none imports the mark.
    pool.get_extension_by_name("udpa.annotations.sensitive")
        .is_some_and(|mark| field.options().get_extension(&mark).as_bool() == Some(true))
}

fn map_value(kind: &Kind) -> Option<Kind> {
    let entry = kind.as_message()?;
    Some(entry.get_field_by_name("value")?.kind())
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn enumerator(names: Option<&EnumDescriptor>, number: i32) -> Json {
    let name = names.and_then(|names| names.get_value(number));
    name.map_or_else(|| number.into(), |name| name.name().into())
}

/// JSON has no words for what is not finite; the mapping of protobuf names it.
fn float(number: f64) -> Json {
    match number {
        _ if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => number.into(),
    }
}

fn base64(octets: &[u8]) -> Json {
    BASE64_STANDARD.encode(octets).into()
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::{
        envoy::{
            config::{
                bootstrap::v3::Bootstrap,
                core::v3::{DataSource, TypedExtensionConfig, data_source::Specifier},
            },
            extensions::transport_sockets::tls::v3::TlsCertificate,
        },
        google::protobuf::Any,
    };
    use serde_json::json;

    use super::*;
    use crate::bootstrap::{self, Format, Options};

    fn read(text: &str) -> Bootstrap {
        bootstrap::parse("test", text, Format::Yaml, &Options::default())
            .expect("the text is right")
            .bootstrap
    }

    #[test]
    fn a_bootstrap_is_shown_as_it_was_written() {
        let text = r#"
            node: {id: me, cluster: shop, metadata: {a: [1, true, x]}}
            static_resources:
              clusters:
              - name: orders
                connect_timeout: 0.250s
                lb_policy: MAGLEV
                circuit_breakers: {thresholds: [{max_requests: 7}]}
                maglev_lb_config: {table_size: 13}
        "#;
        assert_eq!(
            to_json(&read(text)),
            json!({
                "node": {"id": "me", "cluster": "shop", "metadata": {"a": [1.0, true, "x"]}},
                "static_resources": {"clusters": [{
                    "name": "orders",
                    "connect_timeout": "0.250s",
                    "lb_policy": "MAGLEV",
                    "circuit_breakers": {"thresholds": [{"max_requests": 7}]},
                    "maglev_lb_config": {"table_size": "13"},
                }]},
            })
        );
    }

    fn extension(url: &str, value: Vec<u8>) -> TypedExtensionConfig {
        TypedExtensionConfig {
            name: "x".to_owned(),
            typed_config: Some(Any {
                type_url: url.to_owned(),
                value,
            }),
        }
    }

    #[test]
    fn extensions_are_shown_with_their_content() {
        let inner = extension("type.googleapis.com/no.such.Type", vec![1, 2]);
        let outer = extension(&TypedExtensionConfig::type_url(), inner.encode_to_vec());
        assert_eq!(
            to_json(&outer),
            json!({"name": "x", "typed_config": {
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": "x",
                "typed_config": {"@type": "type.googleapis.com/no.such.Type", "value": "AQI="},
            }})
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let source = |text: &str| DataSource {
            specifier: Some(Specifier::InlineString(text.to_owned())),
            ..DataSource::default()
        };
        let certificate = TlsCertificate {
            certificate_chain: Some(source("for all")),
            private_key: Some(source("for none")),
            password: Some(DataSource {
                specifier: Some(Specifier::InlineBytes(b"for none".to_vec())),
                ..DataSource::default()
            }),
            ..TlsCertificate::default()
        };
        let held = extension(&TlsCertificate::type_url(), certificate.encode_to_vec());
        assert_eq!(
            to_json(&held)["typed_config"],
            json!({
                "@type": TlsCertificate::type_url(),
                "certificate_chain": {"inline_string": "for all"},
                "private_key": {"inline_string": "[redacted]"},
                "password": {"inline_bytes": "W3JlZGFjdGVkXQ=="},
            })
        );
    }

    #[test]
    fn what_lies_too_deep_is_shown_as_octets() {
        let url = TypedExtensionConfig::type_url();
        let mut held = extension("", Vec::new());
        for _ in 0..2 * MAX_LEVELS {
            held = extension(&url, held.encode_to_vec());
        }
        let mut json = &to_json(&held);
        let mut levels = 0;
        while let Some(inner) = json.get("typed_config") {
            json = inner;
            levels += 1;
        }
        assert!((MAX_LEVELS / 2..=MAX_LEVELS).contains(&levels), "{levels}");
    }
}

//! Messages with a JSON form of their own: `Any`, `Struct`, `Duration`, wrappers and their kin.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value, prost::Message as _};

use super::{
    Mapper,
    scalar::{self, Plain},
    suggest,
};
use crate::{
    descriptors,
    positions::Id,
    tree::{self, Entry, Node, Scalar},
};

/// Seconds in 10 000 years: the range of `google.protobuf.Duration`.
const MAX_SECONDS: i64 = 315_576_000_000;

/// JSON with the name of a type: how a control plane names a type that it has no descriptor of.
const TYPED_STRUCTS: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];

/// A message that is not written as a mapping of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Any,
    Duration,
    Timestamp,
    FieldMask,
    Struct,
    Value,
    ListValue,
    /// `BoolValue`, `UInt32Value` ...: written as the value itself.
    Wrapper,
}

impl Special {
    pub(super) fn of(descriptor: &MessageDescriptor) -> Option<Self> {
        Some(
            match descriptor.full_name().strip_prefix("google.protobuf.")? {
                "Any" => Self::Any,
                "Duration" => Self::Duration,
                "Timestamp" => Self::Timestamp,
                "FieldMask" => Self::FieldMask,
                "Struct" => Self::Struct,
                "Value" => Self::Value,
                "ListValue" => Self::ListValue,
                "BoolValue" | "BytesValue" | "DoubleValue" | "FloatValue" | "Int32Value"
                | "Int64Value" | "StringValue" | "UInt32Value" | "UInt64Value" => Self::Wrapper,
                _ => return None,
            },
        )
    }
}

/// The message name in a type URL such as `type.googleapis.com/envoy.config.cluster.v3.Cluster`.
pub(super) fn type_name(url: &str) -> Option<&str> {
    url.rsplit_once('/').map(|(_, name)| name)
}

impl Mapper<'_> {
    pub(super) fn special(
        &mut self,
        special: Special,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        match special {
            Special::Any => self.any(node, descriptor, here),
            Special::Struct => self.structure(node, descriptor, here),
            Special::Value => self.json_value(node, descriptor, here),
            Special::ListValue => self.list_value(node, descriptor, here),
            Special::Duration => self.duration(node, descriptor, here),
            Special::Timestamp => self.timestamp(node, descriptor, here),
            Special::FieldMask => self.field_mask(node, descriptor, here),
            Special::Wrapper => {
                let field = descriptor.get_field_by_name("value")?;
                let value = self.scalar(node, &field.kind(), here)?;
                Some(with(descriptor, "value", value))
            }
        }
    }

    /// `{"@type": URL, fields...}`; for a message with a form of its own `{"@type": URL, value: X}`.
    fn any(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let tree::Value::Map(entries) = &node.value else {
            self.wrong_type(
                here,
                node,
                "expected a mapping that begins with `\"@type\": URL`",
            );
            return None;
        };
        let (url, inner) = self.inner_type(node, entries, here)?;
        let content: Vec<&Entry> = entries
            .iter()
            .filter(|entry| &*entry.key != "@type")
            .collect();
        if TYPED_STRUCTS.contains(&inner.full_name())
            && let Some((url, inner, fields)) = self.unpacked(&content)
        {
            let message = self.message(fields, &inner, here, None)?;
            return Some(packed(descriptor, url, &message));
        }
        let message = match Special::of(&inner) {
            None => self.fields(&content, &inner, here, None),
            Some(special) => match *content.as_slice() {
                [entry] if &*entry.key == "value" => {
                    self.special(special, &entry.value, &inner, here)?
                }
                _ => {
                    let reason = format!("{} stands alone in a field `value`", inner.full_name());
                    self.problem(here, node.at, reason, "");
                    return None;
                }
            },
        };
        Some(packed(descriptor, &url, &message))
    }

    /// What a `TypedStruct` of a known type stands for: Envoy reads its value as that type too.
    fn unpacked<'n>(
        &self,
        content: &[&'n Entry],
    ) -> Option<(&'n str, MessageDescriptor, &'n Node)> {
        let named = |name: &str| content.iter().find(|entry| &*entry.key == name);
        let url = named("type_url").or_else(|| named("typeUrl"))?;
        let tree::Value::Scalar(Scalar { text: url, .. }) = &url.value.value else {
            return None;
        };
        let inner = self.pool.get_message_by_name(type_name(url)?)?;
        Some((url, inner, &named("value")?.value))
    }

    fn inner_type(
        &mut self,
        node: &Node,
        entries: &[Entry],
        here: Id,
    ) -> Option<(String, MessageDescriptor)> {
        let mut named = entries.iter().filter(|entry| &*entry.key == "@type");
        let Some(entry) = named.next() else {
            let cure = "name the type of this message: `\"@type\": type.googleapis.com/...`";
            self.problem(here, node.at, "`@type` is missing".into(), cure);
            return None;
        };
        let place = self.positions.field(here, "@type", entry.at);
        if let Some(second) = named.next() {
            let reason = format!(
                "`@type` is set a second time; first in line {}",
                entry.at.line
            );
            self.problem(place, second.at, reason, "keep one of the two");
            return None;
        }
        let tree::Value::Scalar(Scalar { text: url, .. }) = &entry.value.value else {
            self.wrong_type(place, &entry.value, "expected a type URL");
            return None;
        };
        let Some(name) = type_name(url) else {
            let reason = format!("`{}` is no type URL", scalar::shorten(url));
            let cure = format!("write `type.googleapis.com/{}`", scalar::shorten(url));
            self.problem(place, entry.value.at, reason, &cure);
            return None;
        };
        let Some(inner) = self.pool.get_message_by_name(name) else {
            let reason = format!("the type `{}` is not known", scalar::shorten(name));
            let cure = if self.findings.wants_suggestions() {
                similar_type(name)
            } else {
                String::new()
            };
            self.problem(place, entry.value.at, reason, &cure);
            return None;
        };
        Some((url.to_string(), inner))
    }

    fn structure(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let field = descriptor.get_field_by_name("fields")?;
        if !matches!(node.value, tree::Value::Map(_)) {
            self.wrong_type(here, node, "expected a mapping");
            return None;
        }
        let values = self.map(node, &field, here)?;
        Some(with(descriptor, "fields", Value::Map(values)))
    }

    fn list_value(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let field = descriptor.get_field_by_name("values")?;
        let values = self.list(node, &field, here, 0)?;
        Some(with(descriptor, "values", Value::List(values)))
    }

    /// Any JSON: an unquoted scalar is what Envoy takes it for.
    fn json_value(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let message = |name: &str| match descriptor.get_field_by_name(name)?.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        };
        let (name, value) = match &node.value {
            tree::Value::Map(_) => {
                let inner = self.structure(node, &message("struct_value")?, here)?;
                ("struct_value", Value::Message(inner))
            }
            tree::Value::List(_) => {
                let inner = self.list_value(node, &message("list_value")?, here)?;
                ("list_value", Value::Message(inner))
            }
            tree::Value::Scalar(Scalar { text, plain: false }) => {
                ("string_value", Value::String(text.to_string()))
            }
            tree::Value::Scalar(Scalar { text, .. }) => match scalar::plain(text) {
                Plain::Null => ("null_value", Value::EnumNumber(0)),
                Plain::Bool(truth) => ("bool_value", Value::Bool(truth)),
                Plain::OldBool(truth) => {
                    let text = format!(
                        "`{text}` is read as {truth}, as Envoy does: put it in quotes for the text"
                    );
                    self.note(here, node.at, text);
                    ("bool_value", Value::Bool(truth))
                }
                Plain::Text => ("string_value", Value::String(text.to_string())),
                Plain::Float(number) if number.is_finite() => ("number_value", Value::F64(number)),
                Plain::Float(_) => ("string_value", Value::String(text.to_string())),
                Plain::Int(_) | Plain::Octal => ("number_value", self.number(node, here)?),
            },
        };
        Some(with(descriptor, name, value))
    }

    fn number(&mut self, node: &Node, here: Id) -> Option<Value> {
        match &node.value {
            tree::Value::Scalar(Scalar { text, .. })
                if matches!(scalar::plain(text), Plain::Int(Some(_))) =>
            {
                let Plain::Int(Some(whole)) = scalar::plain(text) else {
                    return None;
                };
                #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles")]
                Some(Value::F64(whole as f64))
            }
            // Leading zeros and numbers beyond 128 bits: said as for any other number.
            _ => self
                .scalar(node, &Kind::Int64, here)
                .map(|_| Value::F64(0.0)),
        }
    }

    fn duration(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let text = match &node.value {
            tree::Value::Scalar(scalar) => &*scalar.text,
            _ => {
                self.wrong_type(here, node, "expected a duration such as `1.5s`");
                return None;
            }
        };
        let Some((seconds, nanos)) = parse_duration(text) else {
            let reason = format!(
                "expected a duration such as `1.5s`, found {}",
                scalar::describe(node)
            );
            let cure = in_seconds(text)
                .map(|s| format!("write `{s}`"))
                .unwrap_or_default();
            self.problem(here, node.at, reason, &cure);
            return None;
        };
        if seconds.abs() > MAX_SECONDS {
            let reason = format!("{text} is out of range: at most {MAX_SECONDS} seconds");
            self.problem(here, node.at, reason, "");
            return None;
        }
        Some(seconds_and_nanos(descriptor, seconds, nanos))
    }

    fn timestamp(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let parsed = match &node.value {
            tree::Value::Scalar(scalar) => scalar.text.parse::<prost_types::Timestamp>().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.wrong_type(here, node, "expected a time such as `2026-01-31T12:00:00Z`");
        }
        parsed.map(|time| seconds_and_nanos(descriptor, time.seconds, time.nanos))
    }

    /// Paths with commas between them, each in lowerCamelCase.
    fn field_mask(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
    ) -> Option<DynamicMessage> {
        let tree::Value::Scalar(Scalar { text, .. }) = &node.value else {
            self.wrong_type(here, node, "expected field names with commas between them");
            return None;
        };
        let paths = text.split(',').filter(|path| !path.is_empty());
        let paths = paths.map(|path| Value::String(snake_case(path))).collect();
        Some(with(descriptor, "paths", Value::List(paths)))
    }
}

fn packed(any: &MessageDescriptor, url: &str, message: &DynamicMessage) -> DynamicMessage {
    let mut any = with(any, "type_url", Value::String(url.to_owned()));
    any.set_field_by_name("value", Value::Bytes(message.encode_to_vec().into()));
    any
}

fn with(descriptor: &MessageDescriptor, field: &str, value: Value) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name(field, value);
    message
}

fn seconds_and_nanos(descriptor: &MessageDescriptor, seconds: i64, nanos: i32) -> DynamicMessage {
    let mut message = with(descriptor, "seconds", Value::I64(seconds));
    message.set_field_by_name("nanos", Value::I32(nanos));
    message
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len());
    for char in camel.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

/// `-?DIGITS[.1-9 DIGITS]s`: the only form that protobuf's JSON mapping has.
fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (digits, sign) = match number.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (number, 1),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    // Beyond i64 is out of range too, and said so by the caller.
    let seconds = whole.parse::<i64>().unwrap_or(i64::MAX);
    Some((sign * seconds, if sign < 0 { -nanos } else { nanos }))
}

/// What was probably meant by a number with another unit or none.
fn in_seconds(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "" | "sec" | "secs" | "S" => number,
        "ms" => number / 1e3,
        "us" | "µs" => number / 1e6,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86400.0,
        _ => return None,
    };
    (seconds < 1e9).then(|| format!("{seconds}s"))
}

/// A type of Envoy with the same name in another package (as after a change of version), or one
/// that is nearly the same.
fn similar_type(name: &str) -> String {
    let last = |name: &'_ str| name.rsplit('.').next().map(str::len).unwrap_or_default();
    let short = &name[name.len() - last(name)..];
    let namesake = |known: &&str| known.ends_with(short) && last(known) == short.len();
    let candidate = descriptors::names()
        .filter(namesake)
        .max_by_key(|known| {
            known
                .bytes()
                .zip(name.bytes())
                .take_while(|(a, b)| a == b)
                .count()
        })
        .filter(|_| name.starts_with("envoy.") && !short.is_empty())
        .or_else(|| suggest::closest(name, descriptors::names()));
    candidate.map_or_else(
        || "Envoy's API has no such message".to_owned(),
        |known| format!("did you mean `{known}`?"),
    )
}

#[cfg(test)]
mod tests;

//! Scalars: what a text means for the field that takes it.
//!
//! YAML 1.2 (core schema) decides what an unquoted text is. Envoy reads YAML with yaml-cpp, which
//! differs; a file that Envoy accepts means here what it means there:
//! - `yes`, `no`, `on`, `off`, `y`, `n` without quotes are truth values to Envoy. They are taken
//!   as such for a truth value; for a text, where Envoy would refuse them, they are the text that
//!   they are in YAML 1.2, with a note.
//! - An unquoted fraction such as `1.5` may stand for a text, an unquoted whole number may not.
//! - A whole number with a leading zero is octal to Envoy and decimal in YAML 1.2: refused.

use prost_reflect::{EnumDescriptor, Kind, MapKey, Value, prost::bytes::Bytes};

use base64::Engine as _;

use super::Mapper;
use crate::{
    positions::Id,
    tree::{self, Entry, Node, Scalar},
};

/// What an unquoted text is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    /// A truth value for YAML 1.1 and for Envoy, a text for YAML 1.2.
    OldBool(bool),
    Int(Option<i128>),
    /// A whole number such as `010`.
    Octal,
    Float(f64),
    Text,
}

pub(super) fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Plain::OldBool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Plain::OldBool(false),
        _ => number(text),
    }
}

fn number(text: &str) -> Plain {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |digits: &str, radix| match digits.is_empty() || digits.starts_with(['+', '-']) {
        true => Plain::Text,
        false => i128::from_str_radix(digits, radix).map_or(Plain::Text, |n| Plain::Int(Some(n))),
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let ambiguous = digits.len() > 1 && digits.starts_with('0');
        return if ambiguous {
            Plain::Octal
        } else {
            Plain::Int(text.parse().ok())
        };
    }
    match digits {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => Plain::Float(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => Plain::Float(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if digits == text => Plain::Float(f64::NAN),
        // Rust's parser also knows words such as `infinity`, which are texts here.
        _ if digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) =>
        {
            text.parse().map_or(Plain::Text, Plain::Float)
        }
        _ => Plain::Text,
    }
}

pub(super) fn is_null(node: &Node) -> bool {
    matches!(&node.value, tree::Value::Scalar(s) if s.plain && plain(&s.text) == Plain::Null)
}

/// A node in the words of a message: what was found instead of what was expected.
pub(super) fn describe(node: &Node) -> String {
    match &node.value {
        tree::Value::List(_) => "a list".into(),
        tree::Value::Map(_) => "a mapping".into(),
        tree::Value::Scalar(scalar) => {
            let text = shorten(&scalar.text);
            match plain(&scalar.text) {
                Plain::Text => format!("the text `{text}`"),
                _ if !scalar.plain => format!("the text \"{text}\""),
                Plain::Null => "nothing".into(),
                Plain::Bool(_) | Plain::OldBool(_) => format!("`{text}`"),
                Plain::Int(_) | Plain::Octal | Plain::Float(_) => format!("the number {text}"),
            }
        }
    }
}

/// Text of the file for use in a message: short, on one line.
pub(super) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        short.push_str("...");
    }
    short.replace("\\'", "'")
}

impl Mapper<'_> {
    pub(super) fn scalar(&mut self, node: &Node, kind: &Kind, here: Id) -> Option<Value> {
        let tree::Value::Scalar(scalar) = &node.value else {
            self.wrong_type(here, node, &format!("expected {}", expectation(kind)));
            return None;
        };
        match kind {
            Kind::String => self.text(node, scalar, here).map(Value::String),
            Kind::Bool => self.truth(node, scalar, here).map(Value::Bool),
            Kind::Enum(names) => self.choice(node, scalar, names, here),
            Kind::Bytes => self.bytes(node, scalar, here).map(Value::Bytes),
            Kind::Double => self.float(node, scalar, here, f64::MAX).map(Value::F64),
            Kind::Float => {
                let float = self.float(node, scalar, here, f64::from(f32::MAX))?;
                #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
                Some(Value::F32(float as f32))
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                self.int(node, scalar, here, "int32").map(Value::I32)
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                self.int(node, scalar, here, "int64").map(Value::I64)
            }
            Kind::Uint32 | Kind::Fixed32 => self.int(node, scalar, here, "uint32").map(Value::U32),
            Kind::Uint64 | Kind::Fixed64 => self.int(node, scalar, here, "uint64").map(Value::U64),
            Kind::Message(_) => None,
        }
    }

    /// A key of a map is always a text in the file; protobuf's keys may be numbers or truth values.
    pub(super) fn map_key(&mut self, entry: &Entry, kind: &Kind, here: Id) -> Option<MapKey> {
        let key = &*entry.key;
        let parsed = match kind {
            Kind::String => Some(MapKey::String(key.to_owned())),
            Kind::Bool => key.parse().ok().map(MapKey::Bool),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => key.parse().ok().map(MapKey::I32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => key.parse().ok().map(MapKey::I64),
            Kind::Uint32 | Kind::Fixed32 => key.parse().ok().map(MapKey::U32),
            Kind::Uint64 | Kind::Fixed64 => key.parse().ok().map(MapKey::U64),
            _ => None,
        };
        if parsed.is_none() {
            let reason = format!(
                "expected {} as key, found `{}`",
                expectation(kind),
                shorten(key)
            );
            self.problem(here, entry.at, reason, "");
        }
        parsed
    }

    fn text(&mut self, node: &Node, scalar: &Scalar, here: Id) -> Option<String> {
        if scalar.plain {
            match plain(&scalar.text) {
                Plain::Text | Plain::Float(_) => {}
                Plain::OldBool(_) => self.note(
                    here,
                    node.at,
                    format!(
                        "`{}` is read as a text; Envoy takes it for a truth value and refuses it: put it in quotes",
                        scalar.text
                    ),
                ),
                Plain::Null | Plain::Bool(_) | Plain::Int(_) | Plain::Octal => {
                    let reason = format!("expected a text, found {}", describe(node));
                    let cure = format!("put it in quotes: \"{}\"", scalar.text);
                    self.problem(here, node.at, reason, &cure);
                    return None;
                }
            }
        }
        Some(scalar.text.to_string())
    }

    fn truth(&mut self, node: &Node, scalar: &Scalar, here: Id) -> Option<bool> {
        match plain(&scalar.text) {
            Plain::Bool(truth) | Plain::OldBool(truth) if scalar.plain => Some(truth),
            _ => {
                let reason = format!("expected true or false, found {}", describe(node));
                let cure = if scalar.plain {
                    ""
                } else {
                    "leave the quotes out"
                };
                self.problem(here, node.at, reason, cure);
                None
            }
        }
    }

    fn choice(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        names: &EnumDescriptor,
        here: Id,
    ) -> Option<Value> {
        let number = match plain(&scalar.text) {
            Plain::Int(Some(number)) => i32::try_from(number)
                .ok()
                .filter(|number| names.get_value(*number).is_some()),
            Plain::Null if names.full_name() == "google.protobuf.NullValue" => Some(0),
            _ => names
                .get_value_by_name(&scalar.text)
                .map(|value| value.number()),
        };
        if number.is_none() {
            let values: Vec<String> = names
                .values()
                .map(|value| value.name().to_owned())
                .collect();
            let reason = format!(
                "{} has no value `{}`",
                names.full_name(),
                shorten(&scalar.text)
            );
            let cure = self
                .suggestion(&scalar.text, &values)
                .unwrap_or_else(|| format!("its values are {}", values.join(", ")));
            self.problem(here, node.at, reason, &cure);
        }
        number.map(Value::EnumNumber)
    }

    fn bytes(&mut self, node: &Node, scalar: &Scalar, here: Id) -> Option<Bytes> {
        let text = self.text(node, scalar, here)?;
        // Protobuf's JSON readers take both alphabets, with and without padding.
        let text = text
            .trim_end_matches('=')
            .replace('-', "+")
            .replace('_', "/");
        match base64::engine::general_purpose::STANDARD_NO_PAD.decode(text) {
            Ok(bytes) => Some(bytes.into()),
            Err(cause) => {
                let reason = format!(
                    "expected bytes in base64, found {}: {cause}",
                    describe(node)
                );
                self.problem(here, node.at, reason, "");
                None
            }
        }
    }

    fn float(&mut self, node: &Node, scalar: &Scalar, here: Id, most: f64) -> Option<f64> {
        let value = match (plain(&scalar.text), &*scalar.text) {
            (_, "NaN") => Some(f64::NAN),
            (_, "Infinity") => Some(f64::INFINITY),
            (_, "-Infinity") => Some(f64::NEG_INFINITY),
            // As the text, so that no digit is lost on the way.
            (Plain::Int(_), text) if !text.starts_with("0x") && !text.starts_with("0o") => {
                text.parse().ok()
            }
            (Plain::Float(value), _) => Some(value),
            _ => None,
        };
        match value {
            Some(value) if !value.is_infinite() || scalar.text.to_lowercase().contains("inf") => {
                if value.is_finite() && value.abs() > most {
                    self.problem(
                        here,
                        node.at,
                        format!("{} is out of range", scalar.text),
                        "",
                    );
                    return None;
                }
                Some(value)
            }
            Some(_) => {
                let reason = format!("{} is out of range", shorten(&scalar.text));
                self.problem(here, node.at, reason, "");
                None
            }
            None => {
                self.wrong_type(here, node, "expected a number");
                None
            }
        }
    }

    /// A whole number, also as `1e3` or in quotes.
    fn int<T: TryFrom<i128> + Limits>(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        here: Id,
        name: &str,
    ) -> Option<T> {
        let value = match plain(&scalar.text) {
            Plain::Int(value) => value,
            Plain::Octal => {
                let reason = format!(
                    "{} is read differently by YAML 1.2 (decimal) and by Envoy (octal)",
                    scalar.text
                );
                self.problem(here, node.at, reason, "leave the leading zero out");
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            Plain::Float(value) if value.fract() == 0.0 && value.abs() <= 9e15 => {
                Some(value as i128)
            }
            _ => {
                self.wrong_type(here, node, "expected a whole number");
                return None;
            }
        };
        let fitting = value.and_then(|value| T::try_from(value).ok());
        if fitting.is_none() {
            let text = shorten(&scalar.text);
            let reason = format!(
                "{text} is out of range: {name} goes from {} to {}",
                T::LEAST,
                T::MOST
            );
            self.problem(here, node.at, reason, "");
        }
        fitting
    }
}

trait Limits {
    const LEAST: i128;
    const MOST: i128;
}

macro_rules! limits {
    ($($int:ty),*) => {$(
        impl Limits for $int {
            const LEAST: i128 = <$int>::MIN as i128;
            const MOST: i128 = <$int>::MAX as i128;
        }
    )*};
}

limits!(i32, i64, u32, u64);

fn expectation(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "a text",
        Kind::Bytes => "bytes in base64",
        Kind::Bool => "true or false",
        Kind::Double | Kind::Float => "a number",
        Kind::Enum(_) => "the name of a value",
        Kind::Message(_) => "a mapping",
        _ => "a whole number",
    }
}

#[cfg(test)]
mod tests;

//! Walks a message and finds out what of it is acted upon.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use crate::{
    findings::Findings,
    positions::{Positions, push_entry, push_field, push_item},
    problem::{Loss, Problem, Unused},
    rules::unpack,
    support::{self, Extensions, Support},
};

/// Adds to `findings` a problem for each field of `message` that must be refused, and each field
/// that is not acted upon. What lies within such a field is not looked at.
pub(crate) fn judge(
    message: &DynamicMessage,
    extensions: &Extensions,
    positions: &Positions,
    findings: &mut Findings,
) {
    let mut walk = Walk {
        extensions,
        positions,
        findings,
        path: String::new(),
    };
    walk.message(message, None);
}

/// Why what must otherwise be refused may be left out here, and what is lost by that.
type Optional = Option<(Loss, &'static str)>;

struct Walk<'a> {
    extensions: &'a Extensions,
    positions: &'a Positions,
    findings: &'a mut Findings,
    path: String,
}

impl Walk<'_> {
    fn message(&mut self, message: &DynamicMessage, optional: Optional) {
        let descriptor = message.descriptor();
        let name = descriptor.full_name();
        let optional = optional.or_else(|| leave(message));
        for (field, value) in message.fields() {
            let length = self.path.len();
            push_field(&mut self.path, field.name());
            match self.field(name, &field, value) {
                Support::Acts => self.acted(name, &field, value, optional),
                other => self.report(other, optional),
            }
            self.path.truncate(length);
        }
    }

    fn field(&self, message: &str, field: &FieldDescriptor, value: &Value) -> Support {
        let value = text(field, value);
        self.extensions
            .field(message, field.name(), value.as_deref())
    }

    fn acted(&mut self, message: &str, field: &FieldDescriptor, value: &Value, optional: Optional) {
        match value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = self.path.len();
                    push_item(&mut self.path, index);
                    self.value(message, field, item, optional);
                    self.path.truncate(length);
                }
            }
            Value::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .filter_map(|(key, value)| Some((key.as_str()?, value)))
                    .collect();
                entries.sort_by_key(|(key, _)| *key);
                for (key, item) in entries {
                    let length = self.path.len();
                    push_entry(&mut self.path, key);
                    match support::key(message, field.name(), key) {
                        Support::Acts => self.value(message, field, item, optional),
                        other => self.report(other, optional),
                    }
                    self.path.truncate(length);
                }
            }
            Value::Message(json) if json.descriptor().full_name() == "google.protobuf.Struct" => {
                self.structure(message, field, json, optional);
            }
            single => self.value(message, field, single, optional),
        }
    }

    fn value(&mut self, message: &str, field: &FieldDescriptor, value: &Value, optional: Optional) {
        match value {
            Value::Message(inner) if inner.descriptor().full_name() == "google.protobuf.Any" => {
                self.any(message, field, inner, optional);
            }
            Value::Message(inner) => match inner.descriptor().full_name() {
                name if name.starts_with("google.protobuf.") => {}
                _ => self.message(inner, optional),
            },
            _ => {}
        }
    }

    fn any(
        &mut self,
        message: &str,
        field: &FieldDescriptor,
        any: &DynamicMessage,
        optional: Optional,
    ) {
        let (mut name, mut inner) = (type_name(any), None);
        if support::TYPED_STRUCTS.contains(&name.as_str()) {
            // JSON with the name of a type, of which nobody else knows the fields.
            name = unpack(any).as_ref().map(type_name).unwrap_or_default();
        } else {
            inner = unpack(any);
        }
        let support = self.extensions.extension(message, field.name(), &name);
        if support != Support::Acts {
            return self.say(support, &format!("{name}: "), optional);
        }
        if let Some(inner) = inner {
            self.message(&inner, optional);
        }
    }

    /// JSON whose keys are settings of someone: each key is judged.
    fn structure(
        &mut self,
        message: &str,
        field: &FieldDescriptor,
        json: &DynamicMessage,
        optional: Optional,
    ) {
        let Some(fields) = json.get_field_by_name("fields") else {
            return;
        };
        let mut keys: Vec<&str> = fields
            .as_map()
            .into_iter()
            .flat_map(|map| map.keys())
            .filter_map(|k| k.as_str())
            .collect();
        keys.sort_unstable();
        for key in keys {
            let length = self.path.len();
            push_entry(&mut self.path, key);
            self.report(support::key(message, field.name(), key), optional);
            self.path.truncate(length);
        }
    }

    fn report(&mut self, support: Support, optional: Optional) {
        self.say(support, "", optional);
    }

    /// Reports a field; `about` goes before the reason.
    fn say(&mut self, support: Support, about: &str, optional: Optional) {
        let (loss, reason) = match (support, optional) {
            (Support::Acts | Support::Judged, _) => return,
            (Support::Harmless(reason), _) => (Loss::Nothing, reason),
            (Support::Ignored(reason), _) => (Loss::Function, reason),
            (Support::Refused(..), Some((loss, reason))) => (loss, reason),
            (Support::Refused(reason, cure), None) => {
                let (at, path) = (self.positions.locate(&self.path), self.path.clone());
                let (reason, cure) = (format!("{about}{reason}"), cure.into());
                return self.findings.problem(Problem {
                    at,
                    path,
                    reason,
                    cure,
                });
            }
        };
        let (at, path) = (self.positions.locate(&self.path), self.path.clone());
        self.findings.unused(Unused {
            at,
            path,
            loss,
            reason: format!("{about}{reason}"),
        });
    }
}

/// The type that `type_url` names.
fn type_name(message: &DynamicMessage) -> String {
    let url = message.get_field_by_name("type_url");
    let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default().to_owned()
}

/// What a filter says about being left out.
fn leave(message: &DynamicMessage) -> Optional {
    if !support::SKIPPABLE.contains(&message.descriptor().full_name()) {
        return None;
    }
    let says = |name: &str| {
        message
            .get_field_by_name(name)
            .is_some_and(|value| value.as_bool() == Some(true))
    };
    if says("disabled") {
        return Some((Loss::Nothing, "is switched off"));
    }
    says("is_optional").then_some((Loss::Function, "is left out, as `is_optional` allows"))
}

/// The text of a value that may be judged apart from other values of its field.
fn text(field: &FieldDescriptor, value: &Value) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::I32(number) => Some(number.to_string()),
        Value::U32(number) => Some(number.to_string()),
        Value::I64(number) => Some(number.to_string()),
        Value::U64(number) => Some(number.to_string()),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(names) => names
                .get_value(*number)
                .map(|value| value.name().to_owned()),
            _ => None,
        },
        Value::Message(wrapper) if is_wrapper(wrapper) => {
            let inner = wrapper.descriptor().get_field_by_name("value")?;
            text(&inner, &wrapper.get_field(&inner))
        }
        _ => None,
    }
}

fn is_wrapper(message: &DynamicMessage) -> bool {
    let descriptor = message.descriptor();
    descriptor.full_name().starts_with("google.protobuf.")
        && descriptor.full_name().ends_with("Value")
}

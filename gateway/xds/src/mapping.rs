//! A tree becomes a protobuf message: the proto3 JSON mapping, with all errors instead of one.
//!
//! Where Envoy's YAML reader and YAML 1.2 differ, a file that Envoy accepts means here what it
//! means there; `scalar` lists the cases.

mod scalar;
mod suggest;
mod wellknown;

use std::collections::HashMap;

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    Value,
};

use crate::{
    findings::Findings,
    positions::{Id, Positions},
    problem::{Loss, Note, Problem, Unused},
    tree::{self, At, Entry, Node},
};

/// Turns one tree into one message.
pub(crate) struct Mapper<'a> {
    pub(crate) pool: &'a DescriptorPool,
    pub(crate) positions: &'a mut Positions,
    pub(crate) findings: &'a mut Findings,
    /// Unknown fields are reported as unused instead of refused.
    pub(crate) allow_unknown_fields: bool,
}

impl Mapper<'_> {
    /// Maps `node` to a message of type `descriptor`, leaving out what is wrong.
    ///
    /// `here` is the place of the message. `base` is what an earlier file says at this place: the
    /// message will be merged into it, as protobuf merges, so items of lists count on from there.
    pub(crate) fn message(
        &mut self,
        node: &Node,
        descriptor: &MessageDescriptor,
        here: Id,
        base: Option<&DynamicMessage>,
    ) -> Option<DynamicMessage> {
        if let Some(special) = wellknown::Special::of(descriptor) {
            return self.special(special, node, descriptor, here);
        }
        let tree::Value::Map(entries) = &node.value else {
            let expected = format!(
                "expected a mapping with the fields of {}",
                descriptor.full_name()
            );
            self.wrong_type(here, node, &expected);
            return None;
        };
        let entries: Vec<&Entry> = entries.iter().collect();
        Some(self.fields(&entries, descriptor, here, base))
    }

    fn fields(
        &mut self,
        entries: &[&Entry],
        descriptor: &MessageDescriptor,
        here: Id,
        base: Option<&DynamicMessage>,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen: HashMap<u32, At> = HashMap::new();
        for entry in entries {
            let Some(field) = lookup(descriptor, &entry.key) else {
                self.unknown_field(entry, descriptor, here);
                continue;
            };
            if let Some(first) = seen.insert(field.number(), entry.at) {
                let reason = format!(
                    "`{}` is set a second time; first in line {}",
                    entry.key, first.line
                );
                self.field_problem(here, &field, entry.at, reason, "keep one of the two");
                continue;
            }
            if self.is_unset(&field, &entry.value)
                || self.is_second_of_oneof(&message, &field, entry, here)
            {
                continue;
            }
            self.displace(&field, here, base);
            let place = self.positions.field(here, field.name(), entry.at);
            if let Some(value) = self.field(&entry.value, &field, place, base) {
                message.set_field(&field, value);
            }
        }
        message
    }

    /// `null` unsets a field, except where it is a value of the field's type.
    fn is_unset(&self, field: &FieldDescriptor, node: &Node) -> bool {
        let takes_null = match field.kind() {
            Kind::Message(message) => message.full_name() == "google.protobuf.Value",
            Kind::Enum(kind) => kind.full_name() == "google.protobuf.NullValue",
            _ => false,
        };
        scalar::is_null(node) && !(takes_null && !field.is_list() && !field.is_map())
    }

    fn is_second_of_oneof(
        &mut self,
        message: &DynamicMessage,
        field: &FieldDescriptor,
        entry: &Entry,
        here: Id,
    ) -> bool {
        let Some(oneof) = field.containing_oneof() else {
            return false;
        };
        let Some(other) = oneof.fields().find(|other| message.has_field(other)) else {
            return false;
        };
        let reason = format!(
            "`{}` and `{}` exclude each other",
            field.name(),
            other.name()
        );
        self.field_problem(here, field, entry.at, reason, "keep one of the two");
        true
    }

    /// Forgets the places of what this field replaces in an earlier file.
    fn displace(&mut self, field: &FieldDescriptor, here: Id, base: Option<&DynamicMessage>) {
        let Some(base) = base else { return };
        let merges = match field.kind() {
            Kind::Message(message) => {
                matches!(
                    wellknown::Special::of(&message),
                    None | Some(wellknown::Special::Struct)
                )
            }
            _ => false,
        };
        if !(merges || field.is_list() || field.is_map()) {
            self.positions.forget_field(here, field.name());
        }
        for other in field
            .containing_oneof()
            .iter()
            .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
        {
            if other.number() != field.number() && base.has_field(&other) {
                self.positions.forget_field(here, other.name());
            }
        }
    }

    fn field(
        &mut self,
        node: &Node,
        field: &FieldDescriptor,
        here: Id,
        base: Option<&DynamicMessage>,
    ) -> Option<Value> {
        let base = base
            .filter(|base| base.has_field(field))
            .map(|base| base.get_field(field));
        if field.is_map() {
            return self.map(node, field, here).map(Value::Map);
        }
        if field.is_list() {
            let offset = base
                .as_deref()
                .and_then(Value::as_list)
                .map_or(0, <[_]>::len);
            return self.list(node, field, here, offset).map(Value::List);
        }
        self.value(
            node,
            &field.kind(),
            here,
            base.as_deref().and_then(Value::as_message),
        )
    }

    fn list(
        &mut self,
        node: &Node,
        field: &FieldDescriptor,
        here: Id,
        offset: usize,
    ) -> Option<Vec<Value>> {
        debug_assert_eq!(field.cardinality(), Cardinality::Repeated);
        let tree::Value::List(items) = &node.value else {
            self.wrong_type(here, node, "expected a list");
            return None;
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = self.positions.item(here, offset + index, item.at);
            match &field.kind() {
                Kind::Message(m) if m.full_name() == "google.protobuf.Value" => {}
                _ if scalar::is_null(item) => {
                    self.problem(
                        place,
                        item.at,
                        "an item of a list cannot be empty".into(),
                        "remove it",
                    );
                    continue;
                }
                _ => {}
            }
            values.extend(self.value(item, &field.kind(), place, None));
        }
        Some(values)
    }

    fn map(
        &mut self,
        node: &Node,
        field: &FieldDescriptor,
        here: Id,
    ) -> Option<HashMap<MapKey, Value>> {
        let tree::Value::Map(entries) = &node.value else {
            self.wrong_type(here, node, "expected a mapping");
            return None;
        };
        let Kind::Message(pair) = field.kind() else {
            return None;
        };
        let mut values = HashMap::with_capacity(entries.len());
        for entry in entries {
            self.positions.forget_entry(here, &entry.key);
            let place = self.positions.entry(here, &entry.key, entry.at);
            let Some(key) = self.map_key(entry, &pair.map_entry_key_field().kind(), place) else {
                continue;
            };
            if values.contains_key(&key) {
                let reason = format!("the key `{}` is set a second time", entry.key);
                self.problem(place, entry.at, reason, "keep one of the two");
                continue;
            }
            if let Some(value) = self.value(
                &entry.value,
                &pair.map_entry_value_field().kind(),
                place,
                None,
            ) {
                values.insert(key, value);
            }
        }
        Some(values)
    }

    fn value(
        &mut self,
        node: &Node,
        kind: &Kind,
        here: Id,
        base: Option<&DynamicMessage>,
    ) -> Option<Value> {
        match kind {
            Kind::Message(descriptor) => self
                .message(node, descriptor, here, base)
                .map(Value::Message),
            _ => self.scalar(node, kind, here),
        }
    }

    fn unknown_field(&mut self, entry: &Entry, descriptor: &MessageDescriptor, here: Id) {
        let at = self.positions.position(entry.at);
        let mut path = self.positions.path(here);
        crate::positions::push_field(&mut path, &entry.key);
        let reason = format!("{} has no such field", descriptor.full_name());
        if self.allow_unknown_fields {
            self.findings.unused(Unused {
                at,
                path,
                loss: Loss::Function,
                reason,
            });
            return;
        }
        let cure = match suggest::known(&entry.key) {
            Some(cure) => cure.to_owned(),
            None => self
                .suggestion(&entry.key, &field_names(descriptor))
                .unwrap_or_else(|| listing(descriptor)),
        };
        self.findings.problem(Problem {
            at,
            path,
            reason,
            cure,
        });
    }

    fn suggestion(&self, word: &str, candidates: &[String]) -> Option<String> {
        let candidates = candidates.iter().map(String::as_str);
        let name = self
            .findings
            .wants_suggestions()
            .then(|| suggest::closest(word, candidates))??;
        Some(format!("did you mean `{name}`?"))
    }

    fn wrong_type(&mut self, here: Id, node: &Node, expected: &str) {
        self.problem(
            here,
            node.at,
            format!("{expected}, found {}", scalar::describe(node)),
            "",
        );
    }

    /// A problem with a field that gets no place of its own.
    fn field_problem(
        &mut self,
        parent: Id,
        field: &FieldDescriptor,
        at: At,
        reason: String,
        cure: &str,
    ) {
        let mut path = self.positions.path(parent);
        crate::positions::push_field(&mut path, field.name());
        let at = self.positions.position(at);
        self.findings.problem(Problem {
            at,
            path,
            reason,
            cure: cure.into(),
        });
    }

    fn problem(&mut self, here: Id, at: At, reason: String, cure: &str) {
        let (at, path) = (self.positions.position(at), self.positions.path(here));
        self.findings.problem(Problem {
            at,
            path,
            reason,
            cure: cure.into(),
        });
    }

    fn note(&mut self, here: Id, at: At, text: String) {
        let (at, path) = (self.positions.position(at), self.positions.path(here));
        self.findings.note(Note { at, path, text });
    }
}

/// A field by the name in the `.proto` file or by its JSON name: protobuf accepts both.
fn lookup(descriptor: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    descriptor
        .get_field_by_name(key)
        .or_else(|| descriptor.get_field_by_json_name(key))
}

fn field_names(descriptor: &MessageDescriptor) -> Vec<String> {
    descriptor
        .fields()
        .map(|field| field.name().to_owned())
        .collect()
}

fn listing(descriptor: &MessageDescriptor) -> String {
    let names = field_names(descriptor);
    match names.len() {
        0 => "it has no fields at all".into(),
        1..=12 => format!("its fields are {}", names.join(", ")),
        _ => String::new(),
    }
}

/// All that `node` names as the type of an `Any`: the messages that its pool must hold.
pub(crate) fn named_types(node: &Node) -> Vec<&str> {
    let mut types = Vec::new();
    for name in ["@type", "type_url", "typeUrl"] {
        node.scalars_named(name, &mut |url| types.extend(wellknown::type_name(url)));
    }
    types
}

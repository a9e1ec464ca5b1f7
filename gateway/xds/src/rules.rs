//! The rules that Envoy's API states beside its fields (protoc-gen-validate): what must be there,
//! and in which range. Envoy refuses a file that breaks one; so does this.
//!
//! The rules are read from the descriptors, so they are those of the API version in use.

mod scalar;

use std::{collections::HashMap, rc::Rc};

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, ReflectMessage as _,
    Value,
};

use crate::{
    findings::Findings,
    positions::{Positions, push_entry, push_field, push_item},
    problem::Problem,
};

/// Adds to `findings` each rule that `message` or anything within it breaks.
///
/// Where problems are known already, nothing is said to be missing from the message around them:
/// it is there, and it is wrong.
pub(crate) fn check(message: &DynamicMessage, positions: &Positions, findings: &mut Findings) {
    let pool = message.descriptor();
    let pool = pool.parent_pool();
    let extension = |name| pool.get_extension_by_name(name);
    let (Some(field), Some(oneof), Some(disabled)) = (
        extension("validate.rules"),
        extension("validate.required"),
        extension("validate.disabled"),
    ) else {
        return;
    };
    let known = findings
        .problems
        .iter()
        .map(|problem| problem.path.clone())
        .collect();
    let extensions = Extensions {
        field,
        oneof,
        disabled,
    };
    let mut check = Check {
        extensions,
        rules: HashMap::new(),
        positions,
        known,
        findings,
        path: String::new(),
    };
    check.message(message);
}

/// Where the rules stand in the options of a field, of a oneof and of a message.
struct Extensions {
    field: ExtensionDescriptor,
    oneof: ExtensionDescriptor,
    disabled: ExtensionDescriptor,
}

/// The rules of one message type.
struct Rules {
    /// Each field with its `validate.FieldRules`.
    fields: Vec<(FieldDescriptor, DynamicMessage)>,
    /// The members of each oneof that must be set.
    oneofs: Vec<Vec<FieldDescriptor>>,
}

struct Check<'a> {
    extensions: Extensions,
    rules: HashMap<String, Rc<Rules>>,
    positions: &'a Positions,
    /// Paths of the problems that were known before.
    known: Vec<String>,
    findings: &'a mut Findings,
    path: String,
}

impl Check<'_> {
    fn message(&mut self, message: &DynamicMessage) {
        let rules = self.rules_of(&message.descriptor());
        for members in &rules.oneofs {
            if !members.iter().any(|member| message.has_field(member)) {
                let names: Vec<_> = members.iter().map(|m| format!("`{}`", m.name())).collect();
                self.missing(format!("one of {} must be set", names.join(", ")));
            }
        }
        for (field, rules) in &rules.fields {
            let length = self.path.len();
            push_field(&mut self.path, field.name());
            self.field(message, field, rules);
            self.path.truncate(length);
        }
        for (field, value) in message.fields() {
            let length = self.path.len();
            push_field(&mut self.path, field.name());
            self.descend(value);
            self.path.truncate(length);
        }
    }

    /// Looks for messages within a value.
    fn descend(&mut self, value: &Value) {
        let length = self.path.len();
        match value {
            Value::Message(any) if any.descriptor().full_name() == "google.protobuf.Any" => {
                if let Some(inner) = unpack(any) {
                    self.message(&inner);
                }
            }
            Value::Message(message)
                if !message
                    .descriptor()
                    .full_name()
                    .starts_with("google.protobuf.") =>
            {
                self.message(message);
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    push_item(&mut self.path, index);
                    self.descend(item);
                    self.path.truncate(length);
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    push_entry(&mut self.path, key.as_str().unwrap_or_default());
                    self.descend(value);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Holds one field against its rules, which are in the member of `validate.FieldRules` that
    /// is named after the field's type.
    fn field(&mut self, message: &DynamicMessage, field: &FieldDescriptor, rules: &DynamicMessage) {
        let present = message.has_field(field);
        if !present && field.containing_oneof().is_some() {
            return;
        }
        for (kind, rules) in rules.fields() {
            let Some(rules) = rules.as_message() else {
                continue;
            };
            if !present && scalar::says(rules, "required") {
                self.missing("is missing".into());
            }
            // A scalar that is not set has its default value, and that must fit; a message
            // (a wrapper, a duration) that is not set breaks no rule of its content.
            if !present && field.supports_presence() {
                continue;
            }
            let value = message.get_field(field);
            match (kind.name(), &*value) {
                ("repeated", Value::List(items)) => self.list(items, rules, present),
                ("map", Value::Map(entries)) => {
                    if let Some(broken) = scalar::pairs(entries.len(), rules) {
                        self.broken(broken, present);
                    }
                }
                (_, value) => {
                    if let Some(broken) = scalar::broken(value, field, rules) {
                        self.broken(broken, present);
                    }
                }
            }
        }
    }

    fn list(&mut self, items: &[Value], rules: &DynamicMessage, present: bool) {
        if let Some(broken) = scalar::items(items, rules) {
            self.broken(broken, present);
        }
        let each = rules.get_field_by_name("items");
        let Some(each) = each.as_deref().and_then(Value::as_message) else {
            return;
        };
        for (_, rules) in each.fields() {
            let Some(rules) = rules.as_message() else {
                continue;
            };
            for (index, item) in items.iter().enumerate() {
                if let Some(broken) = scalar::broken_item(item, rules) {
                    let length = self.path.len();
                    push_item(&mut self.path, index);
                    self.broken(broken, true);
                    self.path.truncate(length);
                }
            }
        }
    }

    /// Says that a value breaks a rule; one that is not `present` is the default of its type.
    fn broken(&mut self, reason: String, present: bool) {
        if present {
            self.push(reason);
        } else if !self.positions.is_set(&self.path) {
            self.missing(format!("is missing and {reason}"));
        } else if !self.is_known(&self.path) {
            self.push(reason);
        }
    }

    /// Says that something is not there, unless it is there and wrong.
    fn missing(&mut self, reason: String) {
        let around = self.path.rsplit_once('.').map_or("", |(around, _)| around);
        if !self.is_known(around) {
            self.push(reason);
        }
    }

    /// Whether a problem at this path or below it is known already.
    fn is_known(&self, path: &str) -> bool {
        let below = |known: &String| {
            known.strip_prefix(path).is_some_and(|rest| {
                path.is_empty() || rest.is_empty() || rest.starts_with(['.', '['])
            })
        };
        self.known.iter().any(below)
    }

    fn push(&mut self, reason: String) {
        let (at, path) = (self.positions.locate(&self.path), self.path.clone());
        self.findings.problem(Problem {
            at,
            path,
            reason,
            cure: String::new(),
        });
    }

    fn rules_of(&mut self, descriptor: &MessageDescriptor) -> Rc<Rules> {
        if let Some(rules) = self.rules.get(descriptor.full_name()) {
            return Rc::clone(rules);
        }
        let rules = Rc::new(self.extensions.read(descriptor));
        self.rules
            .insert(descriptor.full_name().to_owned(), Rc::clone(&rules));
        rules
    }
}

impl Extensions {
    fn read(&self, descriptor: &MessageDescriptor) -> Rules {
        let mut rules = Rules {
            fields: Vec::new(),
            oneofs: Vec::new(),
        };
        if descriptor.options().get_extension(&self.disabled).as_bool() == Some(true) {
            return rules;
        }
        for field in descriptor.fields() {
            let options = field.options();
            if options.has_extension(&self.field)
                && let Some(found) = options.get_extension(&self.field).as_message()
            {
                rules.fields.push((field, found.clone()));
            }
        }
        for oneof in descriptor.oneofs() {
            if oneof.options().get_extension(&self.oneof).as_bool() == Some(true) {
                rules.oneofs.push(oneof.fields().collect());
            }
        }
        rules
    }
}

/// The message in an `Any`, where its type is known.
pub(crate) fn unpack(any: &DynamicMessage) -> Option<DynamicMessage> {
    let url = any.get_field_by_name("type_url")?;
    let (_, name) = url.as_str()?.rsplit_once('/')?;
    let descriptor = any.descriptor().parent_pool().get_message_by_name(name)?;
    let bytes = any.get_field_by_name("value")?;
    DynamicMessage::decode(descriptor, bytes.as_bytes()?.clone()).ok()
}

#[cfg(test)]
mod tests;

//! One value against the rules of its type.

use std::{cmp::Ordering, collections::HashSet};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

/// Whether a rule that is a truth value is set.
pub(super) fn says(rules: &DynamicMessage, rule: &str) -> bool {
    given(rules, rule).is_some_and(|value| value.as_bool() == Some(true))
}

/// What of `rules` a single value breaks, in words.
pub(super) fn broken(
    value: &Value,
    field: &FieldDescriptor,
    rules: &DynamicMessage,
) -> Option<String> {
    if let (Value::EnumNumber(number), Kind::Enum(names)) = (value, field.kind()) {
        let listed = |rule| {
            list(rules, rule)
                .iter()
                .any(|v| v.as_i32() == Some(*number))
        };
        let unknown = says(rules, "defined_only") && names.get_value(*number).is_none();
        let other = !list(rules, "in").is_empty() && !listed("in");
        return (unknown || other || listed("not_in"))
            .then(|| "has a value that is not allowed".into());
    }
    broken_item(value, rules)
}

/// As [`broken`], for what is no enum.
pub(super) fn broken_item(value: &Value, rules: &DynamicMessage) -> Option<String> {
    match value {
        Value::String(text) => broken_text(text, rules),
        Value::Bytes(bytes) => broken_length(bytes.len(), "bytes", rules, ["min_len", "max_len"]),
        Value::Message(message) => {
            let name = message.descriptor();
            match name.full_name() {
                "google.protobuf.Duration" => broken_number(value, rules, "s"),
                "google.protobuf.Any" => None,
                name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
                    broken_item(message.get_field_by_name("value")?.as_ref(), rules)
                }
                _ => None,
            }
        }
        _ => broken_number(value, rules, ""),
    }
}

/// What is wrong with the number of items of a list, or with their being alike.
pub(super) fn items(items: &[Value], rules: &DynamicMessage) -> Option<String> {
    if items.is_empty() && says(rules, "ignore_empty") {
        return None;
    }
    if says(rules, "unique") {
        let mut seen = HashSet::new();
        if let Some(twice) = items.iter().find(|item| !seen.insert(item.to_string())) {
            return Some(format!("holds {twice} twice"));
        }
    }
    broken_length(items.len(), "items", rules, ["min_items", "max_items"])
}

/// What is wrong with the number of entries of a map.
pub(super) fn pairs(count: usize, rules: &DynamicMessage) -> Option<String> {
    broken_length(count, "entries", rules, ["min_pairs", "max_pairs"])
}

fn broken_length(
    length: usize,
    unit: &str,
    rules: &DynamicMessage,
    [least, most]: [&str; 2],
) -> Option<String> {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    let rule = |name| given(rules, name).and_then(|value| value.as_u64());
    match (rule(least), rule(most)) {
        (Some(1), _) if length == 0 => Some("must not be empty".into()),
        (Some(least), _) if length < least => Some(format!("must have at least {least} {unit}")),
        (_, Some(most)) if length > most => Some(format!("must have at most {most} {unit}")),
        _ => None,
    }
}

fn broken_text(text: &str, rules: &DynamicMessage) -> Option<String> {
    if text.is_empty() && says(rules, "ignore_empty") {
        return None;
    }
    let word = |rule| given(rules, rule).and_then(|value| value.as_str().map(str::to_owned));
    let characters = broken_length(
        text.chars().count(),
        "characters",
        rules,
        ["min_len", "max_len"],
    );
    if let Some(broken) =
        characters.or_else(|| broken_length(text.len(), "bytes", rules, ["min_bytes", "max_bytes"]))
    {
        return Some(broken);
    }
    if let Some(prefix) = word("prefix").filter(|prefix| !text.starts_with(prefix.as_str())) {
        return Some(format!("must begin with `{prefix}`"));
    }
    if let Some(suffix) = word("suffix").filter(|suffix| !text.ends_with(suffix.as_str())) {
        return Some(format!("must end with `{suffix}`"));
    }
    let allowed = list(rules, "in");
    if !allowed.is_empty() && !allowed.iter().any(|v| v.as_str() == Some(text)) {
        let allowed: Vec<_> = allowed.iter().filter_map(|value| value.as_str()).collect();
        return Some(format!("must be one of {}", allowed.join(", ")));
    }
    if list(rules, "not_in")
        .iter()
        .any(|v| v.as_str() == Some(text))
    {
        return Some("has a value that is not allowed".into());
    }
    let pattern = word("pattern").and_then(|pattern| regex::Regex::new(&pattern).ok());
    if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(text)) {
        return Some(format!("must match `{pattern}`"));
    }
    broken_header(text, rules)
}

/// Rules for header names and values; unless strict, only what could split a header is refused.
fn broken_header(text: &str, rules: &DynamicMessage) -> Option<String> {
    // Of `validate.KnownRegex`.
    const NAME: i32 = 1;
    const VALUE: i32 = 2;
    let known = given(rules, "well_known_regex")?.as_enum_number()?;
    let strict = given(rules, "strict").is_none_or(|value| value.as_bool() != Some(false));
    let fits = |char: char| match (known, strict) {
        (NAME | VALUE, false) => !matches!(char, '\0' | '\n' | '\r'),
        (NAME, true) => char.is_ascii_alphanumeric() || "!#$%&'*+-.^_|~`".contains(char),
        (VALUE, true) => char == '\t' || !char.is_ascii_control(),
        _ => true,
    };
    let text = if known == NAME && strict {
        text.strip_prefix(':').unwrap_or(text)
    } else {
        text
    };
    let odd = text.chars().find(|char| !fits(*char))?;
    let what = if known == NAME { "name" } else { "value" };
    Some(format!(
        "the character {odd:?} cannot stand in the {what} of a header"
    ))
}

fn broken_number(value: &Value, rules: &DynamicMessage, unit: &str) -> Option<String> {
    let number = Number::of(value)?;
    let bound = |rule| {
        let bound = given(rules, rule)?;
        let order = number.partial_cmp(&Number::of(&bound)?);
        Some((order, Number::of(&bound)?.show(unit)))
    };
    for (rule, fits, words) in [
        ("const", &[Ordering::Equal][..], "exactly"),
        ("gt", &[Ordering::Greater], "more than"),
        ("gte", &[Ordering::Greater, Ordering::Equal], "at least"),
        ("lt", &[Ordering::Less], "less than"),
        ("lte", &[Ordering::Less, Ordering::Equal], "at most"),
    ] {
        if let Some((order, bound)) = bound(rule)
            && !order.is_some_and(|order| fits.contains(&order))
        {
            return Some(format!("must be {words} {bound}"));
        }
    }
    let listed = |rule| {
        list(rules, rule)
            .iter()
            .filter_map(Number::of)
            .any(|n| n == number)
    };
    let other = !list(rules, "in").is_empty() && !listed("in");
    (other || listed("not_in")).then(|| "has a value that is not allowed".into())
}

/// A number, a truth value or a duration, for comparison.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(truth) => Self::Whole((*truth).into()),
            Value::I32(n) | Value::EnumNumber(n) => Self::Whole((*n).into()),
            Value::I64(n) => Self::Whole((*n).into()),
            Value::U32(n) => Self::Whole((*n).into()),
            Value::U64(n) => Self::Whole((*n).into()),
            Value::F32(n) => Self::Float((*n).into()),
            Value::F64(n) => Self::Float(*n),
            Value::Message(duration) => {
                let seconds = i128::from(duration.get_field_by_name("seconds")?.as_i64()?);
                let nanos = i128::from(duration.get_field_by_name("nanos")?.as_i32()?);
                Self::Whole(seconds * 1_000_000_000 + nanos)
            }
            _ => return None,
        })
    }

    fn show(self, unit: &str) -> String {
        #[expect(clippy::cast_precision_loss, reason = "bounds are short")]
        match self {
            Self::Whole(nanos) if unit == "s" => format!("{}s", nanos as f64 / 1e9),
            Self::Whole(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
        }
    }
}

/// The value of a rule that is set.
fn given(rules: &DynamicMessage, rule: &str) -> Option<Value> {
    let field = rules.descriptor().get_field_by_name(rule)?;
    rules
        .has_field(&field)
        .then(|| rules.get_field(&field).into_owned())
}

fn list(rules: &DynamicMessage, rule: &str) -> Vec<Value> {
    match given(rules, rule) {
        Some(Value::List(values)) => values,
        _ => Vec::new(),
    }
}

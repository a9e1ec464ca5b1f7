//! A configuration file as a tree of nodes that know their places, before it is known what each
//! node means.
//!
//! YAML and JSON give the same tree; a scalar stays the text that was written, because what `on`
//! or `010` is depends on the field that takes it.

pub(crate) mod json;
pub(crate) mod yaml;

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
};

/// Bytes in a configuration file.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Levels of mappings and lists within each other. Envoy's own parser stops at 100 too.
pub const MAX_DEPTH: usize = 100;

/// Nodes of a configuration, each alias counted as the nodes it stands for: a file of a few
/// hundred bytes can name billions.
pub const MAX_NODES: usize = 1_000_000;

/// Bytes in a key: keys stand in the paths of all messages about what lies below them.
pub const MAX_KEY_BYTES: usize = 1024;

/// Line and column, both counted from 1, within the file that the reader of the tree knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl At {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// A value with its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
    /// This node and everything below it, aliases expanded.
    size: usize,
    /// Levels at and below this node: 0 for a scalar.
    height: usize,
}

#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A scalar as it was written.
#[derive(Debug)]
pub(crate) struct Scalar {
    /// The text, with quotes and escapes resolved.
    pub(crate) text: Box<str>,
    /// Whether it stood without quotes, so that it may be a number, a truth value or nothing.
    pub(crate) plain: bool,
}

/// A key of a mapping with its value. A key that stands twice gives two entries.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    /// The place of the key.
    pub(crate) at: At,
    pub(crate) value: Rc<Node>,
}

/// Why a text is no tree.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) at: At,
    pub(crate) reason: String,
    pub(crate) cure: String,
}

impl Malformed {
    fn new(at: At, reason: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            at,
            reason: reason.into(),
            cure: cure.into(),
        }
    }

    fn too_deep(at: At) -> Self {
        let reason = format!("more than {MAX_DEPTH} levels of mappings and lists");
        Self::new(at, reason, "no Envoy configuration needs that many")
    }

    fn too_many(at: At) -> Self {
        let reason =
            format!("more than {MAX_NODES} values, aliases counted as what they stand for");
        Self::new(at, reason, "split the file, or use fewer aliases")
    }
}

/// A key within its limit.
fn checked_key(key: &str, at: At) -> Result<Box<str>, Malformed> {
    if key.len() > MAX_KEY_BYTES {
        let reason = format!("a key of more than {MAX_KEY_BYTES} bytes");
        return Err(Malformed::new(at, reason, "no field has such a name"));
    }
    Ok(key.into())
}

/// What is written, wherever it stands.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.value {
            Value::Scalar(Scalar { text, plain }) => (0_u8, text, plain).hash(state),
            Value::List(items) => (1_u8, items).hash(state),
            Value::Map(entries) => {
                (2_u8, entries.len()).hash(state);
                for Entry { key, value, .. } in entries {
                    (key, value).hash(state);
                }
            }
        }
    }
}

impl Node {
    fn new(at: At, value: Value) -> Self {
        let children: &mut dyn Iterator<Item = &Rc<Self>> = match &value {
            Value::Scalar(_) => &mut std::iter::empty(),
            Value::List(items) => &mut items.iter(),
            Value::Map(entries) => &mut entries.iter().map(|entry| &entry.value),
        };
        let (size, height) = children.fold((1_usize, 0), |(size, height), child| {
            (
                size.saturating_add(child.size),
                height.max(child.height + 1),
            )
        });
        Self {
            at,
            value,
            size,
            height,
        }
    }

    /// Calls `found` with the text of every entry of this name whose value is a scalar.
    pub(crate) fn scalars_named<'n>(&'n self, name: &str, found: &mut dyn FnMut(&'n str)) {
        match &self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items
                .iter()
                .for_each(|item| item.scalars_named(name, found)),
            Value::Map(entries) => {
                for Entry { key, value, .. } in entries {
                    match &value.value {
                        Value::Scalar(scalar) if &**key == name => found(&scalar.text),
                        _ => value.scalars_named(name, found),
                    }
                }
            }
        }
    }
}

//! JSON (RFC 8259) into a tree. A comma before a closing bracket is let pass, as Envoy does.

use std::rc::Rc;

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged, parse_to_ast};

use super::{At, Entry, MAX_DEPTH, MAX_NODES, Malformed, Node, Scalar, Value, checked_key};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads one JSON value.
///
/// # Errors
/// At the first place where the text is not JSON, or at which a limit is passed.
pub(crate) fn parse(text: &str) -> Result<Rc<Node>, Malformed> {
    let mut lines = Lines::new(text);
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| {
        let at = lines.at(error.range().start);
        Malformed::new(
            at,
            format!("not JSON: {}", lower_first(&error.kind().to_string())),
            "",
        )
    })?;
    let Some(value) = parsed.value else {
        return Err(Malformed::new(
            At::START,
            "the file holds no configuration",
            "an empty one is `{}`",
        ));
    };
    Reader { lines, nodes: 0 }.read(value, 0)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Turns byte offsets into lines and columns, going on from the last one that was asked for: a
/// file may be one line of megabytes.
struct Lines<'t> {
    text: &'t str,
    /// The last offset, and its place.
    last: usize,
    at: At,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            last: 0,
            at: At::START,
        }
    }

    fn at(&mut self, offset: usize) -> At {
        if offset < self.last {
            *self = Self::new(self.text);
        }
        for char in self.text.get(self.last..offset).unwrap_or_default().chars() {
            match char {
                '\n' => {
                    self.at = At {
                        line: self.at.line.saturating_add(1),
                        column: 1,
                    }
                }
                _ => self.at.column = self.at.column.saturating_add(1),
            }
        }
        self.last = offset;
        self.at
    }
}

struct Reader<'t> {
    lines: Lines<'t>,
    nodes: usize,
}

impl Reader<'_> {
    fn read(&mut self, value: ast::Value<'_>, depth: usize) -> Result<Rc<Node>, Malformed> {
        let at = self.lines.at(value.start());
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Malformed::too_many(at));
        }
        let collection = matches!(value, ast::Value::Object(_) | ast::Value::Array(_));
        if collection && depth >= MAX_DEPTH {
            return Err(Malformed::too_deep(at));
        }
        let plain = |text: &str| {
            Value::Scalar(Scalar {
                text: text.into(),
                plain: true,
            })
        };
        let value = match value {
            ast::Value::NullKeyword(_) => plain("null"),
            ast::Value::BooleanLit(lit) => plain(if lit.value { "true" } else { "false" }),
            ast::Value::NumberLit(lit) => plain(lit.value),
            ast::Value::StringLit(lit) => Value::Scalar(Scalar {
                text: lit.value.into(),
                plain: false,
            }),
            ast::Value::Array(array) => Value::List(
                array
                    .elements
                    .into_iter()
                    .map(|item| self.read(item, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            ast::Value::Object(object) => Value::Map(
                object
                    .properties
                    .into_iter()
                    .map(|property| {
                        let at = self.lines.at(property.name.start());
                        let key = checked_key(property.name.as_str(), at)?;
                        let value = self.read(property.value, depth + 1)?;
                        Ok(Entry { key, at, value })
                    })
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Rc::new(Node::new(at, value)))
    }
}

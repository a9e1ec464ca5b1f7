//! YAML 1.2 into a tree.
//!
//! Anchors and aliases work as in Envoy, and so does its own tag `!ignore`: a key with this tag
//! is left out, and is where anchors are defined. Merge keys (`<<`) are no part of YAML 1.2, nor
//! of Envoy; they arrive as a field of that name and are refused as such.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{At, Entry, MAX_DEPTH, MAX_NODES, Malformed, Node, Scalar, Value, checked_key};

/// What to do about what the parser says.
fn cure(fault: &str) -> &'static str {
    match fault {
        tabs if tabs.contains("tabs") => "indent with spaces",
        flow if flow.contains("flow") => "close the `{` or `[` that was opened before",
        anchor if anchor.contains("anchor") => "name it with `&` before its first use",
        _ => "look at the indentation here and in the lines before",
    }
}

/// Reads one YAML document.
///
/// # Errors
/// At the first place where the text is not YAML, or at which a limit is passed.
pub(crate) fn parse(text: &str) -> Result<Rc<Node>, Malformed> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Malformed::new(
                at(error.marker()),
                format!("not YAML: {}", error.info()),
                cure(error.info()),
            )
        })?;
        builder.take(event, at(&span.start))?;
    }
    builder.root.ok_or_else(|| {
        Malformed::new(
            At::START,
            "the file holds no configuration",
            "an empty one is `{}`",
        )
    })
}

fn at(marker: &Marker) -> At {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At {
        line: narrow(marker.line()).max(1),
        column: narrow(marker.col().saturating_add(1)),
    }
}

/// A collection whose end has not been seen.
struct Open {
    at: At,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    /// The entries, and the key whose value comes next.
    Map(Vec<Entry>, Option<Key>),
}

struct Key {
    name: Box<str>,
    at: At,
    ignored: bool,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    /// Finished nodes by the parser's number of their anchor.
    anchors: HashMap<usize, Rc<Node>>,
    /// Nodes so far, aliases expanded.
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: At) -> Result<(), Malformed> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err(Malformed::new(
                at,
                "a second YAML document begins here",
                "Envoy reads only the first; put one configuration into one file",
            )),
            Event::SequenceStart(anchor, tag) => {
                expect_tag(tag.as_deref(), &["seq"], at)?;
                self.begin(at, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                expect_tag(tag.as_deref(), &["map"], at)?;
                self.begin(at, anchor, Content::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(at),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                self.scalar(
                    Written {
                        text,
                        plain,
                        anchor,
                        tag,
                    },
                    at,
                )
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, at: At, anchor: usize, content: Content) -> Result<(), Malformed> {
        self.refuse_as_key(at)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Malformed::too_deep(at));
        }
        self.open.push(Open {
            at,
            anchor,
            content,
        });
        Ok(())
    }

    fn end(&mut self, at: At) -> Result<(), Malformed> {
        let Some(open) = self.open.pop() else {
            return Err(Malformed::new(
                at,
                "not YAML: an end without a beginning",
                "",
            ));
        };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(entries),
        };
        self.finish(Rc::new(Node::new(open.at, value)), open.anchor)
    }

    fn scalar(&mut self, written: Written<'_>, at: At) -> Result<(), Malformed> {
        let Written {
            text,
            plain,
            anchor,
            tag,
        } = written;
        let tag = tag.as_deref();
        if let Some(Content::Map(_, next @ None)) = self.open.last_mut().map(|o| &mut o.content) {
            let ignored = tag.is_some_and(|tag| tag.handle == "!" && tag.suffix == "ignore");
            if !ignored {
                expect_tag(tag, &["str"], at)?;
            }
            *next = Some(Key {
                name: checked_key(&text, at)?,
                at,
                ignored,
            });
            return Ok(());
        }
        expect_tag(tag, &["str", "int", "float", "bool", "null"], at)?;
        let plain = plain && !tag.is_some_and(is_string);
        let value = Value::Scalar(Scalar {
            text: text.into(),
            plain,
        });
        self.finish(Rc::new(Node::new(at, value)), anchor)
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<(), Malformed> {
        self.refuse_as_key(at)?;
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Malformed::new(
                at,
                "this alias stands within what it stands for",
                "",
            ));
        };
        if self.open.len() + node.height > MAX_DEPTH {
            return Err(Malformed::too_deep(at));
        }
        self.nodes = self.nodes.saturating_add(node.size);
        self.place(node, at)
    }

    fn finish(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), Malformed> {
        let at = node.at;
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.nodes += 1;
        self.place(node, at)
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Rc<Node>, at: At) -> Result<(), Malformed> {
        if self.nodes > MAX_NODES {
            return Err(Malformed::too_many(at));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some(Key { name, at, ignored }) => {
                    if !ignored {
                        entries.push(Entry {
                            key: name,
                            at,
                            value: node,
                        });
                    }
                }
                None => return Err(Malformed::new(at, "not YAML: a value without a key", "")),
            },
        }
        Ok(())
    }

    fn refuse_as_key(&self, at: At) -> Result<(), Malformed> {
        match self.open.last().map(|open| &open.content) {
            Some(Content::Map(_, None)) => Err(Malformed::new(
                at,
                "a key must be a text",
                "write the key as a plain word",
            )),
            _ => Ok(()),
        }
    }
}

/// A scalar as the parser gives it.
struct Written<'t> {
    text: Cow<'t, str>,
    plain: bool,
    anchor: usize,
    tag: Option<Cow<'t, Tag>>,
}

/// `!` alone says what quotes say.
fn is_string(tag: &Tag) -> bool {
    is_lone(tag) || (tag.is_yaml_core_schema() && tag.suffix == "str")
}

fn is_lone(tag: &Tag) -> bool {
    (tag.handle.is_empty() && tag.suffix == "!") || (tag.handle == "!" && tag.suffix.is_empty())
}

fn expect_tag(tag: Option<&Tag>, core: &[&str], at: At) -> Result<(), Malformed> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && core.contains(&tag.suffix.as_str()) => Ok(()),
        Some(tag) if !is_lone(tag) => Err(Malformed::new(
            at,
            format!("the tag `{}{}` has no meaning here", tag.handle, tag.suffix),
            "remove it",
        )),
        _ => Ok(()),
    }
}

//! What a file says: a `DiscoveryResponse` as YAML or JSON.

use std::{collections::HashMap, path::Path, rc::Rc, sync::Arc};

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value, prost::Message as _};

use super::{Discovered, Fingerprint, Origin, Resource};
use crate::{
    Note, Positions, Problem, Rejected, Unused,
    bootstrap::Format,
    coverage,
    document::{self, Document, Source, Wanted},
    findings::Findings,
    rules::{self, unpack},
    support::Extensions,
    tree::{self, Node},
};

/// Bytes in a file with resources. Its values are counted too; see [`crate::MAX_NODES`].
pub const MAX_FILE_BYTES: usize = 64 << 20;

pub(super) const RESPONSE: &str = "envoy.service.discovery.v3.DiscoveryResponse";

/// What may be around a resource.
pub(super) const WRAPPER: &str = "envoy.service.discovery.v3.Resource";

/// What was said about resources of one kind.
#[derive(Clone, Debug)]
pub struct Response<M> {
    /// `version_info`.
    pub version: Arc<str>,
    /// The resources, in the order of the file; no two have one name.
    pub resources: Vec<Resource<M>>,
    /// Whether these are all that there are: what is not among them is removed.
    pub is_whole: bool,
    /// Names of resources that are no more, where the response does not list all.
    pub removed: Vec<Arc<str>>,
    /// Fields that are set and not acted upon, in the order of the file.
    pub unused: Vec<Unused>,
    /// Remarks on how something was read.
    pub notes: Vec<Note>,
    /// Where each field stands.
    pub positions: Arc<Positions>,
}

impl<M: Discovered> Response<M> {
    /// Why this does not answer who asked for `name`; `None` where it does.
    ///
    /// Envoy refuses a file of RDS or EDS with anything but the one resource. Here a file may have
    /// those of several subscriptions.
    #[must_use]
    pub fn lacks(&self, name: &str) -> Option<String> {
        if self
            .resources
            .iter()
            .any(|resource| &*resource.name == name)
        {
            return None;
        }
        let others = self.resources.iter().take(MAX_NAMES);
        let others: Vec<_> = others.map(|other| format!("'{}'", other.name)).collect();
        let has = match self.resources.len().saturating_sub(others.len()) {
            _ if others.is_empty() => "no resources".to_owned(),
            0 => others.join(", "),
            more => format!("{} and {more} more", others.join(", ")),
        };
        Some(format!(
            "there is no {} '{name}' among its resources: it has {has}",
            M::KIND
        ))
    }
}

/// Names that are listed to show what there is instead of something else.
const MAX_NAMES: usize = 10;

/// How files with resources are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Extensions that are acted upon besides those that this crate lists.
    pub extensions: Extensions,
    /// Refuse fields that Envoy's API does not have instead of reporting them as unused, as
    /// Envoy's `--reject-unknown-dynamic-fields`.
    pub reject_unknown_fields: bool,
}

/// A text that is to be read.
#[derive(Clone, Debug)]
pub struct Text {
    name: String,
    text: String,
    format: Format,
}

impl Text {
    /// Takes a file. The format is told by the extension (`.json`, `.yaml`, `.yml`), else by
    /// whether the text begins with `{`. Envoy's other two formats, `.pb` and `.pb_text`, are
    /// refused.
    ///
    /// # Errors
    /// When the file cannot be had as text.
    pub fn load(path: &Path) -> Result<Self, Rejected> {
        let name = path.display().to_string();
        match document::text_of(path, MAX_FILE_BYTES) {
            Ok((text, format)) => Ok(Self { name, text, format }),
            Err(malformed) => Err(document::reject(&name, malformed)),
        }
    }

    /// Tells whether two texts are the same.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.text)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When anything in it is wrong or asks for what Crossdock has to refuse: nothing of it is to
    /// be used. All problems are listed at once.
    pub fn parse<M: Discovered>(&self, options: &Options) -> Result<Response<M>, Rejected> {
        parse(&self.name, &self.text, self.format, options)
    }
}

/// Reads a file: [`Text::load`] and [`Text::parse`].
///
/// # Errors
/// As these two.
pub fn read<M: Discovered>(path: &Path, options: &Options) -> Result<Response<M>, Rejected> {
    Text::load(path)?.parse(options)
}

/// Reads a text; `name` stands for the file in positions.
///
/// # Errors
/// As [`Text::parse`].
pub fn parse<M: Discovered>(
    name: &str,
    text: &str,
    format: Format,
    options: &Options,
) -> Result<Response<M>, Rejected> {
    let source = Source { name, text, format };
    let Document {
        message,
        trees,
        positions,
        mut findings,
    } = document::read(
        &[source],
        &Wanted {
            message: RESPONSE,
            most_bytes: MAX_FILE_BYTES,
            allow_unknown_fields: !options.reject_unknown_fields,
        },
    )?;
    let mut reader = Reader::<M> {
        extensions: &options.extensions,
        positions: &positions,
        findings: &mut findings,
        found: Vec::new(),
    };
    let nodes = trees.first().map(nodes).unwrap_or_default();
    let mut version = String::new();
    if let Some(message) = &message {
        reader.response(message, nodes.len());
        version = text_of(message, "version_info");
    }
    let found = reader.found;
    findings.sort();
    let Findings {
        problems,
        unused,
        notes,
    } = findings;
    if !problems.is_empty() || message.is_none() {
        return Err(Rejected {
            problems,
            unused,
            refused: None,
        });
    }
    let version: Arc<str> = version.into();
    let positions = Arc::new(positions);
    let finish = |found: Found<M>| found.finish(&version, &positions, &nodes, &unused);
    Ok(Response {
        resources: found.into_iter().map(finish).collect(),
        is_whole: M::KIND.is_listed_whole(),
        removed: Vec::new(),
        version: Arc::clone(&version),
        unused,
        notes,
        positions,
    })
}

/// Judges a response and takes the resources out of it.
struct Reader<'a, M> {
    extensions: &'a Extensions,
    positions: &'a Positions,
    findings: &'a mut Findings,
    found: Vec<Found<M>>,
}

/// A resource that was found.
struct Found<M> {
    index: usize,
    /// Whether something is around it.
    is_wrapped: bool,
    /// The version that the wrapper says.
    version: String,
    message: M,
}

impl<M: Discovered> Reader<'_, M> {
    fn response(&mut self, message: &DynamicMessage, count: usize) {
        let resources = message.get_field_by_name("resources");
        let resources = resources.as_deref().and_then(Value::as_list);
        let resources = resources.unwrap_or_default();
        if resources.len() != count {
            // One could not be mapped, and has its problem: the others are not where they were.
            return;
        }
        rules::check(message, self.positions, self.findings);
        coverage::judge(message, self.extensions, self.positions, self.findings);
        let kind = text_of(message, "type_url");
        if !kind.is_empty() && type_name(&kind) != M::KIND.type_name() {
            let reason = format!("these are no resources of {}", M::KIND.service());
            let cure = format!("write {}", M::type_url());
            self.problem("type_url", reason, cure);
        }
        for (index, any) in resources.iter().enumerate() {
            if let Some(any) = any.as_message() {
                self.resource(any, index);
            }
        }
        self.name();
    }

    fn resource(&mut self, any: &DynamicMessage, index: usize) {
        let Some(outer) = unpack(any) else { return };
        let path = format!("resources[{index}]");
        if outer.descriptor().full_name() != WRAPPER {
            return self.inner(&outer, index, None, &path);
        }
        let path = format!("{path}.resource");
        let inner = outer.get_field_by_name("resource");
        let inner = inner.as_deref().and_then(Value::as_message);
        match inner.and_then(unpack) {
            Some(inner) => self.inner(&inner, index, Some(&outer), &path),
            None => self.problem(&path, "is missing".to_owned(), String::new()),
        }
    }

    fn inner(
        &mut self,
        inner: &DynamicMessage,
        index: usize,
        wrapper: Option<&DynamicMessage>,
        path: &str,
    ) {
        let type_name = inner.descriptor().full_name().to_owned();
        if type_name != M::KIND.type_name() {
            let (service, wanted) = (M::KIND.service(), M::KIND.type_name());
            let reason =
                format!("{service} takes resources of the type {wanted}, found {type_name}");
            return self.problem(&format!("{path}.@type"), reason, String::new());
        }
        let Ok(message) = M::decode(inner.encode_to_vec().as_slice()) else {
            return self.findings.problem(document::too_deep(self.positions));
        };
        let outer_name = wrapper.map(|wrapper| text_of(wrapper, "name"));
        if let Some(name) = outer_name.filter(|name| !name.is_empty())
            && name != message.resource_name()
        {
            let reason = format!("is not the name within, '{}'", message.resource_name());
            let path = format!("resources[{index}].name");
            self.problem(
                &path,
                reason,
                "give both the same name, or this none".to_owned(),
            );
        }
        self.found.push(Found {
            index,
            is_wrapped: wrapper.is_some(),
            version: wrapper.map_or_else(String::new, |wrapper| text_of(wrapper, "version")),
            message,
        });
    }

    /// Every resource must have a name of its own.
    fn name(&mut self) {
        let mut first: HashMap<&str, usize> = HashMap::new();
        let mut problems = Vec::new();
        for found in &self.found {
            let path = format!("{}.{}", found.path(), M::NAME_FIELD);
            let name = found.message.resource_name();
            let (reason, cure) = match first.get(name) {
                _ if name.is_empty() => {
                    let reason = format!("the {} has no name", M::KIND);
                    (reason, "it is known by its name: give it one".to_owned())
                }
                Some(first) => {
                    let reason = format!("there are two resources '{name}'");
                    (
                        reason,
                        format!("remove one; the first is resources[{first}]"),
                    )
                }
                None => {
                    first.insert(name, found.index);
                    continue;
                }
            };
            problems.push((path, reason, cure));
        }
        for (path, reason, cure) in problems {
            self.problem(&path, reason, cure);
        }
    }

    fn problem(&mut self, path: &str, reason: String, cure: String) {
        self.findings.problem(Problem {
            at: self.positions.locate(path),
            path: path.to_owned(),
            reason,
            cure,
        });
    }
}

impl<M: Discovered> Found<M> {
    fn path(&self) -> String {
        match self.is_wrapped {
            true => format!("resources[{}].resource", self.index),
            false => format!("resources[{}]", self.index),
        }
    }

    fn finish(
        self,
        version: &Arc<str>,
        positions: &Arc<Positions>,
        nodes: &[Rc<Node>],
        unused: &[Unused],
    ) -> Resource<M> {
        let path = self.path();
        let item = format!("resources[{}]", self.index);
        let own = |unused: &&Unused| {
            let rest = unused.path.strip_prefix(&item);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let own = unused.iter().filter(own).cloned().collect();
        let node = nodes.get(self.index).map(|node| match self.is_wrapped {
            true => entry(node, "resource").unwrap_or(node),
            false => node,
        });
        Resource {
            name: self.message.resource_name().into(),
            version: match self.version.as_str() {
                "" => Arc::clone(version),
                own => own.into(),
            },
            needs: Arc::new(self.message.needs()),
            message: Arc::new(self.message),
            origin: Arc::new(Origin::new(Arc::clone(positions), &path, true, own)),
            fingerprint: node.map_or(Fingerprint(0), |node| Fingerprint::of(&**node)),
        }
    }
}

/// The text of a field, empty where it is not set.
fn text_of(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    let text = value.as_deref().and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The message name in a type URL.
fn type_name(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

/// The texts of the resources.
fn nodes(root: &Rc<Node>) -> Vec<Rc<Node>> {
    match entry(root, "resources").map(|node| &node.value) {
        Some(tree::Value::List(items)) => items.clone(),
        _ => Vec::new(),
    }
}

/// The value of a key, where the node is a mapping that has it.
fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Rc<Node>> {
    let tree::Value::Map(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| &*entry.key == key)?;
    Some(&entry.value)
}

#[cfg(test)]
mod tests;

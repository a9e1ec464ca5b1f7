//! A bootstrap file, read.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path, rc::Rc};

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use prost::Message as _;
use prost_reflect::DynamicMessage;

use crate::{
    coverage, descriptors,
    findings::Findings,
    mapping::{self, Mapper},
    positions::{Id, Positions},
    problem::{Note, Position, Problem, Rejected, Unused},
    rules,
    runtime::{self, Setting},
    tree::{self, MAX_FILE_BYTES, Malformed, Node},
};

/// The name under which [`Options::config_yaml`] appears in positions.
pub const CONFIG_YAML: &str = "--config-yaml";

/// A configuration that can be compiled and served, as far as its fields alone can tell.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration. An `Any` within it holds a message of a known type.
    pub bootstrap: Bootstrap,
    /// Where each field stands.
    pub positions: Positions,
    /// Every field that is set and not acted upon, in the order of the file.
    pub unused: Vec<Unused>,
    /// Remarks on how something was read.
    pub notes: Vec<Note>,
}

impl Loaded {
    /// Where the field of this path stands, or the nearest field around it; see [`Positions`]
    /// for how a path is written.
    #[must_use]
    pub fn locate(&self, path: &str) -> Position {
        self.positions.locate(path)
    }

    /// A problem with the field of this path, found by looking at what the fields say together.
    #[must_use]
    pub fn problem(
        &self,
        path: impl Into<String>,
        reason: impl Into<String>,
        cure: impl Into<String>,
    ) -> Problem {
        let path = path.into();
        let at = self.locate(&path);
        Problem {
            at,
            path,
            reason: reason.into(),
            cure: cure.into(),
        }
    }
    /// The values of all static runtime layers by key, among them Crossdock's own (`crossdock.*`).
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, Setting> {
        runtime::settings(&self.bootstrap)
    }
}

/// How a configuration is to be read; the default reads a file strictly.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// YAML or JSON that is merged over the file, as Envoy's `--config-yaml`: fields replace,
    /// messages merge, lists are appended.
    pub config_yaml: Option<String>,
    /// Report fields that Envoy's API does not have as unused instead of refusing them, as
    /// Envoy's `--allow-unknown-static-fields`.
    pub allow_unknown_fields: bool,
}

/// The language of a configuration text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, one document.
    Yaml,
    /// JSON, RFC 8259.
    Json,
}

/// Reads a file strictly. The format is told by the extension (`.json`, `.yaml`, `.yml`), else
/// by whether the text begins with `{`.
///
/// # Errors
/// When the file cannot be read, or anything in it is wrong or asks for what Crossdock has to
/// refuse. All problems are listed at once.
pub fn load(path: &Path) -> Result<Loaded, Rejected> {
    load_with(Some(path), &Options::default())
}

/// Reads a file, and what [`Options`] say about it. Without a file, [`Options::config_yaml`] is
/// the whole configuration.
///
/// # Errors
/// As [`load`]; also when there is neither a file nor a text.
pub fn load_with(path: Option<&Path>, options: &Options) -> Result<Loaded, Rejected> {
    let Some(path) = path else {
        return match &options.config_yaml {
            Some(text) => read(
                &[Source {
                    name: CONFIG_YAML,
                    text,
                    format: format_of(text),
                }],
                options,
            ),
            None => Err(reject(
                CONFIG_YAML,
                Malformed {
                    at: tree::At::START,
                    reason: "there is no configuration".into(),
                    cure: "name a file with -c".into(),
                },
            )),
        };
    };
    let name = path.display().to_string();
    let text = text_of(path).map_err(|malformed| reject(&name, malformed))?;
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let format = match extension.as_deref() {
        Some("json") => Format::Json,
        Some("yaml" | "yml") => Format::Yaml,
        _ => format_of(&text),
    };
    parse(&name, &text, format, options)
}

/// Reads a text; `name` stands for the file in positions.
///
/// # Errors
/// As [`load`].
pub fn parse(
    name: &str,
    text: &str,
    format: Format,
    options: &Options,
) -> Result<Loaded, Rejected> {
    let mut sources = vec![Source { name, text, format }];
    if let Some(text) = &options.config_yaml {
        sources.push(Source {
            name: CONFIG_YAML,
            text,
            format: format_of(text),
        });
    }
    read(&sources, options)
}

/// One text of those that are merged.
struct Source<'s> {
    name: &'s str,
    text: &'s str,
    format: Format,
}

fn format_of(text: &str) -> Format {
    if text.trim_start().starts_with('{') {
        Format::Json
    } else {
        Format::Yaml
    }
}

fn text_of(path: &Path) -> Result<String, Malformed> {
    let malformed = |reason: String, cure: &str| Malformed {
        at: tree::At::START,
        reason,
        cure: cure.into(),
    };
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if matches!(&*extension, "pb" | "pb_text" | "pb_txt" | "textproto") {
        let reason = "the protobuf formats of a bootstrap file are not supported".to_owned();
        return Err(malformed(reason, "write it as YAML or JSON"));
    }
    let unreadable = |error| malformed(format!("cannot be read: {error}"), "");
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FILE_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let reason = format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to());
        malformed(reason, "save it as UTF-8")
    })
}

fn reject(file: &str, malformed: Malformed) -> Rejected {
    let Malformed { at, reason, cure } = malformed;
    let at = Position {
        file: file.into(),
        line: at.line,
        column: at.column,
    };
    let problem = Problem {
        at,
        path: String::new(),
        reason,
        cure,
    };
    Rejected {
        problems: vec![problem],
        unused: Vec::new(),
        refused: None,
    }
}

fn tree_of(source: &Source<'_>) -> Result<Rc<Node>, Malformed> {
    if source.text.len() > MAX_FILE_BYTES {
        return Err(Malformed {
            at: tree::At::START,
            reason: format!("larger than {MAX_FILE_BYTES} bytes"),
            cure: "split the configuration over several gateways".into(),
        });
    }
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
    match source.format {
        Format::Yaml => tree::yaml::parse(text),
        Format::Json => tree::json::parse(text),
    }
}

fn read(sources: &[Source<'_>], options: &Options) -> Result<Loaded, Rejected> {
    let mut trees = Vec::with_capacity(sources.len());
    for source in sources {
        let tree = tree_of(source).map_err(|malformed| reject(source.name, malformed))?;
        trees.push((source.name, tree));
    }
    let types = trees
        .iter()
        .flat_map(|(_, tree)| mapping::named_types(tree));
    let pool = descriptors::pool(types.chain([descriptors::BOOTSTRAP]));
    let descriptor = pool
        .get_message_by_name(descriptors::BOOTSTRAP)
        .expect("the build script compiled the bootstrap");

    let mut findings = Findings::default();
    let mut positions = Positions::new(sources.first().map_or("", |source| source.name));
    let mut merged: Option<DynamicMessage> = None;
    for (name, tree) in trees {
        if merged.is_some() {
            positions.begin_file(name);
        }
        let mut mapper = Mapper {
            pool: &pool,
            positions: &mut positions,
            findings: &mut findings,
            allow_unknown_fields: options.allow_unknown_fields,
        };
        let message = mapper.message(&tree, &descriptor, Id::ROOT, merged.as_ref());
        merged = match (merged, message) {
            (None, message) => message,
            (base, None) => base,
            (Some(mut base), Some(over)) => {
                // What protobuf reads twice it merges; so this is a merge.
                if base.merge(over.encode_to_vec().as_slice()).is_err() {
                    findings.problem(too_deep(&positions));
                }
                Some(base)
            }
        };
    }
    finish(merged, positions, findings)
}

/// Judges the merged message and makes the typed one of it.
fn finish(
    merged: Option<DynamicMessage>,
    positions: Positions,
    mut findings: Findings,
) -> Result<Loaded, Rejected> {
    let readable = findings.problems.is_empty();
    let mut bootstrap = None;
    if let Some(message) = &merged {
        rules::check(message, &positions, &mut findings);
        coverage::judge(message, &positions, &mut findings);
        match Bootstrap::decode(message.encode_to_vec().as_slice()) {
            Ok(typed) => bootstrap = Some(typed),
            Err(_) => findings.problem(too_deep(&positions)),
        }
    }
    for path in bootstrap
        .as_ref()
        .map(runtime::impossible)
        .unwrap_or_default()
    {
        findings.problem(Problem {
            at: positions.locate(&path),
            path,
            reason: "a runtime value is a text, a number or a truth value".into(),
            cure: "write a list as a text with commas".into(),
        });
    }
    findings.sort();
    let Findings {
        problems,
        unused,
        notes,
    } = findings;
    let bootstrap = bootstrap.filter(|_| readable);
    if let (Some(bootstrap), true) = (&bootstrap, problems.is_empty()) {
        return Ok(Loaded {
            bootstrap: bootstrap.clone(),
            positions,
            unused,
            notes,
        });
    }
    let refused = bootstrap.map(|bootstrap| {
        Box::new(Loaded {
            bootstrap,
            positions,
            unused: unused.clone(),
            notes,
        })
    });
    Err(Rejected {
        problems,
        unused,
        refused,
    })
}

/// Protobuf's readers stop at 100 messages within each other, of which JSON values within
/// `metadata` take three for each level that is written.
fn too_deep(positions: &Positions) -> Problem {
    Problem {
        at: positions.locate(""),
        path: String::new(),
        reason: "values lie too deep within each other".into(),
        cure: "look at the JSON values in `metadata` and `layered_runtime`".into(),
    }
}

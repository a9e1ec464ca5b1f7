//! A bootstrap file, read.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use prost::Message as _;
use prost_reflect::DynamicMessage;

use crate::{
    coverage, descriptors,
    document::{self, Document, Source, Wanted, format_of, reject},
    findings::Findings,
    positions::Positions,
    problem::{Note, Position, Problem, Rejected, Unused},
    rules,
    runtime::{self, Setting},
    support::Extensions,
    tree::{self, MAX_FILE_BYTES, Malformed},
};

/// The name under which [`Options::config_yaml`] appears in positions.
pub const CONFIG_YAML: &str = "--config-yaml";

/// A configuration that can be compiled and served, as far as its fields alone can tell.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration. An `Any` within it holds a message of a known type.
    pub bootstrap: Bootstrap,
    /// Where each field stands.
    pub positions: Arc<Positions>,
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
    /// Extensions that are acted upon besides those that this crate lists.
    pub extensions: Extensions,
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
    let (text, format) =
        document::text_of(path, MAX_FILE_BYTES).map_err(|malformed| reject(&name, malformed))?;
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

fn read(sources: &[Source<'_>], options: &Options) -> Result<Loaded, Rejected> {
    let Document {
        message,
        positions,
        findings,
        ..
    } = document::read(
        sources,
        &Wanted {
            message: descriptors::BOOTSTRAP,
            most_bytes: MAX_FILE_BYTES,
            allow_unknown_fields: options.allow_unknown_fields,
        },
    )?;
    finish(message, &options.extensions, positions, findings)
}

/// Judges the merged message and makes the typed one of it.
fn finish(
    merged: Option<DynamicMessage>,
    extensions: &Extensions,
    positions: Positions,
    mut findings: Findings,
) -> Result<Loaded, Rejected> {
    let readable = findings.problems.is_empty();
    let mut bootstrap = None;
    if let Some(message) = &merged {
        rules::check(message, &positions, &mut findings);
        coverage::judge(message, extensions, &positions, &mut findings);
        match Bootstrap::decode(message.encode_to_vec().as_slice()) {
            Ok(typed) => bootstrap = Some(typed),
            Err(_) => findings.problem(document::too_deep(&positions)),
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
    let positions = Arc::new(positions);
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

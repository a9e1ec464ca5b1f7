//! One message, written as YAML or JSON in one text or several.

use std::{fs::File, io::Read as _, path::Path, rc::Rc};

use prost_reflect::{DescriptorPool, DynamicMessage, prost::Message as _};

use crate::{
    bootstrap::Format,
    descriptors,
    findings::Findings,
    mapping::{self, Mapper},
    positions::{Id, Positions},
    problem::{Position, Problem, Rejected},
    tree::{self, Malformed, Node},
};

/// One text of those that are merged.
pub(crate) struct Source<'s> {
    /// What stands for the file in positions.
    pub(crate) name: &'s str,
    pub(crate) text: &'s str,
    pub(crate) format: Format,
}

/// What is to be read.
pub(crate) struct Wanted {
    /// The full name of the message.
    pub(crate) message: &'static str,
    /// Bytes of a text.
    pub(crate) most_bytes: usize,
    /// Unknown fields are reported as unused instead of refused.
    pub(crate) allow_unknown_fields: bool,
}

/// A message with the places of its fields.
pub(crate) struct Document {
    /// The message without what is wrong; `None` where nothing of it could be read.
    pub(crate) message: Option<DynamicMessage>,
    /// The texts as they were written.
    pub(crate) trees: Vec<Rc<Node>>,
    pub(crate) positions: Positions,
    pub(crate) findings: Findings,
}

/// Reads texts and merges them in their order.
///
/// # Errors
/// When a text is no tree.
pub(crate) fn read(sources: &[Source<'_>], wanted: &Wanted) -> Result<Document, Rejected> {
    let mut trees = Vec::with_capacity(sources.len());
    for source in sources {
        trees.push(tree_of(source, wanted).map_err(|cause| reject(source.name, cause))?);
    }
    let types = trees.iter().flat_map(|tree| mapping::named_types(tree));
    let pool = descriptors::pool(types.chain([wanted.message]));
    let mut findings = Findings::default();
    let mut positions = Positions::new(sources.first().map_or("", |source| source.name));
    let mut merged = None;
    for (index, (source, tree)) in sources.iter().zip(&trees).enumerate() {
        if index > 0 {
            positions.begin_file(source.name);
        }
        merged = add(merged, tree, wanted, &pool, &mut positions, &mut findings);
    }
    Ok(Document {
        message: merged,
        trees,
        positions,
        findings,
    })
}

/// Merges one text into what those before it say.
fn add(
    base: Option<DynamicMessage>,
    tree: &Node,
    wanted: &Wanted,
    pool: &DescriptorPool,
    positions: &mut Positions,
    findings: &mut Findings,
) -> Option<DynamicMessage> {
    let descriptor = pool
        .get_message_by_name(wanted.message)
        .expect("the build script compiled every file of the API");
    let mut mapper = Mapper {
        pool,
        positions,
        findings,
        allow_unknown_fields: wanted.allow_unknown_fields,
    };
    let over = mapper.message(tree, &descriptor, Id::ROOT, base.as_ref());
    match (base, over) {
        (None, message) | (message, None) => message,
        (Some(mut base), Some(over)) => {
            // What protobuf reads twice it merges; so this is a merge.
            if base.merge(over.encode_to_vec().as_slice()).is_err() {
                findings.problem(too_deep(positions));
            }
            Some(base)
        }
    }
}

/// The format of a text that no file name tells.
pub(crate) fn format_of(text: &str) -> Format {
    if text.trim_start().starts_with('{') {
        Format::Json
    } else {
        Format::Yaml
    }
}

/// Reads a file of `most` bytes at most; one that is larger is cut off behind them.
pub(crate) fn text_of(path: &Path, most: usize) -> Result<(String, Format), Malformed> {
    let malformed = |reason: String, cure: &str| Malformed {
        at: tree::At::START,
        reason,
        cure: cure.into(),
    };
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let extension = extension.to_lowercase();
    if matches!(&*extension, "pb" | "pb_text" | "pb_txt" | "textproto") {
        let reason = "the protobuf formats of a configuration file are not supported".to_owned();
        return Err(malformed(reason, "write it as YAML or JSON"));
    }
    let unreadable = |error| malformed(format!("cannot be read: {error}"), "");
    let mut bytes = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let reason = format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to());
        malformed(reason, "save it as UTF-8")
    })?;
    let format = match &*extension {
        "json" => Format::Json,
        "yaml" | "yml" => Format::Yaml,
        _ => format_of(&text),
    };
    Ok((text, format))
}

/// A file that is refused because it is no tree.
pub(crate) fn reject(file: &str, malformed: Malformed) -> Rejected {
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

fn tree_of(source: &Source<'_>, wanted: &Wanted) -> Result<Rc<Node>, Malformed> {
    if source.text.len() > wanted.most_bytes {
        return Err(Malformed {
            at: tree::At::START,
            reason: format!("larger than {} bytes", wanted.most_bytes),
            cure: "split the configuration over several gateways".into(),
        });
    }
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
    match source.format {
        Format::Yaml => tree::yaml::parse(text),
        Format::Json => tree::json::parse(text),
    }
}

/// Protobuf's readers stop at 100 messages within each other, of which JSON values within
/// `metadata` take three for each level that is written.
pub(crate) fn too_deep(positions: &Positions) -> Problem {
    Problem {
        at: positions.locate(""),
        path: String::new(),
        reason: "values lie too deep within each other".into(),
        cure: "look at the JSON values in `metadata` and `layered_runtime`".into(),
    }
}

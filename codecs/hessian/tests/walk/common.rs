//! The vectors in `vectors/`, cut down to the Hessian stream in each.

use std::fs;
use std::path::Path;

use crossdock_hessian::{Error, Grammar, Limits, Walker};

/// One stream that another implementation wrote.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) grammar: Grammar,
    pub(crate) stream: Vec<u8>,
}

impl Vector {
    pub(crate) fn walker(&self) -> Walker<'_> {
        Walker::new(&self.stream, self.grammar, Limits::default())
    }
}

/// Every vector, in the order of its name.
pub(crate) fn all() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut vectors: Vec<Vector> = fs::read_dir(folder)
        .expect("the folder of vectors")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .flat_map(|path| streams(&path))
        .collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    vectors
}

/// The vector of that name.
pub(crate) fn named(name: &str) -> Vector {
    all()
        .into_iter()
        .find(|vector| vector.name == name)
        .expect(name)
}

/// Skips every value of the stream and returns how many stood at its top level.
pub(crate) fn skip_all(mut walker: Walker<'_>) -> Result<usize, Error> {
    let mut values = 0;
    while !walker.at_end() {
        walker.skip_value()?;
        values += 1;
    }
    Ok(values)
}

fn streams(path: &Path) -> Vec<Vector> {
    let name = path
        .file_stem()
        .expect("a file name")
        .to_string_lossy()
        .into_owned();
    let text = fs::read_to_string(path).expect("a text file");
    let octets = octets(&text);
    let grammar = match name.as_str() {
        _ if name.starts_with("j_sofa3") || name.contains("_h3_") => Grammar::V3,
        _ if name.starts_with("jsofa") || name.starts_with("jbolt") => Grammar::V3,
        _ => Grammar::V2,
    };
    let streams = if octets.starts_with(&[0xda, 0xbb]) {
        dubbo_bodies(&octets)
    } else if name.contains("bolt") {
        vec![bolt_content(&octets)]
    } else {
        vec![octets]
    };
    let vector = |stream| Vector {
        name: name.clone(),
        grammar,
        stream,
    };
    streams.into_iter().map(vector).collect()
}

fn octets(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<char> = lines.flat_map(|line| line.trim().chars()).collect();
    let digit = |digit: char| digit.to_digit(16).expect("a hexadecimal digit") as u8;
    digits
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn number(octets: &[u8], at: usize, width: usize) -> usize {
    octets[at..at + width]
        .iter()
        .fold(0, |number, &octet| number << 8 | usize::from(octet))
}

fn dubbo_bodies(frames: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut rest = frames;
    while !rest.is_empty() {
        let end = 16 + number(rest, 12, 4);
        bodies.push(rest[16..end].to_vec());
        rest = &rest[end..];
    }
    bodies
}

/// Version 1 has the type at 1, version 2 at 2 and two more octets in the header; a response has
/// a status of two octets where a request has a timeout of four.
fn bolt_content(frame: &[u8]) -> Vec<u8> {
    let version = usize::from(frame[0]);
    let kind = frame[version];
    let header = if kind == 0 { 20 } else { 22 } + 2 * (version - 1);
    let lengths = header - 8;
    let content = header + number(frame, lengths, 2) + number(frame, lengths + 2, 2);
    frame[content..content + number(frame, lengths + 4, 4)].to_vec()
}

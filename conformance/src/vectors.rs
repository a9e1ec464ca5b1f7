//! Frames and values of other implementations, byte by byte.
//!
//! A file `NAME.hex` holds one line `# <what made it> | <what it means>`, then lower-case hex in
//! lines. Beside the files stands `INDEX.md`, which says what each one holds; see [`index`].

pub mod index;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use thiserror::Error;

pub use index::Expected;

/// The longest file that is read, in bytes: a vector is an example, not a load.
const LONGEST: u64 = 64 * 1024 * 1024;

/// One or more whole frames, or a bare value.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The name of the file without `.hex`.
    pub name: String,
    /// The first line: what made it, and what it means.
    pub note: String,
    /// The octets.
    pub bytes: Bytes,
    /// What an independent reader found in it, where it is known.
    pub expected: Option<Expected>,
}

impl Vector {
    /// A vector of which nothing is known but its octets.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            note: String::new(),
            bytes: bytes.into(),
            expected: None,
        }
    }

    /// Reads the text of a `.hex` file.
    ///
    /// # Errors
    /// When something other than hex digits follows the first line, or their number is odd.
    pub fn parse(name: impl Into<String>, text: &str) -> Result<Self, NotHex> {
        let (note, digits) = match text.strip_prefix('#') {
            Some(rest) => rest.split_once('\n').unwrap_or((rest, "")),
            None => ("", text),
        };
        Ok(Self {
            note: note.trim().to_owned(),
            ..Self::new(name, unhex(digits)?)
        })
    }
}

/// The text is no hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NotHex(&'static str);

/// Why vectors could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file system said no.
    #[error("{}: {error}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// A file is not in the format.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The vectors that come with this crate.
pub fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Every vector in `dir` by name, with what its `INDEX.md` (if there is one) expects.
///
/// # Errors
/// When the directory or a file cannot be read, or a file is not in the format.
pub fn load(dir: &Path) -> Result<Vec<Vector>, LoadError> {
    let index_file = dir.join("INDEX.md");
    let expected = match index_file.exists() {
        true => index::parse(&read(&index_file)?),
        false => Vec::new(),
    };
    let mut vectors = Vec::new();
    for path in files(dir)? {
        let mut vector = load_file(&path)?;
        vector.expected = (expected.iter())
            .find(|(name, _)| *name == vector.name)
            .map(|(_, expected)| expected.clone());
        vectors.push(vector);
    }
    Ok(vectors)
}

/// The `.hex` files of `dir`, by name.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |error| LoadError::Io {
        path: dir.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one `.hex` file.
///
/// # Errors
/// When it cannot be read or is not in the format.
pub fn load_file(path: &Path) -> Result<Vector, LoadError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Vector::parse(name, &read(path)?).map_err(|error| LoadError::Format {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |error| LoadError::Io {
        path: path.to_owned(),
        error,
    };
    if fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Err(LoadError::Format {
            path: path.to_owned(),
            reason: format!("longer than {LONGEST} bytes"),
        });
    }
    fs::read_to_string(path).map_err(failed)
}

fn unhex(digits: &str) -> Result<Vec<u8>, NotHex> {
    let mut octets = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for digit in digits.chars().filter(|c| !c.is_whitespace()) {
        let value = digit.to_digit(16).ok_or(NotHex("not a hex digit"))?;
        let value = u8::try_from(value).expect("a hex digit is below 16");
        match high.take() {
            None => high = Some(value << 4),
            Some(high) => octets.push(high | value),
        }
    }
    match high {
        None => Ok(octets),
        Some(_) => Err(NotHex("an odd number of hex digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_note_and_hex() {
        let vector = Vector::parse("v", "# maker | meaning\n0a0B\n ff\n").unwrap();
        assert_eq!(vector.note, "maker | meaning");
        assert_eq!(&vector.bytes[..], [0x0a, 0x0b, 0xff]);
        assert!(Vector::parse("v", "# n\n0a0").is_err());
        assert!(Vector::parse("v", "# n\nzz").is_err());
    }

    #[test]
    fn the_bundled_vectors_are_complete() {
        let vectors = load(&bundled()).unwrap();
        assert_eq!(vectors.len(), 263);
        let known = vectors.iter().filter(|v| v.expected.is_some()).count();
        assert_eq!(known, 57);
    }
}

//! Where certificates, keys and lists of authorities are read from.

use std::{
    borrow::Cow,
    fmt, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;

/// The most octets of one file: hundreds of authorities.
pub(crate) const MAX_FILE: u64 = 4 << 20;

/// One part of a TLS context: a file, or octets that stand in the configuration.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file, read again when it changes.
    File(PathBuf),
    /// The octets themselves.
    Inline(Arc<[u8]>),
}

impl Source {
    /// The octets.
    ///
    /// # Errors
    ///
    /// What an operator reads when the file cannot be read.
    pub(super) fn read(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::Inline(octets) => Ok(Cow::Borrowed(octets)),
            Self::File(path) => read(path)
                .map(Cow::Owned)
                .map_err(|error| format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// The file, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }

    /// How messages call it.
    pub(super) fn name(&self) -> String {
        self.path()
            .map_or_else(|| "<inline>".to_owned(), |path| path.display().to_string())
    }
}

/// Never shows the octets: they may be a private key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// How a context's source is made again when the files of its secrets change.
pub(crate) struct Recipe<S> {
    /// The files.
    pub(crate) files: Vec<PathBuf>,
    /// Reads them; the error is what an operator reads.
    pub(crate) make: Box<dyn Fn() -> Result<S, String> + Send + Sync>,
}

impl<S> fmt::Debug for Recipe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.files).finish()
    }
}

/// All files that a context is made of.
pub(super) fn files<'s, S>(
    recipe: Option<&Recipe<S>>,
    sources: impl Iterator<Item = &'s Source>,
) -> Vec<PathBuf> {
    let secrets = recipe
        .iter()
        .flat_map(|recipe| recipe.files.iter().cloned());
    let named = sources.filter_map(Source::path).map(Path::to_path_buf);
    secrets.chain(named).collect()
}

/// Puts into use what `load` makes of the source as it is now. Both stay what they are where that fails.
///
/// # Errors
///
/// What an operator reads.
pub(super) fn renew<S, T>(
    recipe: Option<&Recipe<S>>,
    source: &ArcSwap<S>,
    state: &ArcSwap<T>,
    load: impl FnOnce(&S) -> Result<T, String>,
) -> Result<(), String> {
    let fresh = match recipe {
        None => source.load_full(),
        Some(recipe) => Arc::new((recipe.make)()?),
    };
    state.store(Arc::new(load(&fresh)?));
    source.store(fresh);
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_FILE + 1).read_to_end(&mut octets)?;
    match octets.len() as u64 > MAX_FILE {
        true => Err(io::Error::other(format!("longer than {MAX_FILE} octets"))),
        false => Ok(octets),
    }
}

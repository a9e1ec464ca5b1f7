//! One resource, with where it comes from.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
};

use super::Needs;
use crate::{Position, Positions, Problem, Unused};

/// One resource as it was read.
#[derive(Clone, Debug)]
pub struct Resource<M> {
    /// The name by which it is asked for.
    pub name: Arc<str>,
    /// What it says. An `Any` within it holds a message of a known type.
    pub message: Arc<M>,
    /// The version of the resource itself, or of the response that it came with; empty where
    /// neither says one.
    pub version: Arc<str>,
    /// Where it was read.
    pub origin: Arc<Origin>,
    /// Tells whether two resources say the same.
    pub fingerprint: Fingerprint,
    /// What it names.
    pub needs: Arc<Needs>,
}

impl<M> Resource<M> {
    /// Whether `other` says the same, whatever its version: there is nothing to compile again.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.name == other.name
            && (Arc::ptr_eq(&self.message, &other.message) || self.fingerprint == other.fingerprint)
    }
}

/// What a resource says, as 128 bits: equal text or equal bytes have equal fingerprints.
///
/// The same said in another order or with other words of the same meaning has another one. It
/// holds within this process alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub(super) u128);

impl Fingerprint {
    pub(super) fn of(said: &impl Hash) -> Self {
        // The standard hasher gives 64 bits; two of them that begin differently give 128.
        let half = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            seed.hash(&mut hasher);
            said.hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Self((half(0) << 64) | half(1))
    }
}

/// Where a resource was read: gives the place of each field within it.
#[derive(Clone, Debug)]
pub struct Origin {
    positions: Arc<Positions>,
    /// The path of the resource within its file.
    within: Box<str>,
    dynamic: bool,
    unused: Vec<Unused>,
}

impl Origin {
    pub(crate) fn new(
        positions: Arc<Positions>,
        within: &str,
        dynamic: bool,
        unused: Vec<Unused>,
    ) -> Self {
        Self {
            positions,
            within: within.into(),
            dynamic,
            unused,
        }
    }

    /// Whether the resource was discovered, and does not stand in the bootstrap.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    /// The path of the resource within its file, such as `resources[3]` or
    /// `static_resources.clusters[1]`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.within
    }

    /// The full path of a field of the resource; the resource itself for an empty one.
    #[must_use]
    pub fn full_path(&self, path: &str) -> String {
        match path.is_empty() {
            true => self.within.to_string(),
            false => format!("{}.{path}", self.within),
        }
    }

    /// Where the field of this path stands, or the nearest field around it. The path begins
    /// within the resource: `filter_chains[0].filters[1]`.
    #[must_use]
    pub fn locate(&self, path: &str) -> Position {
        self.positions.locate(&self.full_path(path))
    }

    /// A problem with the field of this path, which begins within the resource.
    #[must_use]
    pub fn problem(
        &self,
        path: &str,
        reason: impl Into<String>,
        cure: impl Into<String>,
    ) -> Problem {
        Problem {
            at: self.locate(path),
            path: self.full_path(path),
            reason: reason.into(),
            cure: cure.into(),
        }
    }

    /// The fields of the resource that are set and not acted upon. Empty for a resource of the
    /// bootstrap, which reports them with the file as a whole.
    #[must_use]
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }
}

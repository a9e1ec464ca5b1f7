//! The descriptors of Envoy's configuration language, loaded as far as a file needs them.
//!
//! All 1 600 message types together take 17 MB of memory and 18 ms to decode; the bootstrap with
//! the extensions that a usual file names takes a third of both. So a pool is built per
//! configuration file, from what that file names, and is dropped with it.

use std::collections::BTreeSet;

use prost_reflect::DescriptorPool;

/// The full name of the bootstrap message: the root of a configuration file.
pub(crate) const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// A `.proto` file within [`BYTES`].
struct File {
    /// The first byte of its entry in a `FileDescriptorSet`.
    start: usize,
    /// The byte after its last.
    end: usize,
    /// The files it imports, each with a smaller number than its own.
    imports: &'static [u16],
}

// FILES: every file, imports first. TYPES: (full message name, file), sorted by name.
include!(concat!(env!("OUT_DIR"), "/index.rs"));

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The full names of all messages, sorted.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

/// A pool that holds the given messages and everything they refer to. Unknown names are skipped.
pub(crate) fn pool<'a>(messages: impl IntoIterator<Item = &'a str>) -> DescriptorPool {
    let mut wanted: BTreeSet<u16> = messages.into_iter().filter_map(file_of).collect();
    let mut visit: Vec<u16> = wanted.iter().copied().collect();
    while let Some(file) = visit.pop() {
        for import in FILES[usize::from(file)].imports {
            if wanted.insert(*import) {
                visit.push(*import);
            }
        }
    }
    let mut set = Vec::new();
    for file in wanted {
        let File { start, end, .. } = FILES[usize::from(file)];
        set.extend_from_slice(&BYTES[start..end]);
    }
    DescriptorPool::decode(set.as_slice())
        .expect("the build script decoded the same files in the same order")
}

/// Whether a message of this name is described.
pub(crate) fn is_known(name: &str) -> bool {
    file_of(name).is_some()
}

fn file_of(name: &str) -> Option<u16> {
    let at = TYPES.binary_search_by_key(&name, |(name, _)| *name).ok()?;
    Some(TYPES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_can_be_loaded() {
        let pool = pool(names());
        for name in names() {
            assert!(pool.get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_pool_holds_what_was_asked_for_and_no_more() {
        let pool = pool([BOOTSTRAP, "no.such.Type"]);
        assert!(pool.get_message_by_name(BOOTSTRAP).is_some());
        let filter = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
        assert!(names().any(|name| name == filter));
        assert!(pool.get_message_by_name(filter).is_none());
    }
}

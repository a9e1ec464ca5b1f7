//! Hash maps from bytes of the configuration, asked with bytes of requests.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use xxhash_rust::xxh64::xxh64;

/// A map whose keys all come from the configuration: a caller cannot make it slow, so its hash
/// needs no secret.
pub(super) type BytesMap<V> = HashMap<Box<[u8]>, V, BuildHasherDefault<OneShot>>;

/// xxHash64 of each piece, seeded with the hash of the pieces before it.
#[derive(Clone, Copy, Default)]
pub(super) struct OneShot(u64);

impl Hasher for OneShot {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh64(bytes, self.0);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

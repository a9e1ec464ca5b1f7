//! Hash maps from bytes of the configuration, asked with bytes of requests.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map whose keys all come from the configuration: a caller cannot make it slow, so its hash
/// needs no secret.
pub(super) type BytesMap<V> = HashMap<Box<[u8]>, V, BuildHasherDefault<Folded>>;

/// Multiplies eight bytes at a time and folds the product, so that each bit of it depends on all of
/// them.
#[derive(Clone, Copy, Default)]
pub(super) struct Folded(u64);

impl Folded {
    fn fold(&mut self, word: u64) {
        // An odd number with as many ones as zeros: 2^64 divided by the golden ratio.
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.0.rotate_left(23) ^ word) * u128::from(FACTOR);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks();
        for eight in eights {
            self.fold(u64::from_le_bytes(*eight));
        }
        // The last eight overlap with those before; the length, which is hashed too, tells which.
        let last = match bytes.last_chunk() {
            Some(last) if !rest.is_empty() => u64::from_le_bytes(*last),
            Some(_) => return,
            None => rest
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        self.fold(last);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> u64 {
        let mut hasher = Folded::default();
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
        hasher.finish()
    }

    #[test]
    fn every_byte_counts_and_buckets_fill_evenly() {
        for len in 1..40 {
            let zeros = vec![0; len];
            assert_ne!(hash(&zeros), hash(&zeros[1..]), "{len}");
            for at in 0..len {
                let mut other = zeros.clone();
                other[at] = 1;
                assert_ne!(hash(&other), hash(&zeros), "{at} of {len}");
            }
        }
        // As many names as places: by chance the fullest of 1024 has 6 or 7, and 377 are empty.
        for shift in [0, 20, 54] {
            let mut places = [0_u32; 1024];
            for number in 0..1024 {
                let name = format!("/com.acme.Service{number}/method");
                places[(hash(name.as_bytes()) >> shift) as usize % 1024] += 1;
            }
            let empty = places.iter().filter(|count| **count == 0).count();
            assert!(places.iter().max() < Some(&10), "{shift}: {places:?}");
            assert!((300..450).contains(&empty), "{shift}: {empty} are empty");
        }
    }
}

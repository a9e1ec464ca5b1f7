//! Ring hashing (ketama), entry for entry as Envoy places them.

use std::fmt::Write as _;

use xxhash_rust::xxh64::xxh64;

use super::{config::HashFunction, members::Entries, murmur::murmur2};

/// A filled ring.
#[derive(Debug)]
pub(super) struct Ring {
    /// Hashes, ascending.
    hashes: Box<[u64]>,
    ranks: Box<[u32]>,
    /// The first entry of each of equal parts of all hashes, about one entry a part: a search
    /// starts there, and costs the same on a ring of any size.
    starts: Box<[u32]>,
    /// The part of a hash is `hash >> shift`.
    shift: u32,
}

impl Ring {
    /// Places hosts on a ring of `sizes` entries, at least and at most.
    pub(super) fn new(entries: Entries<'_>, sizes: (u64, u64), function: HashFunction) -> Self {
        let mut placed = place(entries, sizes, function);
        placed.sort_by_key(|(hash, _)| *hash);
        let bits = placed.len().max(2).next_power_of_two().ilog2();
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut at = 0;
        for part in 0..1_u64 << bits {
            while placed
                .get(at)
                .is_some_and(|(hash, _)| *hash < part << shift)
            {
                at += 1;
            }
            starts.push(at as u32);
        }
        Self {
            hashes: placed.iter().map(|(hash, _)| *hash).collect(),
            ranks: placed.iter().map(|(_, rank)| *rank).collect(),
            starts: starts.into(),
            shift,
        }
    }

    /// The entry that `hash` belongs to: the first that is not below it.
    pub(super) fn find(&self, hash: u64) -> usize {
        let part = (hash >> self.shift) as usize;
        let start = self.starts.get(part).map_or(0, |start| *start as usize);
        let behind = self.hashes.get(start..).unwrap_or_default();
        let below = behind.iter().take_while(|entry| **entry < hash).count();
        let at = start + below;
        if at < self.hashes.len() { at } else { 0 }
    }

    /// The rank of the host `attempt` entries behind entry `at`.
    pub(super) fn rank(&self, at: usize, attempt: u64) -> usize {
        let at = (at as u64 + attempt) % self.ranks.len().max(1) as u64;
        self.ranks.get(at as usize).map_or(0, |rank| *rank as usize)
    }

    /// The bytes that the ring takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.hashes) + size_of_val(&*self.ranks) + size_of_val(&*self.starts)
    }
}

/// As many entries for each host as its weight says; running sums make up for what cannot be
/// divided, so the order of the hosts counts and is that of the configuration, as in Envoy.
fn place(
    entries: Entries<'_>,
    (minimum, maximum): (u64, u64),
    function: HashFunction,
) -> Vec<(u64, u32)> {
    let least = entries
        .normalized()
        .fold(1.0, |least: f64, (_, weight)| least.min(weight));
    let scale = ((least * minimum as f64).ceil() / least).min(maximum as f64);
    let mut placed = Vec::with_capacity(scale.ceil() as usize);
    let (mut count, mut target) = (0.0, 0.0);
    let mut text = String::new();
    for (rank, (key, weight)) in entries.normalized().enumerate() {
        target += scale * weight;
        let mut n = 0_u64;
        while count < target {
            text.clear();
            let _ = write!(text, "{key}_{n}");
            let hash = match function {
                HashFunction::XxHash => xxh64(text.as_bytes(), 0),
                HashFunction::MurmurHash2 => murmur2(text.as_bytes()),
            };
            placed.push((hash, rank as u32));
            n += 1;
            count += 1.0;
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(hosts: usize, sizes: (u64, u64)) -> Ring {
        let keys: Vec<Box<str>> = (0..hosts)
            .map(|at| format!("10.0.0.{at}:80").into())
            .collect();
        let weights = vec![1; hosts];
        let entries = Entries {
            keys: &keys,
            weights: &weights,
        };
        Ring::new(entries, sizes, HashFunction::XxHash)
    }

    #[test]
    fn every_host_has_a_whole_number_of_entries() {
        assert_eq!(
            ring(5, (1024, 8_388_608)).hashes.len(),
            1025,
            "as Envoy says"
        );
        assert_eq!(ring(1, (1024, 8_388_608)).hashes.len(), 1024);
        assert_eq!(ring(2000, (1024, 8_388_608)).hashes.len(), 2000);
        assert_eq!(ring(4, (6, 6)).hashes.len(), 6, "scaled down to fit");
    }

    #[test]
    fn a_search_ends_where_a_plain_one_does() {
        for hosts in [1, 2, 5, 300] {
            let ring = ring(hosts, (1024, 8_388_608));
            let mut hashes = vec![0, 1, u64::MAX, u64::MAX - 1];
            hashes.extend(
                ring.hashes
                    .iter()
                    .flat_map(|hash| [*hash, hash - 1, hash + 1]),
            );
            for hash in hashes {
                let plain = ring.hashes.partition_point(|entry| *entry < hash);
                assert_eq!(ring.find(hash), plain % ring.hashes.len(), "{hash:#x}");
            }
        }
    }

    #[test]
    fn a_search_looks_at_few_entries_whatever_the_size() {
        let steps = |hosts| {
            let ring = ring(hosts, (1024, 8_388_608));
            let starts = ring.starts.windows(2);
            starts
                .map(|pair| pair[1] - pair[0])
                .max()
                .unwrap_or_default()
        };
        assert!(steps(5) <= 12 && steps(100_000) <= 12);
    }
}

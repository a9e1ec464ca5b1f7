//! Maglev hashing (Eisenbud and others, NSDI 2016), slot for slot as Envoy fills the table.
//!
//! Every host has a permutation of all slots: it starts at `xx64(key) mod M` and goes on by
//! `xx64(key, seed 1) mod (M - 1) + 1`. In each round, in order of their keys, the hosts take the
//! next slot of their permutation that is free. A host lighter than the heaviest sits out rounds:
//! it takes a slot in round `i` if `i * weight` has reached its target, which then grows by the
//! greatest weight.

use std::{cmp::Reverse, collections::BinaryHeap};

use xxhash_rust::xxh64::xxh64;

use super::{
    members::Entries,
    slots::{Fill, Slots},
};

/// How much heavier than the mean the heaviest host may be before rounds are no longer walked
/// host by host.
const SKEWED: f64 = 16.0;

/// A filled table.
#[derive(Debug)]
pub(super) struct Maglev {
    slots: Slots,
}

impl Maglev {
    /// Fills a table of `size` slots, a prime, for hosts in the order of their keys.
    pub(super) fn new(entries: Entries<'_>, size: u32) -> Self {
        // One host or none: there is nothing to choose.
        let size = if entries.keys.len() < 2 { 1 } else { size };
        let filling = Filling::new(entries, size);
        Self {
            slots: Slots::filled(size as usize, entries.keys.len(), filling),
        }
    }

    /// The rank of the host that `hash` belongs to.
    #[inline]
    pub(super) fn choose(&self, hash: u64) -> usize {
        self.slots.rank((hash % self.slots.len() as u64) as usize)
    }

    /// The bytes that the table takes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes()
    }
}

/// A table that is being filled.
struct Filling {
    size: u32,
    hosts: Vec<Permutation>,
    /// Envoy's normalised weights; empty if all are equal.
    weights: Vec<f64>,
    /// One bit a slot.
    taken: Vec<u64>,
}

/// Where a host stands in its permutation, and by how much it goes on.
#[derive(Clone, Copy)]
struct Permutation {
    at: u32,
    skip: u32,
}

impl Filling {
    fn new(entries: Entries<'_>, size: u32) -> Self {
        let modulo = |hash: u64, modulus: u32| (hash % u64::from(modulus)) as u32;
        let permutation = |key: &str| Permutation {
            at: modulo(xxh64(key.as_bytes(), 0), size),
            skip: modulo(xxh64(key.as_bytes(), 1), (size - 1).max(1)) + 1,
        };
        let equal = entries.weights.windows(2).all(|pair| pair[0] == pair[1]);
        let weights = entries.normalized().map(|(_, weight)| weight);
        Self {
            size,
            hosts: entries.keys.iter().map(|key| permutation(key)).collect(),
            weights: if equal { Vec::new() } else { weights.collect() },
            taken: vec![0; size as usize / 64 + 1],
        }
    }

    /// The next free slot of a host.
    #[inline]
    fn take(&mut self, rank: usize) -> usize {
        let Permutation { mut at, skip } = self.hosts[rank];
        // Where the sum is below the size, the difference wraps around and is the greater of the
        // two: no branch, which could not be predicted.
        let step = |at: u32| (at + skip).min((at + skip).wrapping_sub(self.size));
        let taken = &mut self.taken[..];
        loop {
            let word = &mut taken[(at >> 6) as usize];
            let free = *word >> (at & 63) & 1 == 0;
            let slot = at;
            at = step(at);
            if free {
                *word |= 1 << (slot & 63);
                self.hosts[rank].at = at;
                return slot as usize;
            }
        }
    }

    /// All hosts in every round, which is what equal weights come to.
    fn rounds<T: Copy>(mut self, slots: &mut [T], narrow: impl Fn(usize) -> T) {
        let mut left = slots.len();
        while left > 0 {
            let hosts = self.hosts.len().min(left);
            for rank in 0..hosts {
                slots[self.take(rank)] = narrow(rank);
            }
            left -= hosts;
        }
    }

    /// Rounds in which hosts sit out by weight.
    fn weighted_rounds<T: Copy>(mut self, slots: &mut [T], narrow: impl Fn(usize) -> T) {
        let weights = std::mem::take(&mut self.weights);
        let greatest = weights.iter().copied().fold(0.0, f64::max);
        let mut targets = vec![0.0; weights.len()];
        let mut left = slots.len();
        for round in 1_u32.. {
            for (rank, (weight, target)) in weights.iter().zip(&mut targets).enumerate() {
                if left == 0 {
                    return;
                }
                if f64::from(round) * weight < *target {
                    continue;
                }
                *target += greatest;
                slots[self.take(rank)] = narrow(rank);
                left -= 1;
            }
        }
    }

    /// The same, without a look at the hosts that sit out: what is left to do is the next round
    /// of each host.
    fn skewed_rounds<T: Copy>(mut self, slots: &mut [T], narrow: impl Fn(usize) -> T) {
        let weights = std::mem::take(&mut self.weights);
        let greatest = weights.iter().copied().fold(0.0, f64::max);
        let mut targets = vec![0.0; weights.len()];
        let ranks = 0..weights.len();
        let mut due: BinaryHeap<_> = ranks.map(|rank| Reverse((1_u32, rank))).collect();
        for _ in 0..slots.len() {
            let Some(Reverse((round, rank))) = due.pop() else {
                return;
            };
            slots[self.take(rank)] = narrow(rank);
            targets[rank] += greatest;
            let next = next_round(round, weights[rank], targets[rank]);
            due.push(Reverse((next, rank)));
        }
    }
}

/// The first round after `round` in which a host of this weight has reached its target.
fn next_round(round: u32, weight: f64, target: f64) -> u32 {
    let reached = |round: u32| f64::from(round) * weight >= target;
    let guess = (target / weight).ceil().min(f64::from(u32::MAX)) as u32;
    let mut next = guess.max(round.saturating_add(1));
    while next > round + 1 && reached(next - 1) {
        next -= 1;
    }
    while !reached(next) && next < u32::MAX {
        next += 1;
    }
    next
}

impl Fill for Filling {
    fn fill<T: Copy>(self, slots: &mut [T], narrow: impl Fn(usize) -> T) {
        if self.hosts.len() < 2 {
            return;
        }
        let greatest = self.weights.iter().copied().fold(0.0, f64::max);
        if self.weights.is_empty() {
            self.rounds(slots, narrow);
        } else if greatest * self.hosts.len() as f64 > SKEWED {
            self.skewed_rounds(slots, narrow);
        } else {
            self.weighted_rounds(slots, narrow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(weights: &[u32], size: u32) -> (Vec<usize>, Vec<usize>) {
        let keys: Vec<Box<str>> = (0..weights.len())
            .map(|at| format!("h{at}").into())
            .collect();
        let entries = Entries {
            keys: &keys,
            weights,
        };
        let (mut walked, mut skewed) = (vec![0; size as usize], vec![0; size as usize]);
        Filling::new(entries, size).weighted_rounds(&mut walked, |rank| rank);
        Filling::new(entries, size).skewed_rounds(&mut skewed, |rank| rank);
        (walked, skewed)
    }

    #[test]
    fn skipping_rounds_changes_no_slot() {
        for weights in [
            vec![1, 1, 2, 3, 3],
            vec![1, 1000, 7, 1000, 3],
            vec![1, u32::MAX / 2, 1],
            (1..200).collect(),
        ] {
            let (walked, skewed) = both(&weights, 5003);
            assert_eq!(walked, skewed, "{weights:?}");
        }
    }

    #[test]
    fn more_hosts_than_slots_fill_the_table_once() {
        let keys: Vec<Box<str>> = (0..100).map(|at| format!("h{at}").into()).collect();
        let entries = Entries {
            keys: &keys,
            weights: &[1; 100],
        };
        let table = Maglev::new(entries, 7);
        let mut ranks: Vec<_> = (0..7).map(|hash| table.choose(hash)).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2, 3, 4, 5, 6]);
    }
}

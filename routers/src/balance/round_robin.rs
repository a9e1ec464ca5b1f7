//! Hosts in turn, each as often as its weight says.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::slots::{Fill, Slots};

/// The longest schedule that weights are written out in; see [`shares`].
const SCHEDULE_LIMIT: u64 = 1 << 16;

/// A schedule, and where it stands for all workers together.
#[derive(Debug)]
pub(super) struct RoundRobin {
    hosts: usize,
    /// `None` if all weights are equal: then it is all hosts in order.
    schedule: Option<Slots>,
    cursor: Cursor,
}

/// Written by every call: it has a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Cursor(AtomicUsize);

impl RoundRobin {
    /// A schedule of `weights`, which are above zero. It starts at `cursor`, or anywhere, so that
    /// gateways that start together do not go around in step.
    pub(super) fn new(weights: &[u32], cursor: Option<usize>) -> Self {
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let cursor = cursor.unwrap_or_else(|| fastrand::usize(..) >> 1);
        Self {
            hosts: weights.len(),
            schedule: (!equal).then(|| schedule(weights)),
            cursor: Cursor(AtomicUsize::new(cursor)),
        }
    }

    /// Where the schedule stands.
    pub(super) fn cursor(&self) -> usize {
        self.cursor.0.load(Relaxed)
    }

    /// The next rank. One that cannot be taken has had its turn: the others go on taking theirs.
    pub(super) fn choose(&self) -> usize {
        let length = self.schedule.as_ref().map_or(self.hosts, Slots::len);
        let at = self.cursor.0.fetch_add(1, Relaxed) % length;
        self.schedule.as_ref().map_or(at, |slots| slots.rank(at))
    }

    /// The bytes that the schedule takes.
    pub(super) fn bytes(&self) -> usize {
        self.schedule.as_ref().map_or(0, Slots::bytes)
    }
}

/// How often each rank stands in a schedule. Exact where the weights, made as small as they go,
/// sum up to [`SCHEDULE_LIMIT`] or less; else in proportion, each at least once, which makes the
/// share of a host wrong by at most one place of the schedule.
fn shares(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let total: u64 = weights
        .iter()
        .map(|weight| u64::from(weight / divisor))
        .sum();
    let limit = SCHEDULE_LIMIT.max(weights.len() as u64 * 4);
    let scaled = |weight: u64| {
        let places = u128::from(weight) * u128::from(limit) / u128::from(total);
        (places as u64).max(1)
    };
    let shares = weights.iter().map(|weight| u64::from(weight / divisor));
    if total <= limit {
        shares.collect()
    } else {
        shares.map(scaled).collect()
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Spreads each rank evenly: its `k`th of `n` places is due at `(k + 1/2) / n` of the round.
fn schedule(weights: &[u32]) -> Slots {
    let mut due: Vec<(f64, u32)> = Vec::new();
    for (rank, share) in shares(weights).into_iter().enumerate() {
        let places = (0..share).map(|k| (k as f64 + 0.5) / share as f64);
        due.extend(places.map(|at| (at, rank as u32)));
    }
    due.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    Slots::filled(due.len(), weights.len(), Due(due))
}

struct Due(Vec<(f64, u32)>);

impl Fill for Due {
    fn fill<T: Copy>(self, slots: &mut [T], narrow: impl Fn(usize) -> T) {
        for (slot, (_, rank)) in slots.iter_mut().zip(self.0) {
            *slot = narrow(rank as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(weights: &[u32], length: usize) -> Vec<usize> {
        let table = RoundRobin::new(weights, Some(0));
        (0..length).map(|_| table.choose()).collect()
    }

    #[test]
    fn equal_hosts_take_turns() {
        assert_eq!(sequence(&[7, 7, 7], 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(RoundRobin::new(&[7, 7, 7], None).bytes(), 0);
    }

    #[test]
    fn heavy_hosts_do_not_come_in_bursts() {
        assert_eq!(sequence(&[10, 30], 8), [1, 0, 1, 1, 1, 0, 1, 1]);
        let round = sequence(&[1, 1, 2, 3, 3], 10);
        let count = |rank| round.iter().filter(|it| **it == rank).count();
        assert_eq!([0, 1, 2, 3, 4].map(count), [1, 1, 2, 3, 3]);
        assert!(round.windows(2).all(|pair| pair[0] != pair[1]), "{round:?}");
    }

    #[test]
    fn schedules_are_bounded_and_forget_no_host() {
        let weights = [u32::MAX, 1, u32::MAX / 2];
        let shares = shares(&weights);
        assert_eq!(shares, [43690, 1, 21845]);
        assert!(RoundRobin::new(&weights, None).bytes() <= 1 << 16);
        let many: Vec<u32> = (1..=100_000).collect();
        assert!(super::shares(&many).iter().sum::<u64>() <= 500_000);
    }
}

//! Answers by their HTTP status.

use std::sync::OnceLock;

use super::{
    Shard,
    cells::{Row, sum},
};

/// The statuses of each class, from `x00` on.
const STATUSES: usize = 100;

/// Classes of statuses, from 1xx on.
const CLASSES: usize = 5;

/// How often each status was answered, from 100 to 599. A worker's part of a class takes memory
/// from its first answer on.
#[derive(Debug)]
pub(super) struct Codes {
    shards: Box<[[OnceLock<Row>; CLASSES]]>,
}

impl Codes {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Default::default()).collect(),
        }
    }

    #[inline]
    pub(super) fn record(&self, shard: Shard, status: u16) {
        let (status, classes) = (usize::from(status), self.shards.get(shard.0));
        let row = classes.and_then(|classes| classes.get((status / STATUSES).wrapping_sub(1)));
        if let Some(row) = row {
            row.get_or_init(|| Row::new(STATUSES))
                .add(status % STATUSES, 1);
        }
    }

    /// Every status that was answered, and how often.
    pub(super) fn read(&self) -> impl Iterator<Item = (u16, u64)> {
        let all = (1..=CLASSES).flat_map(|class| {
            (0..STATUSES).map(move |status| (class * STATUSES + status, class, status))
        });
        all.filter_map(|(code, class, status)| {
            let count = self.count(class, status);
            (count > 0).then_some((u16::try_from(code).ok()?, count))
        })
    }

    /// How many answers there were of a class, such as 2.
    pub(super) fn class(&self, class: u8) -> u64 {
        (0..STATUSES)
            .map(|status| self.count(usize::from(class), status))
            .sum()
    }

    /// How many answers there were.
    pub(super) fn total(&self) -> u64 {
        (1..=CLASSES).map(|class| self.class(class as u8)).sum()
    }

    fn count(&self, class: usize, status: usize) -> u64 {
        let rows = self.shards.iter();
        let rows = rows.filter_map(|classes| classes.get(class.wrapping_sub(1))?.get());
        sum(rows, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_one_by_one() {
        let codes = Codes::new(2);
        for status in [200, 200, 204, 503, 100, 599, 0, 99, 600, u16::MAX] {
            codes.record(Shard(1), status);
        }
        codes.record(Shard(0), 200);
        codes.record(Shard(2), 200);
        let read: Vec<_> = codes.read().collect();
        assert_eq!(read, [(100, 1), (200, 3), (204, 1), (503, 1), (599, 1)]);
        assert_eq!(
            [0, 1, 2, 3, 5, 6].map(|n| codes.class(n)),
            [0, 1, 4, 0, 2, 0]
        );
        assert_eq!(codes.total(), 7);
    }
}

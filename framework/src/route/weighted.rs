//! Clusters with weights.

use super::{ClusterSlot, Template};

/// Clusters with weights; a weight of zero is never drawn.
#[derive(Debug)]
pub struct Weighted {
    entries: Vec<WeightedCluster>,
    total: u64,
    draw: Draw,
}

/// One of several clusters of a route.
#[derive(Debug)]
pub struct WeightedCluster {
    /// The cluster.
    pub cluster: Named,
    /// Its share of [`Weighted`]'s total.
    pub weight: u32,
    /// Header changes of requests that come before those of the route.
    pub request_edits: Box<dyn Template>,
    /// Header changes of responses.
    pub response_edits: Box<dyn Template>,
}

/// How one of several clusters is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By the configuration.
    Slot(ClusterSlot),
    /// By a request header (`cluster_header`); its name in lower case.
    Header(Box<str>),
}

/// Which number the draw among several clusters uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Draw {
    /// The call's random number.
    #[default]
    Random,
    /// The number in this request header (`header_name`), which stands there once; else as
    /// [`Draw::Random`].
    Header(Box<str>),
    /// The hash of the route's hash policies (`use_hash_policy`), if one gave any; else as
    /// [`Draw::Random`].
    Hash,
}

impl Weighted {
    /// Clusters to draw from, or `None` if no weight is above zero.
    pub fn new(entries: Vec<WeightedCluster>, draw: Draw) -> Option<Self> {
        let total = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        (total > 0).then_some(Self {
            entries,
            total,
            draw,
        })
    }

    /// Which number to [`draw`](Self::draw) with.
    pub fn draws_by(&self) -> &Draw {
        &self.draw
    }

    /// The place in [`Weighted::entries`] that `number` falls upon.
    pub fn draw(&self, number: u64) -> usize {
        let mut left = number % self.total;
        for (at, entry) in self.entries.iter().enumerate() {
            match left.checked_sub(u64::from(entry.weight)) {
                Some(rest) => left = rest,
                None => return at,
            }
        }
        unreachable!("`left` starts below the sum of all weights")
    }

    /// Every entry, in configured order.
    pub fn entries(&self) -> &[WeightedCluster] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Unchanged, *};

    fn entry(slot: u32, weight: u32) -> WeightedCluster {
        WeightedCluster {
            cluster: Named::Slot(ClusterSlot(slot)),
            weight,
            request_edits: Box::new(Unchanged),
            response_edits: Box::new(Unchanged),
        }
    }

    #[test]
    fn draws_follow_the_weights_exactly() {
        let entries = vec![entry(0, 90), entry(1, 0), entry(2, 10)];
        let weighted = Weighted::new(entries, Draw::Random).expect("100");
        let mut seen = [0; 3];
        for random in 0..1000 {
            seen[weighted.draw(random)] += 1;
        }
        assert_eq!(seen, [900, 0, 100]);
    }

    #[test]
    fn nothing_to_draw_is_refused() {
        assert!(Weighted::new(vec![entry(0, 0)], Draw::Random).is_none());
        assert!(Weighted::new(Vec::new(), Draw::Random).is_none());
    }
}

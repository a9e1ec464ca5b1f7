//! The least loaded of a few random hosts.

use crossdock_framework::cluster::{HostIx, HostSet, Pick};

use super::{ATTEMPTS, alias::Alias, members::Members, mix};

/// Draws hosts by weight and compares what they have in flight.
///
/// Envoy, for unequal weights, keeps a schedule in which a host has the weight
/// `weight / (active + 1)^bias`. Drawing by weight and comparing just that needs no schedule: idle
/// hosts are chosen in proportion to their weights, and loaded ones drift to where
/// `(active + 1)^bias` is in proportion to them.
#[derive(Debug)]
pub(super) struct LeastRequest {
    draw: Alias,
    /// Empty if all are equal: then the number of calls in flight decides alone.
    weights: Box<[u32]>,
    choices: u32,
    bias: f64,
}

impl LeastRequest {
    /// A table of `weights`, which are above zero.
    pub(super) fn new(weights: &[u32], choices: u32, bias: f64) -> Self {
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self {
            draw: Alias::new(weights),
            weights: if equal {
                Box::default()
            } else {
                weights.into()
            },
            choices,
            bias,
        }
    }

    /// The least loaded of the open hosts among the draws, or `None` if there was none.
    pub(super) fn choose(
        &self,
        members: &Members,
        hosts: &HostSet,
        pick: &Pick<'_>,
    ) -> Option<HostIx> {
        let mut best: Option<(HostIx, usize, u32)> = None;
        let mut drawn = 0;
        for n in 0..ATTEMPTS.max(u64::from(self.choices)) {
            let rank = self.draw.choose(mix(pick.random, n));
            let Some(ix) = members.host(rank) else {
                continue;
            };
            let Some(host) = hosts.get(ix).filter(|host| pick.open(ix, host)) else {
                continue;
            };
            let active = host.state.active();
            let better = best.is_none_or(|(_, best_rank, best_active)| {
                self.lighter((rank, active), (best_rank, best_active))
            });
            if better {
                best = Some((ix, rank, active));
            }
            drawn += 1;
            if drawn == self.choices {
                break;
            }
        }
        best.map(|(ix, ..)| ix)
    }

    /// One draw, without a look at the load.
    pub(super) fn sample(&self, random: u64) -> usize {
        self.draw.choose(random)
    }

    /// The bytes that the table takes.
    pub(super) fn bytes(&self) -> usize {
        self.draw.bytes() + size_of_val(&*self.weights)
    }

    /// Whether the rank and number of calls in flight `left` is a better choice than `right`.
    fn lighter(&self, left: (usize, u32), right: (usize, u32)) -> bool {
        let weights = self.weights.get(left.0).zip(self.weights.get(right.0));
        let Some((left_weight, right_weight)) = weights else {
            return left.1 < right.1;
        };
        // The draw has weighed idle hosts already; with a bias of zero, loaded ones too.
        if (left.1 == 0 && right.1 == 0) || self.bias == 0.0 {
            return false;
        }
        let load = |active: u32| (f64::from(active) + 1.0).powf(self.bias);
        load(left.1) * f64::from(*right_weight) < load(right.1) * f64::from(*left_weight)
    }
}

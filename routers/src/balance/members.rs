//! The hosts that a balancer chooses from.

use std::net::SocketAddr;

use crossdock_framework::cluster::{Host, HostIx, HostSet};

use super::{
    below,
    config::{BalancerConfig, Policy},
};

/// The eligible hosts of a set by rank: in the order of the set, or by key for Maglev, whose
/// table depends on the order and should not depend on that of the configuration.
#[derive(Debug)]
pub(super) struct Members {
    hosts: Box<[HostIx]>,
    weights: Box<[u32]>,
    /// What hashing policies place; empty for all others.
    keys: Box<[Box<str>]>,
    counts: Counts,
}

/// How many hosts there are, how many of them are healthy by configuration, and from which share
/// of healthy ones on, in per cent, health counts.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    healthy: usize,
    all: usize,
    percent: u32,
}

impl Counts {
    /// Whether health is ignored with `ejected` of the healthy hosts ejected.
    fn panics(self, ejected: u32) -> bool {
        let healthy = self.healthy.saturating_sub(ejected as usize);
        100.0 * healthy as f64 / (self.all.max(1) as f64) < f64::from(self.percent)
    }
}

impl Members {
    /// The healthy hosts of `hosts`, or all when fewer than the panic threshold are healthy.
    pub(super) fn new(hosts: &HostSet, config: &BalancerConfig) -> Self {
        let counts = Counts {
            healthy: hosts.iter().filter(|(_, host)| host.healthy).count(),
            all: hosts.len(),
            percent: config.panic_percent,
        };
        let panic = counts.panics(0);
        let eligible = hosts.iter().filter(|(_, host)| host.healthy || panic);
        let members = match config.policy {
            Policy::RingHash { use_hostname, .. } => Self::keyed(eligible, use_hostname, false),
            Policy::Maglev { use_hostname, .. } => Self::keyed(eligible, use_hostname, true),
            _ => {
                let (hosts, weights) = eligible.map(|(ix, host)| (ix, weight(host))).unzip();
                let (hosts, weights): (Vec<_>, Vec<_>) = (hosts, weights);
                Self {
                    hosts: hosts.into(),
                    weights: weights.into(),
                    keys: Box::default(),
                    counts,
                }
            }
        };
        Self { counts, ..members }
    }

    /// Whether so few hosts are healthy, with `ejected` of them ejected, that health is ignored.
    pub(super) fn panics(&self, ejected: u32) -> bool {
        self.counts.panics(ejected)
    }

    fn keyed<'h>(
        eligible: impl Iterator<Item = (HostIx, &'h Host)>,
        use_hostname: bool,
        sorted: bool,
    ) -> Self {
        let entries = eligible.map(|(ix, host)| (key(host, use_hostname), ix, weight(host)));
        let mut entries: Vec<_> = entries.collect();
        if sorted {
            entries.sort_by(|left, right| left.0.cmp(&right.0));
        }
        Self {
            hosts: entries.iter().map(|entry| entry.1).collect(),
            weights: entries.iter().map(|entry| entry.2).collect(),
            keys: entries.into_iter().map(|entry| entry.0).collect(),
            counts: Counts::default(),
        }
    }

    /// Whether a table for these members is one for the others.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.weights == other.weights && self.keys == other.keys
    }

    /// Whether there is no host to choose.
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The host of a rank.
    pub(super) fn host(&self, rank: usize) -> Option<HostIx> {
        #[cfg(test)]
        super::tests::LOOKS.with(|looks| looks.set(looks.get() + 1));
        self.hosts.get(rank).copied()
    }

    /// The weights by rank.
    pub(super) fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// Keys and weights by rank.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries {
            keys: &self.keys,
            weights: &self.weights,
        }
    }

    /// The first host from a place that `random` says for which `good` holds.
    pub(super) fn walk(&self, random: u64, good: impl Fn(HostIx) -> bool) -> Option<HostIx> {
        let (before, after) = self.hosts.split_at(below(random, self.hosts.len()).0);
        after.iter().chain(before).copied().find(|ix| good(*ix))
    }
}

/// Keys and weights of hosts by rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'m> {
    pub(super) keys: &'m [Box<str>],
    pub(super) weights: &'m [u32],
}

impl Entries<'_> {
    /// Keys with Envoy's normalised weights, whose sum is one.
    pub(super) fn normalized(&self) -> impl Iterator<Item = (&str, f64)> {
        let total: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let weights = self.weights.iter();
        let weights = weights.map(move |weight| f64::from(*weight) / total as f64);
        self.keys.iter().map(|key| &**key).zip(weights)
    }
}

fn weight(host: &Host) -> u32 {
    host.weight.max(1)
}

/// What stands for a host on a ring: its configured hash key, else its name if wanted and known,
/// else its address.
fn key(host: &Host, use_hostname: bool) -> Box<str> {
    let configured = host.hash_key.as_deref().filter(|key| !key.is_empty());
    let name = || host.hostname.as_deref().filter(|_| use_hostname);
    let address = |address: SocketAddr| address.to_string().into();
    let key = configured.or_else(name).filter(|key| !key.is_empty());
    key.map_or_else(|| address(host.address), Into::into)
}

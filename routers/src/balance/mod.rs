//! How a host of a cluster is chosen.
//!
//! A [`LoadBalancer`] is built once from a set of hosts, off the workers, and shared by all of
//! them. It holds the hosts that are healthy by configuration (all of them in panic) and a table
//! over them, so that a pick costs the same for three hosts as for three thousand. Hosts that are
//! ejected or to be avoided at the moment are stepped around: a few other choices of the same policy
//! are tried, and only when all of those are closed too, the hosts are walked. So the others share
//! what an ejected host leaves as the policy says, and no table is built for an ejection.

mod alias;
mod config;
mod least_request;
mod maglev;
mod members;
mod murmur;
mod ring;
mod round_robin;
mod slots;

use std::sync::Arc;

use crossdock_framework::cluster::{Balancer, HostIx, HostSet, Pick};
use xxhash_rust::xxh64::xxh64;

pub use config::{BalancerConfig, HashFunction, Policy};

use alias::Alias;
use least_request::LeastRequest;
use maglev::Maglev;
use members::Members;
use ring::Ring;
use round_robin::RoundRobin;

/// How many choices a policy makes before the hosts are walked. With half of the hosts closed,
/// one pick of 256 walks.
const ATTEMPTS: u64 = 8;

/// A policy over the hosts of one [`HostSet`].
#[derive(Debug)]
pub struct LoadBalancer {
    members: Members,
    config: BalancerConfig,
    table: Arc<Table>,
}

/// What a policy precomputes. It knows hosts by their rank among the members.
#[derive(Debug)]
enum Table {
    RoundRobin(RoundRobin),
    Random(Alias),
    LeastRequest(LeastRequest),
    Ring(Ring),
    Maglev(Maglev),
}

impl LoadBalancer {
    /// Builds a balancer for `hosts`.
    ///
    /// `previous` is the balancer of the cluster so far, if there is one: where its table holds
    /// (the same policy over the same keys and weights, whatever the indices of the hosts), it is
    /// shared and not built again, and a round robin goes on where it was.
    pub fn build(previous: Option<&Self>, hosts: &HostSet, config: &BalancerConfig) -> Arc<Self> {
        let members = Members::new(hosts, config);
        let reusable = previous
            .filter(|previous| previous.config == *config && previous.members.same_as(&members));
        let table = match reusable {
            Some(previous) => previous.table.clone(),
            None => Arc::new(Table::build(previous, &members, config)),
        };
        Arc::new(Self {
            members,
            config: config.clone(),
            table,
        })
    }

    /// Whether both choose by one table in memory, because nothing that it depends on differs.
    pub fn shares_table(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
    }

    /// The bytes that the table takes.
    pub fn table_bytes(&self) -> usize {
        match &*self.table {
            Table::RoundRobin(table) => table.bytes(),
            Table::Random(table) => table.bytes(),
            Table::LeastRequest(table) => table.bytes(),
            Table::Ring(table) => table.bytes(),
            Table::Maglev(table) => table.bytes(),
        }
    }

    /// Makes up to [`ATTEMPTS`] choices until one is open, and walks the hosts if none was.
    fn settle(
        &self,
        hosts: &HostSet,
        pick: &Pick<'_>,
        seed: u64,
        mut choice: impl FnMut(u64) -> usize,
    ) -> Option<HostIx> {
        let open = |ix: HostIx| hosts.get(ix).is_some_and(|host| pick.open(ix, host));
        let first = self.members.host(choice(0))?;
        if open(first) {
            return Some(first);
        }
        let others = (1..ATTEMPTS).filter_map(|attempt| self.members.host(choice(attempt)));
        others
            .into_iter()
            .find(|ix| open(*ix))
            .or_else(|| self.members.walk(mix(seed, ATTEMPTS), open))
            .or_else(|| {
                let allowed = |ix| hosts.get(ix).is_some_and(|host| pick.allows(host));
                let fresh = |ix| allowed(ix) && !pick.tried.contains(&ix);
                let place = mix(seed, ATTEMPTS);
                let found = self.members.walk(place, fresh);
                found.or_else(|| self.members.walk(place, allowed))
            })
    }
}

impl Table {
    fn build(previous: Option<&LoadBalancer>, members: &Members, config: &BalancerConfig) -> Self {
        let weights = members.weights();
        match &config.policy {
            Policy::RoundRobin => {
                let cursor = previous.and_then(|previous| match &*previous.table {
                    Self::RoundRobin(table) => Some(table.cursor()),
                    _ => None,
                });
                Self::RoundRobin(RoundRobin::new(weights, cursor))
            }
            Policy::Random => Self::Random(Alias::new(weights)),
            Policy::LeastRequest { choices, bias } => {
                Self::LeastRequest(LeastRequest::new(weights, *choices, *bias))
            }
            Policy::RingHash {
                minimum,
                maximum,
                function,
                ..
            } => Self::Ring(Ring::new(
                members.entries(),
                (*minimum, *maximum),
                *function,
            )),
            Policy::Maglev { table_size, .. } => {
                Self::Maglev(Maglev::new(members.entries(), *table_size))
            }
        }
    }
}

impl Balancer for LoadBalancer {
    fn pick(&self, hosts: &HostSet, pick: &Pick<'_>) -> Option<HostIx> {
        if self.members.is_empty() {
            return None;
        }
        let mut pick = *pick;
        if pick.ejected > 0 && self.members.panics(pick.ejected) {
            pick.ejected = 0;
        }
        let pick = &pick;
        let random = pick.random;
        // As in Envoy, a call without a hash goes to a random place of the table.
        let hash = pick.hash.unwrap_or(random);
        match &*self.table {
            Table::RoundRobin(table) => self.settle(hosts, pick, random, |_| table.choose()),
            Table::Random(table) => self.settle(hosts, pick, random, |attempt| {
                table.choose(mix(random, attempt))
            }),
            Table::LeastRequest(table) => {
                let best = table.choose(&self.members, hosts, pick);
                best.or_else(|| self.settle(hosts, pick, random, |n| table.sample(mix(random, n))))
            }
            Table::Ring(table) => {
                let at = table.find(hash);
                self.settle(hosts, pick, hash, |attempt| table.rank(at, attempt))
            }
            Table::Maglev(table) => self.settle(hosts, pick, hash, |attempt| {
                table.choose(if attempt == 0 {
                    hash
                } else {
                    rehash(hash, attempt)
                })
            }),
        }
    }

    fn hashes(&self) -> bool {
        matches!(*self.table, Table::Ring(_) | Table::Maglev(_))
    }
}

/// Another hash for the same key: independent of the first, so that the keys of a closed host
/// spread over all others, and the same every time, so that a key keeps its second host.
fn rehash(hash: u64, attempt: u64) -> u64 {
    xxh64(&hash.to_le_bytes(), attempt)
}

/// The `n`th random number of the stream that `seed` starts (SplitMix64).
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `n` that is as even as `random`, and what is left of its randomness as a
/// fraction of 2^64.
fn below(random: u64, n: usize) -> (usize, u64) {
    let wide = u128::from(random) * n as u128;
    ((wide >> 64) as usize, wide as u64)
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;

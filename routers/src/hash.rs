//! The hash of a call for hashing balancers, bit for bit as Envoy computes it.

use std::{fmt::Write as _, net::IpAddr};

use crossdock_framework::{
    route::{Facts, HashPolicy},
    view::{Key, RoutingView},
};
use smallvec::SmallVec;
use xxhash_rust::xxh64::xxh64;

use crate::values::each_value;

/// The combined hash of `policies`, or `None` if none of them finds what it hashes.
///
/// Each policy gives the xxHash64 (seed 0) of a text; the hash so far is rotated left by one bit
/// and combined with it by exclusive or. A terminal policy ends the list once there is a hash.
pub fn hash(policies: &[HashPolicy], request: &dyn RoutingView, facts: &Facts) -> Option<u64> {
    let mut hash: Option<u64> = None;
    for policy in policies {
        let (found, terminal) = match policy {
            HashPolicy::Header { name, terminal } => (header(request, name), *terminal),
            HashPolicy::SourceIp { terminal } => {
                (facts.source.map(|peer| source(peer.ip())), *terminal)
            }
        };
        if let Some(found) = found {
            hash = Some(hash.map_or(0, |hash| hash.rotate_left(1)) ^ found);
        }
        if terminal && hash.is_some() {
            break;
        }
    }
    hash
}

fn header(request: &dyn RoutingView, name: &str) -> Option<u64> {
    let key = Key::from_header_name(name);
    let joined = request.get(key)?;
    if !joined.contains(',') {
        return Some(xxh64(joined.as_bytes(), 0));
    }
    // Sorted, so that their order does not count; each is seeded with the hash of those before.
    let mut values: SmallVec<[String; 4]> = SmallVec::new();
    each_value(request, key, &joined, |value| values.push(value.to_owned()));
    values.sort_unstable();
    Some(
        values
            .iter()
            .fold(0, |hash, value| xxh64(value.as_bytes(), hash)),
    )
}

fn source(address: IpAddr) -> u64 {
    let mut text: Stack = Stack::default();
    // The longest address has 45 characters and fits.
    let _ = write!(text, "{address}");
    xxh64(&text.0, 0)
}

/// Text that is written without a heap.
#[derive(Default)]
struct Stack(SmallVec<[u8; 48]>);

impl std::fmt::Write for Stack {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;

//! The hash of a call for hashing balancers, bit for bit as Envoy computes it.

mod compile;

use std::{fmt::Write as _, net::IpAddr};

use crossdock_framework::{
    edits::{Edit, Edits},
    route::{Facts, HashPolicy, HashSource},
    view::{Key, RoutingView},
};
use smallvec::SmallVec;
use xxhash_rust::xxh64::xxh64;

use crate::{
    rewrite::Substitute,
    rules::{cookie, query},
    values::each_value,
};

pub(crate) use compile::policy;

/// The combined hash of `policies`, or `None` if none of them finds what it hashes. A cookie that
/// the caller is to get is added to `response`.
///
/// Each policy gives the xxHash64 (seed 0) of a text; the hash so far is rotated left by one bit
/// and combined with it by exclusive or. A terminal policy ends the list once there is a hash.
pub fn hash(
    policies: &[HashPolicy],
    request: &dyn RoutingView,
    facts: &Facts,
    response: &mut Edits,
) -> Option<u64> {
    let mut hash: Option<u64> = None;
    for policy in policies {
        if let Some(found) = policy.source.hash(request, facts, response) {
            hash = Some(hash.map_or(0, |hash| hash.rotate_left(1)) ^ found);
        }
        if policy.terminal && hash.is_some() {
            break;
        }
    }
    hash
}

/// The hash of the caller's address, as the policy `source_ip` gives it.
pub fn hash_of_source(facts: &Facts) -> Option<u64> {
    facts.source.map(|peer| source(peer.ip()))
}

/// The value of a header or attachment, its name in lower case.
#[derive(Debug)]
struct Header {
    name: Box<str>,
    /// What is made of each value before.
    rewrite: Option<Substitute>,
}

/// The address of the caller.
#[derive(Debug)]
struct SourceIp;

/// The first value of a query parameter.
#[derive(Debug)]
struct QueryParameter(Box<str>);

/// The value of a cookie.
#[derive(Debug)]
struct Cookie {
    name: Box<str>,
    /// What a caller without the cookie is given behind `name="value"`; `None` for no cookie.
    given: Option<Box<str>>,
}

impl HashSource for Header {
    fn hash(&self, request: &dyn RoutingView, _: &Facts, _: &mut Edits) -> Option<u64> {
        let key = Key::from_header_name(&self.name);
        let joined = request.get(key)?;
        let changed = |value: &str| match &self.rewrite {
            Some(rewrite) => rewrite.apply(value).into_owned(),
            None => value.to_owned(),
        };
        if !joined.contains(',') {
            return Some(match &self.rewrite {
                Some(rewrite) => xxh64(rewrite.apply(&joined).as_bytes(), 0),
                None => xxh64(joined.as_bytes(), 0),
            });
        }
        // Sorted, so that their order does not count; each is seeded with the hash of those before.
        let mut values: SmallVec<[String; 4]> = SmallVec::new();
        each_value(request, key, &joined, |value| values.push(changed(value)));
        values.sort_unstable();
        let seeded = |hash, value: &String| xxh64(value.as_bytes(), hash);
        Some(values.iter().fold(0, seeded))
    }
}

impl HashSource for SourceIp {
    fn hash(&self, _: &dyn RoutingView, facts: &Facts, _: &mut Edits) -> Option<u64> {
        hash_of_source(facts)
    }
}

impl HashSource for QueryParameter {
    fn hash(&self, request: &dyn RoutingView, _: &Facts, _: &mut Edits) -> Option<u64> {
        let path = request.get(Key::Path)?;
        let value = query::first(&path, &self.0)?;
        Some(xxh64(value.as_bytes(), 0))
    }
}

impl HashSource for Cookie {
    fn hash(&self, request: &dyn RoutingView, facts: &Facts, response: &mut Edits) -> Option<u64> {
        let hashed = |value: &str| (!value.is_empty()).then(|| xxh64(value.as_bytes(), 0));
        if let Some(hash) = cookie::cookie(request, &self.name, hashed).flatten() {
            return Some(hash);
        }
        let given = self.given.as_deref()?;
        // The same for all calls of a connection, so that calls at the same time get the same.
        let ends = facts.ends;
        let value = xxh64(format!("{}{}", ends.peer, ends.local).as_bytes(), 0);
        let value = format!("{value:016x}");
        let cookie = format!("{}=\"{value}\"{given}", self.name);
        response.push(Edit::Append("set-cookie".into(), cookie.into()));
        Some(xxh64(value.as_bytes(), 0))
    }
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

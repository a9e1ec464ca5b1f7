//! Which filter chain a connection belongs to.
//!
//! Envoy looks at one property after the other, in the order of [`Chains::find`], and at each keeps
//! only the chains that are most specific about it. A choice is never taken back: a chain that was
//! dropped for its port is not looked at again when the ones kept fail on the server name.

mod criteria;
mod predicate;

use std::net::{IpAddr, SocketAddr};

pub(crate) use self::{
    criteria::{Criteria, ServerName, SourceType},
    predicate::Predicate,
};

/// What is known of a connection before it is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'s> {
    /// Where it was accepted.
    pub(crate) local: SocketAddr,
    /// Where it came from.
    pub(crate) peer: SocketAddr,
    /// Where the socket itself came from; differs behind a proxy that says so.
    pub(crate) direct: SocketAddr,
    /// Whether it begins with a ClientHello.
    pub(crate) tls: bool,
    /// The server name that its ClientHello asks for, in lower case.
    pub(crate) server_name: Option<&'s str>,
    /// The protocols that it wants to speak, most wanted first.
    pub(crate) applications: &'s [Box<[u8]>],
}

/// How specific a chain is about one property of a connection; `None` when it is not for it.
type Step<'s> = dyn Fn(&Criteria) -> Option<usize> + 's;

/// The criteria of a listener's chains, by the order of the chains.
#[derive(Debug)]
pub(crate) struct Chains {
    criteria: Vec<Criteria>,
    /// The chain of a connection that no other one fits.
    default: Option<usize>,
}

impl Chains {
    /// Chains with these criteria; `default` is the number of one without.
    pub(crate) fn new(criteria: Vec<Criteria>, default: Option<usize>) -> Self {
        Self { criteria, default }
    }

    /// Whether a chain asks for what only a ClientHello says, as Envoy sees it: then it is looked
    /// at whether or not a listener filter says so.
    pub(crate) fn need_hello(&self) -> bool {
        self.criteria.iter().any(Criteria::needs_hello)
    }

    /// Whether a chain asks for the protocol of plain text.
    pub(crate) fn need_protocol(&self) -> bool {
        self.criteria.iter().any(Criteria::needs_protocol)
    }

    /// The number of the chain that fits best; `None` when none does.
    pub(crate) fn find(&self, seen: &Seen<'_>) -> Option<usize> {
        // Most listeners have one chain that takes everything.
        if let ([only], None) = (self.criteria.as_slice(), self.default)
            && only.is_anything()
        {
            return Some(0);
        }
        let mut left: Vec<usize> = (0..self.criteria.len()).collect();
        let local = seen.peer.ip().is_loopback() || seen.peer.ip() == seen.local.ip();
        let steps: [&Step<'_>; 9] = [
            &|chain| chain.port(seen.local.port()),
            &|chain| chain.destination(seen.local.ip()),
            &|chain| chain.server_name(seen.server_name),
            &|chain| chain.transport(seen.tls),
            &|chain| chain.application(seen.applications),
            &|chain| chain.direct(seen.direct.ip()),
            &|chain| chain.source_type(local),
            &|chain| chain.source(seen.peer.ip()),
            &|chain| chain.source_port(seen.peer.port()),
        ];
        for step in steps {
            self.keep_best(&mut left, step);
        }
        left.first().copied().or(self.default)
    }

    fn keep_best(&self, left: &mut Vec<usize>, step: &Step<'_>) {
        let rank = |at: &usize| self.criteria.get(*at).and_then(step);
        let best = left.iter().filter_map(rank).max();
        left.retain(|at| best.is_some() && rank(at) == best);
    }

    /// The first two chains between which a connection could not choose.
    pub(crate) fn ambiguous(&self) -> Option<(usize, usize)> {
        self.criteria.iter().enumerate().find_map(|(at, chain)| {
            let before = self.criteria.iter().take(at);
            let same = before.enumerate().find(|(_, other)| chain.overlaps(other));
            same.map(|(other, _)| (other, at))
        })
    }
}

/// An address without regard to whether IPv4 is written as IPv6.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests;

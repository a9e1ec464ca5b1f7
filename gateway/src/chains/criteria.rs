//! What one filter chain asks for: `FilterChainMatch`.
//!
//! Each question is answered with how specific the chain is about the property: `None` when it
//! wants something else, `Some(0)` when it wants nothing in particular.

use std::net::IpAddr;

use crossdock_framework::network::Network;

use super::canonical;

/// Above every specificity that is made of a length.
const EXACT: usize = usize::MAX;

/// What a filter chain asks for. Empty lists ask for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Criteria {
    pub(crate) port: Option<u16>,
    pub(crate) destinations: Vec<Network>,
    pub(crate) server_names: Vec<ServerName>,
    /// Whether TLS or plain text is wanted.
    pub(crate) tls: Option<bool>,
    pub(crate) applications: Vec<Box<[u8]>>,
    pub(crate) direct: Vec<Network>,
    pub(crate) source_type: SourceType,
    pub(crate) sources: Vec<Network>,
    pub(crate) source_ports: Vec<u16>,
}

/// A server name, or every name below a domain; in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerName {
    /// This one.
    Exact(Box<str>),
    /// What ends so; with the dot in front.
    Below(Box<str>),
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SourceType {
    #[default]
    Any,
    /// This machine.
    Local,
    /// Another machine.
    External,
}

impl Criteria {
    /// Whether every connection fits.
    pub(super) fn is_anything(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn needs_hello(&self) -> bool {
        let named = !self.server_names.is_empty() || !self.applications.is_empty();
        self.tls == Some(true) || self.tls.is_none() && named
    }

    pub(super) fn needs_protocol(&self) -> bool {
        self.tls != Some(true) && !self.applications.is_empty()
    }

    pub(super) fn port(&self, port: u16) -> Option<usize> {
        match self.port {
            None => Some(0),
            Some(wanted) => (wanted == port).then_some(1),
        }
    }

    pub(super) fn destination(&self, address: IpAddr) -> Option<usize> {
        longest(&self.destinations, address)
    }

    pub(super) fn server_name(&self, name: Option<&str>) -> Option<usize> {
        if self.server_names.is_empty() {
            return Some(0);
        }
        let name = name?;
        let rank = |wanted: &ServerName| match wanted {
            ServerName::Exact(exact) => (**exact == *name).then_some(EXACT),
            ServerName::Below(suffix) => {
                let below = name.len() > suffix.len() && name.ends_with(&**suffix);
                below.then_some(suffix.len())
            }
        };
        self.server_names.iter().filter_map(rank).max()
    }

    pub(super) fn transport(&self, tls: bool) -> Option<usize> {
        match self.tls {
            None => Some(0),
            Some(wanted) => (wanted == tls).then_some(1),
        }
    }

    /// The protocol that the connection wants most decides.
    pub(super) fn application(&self, wanted: &[Box<[u8]>]) -> Option<usize> {
        if self.applications.is_empty() {
            return Some(0);
        }
        let served = wanted
            .iter()
            .position(|name| self.applications.contains(name));
        served.map(|at| EXACT - at)
    }

    pub(super) fn direct(&self, address: IpAddr) -> Option<usize> {
        longest(&self.direct, address)
    }

    pub(super) fn source_type(&self, local: bool) -> Option<usize> {
        match self.source_type {
            SourceType::Any => Some(0),
            SourceType::Local => local.then_some(1),
            SourceType::External => (!local).then_some(1),
        }
    }

    pub(super) fn source(&self, address: IpAddr) -> Option<usize> {
        longest(&self.sources, address)
    }

    pub(super) fn source_port(&self, port: u16) -> Option<usize> {
        match self.source_ports.as_slice() {
            [] => Some(0),
            ports => ports.contains(&port).then_some(1),
        }
    }

    /// Whether some connection would fit both alike.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.port == other.port
            && self.tls == other.tls
            && self.source_type == other.source_type
            && common(&self.destinations, &other.destinations)
            && common(&self.server_names, &other.server_names)
            && common(&self.applications, &other.applications)
            && common(&self.direct, &other.direct)
            && common(&self.sources, &other.sources)
            && common(&self.source_ports, &other.source_ports)
    }
}

fn common<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() && other.is_empty() || one.iter().any(|value| other.contains(value))
}

fn longest(ranges: &[Network], address: IpAddr) -> Option<usize> {
    if ranges.is_empty() {
        return Some(0);
    }
    let address = canonical(address);
    let holding = ranges.iter().filter(|range| range.holds(address));
    holding.map(|range| range.length() as usize + 1).max()
}

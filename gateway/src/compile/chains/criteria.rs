//! For which connections a filter chain is.

use crossdock_framework::network::Network;
use crossdock_xds::envoy_types::pb::envoy::config::{
    core::v3::CidrRange,
    listener::v3::{FilterChainMatch, filter_chain_match::ConnectionSourceType},
};

use crate::{
    chains::{Criteria, ServerName, SourceType},
    compile::{Problems, tls::Wrong},
};

/// Compiles the `filter_chain_match` at `path`.
pub(super) fn compile(
    given: &FilterChainMatch,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Criteria, Wrong> {
    let before = problems.list.len();
    let tls = match given.transport_protocol.as_str() {
        "" => None,
        "tls" => Some(true),
        "raw_buffer" => Some(false),
        other => {
            let reason = format!("'{other}' is no transport protocol that is told apart");
            let field = format!("{path}.transport_protocol");
            problems.add(field, reason, "use tls or raw_buffer");
            None
        }
    };
    let mut ranges =
        |field: &str, given: &[CidrRange]| ranges(given, &format!("{path}.{field}"), problems);
    let destinations = ranges("prefix_ranges", &given.prefix_ranges);
    let direct = ranges(
        "direct_source_prefix_ranges",
        &given.direct_source_prefix_ranges,
    );
    let sources = ranges("source_prefix_ranges", &given.source_prefix_ranges);
    let criteria = Criteria {
        port: given
            .destination_port
            .and_then(|port| u16::try_from(port.value).ok()),
        destinations,
        server_names: names(&given.server_names, path, problems),
        tls,
        applications: given
            .application_protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect(),
        direct,
        source_type: match given.source_type() {
            ConnectionSourceType::Any => SourceType::Any,
            ConnectionSourceType::SameIpOrLoopback => SourceType::Local,
            ConnectionSourceType::External => SourceType::External,
        },
        sources,
        source_ports: given
            .source_ports
            .iter()
            .filter_map(|port| u16::try_from(*port).ok())
            .collect(),
    };
    match problems.list.len() == before {
        true => Ok(criteria),
        false => Err(Wrong),
    }
}

pub(in crate::compile) fn ranges(
    given: &[CidrRange],
    path: &str,
    problems: &mut Problems<'_>,
) -> Vec<Network> {
    let mut ranges = Vec::with_capacity(given.len());
    for (ix, range) in given.iter().enumerate() {
        let address = range.address_prefix.parse();
        // Envoy: a range without a length holds everything.
        let length = range.prefix_len.map_or(0, |length| length.value);
        match address
            .ok()
            .and_then(|address| Network::new(address, length))
        {
            Some(range) => ranges.push(range),
            None => {
                let shown = format!("{}/{length}", range.address_prefix);
                problems.add(
                    format!("{path}[{ix}]"),
                    format!("'{shown}' is no range of addresses"),
                    "give an address_prefix and its prefix_len",
                );
            }
        }
    }
    ranges
}

fn names(given: &[String], path: &str, problems: &mut Problems<'_>) -> Vec<ServerName> {
    let mut names = Vec::with_capacity(given.len());
    for (ix, name) in given.iter().enumerate() {
        let name = name.to_ascii_lowercase();
        let below = name.strip_prefix('*');
        let good = match below {
            Some(suffix) => suffix.len() > 1 && suffix.starts_with('.') && !suffix.contains('*'),
            None => !name.is_empty() && !name.contains('*'),
        };
        if !good {
            problems.add(
                format!("{path}.server_names[{ix}]"),
                format!("'{name}' is neither a name nor `*.` and a domain"),
                "name servers in full, or leave server_names out",
            );
            continue;
        }
        names.push(match below {
            Some(suffix) => ServerName::Below(suffix.into()),
            None => ServerName::Exact(name.as_str().into()),
        });
    }
    names
}

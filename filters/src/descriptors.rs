//! Descriptors: what a rate limit knows of a call, as `rate_limits` of routes make it of words.

use std::{borrow::Cow, net::IpAddr};

use crossdock_framework::{filter::RequestCx, view::Key};
use crossdock_routers::{HeaderRules, Problem, QueryRules, query_parameter};
use crossdock_xds::envoy_types::pb::envoy::config::route::v3::{
    RateLimit,
    rate_limit::{Action, action::ActionSpecifier},
};
use smallvec::SmallVec;

use crate::http_filters::within;

/// One word of a descriptor: its key and its value.
pub(crate) type Entry<'c> = (&'c str, Cow<'c, str>);

/// What makes the descriptors of a call.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<Box<[Step]>>);

/// What makes one word.
#[derive(Debug)]
enum Step {
    Fixed(Box<str>, Box<str>),
    Cluster,
    Header {
        name: Box<str>,
        key: Box<str>,
        optional: bool,
    },
    Query {
        name: Box<str>,
        key: Box<str>,
        optional: bool,
    },
    Address,
    /// The lengths of the prefixes that count, of version 4 and 6.
    Network(u8, u8),
    Headers {
        rules: HeaderRules,
        wanted: bool,
        entry: (Box<str>, Box<str>),
    },
    Parameters {
        rules: QueryRules,
        wanted: bool,
        entry: (Box<str>, Box<str>),
    },
}

/// What becomes of a descriptor at one step.
enum Word<'c> {
    Is(Entry<'c>),
    /// It goes on without this word.
    Skip,
    /// There is no descriptor.
    None,
}

impl Descriptors {
    /// Adds what one `rate_limits` entry at `path` makes. One with an action that is not acted upon
    /// makes no descriptor.
    pub(crate) fn add(
        &mut self,
        limit: &RateLimit,
        path: &str,
        local_cluster: &str,
        problems: &mut Vec<Problem>,
    ) {
        let mut steps = Vec::with_capacity(limit.actions.len());
        for (at, action) in limit.actions.iter().enumerate() {
            match Step::compile(action, local_cluster) {
                Ok(Some(step)) => steps.push(step),
                Ok(None) => return,
                Err(wrong) => {
                    problems.extend(within(&format!("{path}.actions[{at}]"), wrong));
                }
            }
        }
        self.0.push(steps.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls `each` with every descriptor of a call.
    pub(crate) fn of<'c>(&'c self, cx: &'c RequestCx<'_>, mut each: impl FnMut(&[Entry<'c>])) {
        for steps in &self.0 {
            let mut entries: SmallVec<[Entry<'c>; 4]> = SmallVec::new();
            let complete = steps.iter().all(|step| match step.word(cx) {
                Word::Is(entry) => {
                    entries.push(entry);
                    true
                }
                Word::Skip => true,
                Word::None => false,
            });
            if complete && !entries.is_empty() {
                each(&entries);
            }
        }
    }
}

impl Step {
    /// `None` for an action that is not acted upon.
    fn compile(action: &Action, local_cluster: &str) -> Result<Option<Self>, Vec<Problem>> {
        use ActionSpecifier as Is;
        let lower = |name: &str| name.to_ascii_lowercase().into();
        let or = |key: &str, usual: &str| -> Box<str> {
            match key {
                "" => usual.into(),
                key => key.into(),
            }
        };
        let Some(specifier) = &action.action_specifier else {
            return Ok(None);
        };
        Ok(Some(match specifier {
            Is::SourceCluster(_) => Self::Fixed("source_cluster".into(), local_cluster.into()),
            Is::DestinationCluster(_) => Self::Cluster,
            Is::RequestHeaders(header) => Self::Header {
                name: lower(&header.header_name),
                key: header.descriptor_key.as_str().into(),
                optional: header.skip_if_absent,
            },
            Is::QueryParameters(query) => Self::Query {
                name: query.query_parameter_name.as_str().into(),
                key: query.descriptor_key.as_str().into(),
                optional: query.skip_if_absent,
            },
            Is::RemoteAddress(_) => Self::Address,
            Is::MaskedRemoteAddress(masked) => {
                let length = |given: Option<u32>, all: u8| {
                    given.map_or(all, |given| u8::try_from(given).unwrap_or(all).min(all))
                };
                let v4 = masked.v4_prefix_mask_len.map(|length| length.value);
                let v6 = masked.v6_prefix_mask_len.map(|length| length.value);
                Self::Network(length(v4, 32), length(v6, 128))
            }
            Is::GenericKey(generic) => Self::Fixed(
                or(&generic.descriptor_key, "generic_key"),
                generic.descriptor_value.as_str().into(),
            ),
            Is::HeaderValueMatch(matched) => Self::Headers {
                rules: HeaderRules::compile(&matched.headers)
                    .map_err(|wrong| within("header_value_match", wrong).collect::<Vec<_>>())?,
                wanted: matched.expect_match.is_none_or(|wanted| wanted.value),
                entry: (
                    or(&matched.descriptor_key, "header_match"),
                    matched.descriptor_value.as_str().into(),
                ),
            },
            Is::QueryParameterValueMatch(matched) => Self::Parameters {
                rules: QueryRules::compile(&matched.query_parameters).map_err(|wrong| {
                    within("query_parameter_value_match", wrong).collect::<Vec<_>>()
                })?,
                wanted: matched.expect_match.is_none_or(|wanted| wanted.value),
                entry: (
                    or(&matched.descriptor_key, "query_match"),
                    matched.descriptor_value.as_str().into(),
                ),
            },
            _ => return Ok(None),
        }))
    }

    fn word<'c>(&'c self, cx: &'c RequestCx<'_>) -> Word<'c> {
        let found = |key: &'c str, value: Option<Cow<'c, str>>, optional: bool| match value {
            Some(value) => Word::Is((key, value)),
            None if optional => Word::Skip,
            None => Word::None,
        };
        let is = |entry: &'c (Box<str>, Box<str>)| Word::Is((&entry.0, Cow::Borrowed(&*entry.1)));
        let source = || cx.facts.source.map(|source| source.ip().to_canonical());
        match self {
            Self::Fixed(key, value) => Word::Is((key, Cow::Borrowed(value))),
            Self::Cluster => {
                let cluster = (cx.cluster)().map(|name| name.to_string().into());
                found("destination_cluster", cluster, false)
            }
            Self::Header {
                name,
                key,
                optional,
            } => found(
                key,
                cx.request.first(Key::from_header_name(name)),
                *optional,
            ),
            Self::Query {
                name,
                key,
                optional,
            } => {
                let path = cx.request.get(Key::Path);
                let value = path.as_deref().and_then(|path| query_parameter(path, name));
                let value = value.filter(|value| !value.is_empty());
                found(key, value.map(|value| value.to_owned().into()), *optional)
            }
            Self::Address => {
                let address = source().map(|ip| ip.to_string().into());
                found("remote_address", address, false)
            }
            Self::Network(v4, v6) => {
                let network = source().map(|ip| network(ip, *v4, *v6).into());
                found("masked_remote_address", network, false)
            }
            Self::Headers {
                rules,
                wanted,
                entry,
            } => match rules.match_all(cx.request) == *wanted {
                true => is(entry),
                false => Word::None,
            },
            Self::Parameters {
                rules,
                wanted,
                entry,
            } => match rules.match_all(cx.request) == *wanted {
                true => is(entry),
                false => Word::None,
            },
        }
    }
}

/// The network that an address is in, as `192.168.1.0/24`.
fn network(ip: IpAddr, v4: u8, v6: u8) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
            let masked = std::net::Ipv4Addr::from(u32::from(ip) & mask);
            format!("{masked}/{v4}")
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
            let masked = std::net::Ipv6Addr::from(u128::from(ip) & mask);
            format!("{masked}/{v6}")
        }
    }
}

#[cfg(test)]
mod tests;

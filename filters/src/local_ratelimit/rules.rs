//! The buckets of descriptors.

use std::{
    collections::HashMap,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use crossdock_framework::{snapshot::Ends, time::Moment};
use crossdock_routers::Problem;
use crossdock_xds::envoy_types::pb::envoy::extensions::{
    common::ratelimit::v3::LocalRateLimitDescriptor,
    filters::http::local_ratelimit::v3::LocalRateLimit as Config,
};

use crate::{
    Site,
    bucket::{Bucket, Level, Rate},
    descriptors::Entry,
    http_filters::within,
    keyed::{Key, Keyed},
};

/// Values of a descriptor without a value of its own that have a bucket each, unless configured.
/// Envoy has 20, and forgets what others have used up.
const VALUES: usize = 10_000;

/// The most values that may be configured.
const MOST_VALUES: u32 = 1_000_000;

/// Connections that have a bucket each.
const CONNECTIONS: usize = 65_536;

/// A bucket, or one for each value or connection.
#[derive(Debug)]
pub(super) enum Tokens {
    Shared(Arc<Bucket>),
    ByConnection(Arc<Keyed>),
    ByValue(Arc<Keyed>),
}

impl Tokens {
    /// The bucket `name` of a place; the one that is there already if it fills in the same way.
    pub(super) fn new(name: &str, rate: Rate, per_connection: bool, site: &Site<'_>) -> Self {
        let name = format!("{name} {rate:?}");
        match per_connection {
            false => Self::Shared(site.keep(&name, || Bucket::new(rate))),
            true => Self::ByConnection(site.keep(&name, || Keyed::new(rate, CONNECTIONS))),
        }
    }

    fn key(&self, entries: &[Entry<'_>], ends: Ends) -> Option<Key> {
        match self {
            Self::Shared(_) => None,
            Self::ByConnection(keyed) => Some(keyed.key((ends.peer, ends.local))),
            Self::ByValue(keyed) => Some(keyed.key(entries)),
        }
    }

    fn take_from(&self, key: Option<Key>, now: Moment) -> Level {
        match (self, key) {
            (Self::Shared(bucket), _) => bucket.take(now),
            (Self::ByConnection(keyed) | Self::ByValue(keyed), Some(key)) => keyed.take(key, now),
            (Self::ByConnection(keyed) | Self::ByValue(keyed), None) => {
                keyed.take(keyed.key(()), now)
            }
        }
    }

    pub(super) fn take(&self, entries: &[Entry<'_>], ends: Ends, now: Moment) -> Level {
        self.take_from(self.key(entries, ends), now)
    }
}

/// The buckets of descriptors.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// Those whose every word has a value, by the hash of all words.
    exact: HashMap<u64, Vec<usize>>,
    /// The others.
    open: Vec<usize>,
}

#[derive(Debug)]
struct Rule {
    /// Keys and values; an empty value is for any.
    entries: Box<[(Box<str>, Box<str>)]>,
    tokens: Tokens,
    shadow: bool,
    /// Its place among all by how slowly it fills.
    rank: usize,
}

/// A bucket that a descriptor fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'r> {
    rule: &'r Rule,
    key: Option<Key>,
}

impl Found<'_> {
    pub(super) fn rank(&self) -> usize {
        self.rule.rank
    }

    pub(super) fn is_shadow(&self) -> bool {
        self.rule.shadow
    }

    pub(super) fn take(&self, now: Moment) -> Level {
        self.rule.tokens.take_from(self.key, now)
    }
}

impl Rules {
    pub(super) fn compile(config: &Config, site: &Site<'_>, problems: &mut Vec<Problem>) -> Self {
        let values = config.max_dynamic_descriptors.as_ref();
        let values = values.map(|values| values.value);
        if values.is_some_and(|values| values > MOST_VALUES) {
            problems.push(Problem {
                path: "max_dynamic_descriptors".to_owned(),
                reason: format!("it is above {MOST_VALUES}"),
                cure: "keep fewer values; those above it share one bucket".to_owned(),
            });
        }
        let values = values.map_or(VALUES, |values| values as usize);
        let per_connection = config.local_rate_limit_per_downstream_connection;
        let mut made: Vec<(Rule, Rate)> = Vec::new();
        for (at, message) in config.descriptors.iter().enumerate() {
            let path = format!("descriptors[{at}]");
            match rule(message, (values, per_connection), site) {
                Ok((rule, _)) if made.iter().any(|(it, _)| it.entries == rule.entries) => {
                    problems.push(Problem {
                        path,
                        reason: "there is another descriptor with the same entries".to_owned(),
                        cure: "leave only one of them".to_owned(),
                    });
                }
                Ok(one) => made.push(one),
                Err(wrong) => problems.extend(within(&path, vec![wrong])),
            }
        }
        let rates: Vec<Rate> = made.iter().map(|(_, rate)| *rate).collect();
        let mut rules = Self::default();
        for (at, (rule, rate)) in made.into_iter().enumerate() {
            let slower = rates.iter().filter(|other| other.is_slower(rate));
            let rank = slower.count();
            match rule.entries.iter().any(|(_, value)| value.is_empty()) {
                true => rules.open.push(at),
                false => {
                    let words = rule.entries.iter();
                    let hash = hash(words.map(|(key, value)| (&**key, &**value)));
                    rules.exact.entry(hash).or_default().push(at);
                }
            }
            rules.rules.push(Rule { rank, ..rule });
        }
        rules
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The bucket that a descriptor fits: one for its very words before one for any.
    pub(super) fn find(&self, entries: &[Entry<'_>], ends: Ends) -> Option<Found<'_>> {
        let rule = |at: &usize| self.rules.get(*at).filter(|rule| rule.fits(entries));
        let mut exact = None;
        if !self.exact.is_empty() {
            let hash = hash(entries.iter().map(|(key, value)| (*key, &**value)));
            exact = self
                .exact
                .get(&hash)
                .and_then(|all| all.iter().find_map(rule));
        }
        let rule = exact.or_else(|| self.open.iter().find_map(rule))?;
        let key = rule.tokens.key(entries, ends);
        Some(Found { rule, key })
    }
}

impl Rule {
    fn fits(&self, entries: &[Entry<'_>]) -> bool {
        let mut words = self.entries.iter().zip(entries);
        self.entries.len() == entries.len()
            && words.all(|((key, value), (own, is))| {
                **key == **own && (value.is_empty() || **value == **is)
            })
    }
}

fn rule(
    message: &LocalRateLimitDescriptor,
    (values, per_connection): (usize, bool),
    site: &Site<'_>,
) -> Result<(Rule, Rate), Problem> {
    let bucket = message.token_bucket.unwrap_or_default();
    let rate = Rate::of(&bucket).map_err(|wrong| Problem {
        path: format!("token_bucket.{}", wrong.path),
        ..wrong
    })?;
    let words = message.entries.iter();
    let entries: Box<[_]> = words
        .map(|entry| (entry.key.as_str().into(), entry.value.as_str().into()))
        .collect();
    let open = message.entries.iter().any(|entry| entry.value.is_empty());
    if open && per_connection {
        return Err(Problem {
            path: "entries".to_owned(),
            reason: "a bucket for each value and each connection is not in this version".to_owned(),
            cure: "give every entry a value, or limit all connections together".to_owned(),
        });
    }
    let name = format!("{entries:?}");
    let tokens = match open {
        true => {
            let name = format!("{name} {rate:?} {values}");
            Tokens::ByValue(site.keep(&name, || Keyed::new(rate, values)))
        }
        false => Tokens::new(&name, rate, per_connection, site),
    };
    let rule = Rule {
        entries,
        tokens,
        shadow: message.shadow_mode,
        rank: 0,
    };
    Ok((rule, rate))
}

/// Tells descriptors of the configuration apart. What calls bring is only looked up.
fn hash<'w>(words: impl Iterator<Item = (&'w str, &'w str)>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    words.for_each(|word| word.hash(&mut hasher));
    hasher.finish()
}

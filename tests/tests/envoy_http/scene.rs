//! A scene: one configuration and the requests that are sent through it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use crate::ask::{Ask, Version, get};

/// One listener and what its clients ask.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Envoy's `RouteConfiguration`.
    pub(crate) routes: Value,
    /// Further fields of the connection manager.
    pub(crate) manager: Value,
    pub(crate) asks: Vec<Ask>,
    /// How much of it has to be the same.
    pub(crate) compare: Compare,
}

/// How the outcomes of a scene are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// One by one.
    Each,
    /// Which host answers is drawn: only the shares are compared.
    Shares,
    /// Where the hosts are begun with is drawn: how many clients were told what, and how often hosts were
    /// asked, whichever they are.
    Counts,
    /// Only how many clients were told what.
    Statuses,
}

/// What the generator draws from; it takes one of each.
#[derive(Clone, Copy)]
pub(crate) struct Pools<'a> {
    pub(crate) paths: &'a [&'a str],
    pub(crate) hosts: &'a [&'a str],
    pub(crate) methods: &'a [&'a str],
    /// Headers that each stand in half of the requests, with the values that they may have.
    pub(crate) headers: &'a [(&'a str, &'a [&'a str])],
}

impl Default for Pools<'_> {
    fn default() -> Self {
        Self {
            paths: &["/"],
            hosts: &["example.org"],
            methods: &["GET", "POST", "HEAD", "PUT"],
            headers: &[],
        }
    }
}

impl Scene {
    /// These routes for every authority.
    pub(crate) fn of(name: &'static str, routes: Value) -> Self {
        let host = json!({"name": "all", "domains": ["*"], "routes": routes});
        Self::at(name, json!({"virtual_hosts": [host]}))
    }

    /// A whole route configuration.
    pub(crate) fn at(name: &'static str, routes: Value) -> Self {
        Self {
            name,
            routes,
            manager: json!({}),
            asks: Vec::new(),
            compare: Compare::Each,
        }
    }

    /// Further fields of the connection manager.
    pub(crate) fn manager(mut self, manager: Value) -> Self {
        self.manager = manager;
        self
    }

    /// Requests that are made by hand.
    pub(crate) fn asks(mut self, asks: impl IntoIterator<Item = Ask>) -> Self {
        self.asks.extend(asks);
        self
    }

    /// Requests for these paths.
    pub(crate) fn paths(self, paths: &[&str]) -> Self {
        let asks: Vec<Ask> = paths.iter().map(|path| get(path)).collect();
        self.asks(asks)
    }

    /// So many requests by chance, the same in each run.
    pub(crate) fn draw(mut self, count: usize, pools: Pools<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        let mut chance = fastrand::Rng::with_seed(hasher.finish());
        for _ in 0..count {
            let mut any = |from: &[&str]| from[chance.usize(..from.len())].to_owned();
            let mut ask = get(&any(pools.paths))
                .to(&any(pools.hosts))
                .method(&any(pools.methods));
            for (name, values) in pools.headers {
                if chance.bool() {
                    ask = ask.header(name, values[chance.usize(..values.len())]);
                }
            }
            if matches!(ask.method.as_str(), "POST" | "PUT") && chance.bool() {
                ask = ask.body("a body");
            }
            if chance.bool() {
                ask.version = Version::Two;
            }
            self.asks.push(ask);
        }
        self
    }

    /// Says that the host is drawn.
    pub(crate) fn drawn(self) -> Self {
        self.compared(Compare::Shares)
    }

    /// Says how much has to be the same.
    pub(crate) fn compared(mut self, compare: Compare) -> Self {
        self.compare = compare;
        self
    }
}

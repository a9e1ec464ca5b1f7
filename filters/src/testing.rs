//! Calls and places for tests of filters.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use crossdock_framework::{
    edits::Edits,
    filter::{Chain, Held, Passage, RequestCx},
    flags::Flags,
    route::Facts,
    snapshot::Ends,
    stats,
    time::Moment,
    view::{Key, RoutingView},
};

use crate::{Site, States};

/// A call in words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    words: BTreeMap<String, String>,
    pub(crate) random: u64,
    pub(crate) began_us: u64,
    pub(crate) source: Option<SocketAddr>,
    pub(crate) cluster: Option<Arc<str>>,
}

impl Call {
    pub(crate) fn new(path: &str) -> Self {
        Self::default().with(":path", path)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.words.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn random(mut self, random: u64) -> Self {
        self.random = random;
        self
    }

    /// Lets the call pass the filters of a chain.
    pub(crate) fn pass(&self, chain: &Chain) -> Passed {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let facts = Facts {
            source: self.source,
            ends: Ends {
                peer: here,
                local: here,
            },
            began: Moment(self.began_us),
            tls: None,
            random: self.random,
        };
        let mut passed = Passed {
            passage: Passage::Through,
            edits: Edits::none(),
            response: Edits::none(),
            flags: Flags::default(),
            held: Held::default(),
        };
        let mut reroute = false;
        let mut cx = RequestCx {
            request: self,
            facts: &facts,
            route: None,
            cluster: &|| self.cluster.clone(),
            edits: &mut passed.edits,
            response: &mut passed.response,
            held: &mut passed.held,
            reroute: &mut reroute,
            flags: &mut passed.flags,
        };
        passed.passage = chain.on_request(0, &mut cx);
        passed
    }
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) passage: Passage,
    pub(crate) edits: Edits,
    pub(crate) response: Edits,
    pub(crate) flags: Flags,
    pub(crate) held: Held,
}

impl RoutingView for Call {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let name = match key {
            Key::Authority => ":authority",
            Key::Path => ":path",
            Key::HttpMethod => ":method",
            Key::Scheme => ":scheme",
            Key::Header(name) => name,
        };
        self.words.get(name).map(|value| value.as_str().into())
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        let headers = self.words.iter().filter(|(name, _)| !name.starts_with(':'));
        headers.for_each(|(name, value)| each(name, value));
    }

    fn protocol(&self) -> &'static str {
        "test"
    }
}

/// What a place lends its filters.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) stats: stats::Registry,
    pub(crate) states: States,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self {
            stats: stats::Registry::new(1),
            states: States::default(),
        }
    }

    pub(crate) fn site(&self) -> Site<'_> {
        Site {
            stats: &self.stats,
            stat_prefix: "in",
            place: "here",
            states: &self.states,
        }
    }

    /// The metrics of the filters, by name, those that are zero left out.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let groups = self.stats.groups();
        let all = groups.iter().flat_map(|group| {
            let scope = group.scope().to_string();
            let values: Vec<_> = group.read().collect();
            let named = values.into_iter();
            named.map(move |(def, value)| (format!("{scope}.{}", def.name), value))
        });
        all.filter(|(_, value)| *value > 0).collect()
    }
}

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
    route::{Action, Direct, Facts, Route, Unchanged},
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
    /// The port that its connection comes from.
    pub(crate) port: u16,
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

    pub(crate) fn at(mut self, began_us: u64) -> Self {
        self.began_us = began_us;
        self
    }

    /// Lets the call pass the filters of a chain.
    pub(crate) fn pass(&self, chain: &Chain) -> Passed {
        self.show(|cx| chain.on_request(0, cx))
    }

    /// Shows the call as a filter meets it.
    pub(crate) fn show<R>(&self, see: impl FnOnce(&mut RequestCx<'_>) -> R) -> Passed<R> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let facts = Facts {
            source: self.source,
            ends: Ends::of(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), here),
            began: Moment(self.began_us),
            tls: None,
            random: self.random,
        };
        let (mut edits, mut answer) = (Edits::none(), Edits::none());
        let (mut flags, mut held) = (Flags::default(), Held::default());
        let (route, mut reroute) = (route(), false);
        let mut cx = RequestCx {
            request: self,
            facts: &facts,
            route: Some(&route),
            cluster: &|| self.cluster.clone(),
            edits: &mut edits,
            answer: &mut answer,
            held: &mut held,
            reroute: &mut reroute,
            flags: &mut flags,
        };
        let passage = see(&mut cx);
        Passed {
            passage,
            edits,
            answer,
            flags,
            _held: held,
        }
    }
}

fn route() -> Route {
    Route {
        name: "route".into(),
        virtual_host: "host".into(),
        action: Action::Direct(Direct {
            status: 200,
            body: "".into(),
        }),
        request_edits: Box::new(Unchanged),
        response_edits: Box::new(Unchanged),
    }
}

/// What became of a call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Passed<R = Passage> {
    pub(crate) passage: R,
    pub(crate) edits: Edits,
    pub(crate) answer: Edits,
    pub(crate) flags: Flags,
    _held: Held,
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
            local_cluster: "mine",
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

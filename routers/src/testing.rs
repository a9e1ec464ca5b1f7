//! Requests for tests.

use std::borrow::Cow;

use crossdock_framework::{
    edits::Edits,
    route::{Action, Direct, Facts, Route, Scene, Template, Unchanged},
    snapshot::Ends,
    time::Moment,
    view::{Key, RoutingView},
};

/// A request with any words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) authority: Option<String>,
    pub(crate) path: Option<String>,
    /// `POST` unless it is said.
    pub(crate) method: Option<&'static str>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Call {
    /// A call of `/<service>/<method>`.
    pub(crate) fn rpc(service: &str, method: &str) -> Self {
        Self::http(service, &format!("/{service}/{method}"))
    }

    /// A request of a path.
    pub(crate) fn http(authority: &str, path: &str) -> Self {
        Self {
            authority: Some(authority.into()),
            path: Some(path.into()),
            method: None,
            headers: Vec::new(),
        }
    }

    /// The request with one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl RoutingView for Call {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        match key {
            Key::Authority => self.authority.as_deref().map(Cow::Borrowed),
            Key::Path => self.path.as_deref().map(Cow::Borrowed),
            Key::HttpMethod => Some(self.method.unwrap_or("POST").into()),
            Key::Scheme => Some("http".into()),
            Key::Header(name) => {
                let values = self.headers.iter().filter(|(other, _)| other == name);
                let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
                (!values.is_empty()).then(|| values.join(",").into())
            }
        }
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        self.headers
            .iter()
            .for_each(|(name, value)| each(name, value));
    }

    fn protocol(&self) -> &'static str {
        "test"
    }
}

/// What is known of a call besides its words.
pub(crate) fn facts(random: u64) -> Facts {
    Facts {
        source: Some(([10, 1, 2, 3], 40123).into()),
        ends: Ends::of(([10, 1, 2, 3], 40123).into(), ([10, 9, 8, 7], 12200).into()),
        began: Moment(0),
        tls: None,
        random,
    }
}

/// A route that does nothing.
pub(crate) fn idle_route() -> Route {
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

/// Evaluates a template.
pub(crate) fn applied(
    template: &dyn Template,
    message: &dyn RoutingView,
    request: &dyn RoutingView,
    edits: &mut Edits,
) {
    let (facts, route) = (facts(0), idle_route());
    let scene = Scene {
        message,
        request,
        facts: &facts,
        route: &route,
        cluster: Some("outbound"),
        host: Some(([10, 0, 0, 2], 8080).into()),
    };
    template.apply(&scene, edits);
}

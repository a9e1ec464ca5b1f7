//! Redirects: `RedirectAction`, and virtual hosts that require TLS.

use std::{borrow::Cow, sync::Arc};

use crossdock_framework::{
    edits::Edits,
    route::{Action, Facts, Location, Redirect, Route, Scene, Unchanged},
    view::{Key, RoutingView},
};
use envoy_types::pb::envoy::config::route::v3::{
    RedirectAction,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
};

use crate::{
    changes::{Missing, Side, Sight, Value},
    problem::{Place, Problems},
    rewrite::{self, PathRewrite},
    rules::path::{self, PathRule},
};

/// Where a redirect goes: parts of the request's own address, others in their place.
#[derive(Debug, Default)]
struct Elsewhere {
    scheme: Option<Box<str>>,
    host: Option<Box<str>>,
    port: Option<u32>,
    /// Keep the request's port although it goes with the old scheme.
    keep_port: bool,
    path: Option<NewPath>,
    strip_query: bool,
}

#[derive(Debug)]
enum NewPath {
    /// All of it; with the request's query unless it has one of its own.
    Instead(Value),
    /// A part of it.
    Rewrite(PathRewrite),
}

/// The redirect of a route.
pub(crate) fn compile(
    message: &RedirectAction,
    rule: Option<&PathRule>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Redirect> {
    let status = match RedirectResponseCode::try_from(message.response_code) {
        Ok(RedirectResponseCode::MovedPermanently) => 301,
        Ok(RedirectResponseCode::Found) => 302,
        Ok(RedirectResponseCode::SeeOther) => 303,
        Ok(RedirectResponseCode::TemporaryRedirect) => 307,
        Ok(RedirectResponseCode::PermanentRedirect) => 308,
        Err(unknown) => {
            problems.add(
                &place.field("response_code"),
                format!("the value {unknown} is not known"),
                "use MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT or PERMANENT_REDIRECT",
            );
            return None;
        }
    };
    let scheme = match &message.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https"),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => Some(scheme.as_str()),
        Some(SchemeRewriteSpecifier::HttpsRedirect(false)) | None => None,
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    let path = match &message.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) => {
            some(path).map(|path| NewPath::Instead(Value::Plain(path)))
        }
        Some(PathRewriteSpecifier::PathRewrite(format)) if !format.is_empty() => {
            let place = place.field("path_rewrite");
            Value::compile(Side::Request, format, Missing::Nothing, &place, problems)
                .map(NewPath::Instead)
        }
        _ => rewrite::redirect_path(message, rule, place, problems).map(NewPath::Rewrite),
    };
    Some(Redirect {
        status,
        location: Box::new(Elsewhere {
            scheme: scheme.and_then(some),
            host: some(&message.host_redirect),
            port: (message.port_redirect != 0).then_some(message.port_redirect),
            keep_port: false,
            path,
            strip_query: message.strip_query,
        }),
    })
}

/// The redirect of virtual hosts that require TLS. As in Envoy, only the scheme changes.
fn to_tls() -> Redirect {
    Redirect {
        status: 301,
        location: Box::new(Elsewhere {
            scheme: Some("https".into()),
            keep_port: true,
            ..Elsewhere::default()
        }),
    }
}

/// How the caller reached the first proxy: what a trusted one says in `x-forwarded-proto`, or else
/// what this connection shows.
fn scheme<'r>(request: &'r dyn RoutingView, facts: &Facts) -> Cow<'r, str> {
    match request.first(Key::Header("x-forwarded-proto")) {
        Some(told) if !told.is_empty() => told,
        _ if facts.tls.is_some() => "https".into(),
        _ => "http".into(),
    }
}

impl Location for Elsewhere {
    fn of(&self, scene: &Scene<'_>) -> String {
        let request = scene.request;
        let before = request.first(Key::Scheme).unwrap_or(Cow::Borrowed("http"));
        let scheme = self.scheme.as_deref().unwrap_or(&before);
        let mut out = format!("{scheme}://");
        match &self.host {
            Some(host) => out.push_str(host),
            None => {
                let host = request.get(Key::Authority).unwrap_or_default();
                out.push_str(self.kept_host(&host, scheme, &before));
            }
        }
        if let Some(port) = self.port {
            out.push_str(&format!(":{port}"));
        }
        let path = self.path(request, scene);
        if !path.starts_with('/') {
            out.push('/');
        }
        out.push_str(&path);
        out
    }
}

impl Elsewhere {
    /// The request's own host, without its port if that goes with the old scheme or is replaced.
    fn kept_host<'h>(&self, host: &'h str, scheme: &str, before: &str) -> &'h str {
        let colon = match host.starts_with('[') {
            true => host.rfind("]:").map(|bracket| bracket + 1),
            false => host.rfind(':'),
        };
        let Some((name, port)) = colon.and_then(|colon| host.split_at_checked(colon)) else {
            return host;
        };
        let of_before = matches!((before, port), ("http", ":80") | ("https", ":443"));
        match self.port.is_some() || (scheme != before && of_before && !self.keep_port) {
            true => name,
            false => host,
        }
    }

    fn path(&self, request: &dyn RoutingView, scene: &Scene<'_>) -> String {
        let old = request.get(Key::Path).unwrap_or_default();
        let edits = Edits::none();
        let sight = Sight {
            side: Side::Request,
            scene,
            edits: &edits,
        };
        let new = match &self.path {
            None => None,
            Some(NewPath::Rewrite(rewrite)) => rewrite.of(&old, &sight),
            Some(NewPath::Instead(value)) => match value.evaluate(&sight) {
                new if new.is_empty() => None,
                new if new.contains('?') => return new.into(),
                new => {
                    let query = old.get(path::bare(&old).len()..).unwrap_or_default();
                    Some(format!("{new}{query}"))
                }
            },
        };
        let mut path = new.unwrap_or_else(|| old.into_owned());
        if self.strip_query {
            path.truncate(path.find('?').unwrap_or(path.len()));
        }
        path
    }
}

/// Whether a virtual host requires TLS, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequireTls {
    All,
    /// Not of callers that a trusted proxy calls internal (`x-envoy-internal: true`).
    External,
}

impl RequireTls {
    /// Whether the request has to come again over TLS.
    pub(crate) fn refuses(self, request: &dyn RoutingView, facts: &Facts) -> bool {
        let internal = || {
            let told = request.get(Key::Header("x-envoy-internal"));
            told.as_deref() == Some("true")
        };
        scheme(request, facts) != "https" && (self == Self::All || !internal())
    }
}

/// A route that only redirects to TLS.
pub(crate) fn tls_route(virtual_host: Arc<str>) -> Route {
    Route {
        name: "require_tls".into(),
        virtual_host,
        action: Action::Redirect(to_tls()),
        request_edits: Box::new(Unchanged),
        response_edits: Box::new(Unchanged),
    }
}

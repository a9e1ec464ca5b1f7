//! Which path means which page, and what may ask for it.

use hyper::{HeaderMap, Method, StatusCode, header};

use super::{
    Server, certs, clusters, config, control, listeners, logging, process, query::Query,
    reply::Reply, stats,
};

/// A page.
struct Endpoint {
    path: &'static str,
    access: Access,
    help: &'static str,
    /// Parameters with their meaning.
    parameters: &'static [(&'static str, &'static str)],
    page: fn(&Server, &Query) -> Reply,
}

/// How a page may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// It shows something.
    Read,
    /// It changes the process: POST only.
    Change,
    /// It shows something, and with parameters it changes the process.
    ChangeWithParameters,
}

/// Every page, in the order of its path.
const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        path: "/",
        access: Access::Read,
        help: "this list",
        parameters: &[],
        page: |_, _| help(),
    },
    Endpoint {
        path: "/certs",
        access: Access::Read,
        help: "certificates in use",
        parameters: &[],
        page: certs::page,
    },
    Endpoint {
        path: "/clusters",
        access: Access::Read,
        help: "clusters with their limits and hosts",
        parameters: &[
            ("filter", "regular expression for names of clusters"),
            ("format", "text or json"),
        ],
        page: clusters::page,
    },
    Endpoint {
        path: "/config_dump",
        access: Access::Read,
        help: "the configuration being served",
        parameters: &[
            ("resource", "one part of it, such as static_clusters"),
            ("name_regex", "regular expression for names of resources"),
            ("include_eds", "the endpoints of clusters too"),
        ],
        page: config::dump,
    },
    Endpoint {
        path: "/drain_listeners",
        access: Access::Change,
        help: "accept no more connections, and close those that there are in quiet moments",
        parameters: &[
            ("graceful", "accepted; every drain is graceful"),
            (
                "skip_exit",
                "accepted; draining this way never ends the process",
            ),
            (
                "inboundonly",
                "only listeners whose traffic_direction is INBOUND",
            ),
        ],
        page: control::drain_listeners,
    },
    Endpoint {
        path: "/help",
        access: Access::Read,
        help: "this list",
        parameters: &[],
        page: |_, _| help(),
    },
    Endpoint {
        path: "/listeners",
        access: Access::Read,
        help: "listeners and their addresses",
        parameters: &[("format", "text or json")],
        page: listeners::page,
    },
    Endpoint {
        path: "/logging",
        access: Access::ChangeWithParameters,
        help: "levels of the log of this process",
        parameters: &[
            ("level", "a level for all loggers (POST)"),
            ("paths", "LOGGER:LEVEL,LOGGER:LEVEL... (POST)"),
            ("LOGGER", "a level for this logger (POST)"),
        ],
        page: logging::page,
    },
    Endpoint {
        path: "/memory",
        access: Access::Read,
        help: "memory of this process",
        parameters: &[],
        page: process::memory,
    },
    Endpoint {
        path: "/quitquitquit",
        access: Access::Change,
        help: "end the process at once",
        parameters: &[],
        page: control::quit,
    },
    Endpoint {
        path: "/ready",
        access: Access::Read,
        help: "200 if the process serves and goes on serving, else 503",
        parameters: &[],
        page: process::ready,
    },
    Endpoint {
        path: "/runtime",
        access: Access::Read,
        help: "values of layered_runtime",
        parameters: &[],
        page: config::runtime,
    },
    Endpoint {
        path: "/server_info",
        access: Access::Read,
        help: "version, state and node",
        parameters: &[],
        page: process::server_info,
    },
    Endpoint {
        path: "/stats",
        access: Access::Read,
        help: "counters, gauges and histograms",
        parameters: &[
            ("usedonly", "only those that something has been counted in"),
            ("filter", "regular expression for names"),
            ("type", "All, Counters, Gauges, Histograms or TextReadouts"),
            ("format", "text, json or prometheus"),
        ],
        page: stats::page,
    },
    Endpoint {
        path: "/stats/prometheus",
        access: Access::Read,
        help: "the same for Prometheus",
        parameters: &[("usedonly", ""), ("filter", ""), ("type", "")],
        page: stats::prometheus_page,
    },
    Endpoint {
        path: "/unused",
        access: Access::Read,
        help: "fields of the configuration that are not acted upon",
        parameters: &[("format", "text or json")],
        page: config::unused,
    },
];

/// Answers a request.
pub(super) fn answer(
    server: &Server,
    method: &Method,
    uri: &hyper::Uri,
    headers: &HeaderMap,
) -> Reply {
    let Some(endpoint) = ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.path == uri.path())
    else {
        let body = format!("invalid path. {}", help().body);
        return Reply {
            status: StatusCode::NOT_FOUND,
            ..Reply::text(body)
        };
    };
    let query = Query::parse(uri.query().unwrap_or_default());
    let changes = match endpoint.access {
        Access::Read => false,
        Access::Change => true,
        Access::ChangeWithParameters => query.iter().next().is_some(),
    };
    let allowed = match *method {
        Method::POST => true,
        Method::GET | Method::HEAD => !changes,
        _ => false,
    };
    if !allowed {
        let needed = if changes { "POST" } else { "GET or POST" };
        let text = format!("Method {method} not allowed, {needed} required.");
        return Reply::refuse(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    if changes && !own_origin(headers) {
        let text = "a page of another origin may not change this process";
        return Reply::refuse(StatusCode::FORBIDDEN, text);
    }
    (endpoint.page)(server, &query)
}

/// Whether a request that changes something comes from a tool, or from a page of this endpoint.
///
/// A browser lets any page of the world send a POST to a loopback address, but it names the page
/// in `Origin`. A page whose name was made to resolve to a loopback address names itself in `Host`
/// too; so the host has to be an address or `localhost`.
fn own_origin(headers: &HeaderMap) -> bool {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = header(header::HOST).unwrap_or_default();
    let local = host.parse::<std::net::SocketAddr>().is_ok()
        || host.parse::<std::net::IpAddr>().is_ok()
        || host.split(':').next() == Some("localhost");
    local
        && origin
            .to_str()
            .is_ok_and(|origin| origin.strip_prefix("http://") == Some(host))
}

fn help() -> Reply {
    let mut text = String::from("admin commands are:\n");
    for endpoint in ENDPOINTS {
        let post = match endpoint.access {
            Access::Change => " (POST)",
            Access::Read | Access::ChangeWithParameters => "",
        };
        text.push_str(&format!("  {}{post}: {}\n", endpoint.path, endpoint.help));
        for (name, help) in endpoint
            .parameters
            .iter()
            .filter(|(_, help)| !help.is_empty())
        {
            text.push_str(&format!("      {name}: {help}\n"));
        }
    }
    Reply::text(text)
}

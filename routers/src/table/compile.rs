//! Compiles a `RouteConfiguration`: tables, virtual hosts and the rules of routes.

use std::{collections::HashMap, sync::Arc};

use crossdock_framework::route::{ClusterSlot, Route, RouteId};
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::RuntimeFractionalPercent,
            route::v3::{
                Route as RouteMessage, RouteConfiguration, RouteMatch, VirtualHost as HostMessage,
                virtual_host::TlsRequirementType,
            },
        },
        r#type::v3::fractional_percent::DenominatorType,
    },
    google::protobuf::BoolValue,
};

use super::{
    Fraction, Options, Origin, RouteTable, Rule, VirtualHost, action,
    counted::{Counted, VirtualClusters},
    domains::Domains,
    index::PathIndex,
};
use crate::{
    changes::{self, Levels, Side, levels},
    problem::{Place, Problem, Problems},
    redirect::{self, RequireTls},
    rules::{
        cookie::CookieRule,
        header::HeaderRule,
        path::{self, PathRule},
        query::QueryRule,
    },
};

/// The longest inline body of a direct response unless the table says otherwise, as in Envoy.
const BODY_LIMIT: usize = 4096;

/// Compiles the whole table.
pub(super) fn table(
    config: &RouteConfiguration,
    options: Options,
) -> Result<RouteTable, Vec<Problem>> {
    let mut problems = Problems::default();
    let place = Place::ROOT;
    refuse_table(config, &place, &mut problems);
    let levels = levels!(config, &place, &mut problems);
    let body_limit = config.max_direct_response_body_size_bytes.as_ref();
    let mut build = Build {
        options,
        levels,
        specific_last: config.most_specific_header_mutations_wins,
        body_limit: body_limit.map_or(BODY_LIMIT, |limit| limit.value as usize),
        domains: Domains::new(config.ignore_port_in_host_matching),
        hosts: Vec::with_capacity(config.virtual_hosts.len()),
        routes: Vec::new(),
        origins: Vec::new(),
        prefixes: Vec::new(),
        clusters: Clusters::default(),
        problems,
    };
    for (at, host) in config.virtual_hosts.iter().enumerate() {
        build.host(at, host, &place.item("virtual_hosts", at));
    }
    build.domains.finish();
    build.problems.or(RouteTable {
        domains: build.domains,
        hosts: build.hosts,
        routes: build.routes,
        origins: build.origins,
        clusters: build.clusters.names,
        ignore_path_parameters: config.ignore_path_parameters_in_path_matching,
        counted: Counted::new(build.prefixes),
    })
}

fn refuse_table(config: &RouteConfiguration, place: &Place<'_>, problems: &mut Problems) {
    if config.vhds.is_some() {
        problems.add(
            &place.field("vhds"),
            "virtual hosts on demand are not supported",
            "list the virtual hosts in virtual_hosts",
        );
    }
    if !config.vhost_header.is_empty() {
        problems.add(
            &place.field("vhost_header"),
            "virtual hosts are chosen by the authority only",
            "use a header matcher in the routes of one virtual host",
        );
    }
    if !config.route_specifiers.is_empty() {
        refuse_specifiers(place, problems);
    }
}

fn refuse_specifiers(place: &Place<'_>, problems: &mut Problems) {
    problems.add(
        &place.field("route_specifiers"),
        "extensions that change the route are not supported",
        "remove them",
    );
}

/// The names of clusters and their slots.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    names: Vec<Arc<str>>,
    slots: HashMap<Arc<str>, ClusterSlot>,
}

impl Clusters {
    /// The slot of a cluster.
    pub(super) fn slot(&mut self, name: &str) -> ClusterSlot {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let name: Arc<str> = name.into();
        let slot = ClusterSlot(self.names.len() as u32);
        self.names.push(name.clone());
        self.slots.insert(name, slot);
        slot
    }
}

/// A table that is being compiled.
struct Build {
    options: Options,
    levels: Levels,
    specific_last: bool,
    body_limit: usize,
    domains: Domains,
    hosts: Vec<VirtualHost>,
    routes: Vec<Route>,
    origins: Vec<Origin>,
    /// The `stat_prefix` of routes that have one.
    prefixes: Vec<(RouteId, Box<str>)>,
    clusters: Clusters,
    problems: Problems,
}

/// What a virtual host gives its routes.
struct Host {
    at: usize,
    name: Arc<str>,
    levels: Levels,
    again: action::Again,
}

impl Build {
    fn host(&mut self, at: usize, message: &HostMessage, place: &Place<'_>) {
        refuse_host(message, place, &mut self.problems);
        for (n, domain) in message.domains.iter().enumerate() {
            let place = place.item("domains", n);
            self.domains
                .insert(domain, at as u32, &place, &mut self.problems);
        }
        let host = Host {
            at,
            name: message.name.as_str().into(),
            levels: levels!(message, place, &mut self.problems),
            again: action::Again::of(message, place, &mut self.problems),
        };
        let mut compiled = VirtualHost {
            name: host.name.clone(),
            index: PathIndex::default(),
            rules: Vec::with_capacity(message.routes.len()),
            first: self.routes.len() as u32,
            tls: None,
            clusters: VirtualClusters::compile(message, place, &mut self.problems),
        };
        for (n, message) in message.routes.iter().enumerate() {
            self.route(message, n, &host, &mut compiled, &place.item("routes", n));
        }
        compiled.index.finish();
        if let Some(require) = require_tls(message, place, &mut self.problems) {
            compiled.tls = Some((require, RouteId(self.routes.len() as u32)));
            self.routes.push(redirect::tls_route(host.name.clone()));
            self.origins.push(Origin {
                virtual_host: at,
                route: message.routes.len(),
            });
        }
        self.hosts.push(compiled);
    }

    /// Adds a route. One that is refused leaves a hole, but then there is no table either.
    fn route(
        &mut self,
        message: &RouteMessage,
        at: usize,
        host: &Host,
        compiled: &mut VirtualHost,
        place: &Place<'_>,
    ) {
        if !message.route_specifiers.is_empty() {
            refuse_specifiers(place, &mut self.problems);
        }
        let none = RouteMatch::default();
        let matcher = message.r#match.as_ref().unwrap_or(&none);
        let rule = rule(matcher, &place.field("match"), &mut self.problems);
        let own = levels!(message, place, &mut self.problems);
        let mut scope = action::Scope {
            clusters: &mut self.clusters,
            body_limit: self.body_limit,
            quiet: self.options.suppress_envoy_headers,
            problems: &mut self.problems,
            host: &host.again,
        };
        let path = rule.as_ref().map(|rule| &rule.path);
        let action = scope.action(message, path, place);
        let (Some((action, rewrite)), Some(rule)) = (action, rule) else {
            return;
        };
        let number = compiled.rules.len() as u32;
        compiled
            .index
            .insert(number, &rule.path, path::ignores_case(matcher));
        compiled.rules.push(rule);
        if !message.stat_prefix.is_empty() {
            let id = RouteId(self.routes.len() as u32);
            self.prefixes
                .push((id, message.stat_prefix.as_str().into()));
        }
        let mut levels = [&own, &host.levels, &self.levels];
        if self.specific_last {
            levels.reverse();
        }
        let request = levels.map(|levels| levels.request.as_ref());
        let response = levels.map(|levels| levels.response.as_ref());
        self.routes.push(Route {
            name: match message.name.as_str() {
                "" => format!("{}.routes[{at}]", host.name).into(),
                name => name.into(),
            },
            virtual_host: host.name.clone(),
            action,
            request_edits: changes::rewriting(Side::Request, &request, rewrite),
            response_edits: changes::template(Side::Response, &response),
        });
        self.origins.push(Origin {
            virtual_host: host.at,
            route: at,
        });
    }
}

fn refuse_host(host: &HostMessage, place: &Place<'_>, problems: &mut Problems) {
    if host.domains.is_empty() {
        problems.add(
            &place.field("domains"),
            "a virtual host without domains is never chosen",
            "add a domain, or * for any",
        );
    }
    if host.matcher.is_some() {
        problems.add(
            &place.field("matcher"),
            "matcher trees are not supported",
            "list the routes in routes",
        );
    }
    if !host.route_specifiers.is_empty() {
        refuse_specifiers(place, problems);
    }
}

fn require_tls(
    host: &HostMessage,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<RequireTls> {
    match TlsRequirementType::try_from(host.require_tls) {
        Ok(TlsRequirementType::None) => None,
        Ok(TlsRequirementType::All) => Some(RequireTls::All),
        Ok(TlsRequirementType::ExternalOnly) => Some(RequireTls::External),
        Err(unknown) => {
            problems.add(
                &place.field("require_tls"),
                format!("the value {unknown} is not known"),
                "use NONE, ALL or EXTERNAL_ONLY",
            );
            None
        }
    }
}

/// The conditions of a route.
fn rule(matcher: &RouteMatch, place: &Place<'_>, problems: &mut Problems) -> Option<Rule> {
    for (field, used) in [
        ("dynamic_metadata", !matcher.dynamic_metadata.is_empty()),
        ("filter_state", !matcher.filter_state.is_empty()),
    ] {
        if used {
            problems.add(
                &place.field(field),
                "matching on it is not in this version",
                "match headers, query parameters or the path",
            );
        }
    }
    let path = PathRule::compile(matcher, place, problems);
    let headers = matcher.headers.iter().enumerate();
    let headers = headers
        .filter_map(|(at, it)| HeaderRule::compile(it, &place.item("headers", at), problems))
        .collect();
    let cookies = matcher.cookies.iter().enumerate();
    let cookies = cookies
        .filter_map(|(at, it)| CookieRule::compile(it, &place.item("cookies", at), problems))
        .collect();
    let query = matcher.query_parameters.iter().enumerate();
    let query = query
        .filter_map(|(at, it)| {
            QueryRule::compile(it, &place.item("query_parameters", at), problems)
        })
        .collect();
    let fraction = matcher.runtime_fraction.as_ref();
    let fraction =
        fraction.and_then(|it| fraction_of(it, &place.field("runtime_fraction"), problems));
    Some(Rule {
        path: path?,
        fraction,
        grpc: matcher.grpc.is_some(),
        certificate: certificate(matcher, place, problems),
        headers,
        cookies,
        query,
    })
}

/// What `tls_context` asks of the caller's certificate. One that was not validated is none here.
fn certificate(matcher: &RouteMatch, place: &Place<'_>, problems: &mut Problems) -> Option<bool> {
    let tls = matcher.tls_context.as_ref()?;
    let wanted = |flag: &Option<BoolValue>| flag.as_ref().map(|flag| flag.value);
    match (wanted(&tls.presented), wanted(&tls.validated)) {
        (Some(presented), Some(validated)) if presented != validated => {
            problems.add(
                &place.field("tls_context"),
                "a certificate that is presented is validated here, or the handshake fails",
                "ask for both or for neither",
            );
            None
        }
        (presented, validated) => presented.or(validated),
    }
}

fn fraction_of(
    message: &RuntimeFractionalPercent,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Fraction> {
    let Some(percent) = &message.default_value else {
        problems.add(
            &place.field("default_value"),
            "there is no default, and runtime keys are not read",
            "set default_value",
        );
        return None;
    };
    let denominator = match DenominatorType::try_from(percent.denominator) {
        Ok(DenominatorType::Hundred) => 100,
        Ok(DenominatorType::TenThousand) => 10_000,
        Ok(DenominatorType::Million) => 1_000_000,
        Err(unknown) => {
            problems.add(
                &place.field("default_value").field("denominator"),
                format!("the value {unknown} is not known"),
                "use HUNDRED, TEN_THOUSAND or MILLION",
            );
            return None;
        }
    };
    Some(Fraction {
        numerator: percent.numerator.into(),
        denominator,
    })
}

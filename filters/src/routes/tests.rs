use crossdock_framework::filter::Passage;
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::route::v3::{
            Route, RouteAction, RouteMatch, VirtualHost, WeightedCluster,
            route_match::PathSpecifier,
        },
        extensions::filters::{
            http::{
                fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType},
                router::v3::Router,
            },
            network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
        },
        r#type::v3::FractionalPercent,
    },
    google::protobuf::UInt32Value,
};

use super::*;
use crate::{
    Registry,
    testing::{Call, Ground},
};

/// An abort of all calls; no abort at all where the status is 0.
fn fault(status: u32) -> HttpFault {
    let abort = FaultAbort {
        percentage: Some(FractionalPercent {
            numerator: 100,
            denominator: 0,
        }),
        error_type: Some(ErrorType::HttpStatus(status)),
        ..FaultAbort::default()
    };
    HttpFault {
        abort: (status > 0).then_some(abort),
        ..HttpFault::default()
    }
}

fn any<M: prost::Message + prost::Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn filter(name: &str, config: &Any, disabled: bool) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        disabled,
        config_type: Some(ConfigType::TypedConfig(config.clone())),
        ..HttpFilter::default()
    }
}

/// Two faults, `one` and `two`, which abort with these statuses, and the router.
fn listed(one: u32, two: u32, off: bool) -> Vec<HttpFilter> {
    vec![
        filter("one", &any(&fault(one)), off),
        filter("two", &any(&fault(two)), false),
        filter("router", &any(&Router::default()), false),
    ]
}

fn said(name: &str, config: &Any) -> HashMap<String, Any> {
    HashMap::from([(name.to_owned(), config.clone())])
}

fn switch(disabled: bool, config: Option<Any>) -> Any {
    any(&FilterConfig {
        config,
        disabled,
        is_optional: false,
    })
}

/// A route for a prefix to the clusters `a`, with a weight of one, and `b`, with none.
fn route(prefix: &str, said: HashMap<String, Any>) -> Route {
    let weight = |name: &str, weight| ClusterWeight {
        name: name.to_owned(),
        weight: Some(UInt32Value { value: weight }),
        ..ClusterWeight::default()
    };
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix(prefix.to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters: vec![weight("a", 1), weight("b", 1)],
                ..WeightedCluster::default()
            })),
            ..RouteAction::default()
        })),
        typed_per_filter_config: said,
        ..Route::default()
    }
}

fn routes(routes: Vec<Route>) -> RouteConfiguration {
    RouteConfiguration {
        virtual_hosts: vec![VirtualHost {
            name: "all".to_owned(),
            domains: vec!["*".to_owned()],
            routes,
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    }
}

fn link_all(
    ground: &Ground,
    listed: &[HttpFilter],
    config: &RouteConfiguration,
) -> Result<Filters, Vec<Problem>> {
    let site = ground.site();
    let made = HttpFilters::compile(listed, &Registry::standard(), &site)?;
    let table = RouteTable::compile(config).expect("valid routes");
    made.link(config, &table, &site)
}

/// The status that calls of a route are aborted with.
fn status(filters: &Filters, route: u32, entry: Option<u16>) -> Option<u16> {
    match Call::new("/")
        .pass(filters.of(Some(RouteId(route)), || entry))
        .passage
    {
        Passage::Reply(status) => Some(status.http),
        _ => None,
    }
}

#[test]
fn the_most_specific_word_holds() {
    let ground = Ground::new();
    let mut config = routes(vec![
        route("/a", said("one", &any(&fault(501)))),
        route("/b", said("two", &any(&fault(502)))),
        route("/c", HashMap::new()),
    ]);
    let filters = link_all(&ground, &listed(0, 599, false), &config).expect("valid");
    assert_eq!(
        [0, 1, 2].map(|at| status(&filters, at, None)),
        [Some(501), Some(502), Some(599)]
    );
    // Calls that take no route.
    assert_eq!(status(&filters, 9, None), Some(599));
    config.virtual_hosts[0].typed_per_filter_config = said("one", &any(&fault(503)));
    config.typed_per_filter_config = said("one", &any(&fault(504)));
    let filters = link_all(&ground, &listed(0, 599, false), &config).expect("valid");
    assert_eq!(
        [0, 1, 2].map(|at| status(&filters, at, None)),
        [Some(501), Some(503), Some(503)]
    );
    config.virtual_hosts[0].typed_per_filter_config.clear();
    let filters = link_all(&ground, &listed(0, 599, false), &config).expect("valid");
    assert_eq!(status(&filters, 2, None), Some(504));
}

#[test]
fn filters_are_switched_on_and_off() {
    let ground = Ground::new();
    let empty = Some(Any::default());
    let mut config = routes(vec![
        route("/off", said("two", &switch(true, None))),
        route("/on", said("one", &switch(false, empty))),
        route("/own", said("one", &switch(false, Some(any(&fault(501)))))),
        route("/usual", HashMap::new()),
    ]);
    let filters = link_all(&ground, &listed(500, 599, true), &config).expect("valid");
    assert_eq!(
        [0, 1, 2, 3].map(|at| status(&filters, at, None)),
        [None, Some(500), Some(501), Some(599)]
    );
    // Where nothing is left of a chain, a call costs nothing.
    assert!(filters.of(Some(RouteId(0)), || None).is_empty());
    // A route may switch on what its virtual host switches off, and keeps what that configures.
    config.virtual_hosts[0].typed_per_filter_config = said("one", &switch(true, None));
    config.typed_per_filter_config = said("one", &any(&fault(505)));
    let filters = link_all(&ground, &listed(500, 599, false), &config).expect("valid");
    assert_eq!(
        [1, 3].map(|at| status(&filters, at, None)),
        [Some(505), Some(599)]
    );
}

#[test]
fn weighted_clusters_speak_to_filters_too() {
    let ground = Ground::new();
    let mut own = route("/", said("one", &any(&fault(501))));
    if let Some(Action::Route(action)) = &mut own.action
        && let Some(ClusterSpecifier::WeightedClusters(weighted)) = &mut action.cluster_specifier
    {
        weighted.clusters[1].typed_per_filter_config = said("one", &any(&fault(502)));
    }
    let config = routes(vec![own]);
    let filters = link_all(&ground, &listed(0, 0, false), &config).expect("valid");
    assert_eq!(
        [Some(0), Some(1), None].map(|entry| status(&filters, 0, entry)),
        [Some(501), Some(502), Some(501)]
    );
}

/// Equal chains are one, and what a virtual host says makes one filter for all its routes.
#[test]
fn chains_are_shared() {
    let ground = Ground::new();
    let mut config = routes(vec![
        route("/a", HashMap::new()),
        route("/b", HashMap::new()),
        route("/c", said("one", &switch(false, Some(Any::default())))),
    ]);
    config.virtual_hosts[0].typed_per_filter_config = said("one", &any(&fault(501)));
    let filters = link_all(&ground, &listed(0, 0, false), &config).expect("valid");
    let first = |at| {
        let chain = filters.of(Some(RouteId(at)), || None);
        let (_, filter) = chain.filters().next().expect("two of them");
        Arc::as_ptr(filter).cast::<()>()
    };
    assert_eq!(first(0), first(1));
    assert_eq!(first(0), first(2));
    // Words that change nothing leave the usual chain.
    let config = routes(vec![route(
        "/",
        said("one", &switch(false, Some(Any::default()))),
    )]);
    let filters = link_all(&ground, &listed(0, 0, false), &config).expect("valid");
    let usual = filters.of(None, || None).filters().next().expect("two").1;
    let own = filters.of(Some(RouteId(0)), || None).filters().next();
    assert!(Arc::ptr_eq(usual, own.expect("two").1));
}

#[test]
fn what_is_wrong_is_told_once_and_where() {
    let ground = Ground::new();
    let bad = || said("one", &switch(false, None));
    let config = routes(vec![
        route("/a", bad()),
        route("/b", said("one", &any(&Router::default()))),
        route("/c", said("router", &switch(true, None))),
        route(
            "/d",
            said("two", &switch(false, Some(any(&Router::default())))),
        ),
    ]);
    let problems = link_all(&ground, &listed(0, 0, false), &config).expect_err("four mistakes");
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let at = |route: u32, name: &str| {
        format!("virtual_hosts[0].routes[{route}].typed_per_filter_config['{name}']")
    };
    let wrong = "envoy.extensions.filters.http.router.v3.Router is no configuration of this \
                 filter; give a envoy.extensions.filters.http.fault.v3.HTTPFault";
    assert_eq!(
        told,
        [
            format!(
                "{}: it neither switches the filter off nor configures it; give a config, an \
                 empty one to switch the filter on",
                at(0, "one")
            ),
            format!("{}: {wrong}", at(1, "one")),
            format!(
                "{}: this filter cannot be switched off for a part of the routes; switch it off \
                 in http_filters, or remove this",
                at(2, "router")
            ),
            format!("{}.config: {wrong}", at(3, "two")),
        ]
    );
}

#[test]
fn the_router_is_the_last_filter() {
    let ground = Ground::new();
    let site = ground.site();
    let wrong = |listed: &[HttpFilter]| {
        let problems = HttpFilters::compile(listed, &Registry::standard(), &site);
        problems.expect_err("refused")[0].to_string()
    };
    let mut filters = listed(0, 0, false);
    filters.swap(1, 2);
    assert!(wrong(&filters).starts_with("http_filters[1]: filters behind the router"));
    filters.remove(1);
    assert!(wrong(&filters).starts_with("http_filters[1]: the last filter is not the router"));
    assert!(HttpFilters::compile(&[], &Registry::standard(), &site).is_ok());
}

//! The filter of docs/adding-a-filter.md, from its file to a call that it refuses. The guide quotes this file.

use std::{borrow::Cow, sync::Arc};

use crossdock_filters::{Configure, HttpFilters, Message, Problem, Registry, Site, States};
use crossdock_framework::{
    edits::Edits,
    filter::{Filter, Flow, Held, Passage, RequestCx},
    flags::Flags,
    metrics,
    route::{Facts, RouteId},
    snapshot::Ends,
    stats::{self, Group, Shard},
    status::{Cause, Status},
    time::Moment,
    view::{Key, RoutingView},
};
use crossdock_routers::RouteTable;
use crossdock_xds::{
    bootstrap::{Format, Options, parse},
    envoy_types::pb::{
        envoy::{
            config::listener::v3::filter::ConfigType,
            extensions::filters::network::http_connection_manager::v3::{
                HttpConnectionManager, http_connection_manager::RouteSpecifier,
            },
        },
        google::protobuf::{Struct, value::Kind},
    },
};
use prost::Message as _;

/// Refuses the calls of services that are being worked on.
#[derive(Debug)]
struct Maintenance {
    services: Vec<String>,
    stats: Arc<Group>,
}

metrics! {
    /// Metrics of the filter, `http.<stat_prefix>.maintenance.…`.
    enum MaintenanceMetric {
        /// Calls that were refused.
        counter Refused = "maintenance.refused",
    }
}

impl Filter for Maintenance {
    fn name(&self) -> &'static str {
        "acme.maintenance"
    }

    fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let service = cx.request.service().unwrap_or_default();
        if !self.services.iter().any(|own| *own == *service) {
            return Flow::Continue;
        }
        self.stats.inc(Shard::current(), MaintenanceMetric::Refused);
        let text = format!("{service} is being worked on");
        Flow::Reply(Status::new(Cause::NoHost, text))
    }
}

impl Configure for Maintenance {
    type Config = Struct;
    type RouteConfig = Struct;

    const FIELDS: &'static [Message] = &[];

    fn type_name() -> String {
        "acme.Maintenance".to_owned()
    }

    fn route_type_name() -> String {
        Self::type_name()
    }

    fn configure(config: Struct, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        let given = config
            .fields
            .get("services")
            .and_then(|it| it.kind.as_ref());
        let Some(Kind::ListValue(list)) = given else {
            return Err(vec![Problem {
                path: "value.services".to_owned(),
                reason: "no services are named".to_owned(),
                cure: "list them".to_owned(),
            }]);
        };
        let names = list.values.iter().filter_map(|value| match &value.kind {
            Some(Kind::StringValue(name)) => Some(name.clone()),
            _ => None,
        });
        Ok(Self {
            services: names.collect(),
            stats: site
                .stats
                .group::<MaintenanceMetric>("http", site.stat_prefix),
        })
    }

    fn on_route(&self, config: Struct, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        Self::configure(config, site)
    }
}

const FILE: &str = r#"
static_resources:
  listeners:
  - name: rpc
    filter_chains:
    - filters:
      - name: manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: rpc
          http_filters:
          - name: maintenance
            typed_config:
              "@type": type.googleapis.com/xds.type.v3.TypedStruct
              type_url: type.googleapis.com/acme.Maintenance
              value: {services: [com.acme.Orders]}
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /com.acme.Orders/ping}
                route: {cluster: orders}
                typed_per_filter_config:
                  maintenance:
                    "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                    disabled: true
              - match: {prefix: /}
                route: {cluster: orders}
"#;

fn registry() -> Registry {
    Registry::standard().with::<Maintenance>()
}

/// The connection manager of [`FILE`], of which every field is acted upon.
fn manager() -> HttpConnectionManager {
    let options = Options {
        extensions: registry().extensions(),
        ..Options::default()
    };
    let loaded = parse("f.yaml", FILE, Format::Yaml, &options).expect("it is right");
    assert_eq!(loaded.unused, []);
    let resources = loaded.bootstrap.static_resources.expect("they are there");
    let filter = &resources.listeners[0].filter_chains[0].filters[0];
    match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => {
            HttpConnectionManager::decode(any.value.as_slice()).expect("its type")
        }
        other => panic!("{other:?}"),
    }
}

struct Call(&'static str);

impl RoutingView for Call {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        (key == Key::Authority).then_some(Cow::Borrowed(self.0))
    }

    fn protocol(&self) -> &'static str {
        "test"
    }
}

#[test]
fn a_service_that_is_worked_on_is_refused() {
    let (manager, stats, states) = (manager(), stats::Registry::new(1), States::default());
    let site = Site {
        stats: &stats,
        stat_prefix: &manager.stat_prefix,
        place: "rpc",
        local_cluster: "",
        states: &states,
    };
    let filters = HttpFilters::compile(&manager.http_filters, &registry(), &site).expect("valid");
    let Some(RouteSpecifier::RouteConfig(routes)) = &manager.route_specifier else {
        panic!("the routes stand in the file");
    };
    let table = RouteTable::compile(routes).expect("valid");
    let filters = filters.link(routes, &table, &site).expect("valid");
    let passes = |service, route: u32| {
        let here = ([127, 0, 0, 1], 1).into();
        let facts = Facts {
            source: None,
            ends: Ends::of(here, here),
            began: Moment(0),
            tls: None,
            random: 0,
        };
        let mut cx = RequestCx {
            request: &Call(service),
            facts: &facts,
            route: None,
            cluster: &|| None,
            edits: &mut Edits::none(),
            answer: &mut Edits::none(),
            flags: &mut Flags::default(),
            held: &mut Held::default(),
            reroute: &mut false,
        };
        let chain = filters.of(Some(RouteId(route)), || None);
        matches!(chain.on_request(0, &mut cx), Passage::Through)
    };
    assert!(!passes("com.acme.Orders", 1) && passes("com.acme.Users", 1));
    // The route on which it is off.
    assert!(passes("com.acme.Orders", 0));
    let group = stats.group::<MaintenanceMetric>("http", "rpc");
    assert_eq!(group.get(MaintenanceMetric::Refused), 1);
}

/// Every code block of the guide stands in this file, or is a line of the registry, but for line breaks.
#[test]
fn the_guide_quotes_this_file() {
    let bare = |text: &str| text.replace([' ', '\n', ','], "");
    let guide = include_str!("../../docs/adding-a-filter.md");
    let sources = [
        bare(include_str!("adding_a_filter.rs")),
        bare(include_str!("../src/registry.rs")),
    ];
    let mut blocks = 0;
    for kind in ["```rust\n", "```yaml\n"] {
        for rest in guide.split(kind).skip(1) {
            let block = rest.split("```").next().unwrap_or_default();
            let found = sources.iter().any(|source| source.contains(&bare(block)));
            assert!(found, "not in the source:\n{block}");
            blocks += 1;
        }
    }
    assert!(blocks >= 6, "the guide shows the filter");
}

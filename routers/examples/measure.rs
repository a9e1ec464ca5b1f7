//! Measures route look-ups, table builds and picks: `cargo run --release -p crossdock-routers
//! --example measure`. The least of several rounds, because other load on the machine only adds;
//! compare ratios of one run, not of two machines.

use std::{borrow::Cow, hint::black_box, net::SocketAddr, time::Instant};

use crossdock_framework::{
    cluster::{Balancer, Host, HostIx, HostSet, HostState, Pick},
    route::{Facts, Router},
    snapshot::Ends,
    time::Moment,
    view::{Key, RoutingView},
};
use crossdock_routers::{BalancerConfig, HashFunction, LoadBalancer, Policy, RouteTable};
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
    route_action::ClusterSpecifier, route_match::PathSpecifier,
};

fn main() {
    builds();
    picks();
    routes();
}

/// The least time of `rounds` runs of `work`, each of `calls` calls, in nanoseconds a call.
fn least(rounds: usize, calls: usize, mut work: impl FnMut(usize)) -> f64 {
    let times = (0..rounds).map(|round| {
        let start = now();
        (0..calls).for_each(|call| work(round * calls + call));
        start.elapsed().as_nanos() as f64 / calls as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement, not the path of a call"
)]
fn now() -> Instant {
    Instant::now()
}

fn hosts(count: usize, weight: impl Fn(usize) -> u32) -> HostSet {
    let host = |at: usize| Host {
        address: SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 12200)),
        hostname: None,
        hash_key: None,
        weight: weight(at),
        healthy: true,
        state: HostState::new(),
    };
    HostSet::new((0..count).map(host).collect())
}

fn config(policy: Policy) -> BalancerConfig {
    BalancerConfig {
        policy,
        ..BalancerConfig::default()
    }
}

fn policies() -> [(&'static str, BalancerConfig); 5] {
    let least = Policy::LeastRequest {
        choices: 2,
        bias: 1.0,
    };
    let ring = Policy::RingHash {
        minimum: 1024,
        maximum: 8_388_608,
        function: HashFunction::XxHash,
        use_hostname: false,
    };
    let maglev = Policy::Maglev {
        table_size: 65_537,
        use_hostname: false,
    };
    [
        ("round robin", config(Policy::RoundRobin)),
        ("random", config(Policy::Random)),
        ("least request", config(least)),
        ("ring hash", config(ring)),
        ("maglev", config(maglev)),
    ]
}

/// The loop of the paper as one writes it down first: a product and a remainder for each look at a
/// slot, and a word for each slot.
fn textbook(size: usize, hosts: &[(usize, usize)]) -> Vec<u32> {
    let mut table = vec![u32::MAX; size];
    let mut next = vec![0; hosts.len()];
    let mut filled = 0;
    loop {
        for (rank, (offset, skip)) in hosts.iter().enumerate() {
            let mut slot = (offset + skip * next[rank]) % size;
            while table[slot] != u32::MAX {
                next[rank] += 1;
                slot = (offset + skip * next[rank]) % size;
            }
            table[slot] = rank as u32;
            next[rank] += 1;
            filled += 1;
            if filled == size {
                return table;
            }
        }
    }
}

fn builds() {
    let mut random = fastrand::Rng::with_seed(7);
    let hosts_of_paper: Vec<_> = (0..1000)
        .map(|_| (random.usize(..65_537), random.usize(1..65_537)))
        .collect();
    let time = least(60, 1, |_| {
        black_box(textbook(black_box(65_537), &hosts_of_paper));
    });
    println!(
        "a textbook Maglev loop, for comparison: {:.3} ms\n",
        time / 1e6
    );
    println!("build, 1000 hosts            ms");
    for (name, config) in policies() {
        for (kind, heavy) in [
            ("equal", 1),
            ("weights 1 to 5", 5),
            ("one 10,000 times", 10_000),
        ] {
            let weight = |at: usize| match heavy {
                10_000 if at > 0 => 1,
                heavy => at as u32 % heavy + 1,
            };
            let weight = |at| {
                if heavy == 10_000 && at == 0 {
                    10_000
                } else {
                    weight(at)
                }
            };
            let set = hosts(1000, weight);
            let time = least(60, 1, |_| {
                black_box(LoadBalancer::build(None, &set, &config));
            });
            println!("{name:14} {kind:16} {:8.3}", time / 1e6);
        }
    }
}

fn picks() {
    println!("\npick, hosts:        3      100     1000    10000   ns");
    for (name, config) in policies() {
        for weighted in [false, true] {
            let times = [3, 100, 1000, 10_000].map(|count| {
                let set = hosts(count, |at| if weighted { at as u32 % 5 + 1 } else { 1 });
                let balancer = LoadBalancer::build(None, &set, &config);
                least(15, 100_000, |call| {
                    let random = (call as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let pick = Pick {
                        ejected: 0,
                        hash: Some(random),
                        random,
                        now_ms: 0,
                        tried: &[],
                    };
                    black_box::<Option<HostIx>>(balancer.pick(&set, &pick));
                })
            });
            let kind = if weighted { "weighted" } else { "equal" };
            println!(
                "{name:13} {kind:8} {:5.1} {:8.1} {:8.1} {:8.1}",
                times[0], times[1], times[2], times[3]
            );
        }
    }
}

/// A call of a service.
struct Call {
    service: String,
    path: String,
}

impl RoutingView for Call {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        match key {
            Key::Authority => Some(Cow::Borrowed(&self.service)),
            Key::Path => Some(Cow::Borrowed(&self.path)),
            _ => None,
        }
    }

    fn protocol(&self) -> &'static str {
        "measured"
    }
}

fn route(path: PathSpecifier) -> Route {
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(path),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster("c".into())),
            ..RouteAction::default()
        })),
        ..Route::default()
    }
}

fn host(domain: String, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: domain.clone(),
        domains: vec![domain],
        routes,
        ..VirtualHost::default()
    }
}

fn service(at: usize) -> String {
    format!("com.acme.orders.OrderService{at}")
}

fn by_virtual_host(count: usize) -> Vec<VirtualHost> {
    let any = || vec![route(PathSpecifier::Prefix("/".into()))];
    (0..count).map(|at| host(service(at), any())).collect()
}

fn by_prefix(count: usize) -> Vec<VirtualHost> {
    let prefix = |at| route(PathSpecifier::Prefix(format!("/{}/", service(at))));
    vec![host("*".into(), (0..count).map(prefix).collect())]
}

fn by_path(count: usize) -> Vec<VirtualHost> {
    let path = |at| route(PathSpecifier::Path(format!("/{}/get", service(at))));
    vec![host("*".into(), (0..count).map(path).collect())]
}

fn by_bare_prefix(count: usize) -> Vec<VirtualHost> {
    let prefix = |at| route(PathSpecifier::Prefix(format!("/{}", service(at))));
    vec![host("*".into(), (0..count).map(prefix).collect())]
}

/// A table of so many services.
type Shape = fn(usize) -> Vec<VirtualHost>;

fn routes() {
    println!("\nroute, services:     1      100    10000   ns");
    let shapes: [(&str, Shape); 4] = [
        ("virtual hosts", by_virtual_host),
        ("prefix /S/", by_prefix),
        ("path", by_path),
        ("prefix /S", by_bare_prefix),
    ];
    let facts = Facts {
        source: None,
        ends: Ends::of(
            ([127, 0, 0, 1], 40123).into(),
            ([127, 0, 0, 1], 12200).into(),
        ),
        began: Moment(0),
        tls: None,
        random: 0,
    };
    for (name, shape) in shapes {
        let times = [1, 100, 10_000].map(|count| {
            let table = RouteTable::compile(&RouteConfiguration {
                virtual_hosts: shape(count),
                ..RouteConfiguration::default()
            });
            let table = table.expect("a valid table");
            let calls: Vec<_> = (0..1000)
                .map(|at| {
                    let service = service(at * 7919 % count);
                    let path = format!("/{service}/get");
                    Call { service, path }
                })
                .collect();
            least(15, 100_000, |call| {
                let id = table.route(&calls[call % calls.len()], &facts);
                assert!(black_box(id).is_some());
            })
        });
        println!(
            "{name:15} {:8.1} {:8.1} {:8.1}",
            times[0], times[1], times[2]
        );
    }
}

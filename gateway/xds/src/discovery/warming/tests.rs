use proptest::prelude::*;

use super::*;
use crate::discovery::sample::{
    cluster, eds_cluster, endpoints, file, rds_listener, resource, routes,
};

const SECOND: Duration = Duration::from_secs(1);
/// What the sources of most tests give the first answer.
const PATIENCE: Option<Duration> = Some(SECOND);

/// What is wanted, put together piece by piece. Each piece says what `content` stands for.
#[derive(Clone, Default)]
struct Wanted(Resources);

impl Wanted {
    fn add<M: Discovered>(mut self, message: M, content: u128) -> Self {
        let resource = resource(message, content);
        M::among_mut(&mut self.0).insert(Arc::clone(&resource.name), resource);
        self
    }

    fn cluster(self, name: &str, content: u128) -> Self {
        self.add(cluster(name), content)
    }

    fn eds(self, name: &str, content: u128) -> Self {
        self.add(eds_cluster(name, "", file("/eds", PATIENCE)), content)
    }

    fn endpoints(self, name: &str, content: u128) -> Self {
        self.add(endpoints(name), content)
    }

    fn listener(self, name: &str, routes: &str, content: u128) -> Self {
        self.add(rds_listener(name, routes, file("/rds", PATIENCE)), content)
    }

    fn routes(self, name: &str, clusters: &[&str], content: u128) -> Self {
        self.add(routes(name, clusters), content)
    }
}

/// A machine with its clock.
struct Machine {
    warming: Warming,
    start: Instant,
}

impl Machine {
    fn new() -> Self {
        Self {
            warming: Warming::new(),
            #[expect(clippy::disallowed_methods, reason = "where it starts does not matter")]
            start: Instant::now(),
        }
    }

    fn want(&mut self, wanted: &Wanted, seconds: u64) -> String {
        self.warming.want(wanted.0.clone());
        self.at(seconds)
    }

    /// What is in force after so many seconds, such as `c:a1 l:x2`.
    fn at(&mut self, seconds: u64) -> String {
        let now = self.start + SECOND * u32::try_from(seconds).unwrap();
        let before = show(self.warming.in_force());
        let changed = self.warming.settle(now);
        let after = show(self.warming.in_force());
        assert_eq!(changed, before != after, "{before} {after}");
        assert!(!self.warming.settle(now), "nothing more to be done");
        after
    }

    fn waiting(&self) -> String {
        let waiting = self.warming.waiting().iter().map(|it| {
            let until = it.until.map(|until| (until - self.start).as_secs());
            let until = until.map_or_else(|| "ever".to_owned(), |seconds| seconds.to_string());
            format!(
                "{:?} {} for {:?} {} to {until}",
                it.kind, it.name, it.needs, it.needs_name
            )
        });
        waiting.collect::<Vec<_>>().join(", ")
    }

    fn wake_at(&self) -> Option<u64> {
        let at = self.warming.wake_at()?;
        Some((at - self.start).as_secs())
    }
}

/// Shown by the names alone: the messages are long.
impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&show(&self.0))
    }
}

fn show(resources: &Resources) -> String {
    fn all<M: Discovered>(resources: &Resources, letter: char, out: &mut Vec<String>) {
        for resource in M::among(resources).values() {
            out.push(format!(
                "{letter}:{}{}",
                resource.name, resource.fingerprint.0
            ));
        }
    }
    let mut out = Vec::new();
    all::<envoy_types::pb::envoy::config::cluster::v3::Cluster>(resources, 'c', &mut out);
    all::<envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment>(
        resources, 'e', &mut out,
    );
    all::<envoy_types::pb::envoy::config::route::v3::RouteConfiguration>(resources, 'r', &mut out);
    all::<envoy_types::pb::envoy::config::listener::v3::Listener>(resources, 'l', &mut out);
    out.join(" ")
}

#[test]
fn what_needs_nothing_is_in_force_at_once() {
    let mut machine = Machine::new();
    assert_eq!(machine.want(&Wanted::default().cluster("a", 1), 0), "c:a1");
    assert_eq!(
        (machine.waiting(), machine.wake_at()),
        (String::new(), None)
    );
}

#[test]
fn a_cluster_waits_for_its_endpoints() {
    let mut machine = Machine::new();
    let wanted = Wanted::default().eds("a", 1);
    assert_eq!(machine.want(&wanted, 0), "");
    assert_eq!(machine.waiting(), "Cluster a for Endpoints a to 1");
    assert!(machine.warming.is_waiting(Kind::Cluster, "a"));
    let wanted = wanted.endpoints("a", 1);
    assert_eq!(machine.want(&wanted, 0), "c:a1 e:a1");
    assert_eq!(machine.waiting(), "");
    // New endpoints are no reason to wait.
    assert_eq!(machine.want(&wanted.endpoints("a", 2), 0), "c:a1 e:a2");
}

#[test]
fn the_first_answer_is_waited_for_as_long_as_its_source_says() {
    let mut machine = Machine::new();
    let wanted = Wanted::default()
        .eds("a", 1)
        .add(eds_cluster("patient", "", file("/eds", None)), 1);
    assert_eq!(machine.want(&wanted, 0), "");
    assert_eq!(machine.wake_at(), Some(1));
    assert_eq!(machine.at(1), "c:a1");
    assert_eq!(machine.at(1000), "c:a1");
    assert_eq!(
        machine.waiting(),
        "Cluster patient for Endpoints patient to ever"
    );
    assert_eq!(machine.wake_at(), None);
    machine.warming.give_up(Kind::Endpoints, "patient");
    assert_eq!(machine.at(1000), "c:a1 c:patient1");
    // Who comes anew is waited for anew.
    assert_eq!(machine.want(&Wanted::default(), 1001), "");
    assert_eq!(machine.want(&wanted, 1002), "");
}

#[test]
fn the_cluster_before_serves_meanwhile() {
    let mut machine = Machine::new();
    let wanted = Wanted::default().cluster("a", 1);
    machine.want(&wanted, 0);
    let wanted = wanted.eds("a", 2);
    assert_eq!(machine.want(&wanted, 5), "c:a1");
    // Something else waits anew.
    let wanted = wanted.eds("a", 3);
    machine.at(5);
    machine.warming.want(wanted.0.clone());
    machine
        .warming
        .settle(machine.start + SECOND * 5 + SECOND / 2);
    assert_eq!(machine.at(6), "c:a1");
    assert_eq!(machine.want(&wanted.endpoints("a", 1), 6), "c:a3 e:a1");
}

#[test]
fn a_listener_waits_for_its_routes_and_keeps_the_old_ones() {
    let mut machine = Machine::new();
    let wanted = Wanted::default().listener("l", "r", 1);
    assert_eq!(machine.want(&wanted, 0), "");
    assert_eq!(machine.waiting(), "Listener l for Routes r to 1");
    let wanted = wanted.routes("r", &[], 1);
    assert_eq!(machine.want(&wanted, 0), "r:r1 l:l1");
    // It names other routes now: the old listener keeps the old routes, which nobody wants.
    let next = Wanted::default().listener("l", "s", 2);
    assert_eq!(machine.want(&next, 0), "r:r1 l:l1");
    assert_eq!(machine.want(&next.routes("s", &[], 1), 0), "r:s1 l:l2");
}

#[test]
fn a_listener_without_routes_goes_without_them_in_the_end() {
    let mut machine = Machine::new();
    machine.want(&Wanted::default().listener("l", "r", 1), 0);
    assert_eq!(machine.at(1), "l:l1");
}

#[test]
fn a_route_waits_for_a_new_cluster_that_it_names() {
    let mut machine = Machine::new();
    let wanted = Wanted::default()
        .cluster("old", 1)
        .listener("l", "r", 1)
        .routes("r", &["old"], 1);
    assert_eq!(machine.want(&wanted, 0), "c:old1 r:r1 l:l1");
    // The cluster's endpoints come last, in whatever order the files are moved.
    let wanted = wanted
        .add(eds_cluster("new", "", file("/eds", None)), 1)
        .routes("r", &["old", "new"], 2);
    assert_eq!(machine.want(&wanted, 0), "c:old1 r:r1 l:l1");
    assert_eq!(
        machine.waiting(),
        "Cluster new for Endpoints new to ever, Routes r for Cluster new to 15"
    );
    let warm = wanted.clone().endpoints("new", 1);
    assert_eq!(machine.want(&warm, 1), "c:new1 c:old1 e:new1 r:r2 l:l1");
    // One that never gets warm holds routes for a limited time.
    let mut machine = Machine::new();
    machine.want(&wanted, 0);
    assert_eq!(machine.at(14), "c:old1");
    assert_eq!(machine.at(15), "c:old1 r:r2 l:l1");
}

#[test]
fn nothing_waits_for_a_cluster_that_nobody_wants() {
    let mut machine = Machine::new();
    let wanted = Wanted::default().routes("r", &["nowhere"], 1);
    assert_eq!(machine.want(&wanted, 0), "r:r1");
}

#[test]
fn a_cluster_that_changes_holds_no_routes() {
    let mut machine = Machine::new();
    let wanted = Wanted::default().cluster("a", 1);
    machine.want(&wanted, 0);
    let wanted = wanted.eds("a", 2).routes("r", &["a"], 1);
    assert_eq!(machine.want(&wanted, 0), "c:a1 r:r1");
}

/// The file of clusters was moved before that of routes.
#[test]
fn a_cluster_stays_while_routes_name_it() {
    let mut machine = Machine::new();
    let both = Wanted::default()
        .cluster("a", 1)
        .eds("b", 1)
        .endpoints("b", 1)
        .routes("r", &["a", "b"], 1);
    machine.want(&both, 0);
    let one = Wanted::default().cluster("a", 1);
    let named = one.clone().endpoints("b", 1).routes("r", &["a", "b"], 1);
    assert_eq!(machine.want(&named, 10), "c:a1 c:b1 e:b1 r:r1");
    assert_eq!(machine.wake_at(), Some(25));
    let unnamed = one.routes("r", &["a"], 2);
    assert_eq!(machine.want(&unnamed, 20), "c:a1 r:r2");

    // Routes that never let go of it do not keep it for ever.
    let mut machine = Machine::new();
    machine.want(&both, 0);
    machine.want(&named, 10);
    assert_eq!(machine.at(24), "c:a1 c:b1 e:b1 r:r1");
    assert_eq!(machine.at(25), "c:a1 r:r1");
    // And when it comes back it is in force as if it had never gone.
    assert_eq!(machine.want(&both, 26), "c:a1 c:b1 e:b1 r:r1");
}

#[test]
fn what_comes_into_force_is_what_was_wanted() {
    let mut machine = Machine::new();
    let wanted = Wanted::default().cluster("a", 1);
    machine.want(&wanted, 0);
    let first = Arc::clone(&machine.warming.in_force().clusters["a"].message);
    // The same said again is the same message: nothing is compiled again.
    let again = Wanted::default().cluster("a", 1);
    assert_eq!(machine.want(&again, 0), "c:a1");
    assert!(Arc::ptr_eq(
        &first,
        &machine.warming.in_force().clusters["a"].message
    ));
}

/// What files may ask for: every name that is named is wanted too, as in a right configuration.
fn consistent() -> impl Strategy<Value = Wanted> {
    let clusters = proptest::collection::btree_map(0..4_usize, (0..3_u128, 0..3_u8), 1..4);
    let routes = proptest::collection::btree_map(
        0..3_usize,
        (0..3_u128, proptest::collection::vec(0..64_usize, 0..3)),
        0..3,
    );
    let listeners = proptest::collection::btree_map(0..3_usize, (0..3_u128, 0..64_usize), 0..3);
    (clusters, routes, listeners).prop_map(|(clusters, routes, listeners)| {
        let mut wanted = Wanted::default();
        let names: Vec<String> = clusters.keys().map(|name| format!("c{name}")).collect();
        for (name, (content, kind)) in clusters {
            let name = format!("c{name}");
            wanted = match kind {
                0 => wanted.cluster(&name, content),
                1 => wanted.eds(&name, 10 + content),
                _ => wanted.eds(&name, 10 + content).endpoints(&name, content),
            };
        }
        let route_names: Vec<String> = routes.keys().map(|name| format!("r{name}")).collect();
        for (name, (content, named)) in routes {
            let named: BTreeSet<&str> = named
                .iter()
                .map(|ix| names[ix % names.len()].as_str())
                .collect();
            let named: Vec<&str> = named.into_iter().collect();
            // What routes name is part of what they say.
            let content = content
                + 10 * named
                    .iter()
                    .fold(1, |sum, name| sum * 31 + u128::from(name.as_bytes()[1]));
            wanted = wanted.routes(&format!("r{name}"), &named, content);
        }
        for (name, (content, route)) in listeners {
            if !route_names.is_empty() {
                let ix = route % route_names.len();
                // The same for the routes that a listener names.
                let content = content + 10 * u128::from(route_names[ix].as_bytes()[1]);
                wanted = wanted.listener(&format!("l{name}"), &route_names[ix], content);
            }
        }
        wanted
    })
}

/// What calls meet: the clusters that the routes of listeners in force name.
fn broken(resources: &Resources) -> Vec<String> {
    let mut broken = Vec::new();
    for listener in resources.listeners.values() {
        for need in &listener.needs.discovered {
            let Some(routes) = resources.routes.get(need.name.as_str()) else {
                broken.push(format!("{} misses {}", listener.name, need.name));
                continue;
            };
            let missing = |name: &&String| !resources.clusters.contains_key(name.as_str());
            let missing = routes.needs.clusters.iter().filter(missing);
            broken.extend(missing.map(|name| format!("{} misses {name}", routes.name)));
        }
    }
    broken
}

proptest! {
    /// Make before break: as long as no time runs out, no route in force names a cluster that is
    /// not, and no listener routes that are not.
    #[test]
    fn nothing_in_force_misses_anything(steps in proptest::collection::vec(consistent(), 1..12)) {
        let mut machine = Machine::new();
        for wanted in &steps {
            machine.want(wanted, 0);
            prop_assert_eq!(broken(machine.warming.in_force()), Vec::<String>::new());
        }
    }

    /// Whatever was waited for: once all times are up, what is wanted is in force, and no more.
    #[test]
    fn what_is_wanted_is_in_force_in_the_end(
        steps in proptest::collection::vec((consistent(), 0..40_u64), 1..8),
    ) {
        let mut machine = Machine::new();
        let mut time = 0;
        for (wanted, seconds) in &steps {
            machine.want(wanted, time);
            time += seconds;
            machine.at(time);
        }
        let (wanted, _) = steps.last().expect("there is one at least");
        // One time for clusters, one for the routes behind them, one for the listeners.
        for _ in 0..3 {
            time += HOLD.as_secs();
            machine.at(time);
        }
        prop_assert_eq!(machine.waiting(), "");
        prop_assert_eq!(machine.wake_at(), None);
        // Endpoints stay with a cluster: EDS tells of none that are gone.
        let rest = |resources| {
            let shown = show(resources);
            let rest = shown.split(' ').filter(|shown| !shown.starts_with("e:"));
            rest.map(str::to_owned).collect::<Vec<_>>()
        };
        prop_assert_eq!(rest(machine.warming.in_force()), rest(&wanted.0));
    }

    /// It never has to be looked at before the time that it names.
    #[test]
    fn nothing_happens_before_the_time_that_is_named(
        steps in proptest::collection::vec((consistent(), 0..20_u64), 1..8),
    ) {
        let mut machine = Machine::new();
        let mut time = 0;
        for (wanted, seconds) in steps {
            machine.want(&wanted, time);
            for second in time..time + seconds {
                let wake = machine.wake_at();
                let before = show(machine.warming.in_force());
                let after = machine.at(second);
                prop_assert!(before == after || wake.is_some_and(|wake| wake <= second));
            }
            time += seconds;
        }
    }
}

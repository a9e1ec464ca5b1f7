//! The decision about calls, over routes that are written out.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::*;
use crate::{
    cluster::{Balancer, Breakers, ClusterMetric, ClusterSettings, Host, HostSet, HostState},
    edits::{Edit, Effect},
    filter::Filters,
    route::{ClusterSlot, Direct, Location, Redirect, Route, Router, Unchanged, WeightedCluster},
    snapshot::{DownstreamLimits, Ends, HttpMetric, Terms},
    stats::Registry,
    stream::{HttpPolicy, HttpUpstream},
    time::Moment,
};

/// Headers, and pseudo headers by their names.
struct Words(Vec<(&'static str, &'static str)>);

impl RoutingView for Words {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let found = self
            .0
            .iter()
            .filter(|(name, _)| Key::from_header_name(name) == key);
        let values: Vec<_> = found.map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| values.join(",").into())
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        self.0.iter().for_each(|(name, value)| each(name, value));
    }

    fn protocol(&self) -> &'static str {
        "test"
    }
}

fn request(headers: &[(&'static str, &'static str)]) -> Words {
    let words = [(":authority", "h"), (":path", "/p")];
    Words(words.iter().chain(headers).copied().collect())
}

fn facts(random: u64) -> Facts {
    let address: SocketAddr = ([127, 0, 0, 1], 1).into();
    Facts {
        source: None,
        ends: Ends::of(address, address),
        began: Moment(0),
        tls: None,
        random,
    }
}

/// A table of one route to the clusters `a` and `b`.
#[derive(Debug)]
struct One {
    route: Route,
    names: Vec<Arc<str>>,
}

impl Router for One {
    fn route(&self, _: &dyn RoutingView, _: &Facts) -> Option<RouteId> {
        Some(RouteId(0))
    }

    fn get(&self, _: RouteId) -> &Route {
        &self.route
    }

    fn hash(
        &self,
        _: RouteId,
        request: &dyn RoutingView,
        _: &Facts,
        response: &mut Edits,
    ) -> Option<u64> {
        response.push(Edit::Append("set-cookie".into(), "c".into()));
        request.get(Key::Header("hash"))?.parse().ok()
    }

    fn clusters(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// Adds what it sees as the header `seen`.
#[derive(Debug)]
struct Seen;

impl Template for Seen {
    fn is_empty(&self) -> bool {
        false
    }

    fn apply(&self, scene: &Scene<'_>, edits: &mut Edits) {
        let path = scene.request.get(Key::Path).unwrap_or_default();
        let location = edits.effect("location", None);
        let (cluster, host) = (scene.cluster, scene.host);
        let seen = format!("{path} {location:?} {cluster:?} {host:?}");
        edits.push(Edit::Append("seen".into(), seen.into()));
    }
}

/// Sends callers to the same path elsewhere.
#[derive(Debug)]
struct There;

impl Location for There {
    fn of(&self, scene: &Scene<'_>) -> String {
        let path = scene.request.get(Key::Path).unwrap_or_default();
        format!("https://there{path}")
    }
}

#[derive(Debug)]
struct Hashing(bool);

impl Balancer for Hashing {
    fn pick(&self, _: &HostSet, _: &Pick<'_>) -> Option<HostIx> {
        Some(HostIx(0))
    }

    fn hashes(&self) -> bool {
        self.0
    }
}

fn cluster(registry: &Registry, name: &str, hashing: bool) -> Arc<Cluster> {
    let host = Host {
        address: ([127, 0, 0, 1], 1).into(),
        hostname: None,
        hash_key: None,
        weight: 1,
        healthy: true,
        state: HostState::new(),
    };
    let breakers = || Breakers::unlimited();
    Arc::new(Cluster {
        name: name.into(),
        hosts: Arc::new(HostSet::new(vec![host])),
        balancer: Arc::new(Hashing(hashing)),
        connect_timeout: Duration::from_secs(1),
        secure: None,
        breakers: Arc::new([breakers(), breakers()]),
        settings: ClusterSettings::default(),
        http: HttpUpstream::default(),
        observer: None,
        outlier: None,
        stats: registry.group::<ClusterMetric>("cluster", name),
    })
}

/// A snapshot of the clusters `a`, which hashes, and `b`, and a policy of one route.
fn set(action: Action, response_edits: Box<dyn Template>) -> (Snapshot, Policy) {
    let registry = Registry::new(1);
    let clusters = vec![
        cluster(&registry, "a", true),
        cluster(&registry, "b", false),
    ];
    let snapshot = Snapshot::new(clusters);
    let router = Arc::new(One {
        route: Route {
            name: "one".into(),
            virtual_host: "v".into(),
            action,
            request_edits: Box::new(Unchanged),
            response_edits,
        },
        names: vec!["a".into(), "b".into(), "c".into()],
    });
    let policy = Policy {
        terms: Arc::new(Terms {
            name: "p".into(),
            logs: Box::default(),
            stats: registry.group::<HttpMetric>("http", "p"),
            answers: Default::default(),
            limits: DownstreamLimits::default(),
            http: HttpPolicy::default(),
        }),
        links: snapshot.link(&*router),
        router,
        filters: Filters::default(),
    };
    (snapshot, policy)
}

fn decided(
    (snapshot, policy): &(Snapshot, Policy),
    request: &Words,
    random: u64,
) -> (Decision, Progress) {
    let mut progress = Progress::default();
    let decision = decide(snapshot, policy, request, &facts(random), &mut progress);
    (decision, progress)
}

fn aimed(set: &(Snapshot, Policy), request: &Words, random: u64) -> (Aim, Progress) {
    match decided(set, request, random) {
        (Decision::Forward(aim), progress) => (aim, progress),
        other => panic!("{other:?}"),
    }
}

fn replied(set: &(Snapshot, Policy), request: &Words) -> Status {
    match decided(set, request, 0) {
        (Decision::Reply(status), _) => status,
        other => panic!("{other:?}"),
    }
}

fn header(edits: &Edits, name: &str) -> String {
    match edits.effect(name, None) {
        Effect::Become(value) => value,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn redirects_tell_where_before_their_headers_are_changed() {
    let redirect = Redirect {
        status: 308,
        location: Box::new(There),
    };
    let status = replied(
        &set(Action::Redirect(redirect), Box::new(Seen)),
        &request(&[]),
    );
    assert_eq!((status.cause, status.http), (Cause::DirectResponse, 308));
    assert_eq!(header(&status.headers, "location"), "https://there/p");
    let seen = header(&status.headers, "seen");
    assert_eq!(seen, "/p Become(\"https://there/p\") None None");
}

#[test]
fn direct_responses_have_the_headers_of_responses() {
    let direct = || {
        Action::Direct(Direct {
            status: 418,
            body: "tea".into(),
        })
    };
    let status = replied(&set(direct(), Box::new(Seen)), &request(&[]));
    assert_eq!((status.http, &*status.text), (418, "tea"));
    assert_eq!(header(&status.headers, "seen"), "/p Keep None None");
    let plain = replied(&set(direct(), Box::new(Unchanged)), &request(&[]));
    assert!(plain.headers.is_empty());
}

#[test]
fn a_cluster_that_is_missing_has_the_status_that_the_route_names() {
    let forward = Forward {
        no_cluster: 404,
        ..Forward::to(Target::Single(ClusterSlot(2)))
    };
    let status = replied(
        &set(Action::Forward(forward), Box::new(Seen)),
        &request(&[]),
    );
    assert_eq!((status.cause, status.http), (Cause::NoCluster, 404));
    assert_eq!(header(&status.headers, "seen"), "/p Keep None None");
}

fn weighted(draw: Draw) -> (Snapshot, Policy) {
    let entry = |cluster| WeightedCluster {
        cluster,
        weight: 1,
        request_edits: Box::new(Unchanged),
        response_edits: Box::new(Unchanged),
    };
    let entries = vec![
        entry(Named::Slot(ClusterSlot(0))),
        entry(Named::Header("to".into())),
    ];
    let weighted = Weighted::new(entries, draw).expect("weights");
    let forward = Forward::to(Target::Weighted(weighted));
    set(Action::Forward(forward), Box::new(Unchanged))
}

#[test]
fn a_draw_uses_the_number_that_it_is_told() {
    let headers = |value| request(&[("to", "b"), ("n", value), ("hash", value)]);
    let by_header = weighted(Draw::Header("n".into()));
    // As in Envoy, what is no number leaves the draw to chance.
    for (value, random, entry) in [
        ("0", 1, 0),
        ("1", 0, 1),
        (" 3 ", 0, 1),
        ("+1", 0, 1),
        ("-1", 0, 0),
        ("1x", 1, 1),
    ] {
        let (aim, _) = aimed(&by_header, &headers(value), random);
        assert_eq!(aim.entry, Some(entry), "{value}");
    }
    let twice = request(&[("to", "b"), ("n", "1"), ("n", "1")]);
    assert_eq!(aimed(&by_header, &twice, 0).0.entry, Some(0));
    let by_hash = weighted(Draw::Hash);
    assert_eq!(aimed(&by_hash, &headers("1"), 0).0.entry, Some(1));
    assert_eq!(aimed(&by_hash, &headers("none"), 0).0.entry, Some(0));
    let random = weighted(Draw::Random);
    assert_eq!(aimed(&random, &headers("1"), 0).0.entry, Some(0));
    assert_eq!(aimed(&random, &headers("0"), 1).0.cluster, ClusterIx(1));
}

#[test]
fn a_header_names_a_cluster_with_its_first_value() {
    let target = Target::Header("to".into());
    let set = set(Action::Forward(Forward::to(target)), Box::new(Unchanged));
    let (aim, _) = aimed(&set, &request(&[("to", "b"), ("to", "nope")]), 0);
    assert_eq!(aim.cluster, ClusterIx(1));
    for headers in [&[("to", "nope"), ("to", "b")][..], &[("to", "b,nope")], &[]] {
        assert_eq!(replied(&set, &request(headers)).http, 503);
    }
}

#[test]
fn calls_are_hashed_only_for_balancers_that_hash() {
    for (slot, hash) in [(0, Some(7)), (1, None)] {
        let forward = Forward {
            hash: vec![crate::route::HashPolicy {
                terminal: false,
                source: Box::new(Nothing),
            }],
            ..Forward::to(Target::Single(ClusterSlot(slot)))
        };
        let set = set(Action::Forward(forward), Box::new(Unchanged));
        let (aim, progress) = aimed(&set, &request(&[("hash", "7")]), 0);
        assert_eq!(aim.hash, hash);
        assert_eq!(progress.response.is_empty(), hash.is_none());
    }
}

/// The router of these tests hashes by itself.
#[derive(Debug)]
struct Nothing;

impl crate::route::HashSource for Nothing {
    fn hash(&self, _: &dyn RoutingView, _: &Facts, _: &mut Edits) -> Option<u64> {
        None
    }
}

#[test]
fn answers_see_the_request_as_it_was_sent() {
    let forward = Forward::to(Target::Single(ClusterSlot(0)));
    let set = set(Action::Forward(forward), Box::new(Seen));
    let request = request(&[]);
    let (aim, _) = aimed(&set, &request, 0);
    let mut sent = Edits::none();
    sent.push(Edit::Set(":path".into(), "/new".into()));
    let answer = Answer {
        response: &Words(Vec::new()),
        request: &request,
        sent: &sent,
        facts: &facts(0),
        cluster: Some("a"),
        host: Some(([127, 0, 0, 1], 9).into()),
    };
    let mut edits = Edits::none();
    response_edits(&set.1, &aim, &answer, &mut edits);
    let seen = "/new Keep Some(\"a\") Some(127.0.0.1:9)";
    assert_eq!(header(&edits, "seen"), seen);
    let mut status = Status::new(Cause::Timeout, "late");
    let (told, facts) = ((&request as _, &sent), facts(0));
    local_edits(&set.1, &aim, told, (&facts, Some("a")), &mut status);
    assert_eq!(
        header(&status.headers, "seen"),
        "/new Keep Some(\"a\") None"
    );
}

#[test]
fn an_edited_request_shows_its_headers_as_edited() {
    let inner = request(&[("a", "1"), ("a", "2"), ("b", "3")]);
    let mut edits = Edits::none();
    edits.push(Edit::Remove("b".into()));
    edits.push(Edit::Set("c".into(), "4".into()));
    edits.push(Edit::Set(":path".into(), "/x".into()));
    let edited = Edited {
        inner: &inner,
        edits: &edits,
    };
    let mut seen = Vec::new();
    edited.headers(&mut |name, value| {
        if !name.starts_with(':') {
            seen.push(format!("{name}={value}"));
        }
    });
    assert_eq!(seen, ["a=1", "a=2", "c=4"]);
    assert_eq!(edited.first(Key::Header("a")).as_deref(), Some("1"));
    assert_eq!(edited.get(Key::Path).as_deref(), Some("/x"));
}

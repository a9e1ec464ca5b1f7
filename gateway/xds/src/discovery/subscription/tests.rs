use std::time::{Duration, UNIX_EPOCH};

use envoy_types::pb::envoy::config::{cluster::v3::Cluster, route::v3::RouteConfiguration};
use proptest::prelude::*;

use super::*;
use crate::discovery::sample::{cluster, resource, response, routes};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Clusters with what stands for what they say.
fn clusters(version: &str, said: &[(&str, u128)]) -> Response<Cluster> {
    let said = said.iter();
    let resources = said.map(|(name, content)| resource(cluster(name), *content));
    response(version, resources.collect())
}

fn held(subscription: &Subscription<Cluster>) -> Vec<(&str, u128)> {
    let held = subscription.held().values();
    let held = held.map(|held| (&*held.resource.name, held.resource.fingerprint.0));
    held.collect()
}

fn names<M: Discovered>(update: &Update<M>) -> (Vec<&str>, Vec<&str>, usize) {
    let changed = update.changed.iter().map(|resource| &*resource.name);
    let removed = update.removed.iter().map(|name| &**name);
    (changed.collect(), removed.collect(), update.unchanged)
}

/// A subscription to clusters that holds a and b since second 1.
fn with_two() -> Subscription<Cluster> {
    let mut subscription = Subscription::new(Interest::All);
    subscription.attempt();
    let update = subscription.offer(&clusters("1", &[("a", 1), ("b", 1)]));
    assert_eq!(names(&update), (vec!["a", "b"], vec![], 0));
    assert!(held(&subscription).is_empty(), "nothing is taken unjudged");
    subscription.conclude(Verdict::Accepted, at(1));
    subscription
}

#[test]
fn an_update_names_only_what_changes() {
    let mut subscription = with_two();
    let update = subscription.offer(&clusters("2", &[("c", 1), ("b", 2)]));
    assert_eq!(names(&update), (vec!["c", "b"], vec!["a"], 0));
    let update = subscription.offer(&clusters("2", &[("a", 1), ("b", 2)]));
    assert_eq!(names(&update), (vec!["b"], vec![], 1));
    subscription.conclude(Verdict::Accepted, at(2));
    assert_eq!(held(&subscription), [("a", 1), ("b", 2)]);
    let since = |name: &str| subscription.held()[name].since;
    assert_eq!((since("a"), since("b")), (at(1), at(2)));
    assert_eq!(&**subscription.version(), "2");
    assert_eq!(subscription.updated(), Some(at(2)));
}

#[test]
fn an_equal_response_rebuilds_nothing() {
    let mut subscription = with_two();
    subscription.attempt();
    let update = subscription.offer(&clusters("2", &[("b", 1), ("a", 1)]));
    assert!(update.is_empty());
    subscription.conclude(Verdict::Accepted, at(2));
    let counts = Counts {
        attempt: 2,
        success: 2,
        no_rebuild: 1,
        ..Counts::default()
    };
    assert_eq!(subscription.counts(), counts);
    assert_eq!(&**subscription.version(), "2");
    assert_eq!(subscription.held()["a"].since, at(1));
}

#[test]
fn a_refused_response_changes_nothing_and_says_why() {
    let mut subscription = with_two();
    let _ = subscription.offer(&clusters("2", &[("b", 2), ("c", 1)]));
    subscription.conclude(Verdict::Refused("b is odd".into()), at(2));
    assert_eq!(held(&subscription), [("a", 1), ("b", 1)]);
    assert_eq!(&**subscription.version(), "1");
    assert_eq!(subscription.updated(), Some(at(1)));
    let failure = subscription.failure().unwrap();
    assert_eq!(
        (failure.at, &*failure.details, &*failure.version),
        (at(2), "b is odd", "2")
    );
    let failed: Vec<_> = subscription.failures().iter().collect();
    assert_eq!(failed.len(), 2);
    let (name, failure) = failed[0];
    assert_eq!((&**name, &*failure.details), ("b", "b is odd"));
    assert_eq!(failure.resource.as_ref().unwrap().fingerprint.0, 2);

    // The next good one makes that forgotten.
    let _ = subscription.offer(&clusters("3", &[("b", 3)]));
    subscription.conclude(Verdict::Accepted, at(3));
    assert!(subscription.failure().is_none() && subscription.failures().is_empty());
    assert_eq!(held(&subscription), [("b", 3)]);
    let counts = subscription.counts();
    assert_eq!((counts.success, counts.rejected), (2, 1));
}

#[test]
fn single_resources_can_be_refused() {
    let mut subscription = with_two();
    let update = subscription.offer(&clusters("2", &[("b", 2), ("c", 1)]));
    assert_eq!(names(&update), (vec!["b", "c"], vec!["a"], 0));
    let refused = BTreeMap::from([("b".into(), "is odd".to_owned())]);
    subscription.conclude(Verdict::Partly(refused), at(2));
    assert_eq!(held(&subscription), [("b", 1), ("c", 1)]);
    assert_eq!(&**subscription.version(), "1", "2 was not accepted whole");
    assert!(subscription.failure().is_none());
    let failure = &subscription.failures()["b"];
    assert_eq!((&*failure.details, &*failure.version), ("is odd", "2"));
    assert_eq!(subscription.counts().rejected, 1);
    assert_eq!(subscription.updated(), Some(at(2)));
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut subscription = with_two();
    let _ = subscription.offer(&clusters("2", &[]));
    subscription.failed("no such file", at(2));
    // The offer is forgotten: there is nothing to be judged any more.
    subscription.conclude(Verdict::Accepted, at(3));
    assert_eq!(held(&subscription).len(), 2);
    assert_eq!(&*subscription.failure().unwrap().details, "no such file");
    subscription.rejected("not YAML", at(4));
    assert_eq!(&*subscription.failure().unwrap().details, "not YAML");
    let counts = subscription.counts();
    assert_eq!((counts.failure, counts.rejected, counts.success), (1, 1, 1));
}

#[test]
fn any_answer_ends_the_waiting_for_the_first_one() {
    type Answer = fn(&mut Subscription<Cluster>);
    let answers: [Answer; 4] = [
        |it| it.failed("", at(1)),
        |it| it.rejected("", at(1)),
        |it| {
            let _ = it.offer(&clusters("", &[]));
            it.conclude(Verdict::Accepted, at(1));
        },
        |it| {
            let _ = it.offer(&clusters("", &[]));
            it.conclude(Verdict::Refused(String::new()), at(1));
        },
    ];
    for answer in answers {
        let mut subscription = Subscription::new(Interest::All);
        subscription.attempt();
        let _ = subscription.offer(&clusters("", &[]));
        assert!(!subscription.is_answered());
        answer(&mut subscription);
        assert!(subscription.is_answered());
    }
}

#[test]
fn resources_asked_for_by_name_are_not_removed_by_silence() {
    let names_of =
        |names: &[&str]| Interest::Names(names.iter().map(|&name| name.into()).collect());
    let mut subscription: Subscription<RouteConfiguration> =
        Subscription::new(names_of(&["a", "b"]));
    let of = |names: &[&str], content| {
        let resources = names
            .iter()
            .map(|name| resource(routes(name, &[]), content));
        response("", resources.collect())
    };
    let update = subscription.offer(&of(&["a", "b", "unasked"], 1));
    assert_eq!(names(&update), (vec!["a", "b"], vec![], 0));
    subscription.conclude(Verdict::Accepted, at(1));
    let update = subscription.offer(&of(&["a"], 2));
    assert_eq!(names(&update), (vec!["a"], vec![], 0));
    let mut removal = of(&["a"], 2);
    removal.removed = vec!["b".into(), "never".into()];
    let update = subscription.offer(&removal);
    assert_eq!(names(&update), (vec!["a"], vec!["b"], 0));
    subscription.conclude(Verdict::Accepted, at(2));
    assert_eq!(subscription.held().len(), 1);
}

/// What a response says, and how it is judged.
#[derive(Clone, Debug)]
enum Judged {
    Accepted,
    Refused,
    Partly(Vec<u8>),
    Unreadable,
}

fn step() -> impl Strategy<Value = (BTreeMap<u8, u128>, Judged)> {
    let said = proptest::collection::btree_map(0..6_u8, 0..3_u128, 0..6);
    let judged = prop_oneof![
        3 => Just(Judged::Accepted),
        1 => Just(Judged::Refused),
        2 => proptest::collection::vec(0..6_u8, 0..4).prop_map(Judged::Partly),
        1 => Just(Judged::Unreadable),
    ];
    (said, judged)
}

proptest! {
    /// Whatever comes: what is held is what was accepted last, resource by resource; an update
    /// names exactly what differs; every response is counted once.
    #[test]
    fn what_is_held_is_what_was_accepted(steps in proptest::collection::vec(step(), 0..20)) {
        let mut subscription = Subscription::<Cluster>::new(Interest::All);
        let mut expected: BTreeMap<String, u128> = BTreeMap::new();
        for (said, judged) in &steps {
            subscription.attempt();
            let said: BTreeMap<String, u128> =
                said.iter().map(|(name, content)| (format!("n{name}"), *content)).collect();
            let list: Vec<_> = said.iter().map(|(name, content)| (name.as_str(), *content)).collect();
            let update = subscription.offer(&clusters("", &list));
            for changed in &update.changed {
                prop_assert_ne!(expected.get(&*changed.name), said.get(&*changed.name));
            }
            prop_assert_eq!(update.changed.len() + update.unchanged, said.len());
            match judged {
                Judged::Accepted => {
                    subscription.conclude(Verdict::Accepted, at(1));
                    expected = said;
                }
                Judged::Refused => {
                    subscription.conclude(Verdict::Refused("odd".into()), at(1));
                    prop_assert!(subscription.failure().is_some());
                }
                Judged::Partly(bad) => {
                    let bad: BTreeSet<String> = bad.iter().map(|name| format!("n{name}")).collect();
                    let changed = |name: &String| update.changed.iter().any(|it| *it.name == **name);
                    let bad: BTreeMap<Arc<str>, String> = bad
                        .iter()
                        .filter(|name| changed(name))
                        .map(|name| (name.as_str().into(), "odd".into()))
                        .collect();
                    subscription.conclude(Verdict::Partly(bad.clone()), at(1));
                    let old = std::mem::take(&mut expected);
                    for (name, content) in said {
                        let content = match bad.contains_key(name.as_str()) {
                            true => old.get(&name).copied(),
                            false => Some(content),
                        };
                        expected.extend(content.map(|content| (name, content)));
                    }
                    prop_assert_eq!(subscription.failures().len(), bad.len());
                }
                Judged::Unreadable => subscription.failed("gone", at(1)),
            }
            let expected: Vec<_> =
                expected.iter().map(|(name, content)| (name.as_str(), *content)).collect();
            prop_assert_eq!(held(&subscription), expected);
        }
        let counts = subscription.counts();
        let steps = u64::try_from(steps.len()).unwrap();
        prop_assert_eq!(counts.attempt, steps);
        prop_assert_eq!(counts.success + counts.rejected + counts.failure, steps);
    }
}

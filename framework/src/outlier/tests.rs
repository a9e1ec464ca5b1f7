//! The rules of ejection, in a time that the tests tell.

use std::{net::SocketAddr, sync::Barrier, thread};

use super::*;
use crate::{
    cluster::{HostIx, HostState},
    stats::Registry,
};

mod rates;
mod times;

const WORKERS: usize = 4;

/// A cluster as a detector sees it.
struct Rig {
    hosts: HostSet,
    detector: Detector,
}

impl Rig {
    fn new(count: u32, config: Config) -> Self {
        let host = |n: u32| Host {
            address: SocketAddr::new(n.to_be_bytes().into(), 80),
            hostname: None,
            hash_key: None,
            weight: 1,
            healthy: true,
            state: HostState::new(),
        };
        Self::of(HostSet::new((0..count).map(host).collect()), config)
    }

    fn of(hosts: HostSet, config: Config) -> Self {
        let stats = Registry::new(WORKERS).group::<OutlierMetric>("cluster", "orders");
        Self {
            detector: Detector::new(config, "orders".into(), &hosts, stats),
            hosts,
        }
    }

    fn host(&self, ix: u32) -> &Host {
        self.hosts.get(HostIx(ix)).expect("it is there")
    }

    fn note_at(&self, ix: u32, told: Told, now_ms: u64) {
        let at = || at(now_ms);
        self.detector.note(&self.hosts, self.host(ix), told, &at);
    }

    fn note(&self, ix: u32, told: Told) {
        self.note_at(ix, told, 0);
    }

    fn times(&self, times: u32, ix: u32, told: Told) {
        (0..times).for_each(|_| self.note(ix, told));
    }

    fn sweep(&self, now_ms: u64) {
        self.detector.sweep(&self.hosts, at(now_ms), &mut || 0);
    }

    fn ejected(&self) -> Vec<u32> {
        let away = |(_, host): &(HostIx, &Host)| host.state.outlier.is_ejected();
        self.hosts.iter().filter(away).map(|(ix, _)| ix.0).collect()
    }

    fn get(&self, metric: OutlierMetric) -> u64 {
        self.detector.stats.get(metric)
    }
}

fn at(now_ms: u64) -> At {
    At {
        now_ms,
        random: 0,
        shard: Shard(1),
    }
}

/// Every host may be ejected.
fn all() -> Config {
    Config {
        max_ejection_percent: 100,
        ..Config::default()
    }
}

#[test]
fn five_failures_in_a_row_eject_a_host() {
    let rig = Rig::new(2, all());
    rig.times(4, 0, Told::Answer(500));
    rig.note(0, Told::Answer(404));
    rig.times(4, 0, Told::Answer(599));
    assert_eq!(rig.ejected(), [], "never five in a row");
    rig.note(1, Told::Answer(500));
    rig.note(0, Told::Answer(500));
    assert_eq!(rig.ejected(), [0]);
    assert_eq!((rig.detector.ejected(), rig.detector.missing()), (1, 1));
    rig.times(20, 0, Told::Answer(500));
    assert_eq!(rig.get(OutlierMetric::Detected5xx), 1, "it is away");
    assert_eq!(rig.get(OutlierMetric::Enforced5xx), 1);
    assert_eq!(rig.get(OutlierMetric::EjectionsEnforced), 1);
}

#[test]
fn failures_seen_by_the_gateway_count_like_answers_unless_told_apart() {
    let rig = Rig::new(1, all());
    rig.times(3, 0, Told::LocalFailure(503));
    rig.times(2, 0, Told::Answer(500));
    assert_eq!(rig.ejected(), [0]);

    let split = Rig::new(
        2,
        Config {
            split: true,
            ..all()
        },
    );
    split.times(4, 0, Told::LocalFailure(503));
    split.times(4, 0, Told::Answer(500));
    split.times(4, 0, Told::LocalFailure(504));
    assert_eq!(
        split.ejected(),
        [],
        "an answer, whatever it is, ends the row"
    );
    split.note(0, Told::LocalFailure(503));
    assert_eq!(split.ejected(), [0]);
    assert_eq!(split.get(OutlierMetric::EnforcedLocal), 1);
    split.times(4, 1, Told::Answer(503));
    split.times(4, 1, Told::LocalFailure(503));
    split.note(1, Told::Answer(503));
    assert_eq!(
        split.ejected(),
        [0, 1],
        "and no local failure ends the other"
    );
    assert_eq!(split.get(OutlierMetric::Enforced5xx), 1);
}

#[test]
fn gateway_failures_are_detected_apart_and_enforced_only_if_told() {
    let rig = Rig::new(1, all());
    rig.times(4, 0, Told::Answer(503));
    rig.note(0, Told::Answer(500));
    assert_eq!(rig.get(OutlierMetric::DetectedGateway), 0, "500 is none");
    assert_eq!(rig.ejected(), [0], "but a fifth failure");

    let rig = Rig::new(1, all());
    for status in [502, 503, 504, 502, 503] {
        rig.note(0, Told::Answer(status));
    }
    assert_eq!(rig.get(OutlierMetric::DetectedGateway), 1);
    assert_eq!(rig.get(OutlierMetric::EnforcedGateway), 0);
    assert_eq!(rig.get(OutlierMetric::Enforced5xx), 1);

    let config = Config {
        consecutive_gateway_failure: Consecutive {
            threshold: 3,
            enforcing: 100,
        },
        ..all()
    };
    let rig = Rig::new(1, config);
    rig.times(3, 0, Told::Answer(504));
    assert_eq!(rig.ejected(), [0]);
    assert_eq!(rig.get(OutlierMetric::EnforcedGateway), 1);
}

#[test]
fn what_is_not_enforced_is_detected_again_and_again() {
    let never = Consecutive {
        threshold: 5,
        enforcing: 0,
    };
    let config = Config {
        consecutive_5xx: never,
        ..all()
    };
    let rig = Rig::new(1, config);
    rig.times(14, 0, Told::Answer(500));
    assert_eq!(rig.get(OutlierMetric::Detected5xx), 2, "at 5 and 10");
    assert_eq!(rig.get(OutlierMetric::EjectionsEnforced), 0);
    assert_eq!(rig.ejected(), []);
    let off = Consecutive {
        threshold: 0,
        enforcing: 100,
    };
    let config = Config {
        consecutive_5xx: off,
        ..all()
    };
    let rig = Rig::new(1, config);
    rig.times(1000, 0, Told::Answer(500));
    assert_eq!(rig.get(OutlierMetric::Detected5xx), 0);
}

#[test]
fn enforcing_is_a_share() {
    let config = Config {
        consecutive_5xx: Consecutive {
            threshold: 1,
            enforcing: 30,
        },
        ..all()
    };
    let rig = Rig::new(1000, config);
    let mut random = fastrand::Rng::with_seed(7);
    for ix in 0..1000 {
        let at = At {
            random: random.u64(..),
            ..at(0)
        };
        let host = rig.host(ix);
        rig.detector
            .note(&rig.hosts, host, Told::Answer(500), &|| at);
    }
    let ejected = rig.ejected().len();
    // 300 and four standard deviations.
    assert!((242..=358).contains(&ejected), "{ejected} of 1000");
    assert_eq!(rig.get(OutlierMetric::Detected5xx), 1000);
}

#[test]
fn no_more_hosts_are_ejected_than_may_be() {
    for (hosts, percent, one, most) in [
        (3, 10, false, 0),
        (3, 10, true, 1),
        (3, 0, true, 1),
        (3, 50, false, 1),
        (3, 66, false, 1),
        (3, 67, false, 2),
        (10, 10, false, 1),
        (10, 10, true, 1),
        (10, 19, false, 1),
        (7, 100, false, 7),
        (1000, 10, false, 100),
    ] {
        let config = Config {
            max_ejection_percent: percent,
            always_eject_one_host: one,
            ..Config::default()
        };
        let rig = Rig::new(hosts, config);
        (0..hosts).for_each(|ix| rig.times(5, ix, Told::Answer(500)));
        let ejected = rig.ejected().len() as u64;
        assert_eq!(ejected, most, "{percent} % of {hosts}, at least one: {one}");
        let overflow = rig.get(OutlierMetric::EjectionsOverflow);
        assert_eq!(overflow + ejected, u64::from(hosts));
    }
}

#[test]
fn hosts_that_fail_before_many_workers_are_counted_exactly() {
    const HOSTS: u32 = 20;
    for round in 0..20 {
        let config = Config {
            max_ejection_percent: 25,
            ..Config::default()
        };
        let rig = Rig::new(HOSTS, config);
        let start = Barrier::new(WORKERS);
        thread::scope(|scope| {
            for worker in 1..=WORKERS {
                let (rig, start) = (&rig, &start);
                scope.spawn(move || {
                    start.wait();
                    for n in 0..HOSTS * 50 {
                        let at = At {
                            shard: Shard(worker),
                            ..at(0)
                        };
                        let host = rig.host((n + worker as u32) % HOSTS);
                        let told = Told::Answer(500);
                        rig.detector.note(&rig.hosts, host, told, &|| at);
                        assert!(rig.ejected().len() <= 5, "a quarter of twenty");
                    }
                });
            }
        });
        assert_eq!(rig.ejected().len(), 5, "round {round}");
        assert_eq!(rig.get(OutlierMetric::EjectionsEnforced), 5);
        assert_eq!(rig.detector.ejected(), 5);
    }
}

#[test]
fn the_fifth_failure_is_found_whoever_sees_it() {
    for _ in 0..200 {
        let config = Config {
            max_ejection_percent: 0,
            ..Config::default()
        };
        let rig = Rig::new(1, config);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    rig.times(2, 0, Told::Answer(500));
                });
            }
        });
        assert_eq!(rig.get(OutlierMetric::Detected5xx), 0);
        rig.note(0, Told::Answer(500));
        assert_eq!(rig.get(OutlierMetric::Detected5xx), 1);
    }
}

#[test]
fn outcomes_tell_by_their_class() {
    let concealing = Rig::new(1, Config::default());
    let telling = Config {
        concealed: true,
        ..Config::default()
    };
    let telling = Rig::new(1, telling);
    let answered = |class, http, concealed| Outcome::Answered {
        class,
        http,
        concealed,
    };
    let cases = [
        (answered(Class::Ok, 200, false), Some(Told::Answer(200))),
        (
            answered(Class::Business, 200, false),
            Some(Told::Answer(200)),
        ),
        // Triple tells of the service's exception under any status.
        (
            answered(Class::Business, 500, false),
            Some(Told::Answer(200)),
        ),
        (
            answered(Class::NotFound, 404, false),
            Some(Told::Answer(404)),
        ),
        (
            answered(Class::NotFound, 501, false),
            Some(Told::Answer(501)),
        ),
        (
            answered(Class::Unavailable, 500, false),
            Some(Told::Answer(500)),
        ),
        // Dubbo's status 100, Bolt's 4: the host has no thread left.
        (
            answered(Class::Overload, 503, false),
            Some(Told::Answer(503)),
        ),
        // gRPC within 200.
        (
            answered(Class::Unavailable, 200, false),
            Some(Told::Answer(503)),
        ),
        (
            answered(Class::Timeout, 200, false),
            Some(Told::Answer(504)),
        ),
        (
            answered(Class::Overload, 200, false),
            Some(Told::Answer(429)),
        ),
        (
            Outcome::Failed(Failure::Connect),
            Some(Told::LocalFailure(503)),
        ),
        (
            Outcome::Failed(Failure::Lost),
            Some(Told::LocalFailure(503)),
        ),
        (
            Outcome::Failed(Failure::Timeout),
            Some(Told::LocalFailure(504)),
        ),
        (
            Outcome::Failed(Failure::TryTimeout),
            Some(Told::LocalFailure(504)),
        ),
        (Outcome::Unknown, None),
    ];
    for (outcome, told) in cases {
        assert_eq!(concealing.detector.told(&outcome), told, "{outcome:?}");
        assert_eq!(telling.detector.told(&outcome), told, "{outcome:?}");
    }
    let hidden = answered(Class::Unavailable, 503, true);
    assert_eq!(concealing.detector.told(&hidden), Some(Told::Answer(200)));
    assert_eq!(telling.detector.told(&hidden), Some(Told::Answer(503)));
    let thrown = answered(Class::Business, 200, true);
    assert_eq!(telling.detector.told(&thrown), Some(Told::Answer(200)));
}

#[test]
fn a_new_version_of_the_cluster_knows_who_is_ejected() {
    let rig = Rig::new(4, all());
    rig.times(5, 1, Told::Answer(500));
    rig.times(4, 2, Told::Answer(500));
    let kept = rig.hosts.iter().map(|(_, host)| host.clone()).skip(1);
    let mut kept: Vec<_> = kept.collect();
    kept[0].healthy = false;
    let next = Rig::of(HostSet::new(kept), all());
    assert_eq!((next.detector.ejected(), next.detector.missing()), (1, 0));
    assert_eq!(next.ejected(), [0], "the second has become the first");
    next.note(1, Told::Answer(500));
    assert_eq!(next.ejected(), [0, 1], "failures are counted on");
    // And a call of the earlier version ejects another one.
    rig.times(5, 3, Told::Answer(500));
    next.detector.recount(&next.hosts);
    assert_eq!(next.detector.ejected(), 3);
}

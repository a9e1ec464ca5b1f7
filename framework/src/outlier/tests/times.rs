//! How long hosts stay away.

use std::time::Duration;

use super::*;

fn config() -> Config {
    Config {
        interval: Duration::from_secs(1),
        base_ejection_time: Duration::from_secs(10),
        max_ejection_time: Duration::from_secs(35),
        ..all()
    }
}

/// Ejects the only host at `now` and says after how many seconds it is back.
fn away(rig: &Rig, now: &mut u64) -> u64 {
    rig.note_at(0, Told::Answer(200), *now);
    (0..5).for_each(|_| rig.note_at(0, Told::Answer(500), *now));
    assert_eq!(rig.ejected(), [0]);
    let began = *now;
    while rig.ejected() == [0] {
        assert!(*now < began + 100_000, "it comes back some time");
        *now += 1000;
        rig.sweep(*now);
    }
    (*now - began) / 1000
}

#[test]
fn each_ejection_lasts_longer_up_to_a_limit() {
    let (rig, mut now) = (Rig::new(1, config()), 5_000);
    let times: Vec<_> = (0..6).map(|_| away(&rig, &mut now)).collect();
    assert_eq!(times, [10, 20, 30, 35, 35, 35]);
    assert_eq!(rig.host(0).state.outlier.ejections(), 6);
    assert_eq!(rig.get(OutlierMetric::EjectionsEnforced), 6);
    assert_eq!(rig.detector.ejected(), 0);
}

#[test]
fn a_host_that_is_well_is_forgiven_once_in_an_interval() {
    let (rig, mut now) = (Rig::new(1, config()), 5_000);
    assert_eq!([away(&rig, &mut now), away(&rig, &mut now)], [10, 20]);
    now += 1000;
    rig.sweep(now);
    assert_eq!(away(&rig, &mut now), 20, "forgiven once");
    for _ in 0..10 {
        now += 1000;
        rig.sweep(now);
    }
    assert_eq!(away(&rig, &mut now), 10, "all is forgotten, and no more");
}

#[test]
fn a_host_that_comes_back_begins_anew() {
    let (rig, mut now) = (Rig::new(1, config()), 0);
    (0..4).for_each(|_| rig.note(0, Told::LocalFailure(503)));
    away(&rig, &mut now);
    (0..4).for_each(|_| rig.note_at(0, Told::Answer(500), now));
    assert_eq!(rig.ejected(), [], "what it did before does not count");
    rig.note_at(0, Told::Answer(500), now);
    assert_eq!(rig.ejected(), [0]);
}

#[test]
fn jitter_is_added_to_the_time() {
    let config = Config {
        max_ejection_time_jitter: Duration::from_secs(4),
        ..config()
    };
    let rig = Rig::new(1, config);
    // The upper half of the random number is the jitter: 2 s.
    let at = At {
        random: 2000 << 32,
        ..at(0)
    };
    for _ in 0..5 {
        let host = rig.host(0);
        rig.detector
            .note(&rig.hosts, host, Told::Answer(500), &|| at);
    }
    rig.sweep(11_999);
    assert_eq!(rig.ejected(), [0]);
    rig.sweep(12_000);
    assert_eq!(rig.ejected(), []);
}

#[test]
fn absurd_times_do_no_harm() {
    let config = Config {
        base_ejection_time: Duration::MAX,
        max_ejection_time: Duration::MAX,
        max_ejection_time_jitter: Duration::MAX,
        ..config()
    };
    let rig = Rig::new(1, config);
    rig.times(5, 0, Told::Answer(500));
    rig.sweep(u64::MAX - 1);
    assert_eq!(rig.ejected(), [0]);
}

//! Hosts that do worse than the others, or too badly.

use super::*;

/// Each host answers as many of a hundred calls well as `rates` says.
fn rated(rig: &Rig, rates: &[u32]) {
    for (ix, rate) in (0..).zip(rates) {
        let bad = 100 - rate;
        for n in 0..100 {
            // Spread, so that no host fails five times in a row.
            let fails = (n + 1) * bad / 100 > n * bad / 100;
            rig.note(ix, Told::Answer(if fails { 500 } else { 200 }));
        }
    }
}

fn config() -> Config {
    Config {
        consecutive_5xx: Consecutive {
            threshold: 0,
            enforcing: 0,
        },
        ..all()
    }
}

#[test]
fn a_host_far_below_the_mean_is_ejected() {
    // Envoy's own example: mean 90, deviation 20, so the limit is 52.
    let rig = Rig::new(5, config());
    rated(&rig, &[50, 100, 100, 100, 100]);
    assert_eq!(rig.ejected(), []);
    rig.sweep(10_000);
    assert_eq!(rig.ejected(), [0]);
    assert_eq!(rig.get(OutlierMetric::EnforcedRate), 1);
    let shown = |ix| rig.host(ix).state.outlier.success_rate();
    assert_eq!((shown(0), shown(1)), (Some(50.0), Some(100.0)));
    rig.sweep(20_000);
    assert_eq!(shown(1), None, "no calls, no rate");
}

#[test]
fn a_host_a_little_below_the_mean_stays() {
    let rig = Rig::new(5, config());
    rated(&rig, &[90, 92, 95, 97, 100]);
    rig.sweep(10_000);
    assert_eq!(rig.get(OutlierMetric::DetectedRate), 0);
    // The factor counts.
    let mut config = config();
    config.success_rate.stdev_factor = 500;
    let rig = Rig::new(5, config);
    rated(&rig, &[90, 92, 95, 97, 100]);
    rig.sweep(10_000);
    assert_eq!(rig.ejected(), [0, 1]);
}

#[test]
fn too_few_hosts_or_calls_are_not_compared() {
    let rig = Rig::new(4, config());
    rated(&rig, &[0, 100, 100, 100]);
    rig.sweep(10_000);
    assert_eq!(rig.get(OutlierMetric::DetectedRate), 0, "four hosts");
    assert_eq!(rig.host(1).state.outlier.success_rate(), None);

    let rig = Rig::new(5, config());
    rated(&rig, &[0, 100, 100, 100]);
    (0..99).for_each(|_| rig.note(4, Told::Answer(200)));
    rig.sweep(10_000);
    assert_eq!(rig.get(OutlierMetric::DetectedRate), 0, "99 calls");
    // They belong to the interval that is over.
    rated(&rig, &[0, 100, 100, 100]);
    rig.note(4, Told::Answer(200));
    rig.sweep(20_000);
    assert_eq!(rig.get(OutlierMetric::DetectedRate), 0);
    rated(&rig, &[0, 100, 100, 100, 100]);
    rig.sweep(30_000);
    assert_eq!(rig.ejected(), [0]);
}

#[test]
fn ejected_hosts_are_not_compared() {
    let rig = Rig::new(6, config());
    rated(&rig, &[0, 100, 100, 100, 100, 100]);
    rig.sweep(10_000);
    assert_eq!(rig.ejected(), [0]);
    // The calls that were under way do not make the others look good, or it worse.
    rated(&rig, &[0, 99, 100, 100, 100, 100]);
    rig.sweep(20_000);
    assert_eq!(rig.ejected(), [0, 1]);
}

#[test]
fn a_share_of_failures_ejects_where_that_is_enforced() {
    let rig = Rig::new(5, config());
    rated(&rig, &[15, 16, 15, 16, 15]);
    rig.sweep(10_000);
    assert_eq!(rig.get(OutlierMetric::DetectedPercentage), 3, "85 % failed");
    assert_eq!(rig.get(OutlierMetric::EnforcedPercentage), 0, "the default");
    let mut config = config();
    config.failure_percentage.enforcing = 100;
    config.max_ejection_percent = 40;
    let rig = Rig::new(5, config);
    rated(&rig, &[15, 16, 15, 16, 15]);
    rig.sweep(10_000);
    assert_eq!(rig.ejected(), [0, 2], "no third one");
    assert_eq!(rig.get(OutlierMetric::EjectionsOverflow), 1);
}

#[test]
fn failures_seen_by_the_gateway_have_rates_of_their_own() {
    let mut config = Config {
        split: true,
        consecutive_local_origin_failure: Consecutive {
            threshold: 0,
            enforcing: 0,
        },
        ..config()
    };
    config.failure_percentage.enforcing_local_origin = 100;
    config.failure_percentage.minimum_hosts = 4;
    config.success_rate.enforcing_local_origin = 0;
    let rig = Rig::new(5, config);
    for ix in 0..5 {
        for n in 0..100 {
            let lost = ix == 3 && n % 10 != 0;
            let told = match lost {
                true => Told::LocalFailure(503),
                false => Told::Answer(500),
            };
            rig.note(ix, told);
        }
    }
    rig.sweep(10_000);
    assert_eq!(rig.ejected(), [3]);
    assert_eq!(rig.get(OutlierMetric::EnforcedLocalPercentage), 1);
    assert_eq!(rig.get(OutlierMetric::DetectedLocalRate), 1);
    assert_eq!(rig.get(OutlierMetric::EnforcedLocalRate), 0);
    assert_eq!(
        rig.get(OutlierMetric::DetectedPercentage),
        4,
        "what hosts answer is another matter"
    );
}

#[test]
fn no_call_is_counted_twice_or_lost_while_intervals_end() {
    const CALLS: u64 = 50_000;
    let window = monitor::Window::default();
    let (mut calls, mut failed) = (0, 0.0);
    thread::scope(|scope| {
        let workers = (0..WORKERS as u64).map(|worker| {
            let window = &window;
            scope.spawn(move || (0..CALLS).for_each(|n| window.count((n + worker) % 4 == 0)))
        });
        let workers: Vec<_> = workers.collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            if let Some(rate) = window.end() {
                calls += rate.calls;
                failed += (100.0 - rate.success) * rate.calls as f64 / 100.0;
            }
        }
    });
    if let Some(rate) = window.end() {
        calls += rate.calls;
        failed += (100.0 - rate.success) * rate.calls as f64 / 100.0;
    }
    assert_eq!(calls, CALLS * WORKERS as u64);
    assert_eq!(failed.round() as u64, calls / 4);
}

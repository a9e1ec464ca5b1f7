//! Hosts that fail are ejected and come back.

use std::time::Duration;

use crossdock_tests::eventually;
use serde_json::json;

use crate::{Manner, Scene, Speech, policy};

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any test.
const LONG: &str = "300s";

#[test]
fn a_host_that_fails_is_ejected_and_the_others_share_its_calls() {
    for speech in Speech::ALL {
        let mut scene = Scene::start(speech, policy(LONG), &[]);
        assert_eq!(scene.calls(30), ([10; 3], 0), "{speech:?}");
        scene.hosts[1].turn(Manner::Failing);
        let (answers, failures) = scene.calls(9);
        assert_eq!(failures, 3, "{speech:?}: as many as it takes, {answers:?}");
        assert_eq!(scene.flags(1), "/failed_outlier_check", "{speech:?}");
        assert_eq!(scene.flags(0), "healthy");

        let (answers, failures) = scene.calls(60);
        assert_eq!((answers, failures), ([30, 0, 30], 0), "{speech:?}");
        assert_eq!(scene.hosts[1].calls(), 13, "{speech:?}");
        for (name, count) in [
            ("ejections_active", 1),
            ("ejections_enforced_total", 1),
            ("ejections_enforced_consecutive_5xx", 1),
            ("ejections_detected_consecutive_5xx", 1),
            ("ejections_overflow", 0),
        ] {
            assert_eq!(scene.stat(name), count, "{speech:?}: {name}");
        }
        let healthy = scene.gateway.stat("cluster.echo.membership_healthy");
        let total = scene.gateway.stat("cluster.echo.membership_total");
        assert_eq!((healthy, total), (2, 3), "{speech:?}");
    }
}

#[test]
fn an_ejected_host_comes_back_when_its_time_is_over() {
    for speech in Speech::ALL {
        let mut scene = Scene::start(speech, policy("0.3s"), &[]);
        scene.hosts[2].turn(Manner::Failing);
        scene.calls(9);
        assert_eq!(scene.stat("ejections_enforced_total"), 1, "{speech:?}");
        scene.hosts[2].turn(Manner::Well);
        let before = scene.hosts[2].calls();
        let back = eventually(PATIENCE, || {
            let (_, failures) = scene.calls(3);
            assert_eq!(failures, 0, "{speech:?}");
            (scene.hosts[2].calls() > before).then_some(())
        });
        assert!(back.is_some(), "{speech:?}");
        assert_eq!(scene.flags(2), "healthy", "{speech:?}");
        assert_eq!(scene.stat("ejections_active"), 0, "{speech:?}");
        let answers = scene.calls(30).0;
        assert_eq!(answers, [10; 3], "{speech:?}: its share is its own again");
    }
}

#[test]
fn no_more_than_the_share_that_may_be_is_ejected() {
    for speech in Speech::ALL {
        let mut scene = Scene::start(speech, policy(LONG), &[]);
        scene.hosts[0].turn(Manner::Failing);
        scene.hosts[1].turn(Manner::Failing);
        scene.calls(30);
        assert_eq!(
            scene.stat("ejections_active"),
            1,
            "{speech:?}: half of three"
        );
        assert!(scene.stat("ejections_overflow") >= 1, "{speech:?}");
        let (answers, failures) = scene.calls(40);
        assert_eq!(
            (answers[2], failures),
            (20, 20),
            "{speech:?}: the other one fails on"
        );
    }
}

#[test]
fn when_most_hosts_are_ejected_all_are_tried_again() {
    for speech in Speech::ALL {
        let mut cluster = policy(LONG);
        cluster["outlier_detection"]["max_ejection_percent"] = json!(100);
        let mut scene = Scene::start(speech, cluster, &[]);
        scene.hosts[0].turn(Manner::Failing);
        scene.hosts[1].turn(Manner::Failing);
        scene.calls(15);
        assert_eq!(scene.stat("ejections_active"), 2, "{speech:?}");
        // One of three is less than the panic threshold's half.
        let (answers, failures) = scene.calls(30);
        assert_eq!((answers, failures), ([0, 0, 10], 20), "{speech:?}");
    }
    for speech in Speech::ALL {
        let mut cluster = policy(LONG);
        cluster["outlier_detection"]["max_ejection_percent"] = json!(100);
        cluster["common_lb_config"] = json!({"healthy_panic_threshold": {"value": 0}});
        let mut scene = Scene::start(speech, cluster, &[]);
        scene.hosts[0].turn(Manner::Failing);
        scene.hosts[1].turn(Manner::Failing);
        scene.calls(15);
        assert_eq!(scene.calls(30), ([0, 0, 30], 0), "{speech:?}: no panic");
        scene.hosts[2].turn(Manner::Failing);
        scene.calls(3);
        let got = scene.hosts.each_ref().map(|host| host.calls());
        assert_eq!(scene.calls(10), ([0; 3], 10), "{speech:?}: nobody is left");
        assert_eq!(scene.hosts.each_ref().map(|host| host.calls()), got);
        let none = scene.gateway.stat("cluster.echo.upstream_cx_none_healthy");
        assert_eq!(none, 10, "{speech:?}");
    }
}

#[test]
fn a_host_without_threads_is_ejected_like_one_that_answers_503() {
    for speech in Speech::ALL {
        let mut cluster = policy(LONG);
        cluster["outlier_detection"]["consecutive_gateway_failure"] = json!(2);
        cluster["outlier_detection"]["enforcing_consecutive_gateway_failure"] = json!(100);
        let mut scene = Scene::start(speech, cluster, &[]);
        scene.hosts[1].turn(Manner::Busy);
        let failures = scene.calls(30).1;
        // Dubbo and Bolt have words for a call that was not begun, which goes to another host.
        let told = match speech {
            Speech::Dubbo | Speech::Bolt => 0,
            _ => 2,
        };
        assert_eq!(failures, told, "{speech:?}");
        let enforced = scene.stat("ejections_enforced_consecutive_gateway_failure");
        assert_eq!(enforced, 1, "{speech:?}");
    }
}

#[test]
fn hosts_that_do_worse_than_the_others_are_found_by_their_rates() {
    for speech in Speech::ALL {
        let cluster = json!({
            "outlier_detection": {
                "consecutive_5xx": 1000,
                "interval": "0.5s",
                "base_ejection_time": LONG,
                "max_ejection_percent": 50,
                "success_rate_minimum_hosts": 3,
                "success_rate_request_volume": 5,
                "success_rate_stdev_factor": 1000,
            },
        });
        let mut scene = Scene::start(speech, cluster, &[]);
        scene.hosts[0].turn(Manner::Failing);
        let ejected = eventually(PATIENCE, || {
            scene.calls(30);
            (scene.stat("ejections_enforced_success_rate") == 1).then_some(())
        });
        assert!(ejected.is_some(), "{speech:?}");
        assert_eq!(scene.flags(0), "/failed_outlier_check", "{speech:?}");
        assert_eq!(scene.calls(30), ([0, 15, 15], 0), "{speech:?}");
    }
}

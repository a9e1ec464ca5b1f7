use std::time::Duration;

use crossdock_framework::{
    outcome::{Failure, Outcome},
    retry::{Attempted, BackOff, ResetFormat, ResetHeader, Resets, RetryOn, RetryPolicy},
    route::{AttemptCount, KEPT_BODY},
};
use envoy_types::pb::{
    envoy::config::route::v3::{
        HeaderMatcher, RetryPolicy as Message,
        header_matcher::HeaderMatchSpecifier,
        retry_policy::{
            RateLimitedRetryBackOff, ResetHeader as ResetMessage, RetryBackOff, RetryHostPredicate,
            retry_host_predicate::ConfigType,
        },
    },
    google::protobuf::{Any, Duration as DurationMessage, UInt32Value, UInt64Value},
};

use super::*;
use crate::problem::Problem;

fn on(words: &str) -> Message {
    Message {
        retry_on: words.into(),
        ..Message::default()
    }
}

fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn millis(millis: i32) -> Option<DurationMessage> {
    Some(DurationMessage {
        seconds: 0,
        nanos: millis * 1_000_000,
    })
}

fn of_route(policy: Message) -> RouteMessage {
    let mut route = route(prefix("/"), "any");
    route.action = Some(ActionMessage::Route(RouteAction {
        retry_policy: Some(policy),
        ..forward("c")
    }));
    route
}

fn compiled(policy: Message) -> (RouteTable, std::sync::Arc<RetryPolicy>) {
    let table = compile(vec![host(&["*"], vec![of_route(policy)])]);
    let policy = action(&table, 0).retry.clone().expect("it has a policy");
    (table, policy)
}

fn refused(policy: Message) -> Vec<Problem> {
    let config = config(vec![host(&["*"], vec![of_route(policy)])]);
    RouteTable::compile(&config).expect_err("refused")
}

#[test]
fn a_policy_has_envoys_defaults() {
    let (_, policy) = compiled(on("5xx, reset ,,unavailable"));
    let words = RetryOn::SERVER_ERROR | RetryOn::RESET | RetryOn::UNAVAILABLE;
    assert_eq!(policy.on, words);
    assert_eq!(policy.retries, 1);
    assert_eq!(policy.back_off, BackOff::default());
    assert!(policy.resets.is_none() && !policy.other_hosts);
    let table = compile(vec![host(&["*"], vec![route(prefix("/"), "a")])]);
    let plain = action(&table, 0);
    assert!(plain.retry.is_none());
    assert_eq!(plain.kept_body, KEPT_BODY);
    assert_eq!(plain.attempt_count, AttemptCount::default());
}

#[test]
fn a_policy_says_how_often_and_when() {
    let (table, policy) = compiled(Message {
        num_retries: number(7),
        per_try_timeout: millis(300),
        per_try_idle_timeout: millis(200),
        retry_back_off: Some(RetryBackOff {
            base_interval: millis(10),
            max_interval: millis(40),
        }),
        rate_limited_retry_back_off: Some(RateLimitedRetryBackOff {
            reset_headers: vec![
                ResetMessage {
                    name: "Retry-After".into(),
                    format: 0,
                },
                ResetMessage {
                    name: "x-reset".into(),
                    format: 1,
                },
            ],
            max_interval: None,
        }),
        retriable_status_codes: vec![418, 70_000],
        retry_host_predicate: vec![predicate("previous_hosts.v3.PreviousHostsPredicate")],
        ..on("retriable-status-codes")
    });
    assert_eq!(policy.retries, 7);
    let ms = Duration::from_millis;
    assert_eq!(policy.back_off, BackOff::new(ms(10), Some(ms(40))));
    assert_eq!(&*policy.statuses, [418]);
    assert!(policy.other_hosts);
    assert_eq!(action(&table, 0).times.per_try, Some(ms(200)));
    let header = |name: &str, format| ResetHeader {
        name: name.into(),
        format,
    };
    let resets = Resets {
        headers: [
            header("retry-after", ResetFormat::Seconds),
            header("x-reset", ResetFormat::UnixTime),
        ]
        .into(),
        most: Duration::from_secs(300),
    };
    assert_eq!(policy.resets, Some(resets));
    for (retries, kept) in [(0, 0), (255, 255), (1000, 255)] {
        let (_, policy) = compiled(Message {
            num_retries: number(retries),
            ..on("5xx")
        });
        assert_eq!(policy.retries, kept);
    }
}

fn predicate(name: &str) -> RetryHostPredicate {
    RetryHostPredicate {
        name: "p".into(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: format!("type.googleapis.com/envoy.extensions.retry.host.{name}"),
            value: Vec::new(),
        })),
    }
}

#[test]
fn a_route_goes_before_its_virtual_host() {
    let mut host = host(&["*"], vec![of_route(on("5xx")), route(prefix("/b"), "b")]);
    host.retry_policy = Some(Message {
        per_try_timeout: millis(100),
        ..on("reset")
    });
    host.include_request_attempt_count = true;
    host.request_body_buffer_limit = Some(UInt64Value { value: 100 });
    host.routes[0].request_body_buffer_limit = Some(UInt64Value { value: 1 << 40 });
    let table = compile(vec![host]);
    let [own, inherited] = [0, 1].map(|id| action(&table, id));
    let words = |forward: &Forward| forward.retry.as_ref().expect("a policy").on;
    assert_eq!(words(own), RetryOn::SERVER_ERROR);
    assert_eq!(words(inherited), RetryOn::RESET);
    assert_eq!(own.times.per_try, None, "the whole policy is the route's");
    assert_eq!(inherited.times.per_try, Some(Duration::from_millis(100)));
    assert_eq!((own.kept_body, inherited.kept_body), (1 << 20, 100));
    assert!(own.attempt_count.request && !own.attempt_count.response);
}

#[test]
fn rules_about_headers_choose_requests_and_answers() {
    let present = |name: &str| HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..HeaderMatcher::default()
    };
    let (_, policy) = compiled(Message {
        retriable_headers: vec![present("X-Again")],
        retriable_request_headers: vec![present("x-safe")],
        ..on("retriable-headers")
    });
    let with = |name: &'static str| Call::http("h", "/").with(name, "1");
    assert!(policy.requests[0].matches(&with("x-safe")));
    assert!(!policy.requests[0].matches(&with("x-other")));
    let answered = |call: &Call| {
        let attempted = Attempted {
            outcome: Outcome::Answered {
                class: crossdock_framework::status::Class::Ok,
                http: 200,
                concealed: false,
            },
            grpc: None,
            answer: Some(call),
        };
        policy.wants(policy.on, &attempted)
    };
    assert!(answered(&with("x-again")) && !answered(&with("x-safe")));
    let lost = Attempted {
        outcome: Outcome::Failed(Failure::Lost),
        grpc: None,
        answer: None,
    };
    assert!(!policy.wants(policy.on, &lost));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let back_off = |base, most| Message {
        retry_back_off: Some(RetryBackOff {
            base_interval: base,
            max_interval: most,
        }),
        ..on("5xx")
    };
    for (policy, field) in [
        (on("5xx,sometimes"), "retry_on"),
        (back_off(None, None), "retry_back_off.base_interval"),
        (back_off(millis(0), None), "retry_back_off.base_interval"),
        (
            back_off(millis(20), millis(10)),
            "retry_back_off.max_interval",
        ),
        (
            Message {
                rate_limited_retry_back_off: Some(RateLimitedRetryBackOff::default()),
                ..on("5xx")
            },
            "rate_limited_retry_back_off.reset_headers",
        ),
        (
            Message {
                retry_host_predicate: vec![predicate("omit_canary_hosts.v3.X")],
                ..on("5xx")
            },
            "retry_host_predicate[0]",
        ),
        (
            Message {
                per_try_timeout: Some(DurationMessage {
                    seconds: -1,
                    nanos: 0,
                }),
                ..on("5xx")
            },
            "per_try_timeout",
        ),
        (
            Message {
                retriable_headers: vec![HeaderMatcher::default()],
                ..on("5xx")
            },
            "retriable_headers[0].name",
        ),
    ] {
        let problems = refused(policy);
        let path = format!("virtual_hosts[0].routes[0].route.retry_policy.{field}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, path);
    }
}

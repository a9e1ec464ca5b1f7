use crossdock_framework::{
    filter::{Chain, Passage},
    route::Facts,
    snapshot::Ends,
    time::Moment,
};
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
        extensions::filters::{
            common::fault::v3::fault_delay::HeaderDelay, http::fault::v3::fault_abort::HeaderAbort,
        },
        r#type::v3::{FractionalPercent, fractional_percent::DenominatorType},
    },
    google::protobuf::{Duration as ProtoDuration, UInt32Value},
};

use super::*;
use crate::testing::{Call, Ground, Passed};

fn percent(numerator: u32, denominator: DenominatorType) -> Option<FractionalPercent> {
    Some(FractionalPercent {
        numerator,
        denominator: denominator.into(),
    })
}

fn all() -> Option<FractionalPercent> {
    percent(100, DenominatorType::Hundred)
}

fn abort(error: ErrorType, percentage: Option<FractionalPercent>) -> HttpFault {
    HttpFault {
        abort: Some(FaultAbort {
            percentage,
            error_type: Some(error),
            ..FaultAbort::default()
        }),
        ..HttpFault::default()
    }
}

fn delay(millis: i32, percentage: Option<FractionalPercent>) -> HttpFault {
    HttpFault {
        delay: Some(FaultDelay {
            percentage,
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(ProtoDuration {
                seconds: 0,
                nanos: millis * 1_000_000,
            })),
        }),
        ..HttpFault::default()
    }
}

fn chain(ground: &Ground, config: HttpFault) -> Chain {
    let fault = Fault::configure(config, &ground.site()).expect("valid");
    Chain::new(vec![Arc::new(fault)])
}

/// The HTTP status and the status of gRPC that an aborted call is answered.
fn aborted(passed: &Passed) -> Option<(u16, Option<u16>)> {
    match &passed.passage {
        Passage::Reply(status) => {
            assert_eq!(status.cause, Cause::Fault);
            Some((status.http, status.grpc))
        }
        _ => None,
    }
}

/// Within four standard deviations of what `share` of `calls` should be.
fn is_fair(hits: usize, calls: usize, share: f64) -> bool {
    let sigma = (calls as f64 * share * (1.0 - share)).sqrt();
    (hits as f64 - calls as f64 * share).abs() <= 4.0 * sigma
}

#[test]
fn a_share_of_calls_is_aborted() {
    let mut random = fastrand::Rng::with_seed(7);
    for (numerator, denominator, share) in [
        (1, DenominatorType::Hundred, 0.01),
        (100, DenominatorType::TenThousand, 0.01),
        (10_000, DenominatorType::Million, 0.01),
        (50, DenominatorType::Hundred, 0.5),
    ] {
        let ground = Ground::new();
        let config = abort(ErrorType::HttpStatus(503), percent(numerator, denominator));
        let chain = chain(&ground, config);
        let calls = 100_000;
        let hits = (0..calls).filter(|_| {
            let call = Call::new("/a/b").random(random.u64(..));
            aborted(&call.pass(&chain)) == Some((503, None))
        });
        let hits = hits.count();
        assert!(is_fair(hits, calls, share), "{hits} of {calls} for {share}");
        assert_eq!(
            ground.counts()["http.in.fault.aborts_injected"],
            hits as u64
        );
    }
}

/// A route that splits by weight draws from the same number: a fault of half of all calls is one of
/// half of the calls to each cluster. The same holds for the two faults of one filter.
#[test]
fn draws_are_independent() {
    let ground = Ground::new();
    let half = percent(50, DenominatorType::Hundred);
    let chain = chain(&ground, abort(ErrorType::HttpStatus(503), half));
    let mut random = fastrand::Rng::with_seed(8);
    let numbers: Vec<u64> = (0..40_000).map(|_| random.u64(..)).collect();
    for low in [true, false] {
        let of_cluster = numbers.iter().filter(|number| (*number % 100 < 50) == low);
        let (mut calls, mut hits) = (0, 0);
        for number in of_cluster {
            calls += 1;
            let passed = Call::new("/a/b").random(*number).pass(&chain);
            hits += usize::from(aborted(&passed).is_some());
        }
        assert!(is_fair(hits, calls, 0.5), "{hits} of {calls}");
    }
    let (one, two) = (Draw::new("here", "delay"), Draw::new("here", "abort"));
    let share = Percent::of(half.as_ref());
    let both = numbers.iter().filter(|number| {
        let facts = facts(**number);
        share.takes(&facts, one) && share.takes(&facts, two)
    });
    assert!(is_fair(both.count(), numbers.len(), 0.25));
}

fn facts(random: u64) -> Facts {
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    Facts {
        source: None,
        ends: Ends::of(here, here),
        began: Moment(0),
        tls: None,
        random,
    }
}

#[test]
fn none_and_all_are_exact() {
    let ground = Ground::new();
    let never = chain(&ground, abort(ErrorType::HttpStatus(503), None));
    let always = chain(&ground, abort(ErrorType::HttpStatus(503), all()));
    for random in 0..1000 {
        let call = Call::new("/").random(random);
        assert_eq!(aborted(&call.pass(&never)), None);
        assert_eq!(aborted(&call.pass(&always)), Some((503, None)));
    }
}

#[test]
fn a_status_of_grpc_means_something_to_everybody() {
    let ground = Ground::new();
    for (grpc, http) in [
        (14, 503),
        (4, 504),
        (8, 429),
        (5, 404),
        (16, 401),
        (2, 500),
        (99, 500),
    ] {
        let chain = chain(&ground, abort(ErrorType::GrpcStatus(grpc), all()));
        let told = aborted(&Call::new("/a/b").pass(&chain));
        assert_eq!(told, Some((http, Some(grpc as u16))));
    }
    let config = abort(ErrorType::GrpcStatus(0), all());
    let problems = Fault::configure(config, &ground.site()).expect_err("no failure");
    assert_eq!(problems[0].path, "abort.grpc_status");
}

#[test]
fn a_request_may_ask_for_its_fault() {
    let ground = Ground::new();
    let config = abort(ErrorType::HeaderAbort(HeaderAbort {}), all());
    let chain = chain(&ground, config);
    for (name, value, answer) in [
        (ABORT, "418", Some((418, None))),
        (ABORT, "600", None),
        (ABORT, "99", None),
        (ABORT, "x", None),
        (ABORT_GRPC, "8", Some((429, Some(8)))),
        (ABORT_GRPC, "17", None),
        (ABORT_GRPC, "0", None),
        ("x-other", "418", None),
    ] {
        let call = Call::new("/").with(name, value);
        assert_eq!(aborted(&call.pass(&chain)), answer, "{name}: {value}");
    }
    // That of HTTP goes before that of gRPC.
    let both = Call::new("/").with(ABORT, "418").with(ABORT_GRPC, "8");
    assert_eq!(aborted(&both.pass(&chain)), Some((418, None)));
    // A request may lower the share, and not raise it.
    let none = Call::new("/").with(ABORT, "418").with(ABORT_SHARE, "0");
    assert_eq!(aborted(&none.pass(&chain)), None);
    let more = Call::new("/").with(ABORT, "418").with(ABORT_SHARE, "1000");
    assert_eq!(aborted(&more.pass(&chain)), Some((418, None)));
}

#[test]
fn faults_concern_the_calls_that_are_asked_for() {
    let ground = Ground::new();
    let mut config = abort(ErrorType::HttpStatus(500), all());
    config.upstream_cluster = "v1".to_owned();
    config.downstream_nodes = vec!["one".to_owned(), "two".to_owned()];
    config.headers = vec![HeaderMatcher {
        name: "user".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..HeaderMatcher::default()
    }];
    let chain = chain(&ground, config);
    let mut call = Call::new("/").with("user", "a").with(NODE, "two");
    call.cluster = Some("v1".into());
    assert_eq!(aborted(&call.pass(&chain)), Some((500, None)));
    let mut elsewhere = call.clone();
    elsewhere.cluster = Some("v2".into());
    assert_eq!(aborted(&elsewhere.pass(&chain)), None);
    assert_eq!(aborted(&call.with(NODE, "three").pass(&chain)), None);
    let mut stranger = Call::new("/").with(NODE, "one");
    stranger.cluster = Some("v1".into());
    assert_eq!(aborted(&stranger.pass(&chain)), None);
}

#[test]
fn faults_are_active_until_their_calls_end() {
    let ground = Ground::new();
    let mut config = delay(10, all());
    config.max_active_faults = Some(UInt32Value { value: 2 });
    let chain = chain(&ground, config.clone());
    // The same connection manager counts its faults together, also after a change.
    let other = self::chain(&ground, config);
    let call = Call::new("/");
    let (one, two) = (call.pass(&chain), call.pass(&other));
    for passed in [&one, &two] {
        assert!(matches!(passed.passage, Passage::Parked { next: 1, .. }));
        assert!(passed.flags.has(Flag::DelayInjected));
    }
    let third = call.pass(&chain);
    assert!(matches!(third.passage, Passage::Through));
    assert!(!third.flags.has(Flag::DelayInjected));
    assert_eq!(ground.counts()["http.in.fault.faults_overflow"], 1);
    assert_eq!(ground.counts()["http.in.fault.active_faults"], 2);
    drop(one);
    assert!(matches!(call.pass(&chain).passage, Passage::Parked { .. }));
    drop(two);
    assert!(!ground.counts().contains_key("http.in.fault.active_faults"));
    assert_eq!(ground.counts()["http.in.fault.delays_injected"], 3);
}

/// However many threads inject faults at once, no more are active than may be.
#[test]
fn the_limit_of_active_faults_is_exact() {
    let ground = Ground::new();
    let mut config = abort(ErrorType::HttpStatus(503), all());
    config.max_active_faults = Some(UInt32Value { value: 100 });
    let chain = chain(&ground, config);
    let run = || {
        let passed = (0..200).map(|_| Call::new("/").pass(&chain));
        passed.collect::<Vec<_>>()
    };
    let active: Vec<Passed> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.flat_map(|passed| passed.expect("no panic")).collect()
    });
    let injected = active.iter().filter(|passed| aborted(passed).is_some());
    assert_eq!(injected.count(), 100);
}

#[test]
fn a_delay_goes_before_an_abort() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let ground = Ground::new();
        let config = HttpFault {
            abort: abort(ErrorType::HttpStatus(504), all()).abort,
            ..delay(1, all())
        };
        let chain = chain(&ground, config);
        let passed = Call::new("/").pass(&chain);
        let Passage::Parked { wait, .. } = passed.passage else {
            panic!("{passed:?}");
        };
        let Flow::Wait(wait) = wait else {
            panic!("{wait:?}");
        };
        assert!(
            !ground
                .counts()
                .contains_key("http.in.fault.aborts_injected")
        );
        match wait.await {
            Verdict::Reply(status) => assert_eq!(status.http, 504),
            other => panic!("{other:?}"),
        }
        assert_eq!(ground.counts()["http.in.fault.aborts_injected"], 1);
    });
}

#[test]
fn a_request_may_ask_for_its_delay() {
    let ground = Ground::new();
    let mut config = delay(1, all());
    let by_header = FaultDelaySecifier::HeaderDelay(HeaderDelay {});
    config.delay.as_mut().expect("set").fault_delay_secifier = Some(by_header);
    let chain = chain(&ground, config);
    let waits = |call: Call| matches!(call.pass(&chain).passage, Passage::Parked { .. });
    assert!(waits(Call::new("/").with(DELAY, "200")));
    assert!(!waits(Call::new("/").with(DELAY, "0")));
    assert!(!waits(Call::new("/").with(DELAY, "soon")));
    assert!(!waits(Call::new("/")));
    let none = Call::new("/").with(DELAY, "200").with(DELAY_SHARE, "0");
    assert!(!waits(none));
}

#[test]
fn the_text_of_an_abort_can_be_chosen() {
    let ground = Ground::new();
    let mut config = abort(ErrorType::HttpStatus(503), all());
    let text = |config: &HttpFault| match Call::new("/").pass(&chain(&ground, config.clone())) {
        Passed {
            passage: Passage::Reply(status),
            ..
        } => status.text.into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(&config), "fault filter abort");
    config.abort.as_mut().expect("set").response_body = "on purpose".to_owned();
    assert_eq!(text(&config), "on purpose");
}

//! Local rate limits.

use std::thread;
use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, Protocol};
use serde_json::{Value, json};

use super::{Clock, WORKERS, answers, before, failures, saying};

/// A limit of so many calls in a time, with further fields.
fn limit(tokens: u32, every: &str, more: &Value) -> Value {
    let always = json!({"default_value": {"numerator": 100}});
    let mut limit = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": every},
        "filter_enabled": always,
        "filter_enforced": always,
    });
    let fields = limit.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    limit
}

/// Dubbo reads an exception (limit exceeded) inside status 20, which its consumers do not repeat; Bolt's 4 is a busy
/// server.
const REFUSED: [u16; 4] = [20, 4, 429, 14];

/// What Crossdock lets everybody through by.
fn open() -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": "CLUSTER", "timeout": "0s"}}])
}

#[test]
fn a_route_lets_as_many_calls_pass_as_it_says() {
    let own = limit(3, "3600s", &json!({}));
    let listener = limit(1000, "3600s", &json!({}));
    let (gateway, services) = before(
        &[("limit", listener)],
        &json!([saying("limit", &own)]),
        &WORKERS,
    );
    for _ in 0..3 {
        assert_eq!(answers(&gateway, &[]), [Answer::Good; 4]);
    }
    for _ in 0..3 {
        assert_eq!(answers(&gateway, &[]), failures(REFUSED));
    }
    assert!(services.iter().all(|service| service.received() == 3));
    let count = |name: &str| gateway.stat(&format!("limit.http_local_rate_limit.{name}"));
    assert_eq!(
        ["enabled", "ok", "rate_limited", "enforced"].map(count),
        [24, 12, 12, 12]
    );
}

/// One bucket for the whole listener, whatever the protocols of its callers are.
#[test]
fn a_listener_has_one_bucket_for_all_protocols() {
    let listener = limit(
        8,
        "3600s",
        &json!({"rate_limited_as_resource_exhausted": true}),
    );
    let (gateway, _services) = before(&[("limit", listener)], &open(), &WORKERS);
    assert_eq!(answers(&gateway, &[]), [Answer::Good; 4]);
    assert_eq!(answers(&gateway, &[]), [Answer::Good; 4]);
    assert_eq!(answers(&gateway, &[]), failures([20, 4, 429, 8]));
}

/// Each user has a bucket; one that is empty is not filled by others coming, however many.
#[test]
fn words_of_calls_have_buckets_of_their_own() {
    let more = json!({
        "max_dynamic_descriptors": 20,
        "descriptors": [{
            "entries": [{"key": "user", "value": ""}],
            "token_bucket": {"max_tokens": 4, "fill_interval": "3600s"},
        }],
        "rate_limits": [{"actions": [{"request_headers": {"header_name": "user", "descriptor_key": "user"}}]}],
    });
    let listener = limit(1_000_000, "3600s", &more);
    let (gateway, _services) = before(&[("limit", listener)], &open(), &WORKERS);
    assert_eq!(answers(&gateway, &[("user", "one")]), [Answer::Good; 4]);
    assert_eq!(answers(&gateway, &[("user", "one")]), failures(REFUSED));
    assert_eq!(answers(&gateway, &[("user", "two")]), [Answer::Good; 4]);
    let mut caller = Caller::connect(Protocol::Http, gateway.address());
    for other in 0..200 {
        caller.call(&[("user", &format!("other-{other}"))]);
    }
    assert_eq!(answers(&gateway, &[("user", "one")]), failures(REFUSED));
    // A call without the word has the default bucket.
    assert_eq!(answers(&gateway, &[]), [Answer::Good; 4]);
}

/// Ten a second over thirty seconds, with one worker and with two, to the call.
#[test]
fn a_limit_is_exact_with_one_worker_and_with_two() {
    const EACH: u32 = 10;
    const TIME: Duration = Duration::from_secs(30);
    let run = |workers: &'static str| {
        let listener = limit(EACH, "1s", &json!({}));
        let workers = ["--concurrency", workers];
        let (gateway, _services) = before(&[("limit", listener)], &open(), &workers);
        let address = gateway.address();
        let clock = Clock::start();
        let hammer = |protocol: Protocol| {
            thread::spawn(move || {
                let mut caller = Caller::connect(protocol, address);
                let (mut passed, mut first, mut last) = (0, None, Duration::ZERO);
                while clock.now() < TIME {
                    first = first.or_else(|| Some(clock.now()));
                    passed += u32::from(caller.call(&[]) == Answer::Good);
                    last = clock.now();
                    thread::sleep(Duration::from_millis(5));
                }
                (passed, first.unwrap_or_default(), last)
            })
        };
        let threads = Protocol::ALL.map(hammer);
        let all = threads.map(|thread| thread.join().expect("it makes calls"));
        let passed: u32 = all.iter().map(|(passed, ..)| passed).sum();
        let first = all.iter().map(|(_, first, _)| *first).min().expect("four");
        let last = all.iter().map(|(.., last)| *last).max().expect("four");
        // The first burst, and what was made from then on.
        let wanted = f64::from(EACH) * (1.0 + (last - first).as_secs_f64());
        let off = f64::from(passed) - wanted;
        assert!(
            (-2.0..=1.0).contains(&off),
            "{passed} of {wanted} passed with {workers:?}"
        );
    };
    let threads = ["1", "2"].map(|workers| thread::spawn(move || run(workers)));
    for thread in threads {
        thread.join().expect("the limit is exact");
    }
}

use std::borrow::Cow;

use super::*;
use crate::status::Class;

/// An answer with these headers.
struct Headers(&'static [(&'static str, &'static str)]);

impl RoutingView for Headers {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let Key::Header(name) = key else { return None };
        let found = self.0.iter().find(|header| header.0 == name);
        found.map(|header| Cow::Borrowed(header.1))
    }

    fn protocol(&self) -> &'static str {
        "test"
    }
}

/// The rule that a header is there.
#[derive(Debug)]
struct Has(&'static str);

impl HeaderTest for Has {
    fn matches(&self, message: &dyn RoutingView) -> bool {
        message.get(Key::Header(self.0)).is_some()
    }
}

fn http(status: u16) -> Attempted<'static> {
    let (class, http) = (Class::Ok, status);
    Attempted {
        outcome: Outcome::Answered {
            class,
            http,
            concealed: false,
        },
        grpc: None,
        answer: None,
    }
}

fn rpc(class: Class) -> Attempted<'static> {
    let http = class.http();
    Attempted {
        outcome: Outcome::Answered {
            class,
            http,
            concealed: false,
        },
        grpc: Some(class.grpc()),
        answer: None,
    }
}

fn failed(failure: Failure) -> Attempted<'static> {
    Attempted {
        outcome: Outcome::Failed(failure),
        grpc: None,
        answer: None,
    }
}

fn policy(words: &str) -> RetryPolicy {
    let words = words
        .split(',')
        .map(|word| RetryOn::word(word).expect(word));
    RetryPolicy {
        on: words.fold(RetryOn::NEVER, BitOr::bitor),
        ..RetryPolicy::default()
    }
}

fn wants(words: &str, attempted: &Attempted<'_>) -> bool {
    let policy = policy(words);
    policy.wants(policy.on, attempted)
}

const WORDS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// The words that retry what ended so.
fn words_for(attempted: &Attempted<'_>) -> Vec<&'static str> {
    let wanting = WORDS.into_iter().filter(|word| wants(word, attempted));
    wanting.collect()
}

#[test]
fn answers_are_retried_by_their_status() {
    for (status, words) in [
        (200, &[][..]),
        (400, &[]),
        (404, &[]),
        (409, &["retriable-4xx"]),
        (429, &[]),
        (500, &["5xx"]),
        (501, &["5xx"]),
        (502, &["5xx", "gateway-error"]),
        (503, &["5xx", "gateway-error"]),
        (504, &["5xx", "gateway-error"]),
        (505, &["5xx"]),
        (599, &["5xx"]),
        (600, &[]),
    ] {
        assert_eq!(words_for(&http(status)), words, "{status}");
    }
}

#[test]
fn rpc_answers_are_retried_by_their_class() {
    for (class, words) in [
        (Class::Ok, &[][..]),
        (Class::Business, &[]),
        (Class::Client, &[]),
        (Class::NotFound, &[]),
        (
            Class::Overload,
            &["5xx", "gateway-error", "resource-exhausted"],
        ),
        (
            Class::Timeout,
            &["5xx", "gateway-error", "deadline-exceeded"],
        ),
        (Class::Unavailable, &["5xx", "gateway-error", "unavailable"]),
        (Class::Codec, &["internal"]),
    ] {
        assert_eq!(words_for(&rpc(class)), words, "{class:?}");
    }
}

#[test]
fn failures_are_retried_by_what_became_of_the_request() {
    for (failure, words) in [
        (
            Failure::Connect,
            &[
                "5xx",
                "gateway-error",
                "reset",
                "reset-before-request",
                "connect-failure",
            ][..],
        ),
        (
            Failure::Refused,
            &["5xx", "gateway-error", "reset", "refused-stream"],
        ),
        (Failure::Lost, &["5xx", "gateway-error", "reset"]),
        (Failure::Damaged, &["5xx", "gateway-error", "reset"]),
        (Failure::TryTimeout, &["5xx", "gateway-error", "reset"]),
        (Failure::Timeout, &[]),
    ] {
        assert_eq!(words_for(&failed(failure)), words, "{failure:?}");
    }
    let nothing = Attempted {
        outcome: Outcome::Unknown,
        ..http(503)
    };
    assert!(words_for(&nothing).is_empty());
}

#[test]
fn grpc_statuses_are_retried_by_name() {
    for (status, word) in [
        (1, "cancelled"),
        (4, "deadline-exceeded"),
        (8, "resource-exhausted"),
        (13, "internal"),
        (14, "unavailable"),
    ] {
        let attempted = Attempted {
            grpc: Some(status),
            ..http(200)
        };
        assert_eq!(words_for(&attempted), [word], "{status}");
    }
    for status in [0, 2, 3, 5, 16, 99] {
        let attempted = Attempted {
            grpc: Some(status),
            ..http(200)
        };
        assert!(words_for(&attempted).is_empty(), "{status}");
    }
}

#[test]
fn listed_statuses_and_headers_are_retried() {
    let mut listed = policy("retriable-status-codes,retriable-headers");
    listed.statuses = [404, 418].into();
    listed.headers = [Box::new(Has("x-again")) as Box<dyn HeaderTest>].into();
    for (status, again) in [(404, true), (418, true), (503, false), (200, false)] {
        assert_eq!(listed.wants(listed.on, &http(status)), again, "{status}");
    }
    for (headers, again) in [(Headers(&[("x-again", "1")]), true), (Headers(&[]), false)] {
        let attempted = Attempted {
            answer: Some(&headers),
            ..http(200)
        };
        assert_eq!(listed.wants(listed.on, &attempted), again);
    }
    // Without their words the lists say nothing.
    assert!(!listed.wants(RetryOn::SERVER_ERROR, &http(404)));
}

#[test]
fn an_answer_of_a_rate_limit_needs_its_own_word() {
    let headers = Headers(&[("x-envoy-ratelimited", "")]);
    let attempted = Attempted {
        answer: Some(&headers),
        ..http(503)
    };
    assert!(!wants("5xx", &attempted));
    assert!(wants("envoy-ratelimited", &attempted));
    assert!(!wants("envoy-ratelimited", &http(503)));
}

#[test]
fn one_retry_is_one_retry() {
    let mut policy = policy("5xx");
    for retries in [0, 1, 2, MOST_RETRIES] {
        policy.retries = retries;
        let mut call = Retries::of(&policy, &Headers(&[])).expect("it has words");
        for made in 0..retries {
            assert_eq!(call.made(), made);
            let verdict = call.again(&policy, &http(503), 7);
            assert!(
                matches!(verdict, Verdict::Again { told: false, .. }),
                "{made} of {retries}"
            );
        }
        assert_eq!(call.again(&policy, &http(503), 7), Verdict::Exhausted);
        assert_eq!(call.again(&policy, &http(200), 7), Verdict::Done);
    }
}

#[test]
fn a_call_without_words_or_with_the_wrong_headers_has_no_retries() {
    assert_eq!(Retries::of(&RetryPolicy::default(), &Headers(&[])), None);
    let mut barred = policy("5xx");
    barred.requests = [Box::new(Has("x-safe")) as Box<dyn HeaderTest>].into();
    assert_eq!(Retries::of(&barred, &Headers(&[])), None);
    assert!(Retries::of(&barred, &Headers(&[("x-safe", "1")])).is_some());
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_is_any_time_below() {
    let ms = Duration::from_millis;
    let bounds = [25, 50, 100, 200, 250, 250, 250];
    let mut random = fastrand::Rng::with_seed(3);
    for (made, bound) in bounds.into_iter().enumerate() {
        let waits: Vec<_> = (0..4000)
            .map(|_| BackOff::default().before(made as u8, random.u64(..)))
            .collect();
        assert!(waits.iter().all(|wait| *wait < ms(bound)), "{made}");
        let sum: Duration = waits.iter().sum();
        let mean = sum / 4000;
        // Three sigma of the mean of 4000 even draws: bound / sqrt(12 * 4000) * 3.
        let off = mean.abs_diff(ms(bound) / 2);
        assert!(off < ms(bound) / 70, "{made}: {mean:?}");
    }
    let own = BackOff::new(ms(8), Some(ms(20)));
    assert!((0..=255).all(|made| own.before(made, u64::MAX) < ms(20)));
    assert_eq!(
        BackOff::new(Duration::ZERO, None).before(3, 9),
        Duration::ZERO
    );
}

#[test]
fn hosts_may_say_when_they_take_calls_again() {
    let header = |name: &str, format| ResetHeader {
        name: name.into(),
        format,
    };
    let mut policy = policy("5xx");
    policy.resets = Some(Resets {
        headers: [
            header("retry-after", ResetFormat::Seconds),
            header("x-reset", ResetFormat::UnixTime),
        ]
        .into(),
        most: Duration::from_secs(100),
    });
    let wait = |headers: &Headers, random| {
        let mut call = Retries::of(&policy, headers).expect("it has words");
        let attempted = Attempted {
            answer: Some(headers),
            ..http(503)
        };
        match call.again(&policy, &attempted, random) {
            Verdict::Again { wait, .. } => wait,
            other => panic!("{other:?}"),
        }
    };
    let told = Headers(&[("retry-after", "4")]);
    assert_eq!(wait(&told, 0), Duration::from_secs(4));
    assert!((0..50).all(|n| {
        let longer = wait(&told, n * 999_983).as_millis();
        (4000..6000).contains(&longer)
    }));
    for silent in [
        Headers(&[("retry-after", "soon")]),
        Headers(&[("retry-after", "101")]),
        Headers(&[("retry-after", "0")]),
        Headers(&[("x-reset", "1000")]),
    ] {
        assert!(wait(&silent, 24_999) < Duration::from_millis(25));
    }
}

use crossdock_xds::envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use proptest::prelude::*;

use super::*;

fn rate(most: u64, per_fill: u64, interval_us: u64) -> Rate {
    Rate::new(most, per_fill, interval_us)
}

/// A bucket that is filled each microsecond, in parts of which `interval_us` are a token.
struct Slow {
    most: u64,
    per_fill: u64,
    interval_us: u64,
    parts: u64,
    at: u64,
}

impl Slow {
    fn take(&mut self, now: u64) -> bool {
        let more = self.parts + (now - self.at) * self.per_fill;
        self.parts = more.min(self.most * self.interval_us);
        self.at = now;
        let passes = self.parts >= self.interval_us;
        if passes {
            self.parts -= self.interval_us;
        }
        passes
    }
}

proptest! {
    #[test]
    fn tokens_are_those_of_a_bucket_that_is_filled(
        most in 0_u64..20,
        per_fill in 1_u64..30,
        interval_us in 50_000_u64..2_000_000,
        steps in proptest::collection::vec(0_u64..300_000, 1..200),
    ) {
        let rate = rate(most, per_fill, interval_us);
        let (bucket, mut now) = (Bucket::new(rate), 0);
        let parts = most * interval_us;
        let mut slow = Slow { most, per_fill, interval_us, parts, at: 0 };
        for step in steps {
            now += step;
            let level = bucket.take(Moment(now));
            prop_assert_eq!(level.passed, slow.take(now));
            prop_assert_eq!(level.left, slow.parts / interval_us);
            // The wait is exact: a microsecond before there is none.
            if level.left == 0 && most > 0 {
                let taken = bucket.taken.load(Relaxed);
                let at = |wait| rate.take(taken, Moment(now + wait)).is_some();
                prop_assert!(level.wait_us > 0 && at(level.wait_us) && !at(level.wait_us - 1));
            }
        }
    }

    /// In any window no more pass than the bucket holds and is made in it.
    #[test]
    fn no_window_lets_more_pass(
        most in 1_u64..20,
        per_fill in 1_u64..30,
        interval_us in 50_000_u64..500_000,
        steps in proptest::collection::vec(0_u64..20_000, 50..300),
        window in 1_u64..2_000_000,
    ) {
        let bucket = Bucket::new(rate(most, per_fill, interval_us));
        let (mut now, mut passed) = (1 << 40, Vec::new());
        for step in steps {
            now += step;
            if bucket.take(Moment(now)).passed {
                passed.push(now);
            }
        }
        let most_of_all = most + window * per_fill / interval_us;
        for (at, first) in passed.iter().enumerate() {
            let within = passed[at..].iter().take_while(|time| **time <= first + window);
            prop_assert!(within.count() as u64 <= most_of_all);
        }
    }
}

/// However long the process runs and however high the rate is, a second lets through what it says.
#[test]
fn a_second_is_a_second_at_any_time() {
    let years = 20 * 365 * 24 * 3600 * 1_000_000_u64;
    for per_second in [1, 7, 999, 99_991, 1_000_003, u64::from(u32::MAX)] {
        for start in [0, 123_456_789, years] {
            let rate = rate(per_second, per_second, 1_000_000);
            let made = |at: u64| rate.made(Moment(start + at));
            let parts = made(30_000_000).wrapping_sub(made(0));
            assert_eq!(parts, 30 * per_second * rate.parts);
        }
    }
}

/// Threads that ask at the same time get the tokens that there are, and no more.
#[test]
fn threads_share_a_bucket_exactly() {
    let bucket = Bucket::new(rate(1000, 1, 1_000_000));
    let ask = || (0..5000).filter(|_| bucket.take(Moment(1)).passed).count();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let counts = threads.into_iter().map(|thread| thread.join());
        counts.map(|count| count.expect("no panic")).sum()
    });
    assert_eq!(passed, 1000);
}

/// Workers read the time one after another: an older time takes nothing back.
#[test]
fn an_older_time_gives_no_tokens() {
    let bucket = Bucket::new(rate(2, 1, 1_000_000));
    assert!(bucket.take(Moment(5_000_000)).passed && bucket.take(Moment(5_000_000)).passed);
    for now in [0, 1, 4_999_999, 5_000_000, 5_999_999] {
        assert!(!bucket.take(Moment(now)).passed, "{now}");
    }
    assert!(bucket.take(Moment(6_000_000)).passed);
}

/// A bucket that was full has its next token a whole time later, whenever that is.
#[test]
fn time_counts_from_the_first_call() {
    let bucket = Bucket::new(rate(1, 1, 1_000_000));
    for start in [900_000, 7_777_777] {
        let passes = |after: u64| bucket.take(Moment(start + after)).passed;
        assert!(passes(0) && !passes(100_000) && !passes(999_999) && passes(1_000_000));
    }
}

/// Buckets whose parts would not fit count whole tokens.
#[test]
fn long_times_and_many_tokens_fit() {
    let year = 365 * 24 * 3600 * 1_000_000;
    for (most, per_fill) in [(u64::from(u32::MAX), 1), (5, u64::from(u32::MAX)), (5, 1)] {
        let rate = rate(most, per_fill, year);
        let bucket = Bucket::new(rate);
        let passed = (0..10).filter(|_| bucket.take(Moment(20 * year)).passed);
        assert_eq!(passed.count() as u64, most.min(10));
        let later = bucket.take(Moment(21 * year));
        assert!(later.passed && later.left < most);
    }
}

#[test]
fn an_empty_bucket_stays_empty() {
    let bucket = Bucket::new(rate(0, 5, 1_000_000));
    let level = bucket.take(Moment(9_000_000));
    assert!(!level.passed && level.left == 0 && level.wait_us > 0);
}

#[test]
fn fills_are_not_too_often() {
    let message = |nanos| TokenBucket {
        max_tokens: 3,
        tokens_per_fill: Some(UInt32Value { value: 2 }),
        fill_interval: Some(Duration { seconds: 1, nanos }),
    };
    assert_eq!(Rate::of(&message(500_000)), Ok(rate(3, 2, 1_000_500)));
    let mut short = message(49_999_999);
    short.fill_interval.as_mut().expect("set").seconds = 0;
    let problem = Rate::of(&short).expect_err("too often");
    assert_eq!(problem.path, "fill_interval");
    assert!(rate(1, 1, 2_000_000).is_slower(rate(1, 1, 1_000_000)));
    assert!(rate(9, 2, 2_000_000).is_slower(rate(1, 3, 2_000_000)));
}

use crossdock_xds::envoy_types::pb::{
    envoy::r#type::v3::TokenBucket,
    google::protobuf::{Duration, UInt32Value},
};
use proptest::prelude::*;

use super::*;

/// So many tokens, and one more each second.
fn rate(most: u32) -> Rate {
    let message = TokenBucket {
        max_tokens: most,
        tokens_per_fill: Some(UInt32Value { value: 1 }),
        fill_interval: Some(Duration {
            seconds: 1,
            nanos: 0,
        }),
    };
    Rate::of(&message).expect("valid")
}

const SECOND: u64 = 1_000_000;

#[test]
fn each_key_has_its_bucket() {
    let keyed = Keyed::new(rate(2), 10);
    let passes = |key| keyed.take(keyed.key(key), Moment(SECOND)).passed;
    for key in ["a", "b", "c"] {
        assert_eq!([passes(key), passes(key), passes(key)], [true, true, false]);
    }
}

/// A key whose bucket is empty gets nothing by having others come, however many: while it waits, as
/// in Envoy where 20 other keys fill it again, and after that as much as the time has made.
#[test]
fn rotating_keys_refills_no_bucket() {
    let keyed = Keyed::new(rate(5), 20);
    let take = |key: u32, now| keyed.take(keyed.key(key), Moment(now)).passed;
    assert_eq!((0..10).filter(|_| take(0, SECOND)).count(), 5);
    for other in 1..=100_000 {
        take(other, SECOND);
    }
    assert!(!take(0, SECOND));
    assert!(take(0, 2 * SECOND) && !take(0, 2 * SECOND));
    // All keys together: 20 with a bucket of their own, and one for the rest.
    let keyed = Keyed::new(rate(5), 20);
    let all = (0..100_000).map(|n| keyed.take(keyed.key(n % 5000), Moment(SECOND)).passed);
    assert_eq!(all.filter(|passed| *passed).count(), 21 * 5);
}

#[test]
fn memory_is_bounded() {
    let keyed = Keyed::new(rate(1), 50);
    for key in 0..100_000_u64 {
        // Slowly enough for places to be given away.
        keyed.take(keyed.key(key), Moment(key * SECOND / 100));
    }
    let places = keyed.places.lock().expect("one thread");
    assert_eq!((places.list.len(), places.by_key.len()), (50, 50));
}

#[test]
fn a_full_bucket_is_given_to_another_key() {
    let keyed = Keyed::new(rate(1), 2);
    let take = |key: &str, seconds| keyed.take(keyed.key(key), Moment(seconds * SECOND)).passed;
    assert!(take("a", 1) && take("b", 1));
    // There is one bucket for all others.
    assert!(take("c", 1) && !take("d", 1));
    assert!(take("c", 2) && take("d", 2));
}

proptest! {
    /// What a key gets from places, however often it loses one and gets another, is exactly what one
    /// bucket of its own would have given it.
    #[test]
    fn no_key_gains_or_loses(
        most in 1_u32..4,
        places in 1_usize..6,
        calls in proptest::collection::vec((0_u8..12, 0_u64..700_000), 1..400),
    ) {
        let keyed = Keyed::new(rate(most), places);
        let own: Vec<_> = (0..12).map(|_| Bucket::new(rate(most))).collect();
        let mut now = SECOND;
        for (key, step) in calls {
            now += step;
            let passed = keyed.take(keyed.key(key), Moment(now)).passed;
            let hash = keyed.key(key);
            let places = keyed.places.lock().expect("one thread");
            if places.by_key.contains_key(&hash) {
                prop_assert_eq!(passed, own[usize::from(key)].take(Moment(now)).passed);
            }
        }
    }
}

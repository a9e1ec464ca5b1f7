//! Token buckets: how many calls may pass in a time, exactly, whoever asks and from which worker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossdock_framework::time::Moment;
use crossdock_routers::Problem;
use crossdock_xds::envoy_types::pb::envoy::r#type::v3::TokenBucket;

/// The shortest time between two fills, in microseconds, as in Envoy.
const SHORTEST_US: u64 = 50_000;

/// How a bucket fills: so many tokens in a time, little by little and not at once, and never more
/// than `most`.
///
/// A bucket is a number: of what was taken from it, where what ran over counts as taken. All that
/// can be taken at a time is what was [made](Rate::made) until then and the first `most` tokens. So a
/// bucket needs no clock and nobody who fills it; a new one is 0.
///
/// What is made is counted in parts of a token, `parts` of them, of which `made` come in `micros`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rate {
    most: u64,
    parts: u64,
    made: u64,
    micros: u64,
}

/// The most parts that may come in a microsecond for the number of all of them to last for decades.
const MOST_PARTS: u64 = 1 << 14;

/// What was left in a bucket after it was asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Whether there was one.
    pub(crate) passed: bool,
    /// Tokens that it can hold.
    pub(crate) most: u64,
    /// Tokens that are left.
    pub(crate) left: u64,
    /// Microseconds until there is one; 0 if there is.
    pub(crate) wait_us: u64,
}

impl Rate {
    /// What a message asks for.
    ///
    /// # Errors
    /// When it fills too often.
    pub(crate) fn of(message: &TokenBucket) -> Result<Self, Problem> {
        let interval = message.fill_interval.as_ref();
        let interval_us = interval.map_or(0, |interval| {
            let seconds = u64::try_from(interval.seconds).unwrap_or_default();
            let nanos = u64::try_from(interval.nanos).unwrap_or_default();
            seconds.saturating_mul(1_000_000) + nanos / 1000
        });
        if interval_us < SHORTEST_US {
            return Err(Problem {
                path: "fill_interval".to_owned(),
                reason: "it is below 50 ms".to_owned(),
                cure: "fill less often, and more tokens at a time".to_owned(),
            });
        }
        let per_fill = message.tokens_per_fill.as_ref();
        let per_fill = per_fill.map_or(1, |tokens| tokens.value.into());
        Ok(Self::new(message.max_tokens.into(), per_fill, interval_us))
    }

    /// `per_fill` tokens in `interval_us`.
    fn new(most: u64, per_fill: u64, interval_us: u64) -> Self {
        let common = gcd(per_fill, interval_us);
        let (made, micros) = (per_fill / common, interval_us / common);
        let fits = most.checked_mul(micros).is_some_and(|all| all < 1 << 62);
        match made <= MOST_PARTS && fits {
            // `made` parts each microsecond make a token in as many parts as there are microseconds
            // to it: exact, and without a division.
            true => Self {
                most,
                parts: micros,
                made,
                micros: 1,
            },
            // Whole tokens: at such rates nobody can tell one token's time.
            false => Self {
                most,
                parts: 1,
                made,
                micros,
            },
        }
    }

    /// Whether this fills more slowly than `other`.
    pub(crate) fn is_slower(self, other: Self) -> bool {
        let cross = |one: Self, two: Self| {
            u128::from(one.made) * u128::from(two.micros) * u128::from(two.parts)
        };
        cross(self, other) < cross(other, self)
    }

    /// Parts made until `now`, from the start of the process on.
    fn made(self, now: Moment) -> u64 {
        match now.0.checked_mul(self.made) {
            Some(product) if self.micros == 1 => product,
            Some(product) => product / self.micros,
            None => {
                let product = u128::from(now.0) * u128::from(self.made);
                // Wraps after decades at the highest rates.
                (product / u128::from(self.micros)) as u64
            }
        }
    }

    /// When so many parts are made.
    fn made_at(self, parts: u64) -> u64 {
        let product = u128::from(parts) * u128::from(self.micros);
        u64::try_from(product.div_ceil(u128::from(self.made))).unwrap_or(u64::MAX)
    }

    /// The parts of a full bucket.
    fn all(self) -> u64 {
        self.most * self.parts
    }

    /// Takes a token from a bucket of which `taken` parts were: what is taken of it then.
    pub(crate) fn take(self, taken: u64, now: Moment) -> Option<u64> {
        let made = self.made(now);
        // What ran over is gone.
        let taken = taken.max(made) + self.parts;
        (taken - made <= self.all()).then_some(taken)
    }

    /// Whether a bucket is full.
    pub(crate) fn is_full(self, taken: u64, now: Moment) -> bool {
        taken <= self.made(now)
    }

    /// What is left of a bucket.
    pub(crate) fn level(self, taken: u64, now: Moment, passed: bool) -> Level {
        let out = taken.saturating_sub(self.made(now));
        let left = self.all().saturating_sub(out) / self.parts;
        let wait_us = match left {
            0 => {
                let wanted = (taken + self.parts).saturating_sub(self.all());
                self.made_at(wanted).saturating_sub(now.0).max(1)
            }
            _ => 0,
        };
        Level {
            passed,
            most: self.most,
            left,
            wait_us,
        }
    }
}

fn gcd(one: u64, two: u64) -> u64 {
    match two {
        0 => one,
        two => gcd(two, one % two),
    }
}

/// A bucket that all workers share.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    taken: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            taken: AtomicU64::new(0),
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&self, now: Moment) -> Level {
        let take = |taken| self.rate.take(taken, now);
        let (taken, passed) = match self.taken.fetch_update(Relaxed, Relaxed, take) {
            Ok(before) => (self.rate.take(before, now).unwrap_or(before), true),
            Err(taken) => (taken, false),
        };
        self.rate.level(taken, now, passed)
    }
}

#[cfg(test)]
mod tests;

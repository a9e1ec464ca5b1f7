//! How long is waited before a retry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::view::{Key, RoutingView};

/// The wait before a retry: any time up to a bound that doubles with each ("full jitter"), so that
/// callers that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    base: Duration,
    most: Duration,
}

impl Default for BackOff {
    /// Envoy's: 25 ms, and 250 ms at most.
    fn default() -> Self {
        Self::new(Duration::from_millis(25), None)
    }
}

impl BackOff {
    /// Waits below `base` at first (`base_interval`), and never above `most` (`max_interval`), which
    /// is ten times as long unless it is given.
    pub fn new(base: Duration, most: Option<Duration>) -> Self {
        let most = most.unwrap_or_else(|| base.saturating_mul(10)).max(base);
        Self { base, most }
    }

    /// The wait before the retry that follows on `made` earlier ones, `random` being any number.
    pub fn before(&self, made: u8, random: u64) -> Duration {
        let factor = 1_u32.checked_shl(made.into()).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(factor).min(self.most);
        up_to(bound, random)
    }
}

/// A time below `bound`.
fn up_to(bound: Duration, random: u64) -> Duration {
    let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random.checked_rem(micros).unwrap_or(0))
}

/// Headers by which hosts tell when they take calls again (`rate_limited_retry_back_off`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resets {
    /// The headers, the first that tells something counts.
    pub headers: Box<[ResetHeader]>,
    /// Longer times are not believed (`max_interval`). Default 300 s.
    pub most: Duration,
}

/// One of these headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetHeader {
    /// Its name in lower case.
    pub name: Box<str>,
    /// What its number is.
    pub format: ResetFormat,
}

/// What the number of a reset header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetFormat {
    /// Seconds from now on.
    Seconds,
    /// A time in seconds since 1970.
    UnixTime,
}

impl Resets {
    /// The wait that an answer asks for: as long as it says and up to half as long again, `random`
    /// being any number.
    pub fn told(&self, answer: &dyn RoutingView, random: u64) -> Option<Duration> {
        let told = |header: &ResetHeader| {
            let value = answer.get(Key::Header(&header.name))?;
            let seconds: u64 = value.trim_ascii().parse().ok()?;
            let wait = match header.format {
                ResetFormat::Seconds => Duration::from_secs(seconds),
                ResetFormat::UnixTime => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
                    Duration::from_secs(seconds).checked_sub(now)?
                }
            };
            (!wait.is_zero() && wait <= self.most).then_some(wait)
        };
        let wait = self.headers.iter().find_map(told)?;
        Some(wait + up_to(wait / 2, random))
    }
}

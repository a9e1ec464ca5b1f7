//! What is remembered of one host. Survives configuration pushes with the host.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Config;

/// The calls and the ejections of one host, over all workers.
///
/// Workers count with single atomic instructions. What an ejection changes is written by one thread
/// at a time (see [`super::Detector`]).
#[derive(Debug, Default)]
pub struct Monitor {
    /// Failures since the last success, by kind.
    pub(super) errors: Streak,
    pub(super) gateway_errors: Streak,
    pub(super) local_failures: Streak,
    /// Calls of this interval, by what hosts answer and by what the gateway saw itself.
    pub(super) answers: Window,
    pub(super) attempts: Window,
    ejected: AtomicBool,
    /// When it was ejected last and may come back, in ms of the process clock.
    ejected_at: AtomicU64,
    stays_for: AtomicU64,
    /// When it came back last; 0 if it never was away.
    returned_at: AtomicU64,
    /// How many base times the next ejection but one lasts.
    backoff: AtomicU32,
    ejections: AtomicU32,
    /// Per cent of the last interval and one, as bits; 0 if there were too few calls.
    success_rate: AtomicU64,
}

impl Monitor {
    /// Whether the host is ejected.
    #[inline]
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    /// How often it has been ejected.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Relaxed)
    }

    /// The share of its calls that succeeded in the last interval, in per cent; `None` if there were
    /// too few to tell.
    pub fn success_rate(&self) -> Option<f64> {
        let bits = self.success_rate.load(Relaxed);
        (bits != 0).then(|| f64::from_bits(bits) - 1.0)
    }

    pub(super) fn show_rate(&self, rate: Option<f64>) {
        let bits = rate.map_or(0, |rate| (rate + 1.0).to_bits());
        self.success_rate.store(bits, Relaxed);
    }

    /// Ejects the host and says for how long at least.
    pub(super) fn eject(&self, config: &Config, now_ms: u64, random: u64) -> Duration {
        let (base, most) = (config.base_ejection_time, config.max_ejection_time);
        let backoff = self.backoff.load(Relaxed);
        let backoff = match base.saturating_mul(backoff) < most.saturating_add(base) {
            true => backoff + 1,
            false => backoff,
        };
        let jitter = millis(config.max_ejection_time_jitter);
        let jitter = Duration::from_millis(random % jitter.saturating_add(1));
        let time = base.saturating_mul(backoff).min(most) + jitter;
        self.backoff.store(backoff, Relaxed);
        self.ejected_at.store(now_ms, Relaxed);
        self.stays_for.store(millis(time), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        self.ejected.store(true, Relaxed);
        time
    }

    /// Whether the time of its ejection is over.
    pub(super) fn may_return(&self, now_ms: u64) -> bool {
        let away = now_ms.saturating_sub(self.ejected_at.load(Relaxed));
        self.is_ejected() && away >= self.stays_for.load(Relaxed)
    }

    /// Takes an ejected host back.
    pub(super) fn take_back(&self, now_ms: u64) {
        self.errors.clear();
        self.gateway_errors.clear();
        self.local_failures.clear();
        self.returned_at.store(now_ms.max(1), Relaxed);
        self.ejected.store(false, Relaxed);
    }

    /// Shortens the next ejection of a host that has been well for an interval since the last one.
    pub(super) fn forgive(&self, interval: Duration, now_ms: u64) {
        let returned = self.returned_at.load(Relaxed);
        let well = returned != 0 && now_ms.saturating_sub(returned) >= millis(interval);
        if well && !self.is_ejected() {
            let backoff = self.backoff.load(Relaxed).saturating_sub(1);
            self.backoff.store(backoff, Relaxed);
        }
    }
}

/// Failures one after another.
#[derive(Debug, Default)]
pub(super) struct Streak(AtomicU32);

impl Streak {
    /// Counts one more; whether it is the one that makes `threshold`.
    #[inline]
    pub(super) fn reaches(&self, threshold: u32) -> bool {
        self.0.fetch_add(1, Relaxed).wrapping_add(1) == threshold
    }

    /// Begins anew. A streak that has not begun is not written to.
    #[inline]
    pub(super) fn clear(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }
}

/// Calls of one interval: the failed ones in the upper half, all of them in the lower, so that both
/// are counted by one instruction and read as one.
#[derive(Debug, Default)]
pub(super) struct Window(AtomicU64);

impl Window {
    #[inline]
    pub(super) fn count(&self, failed: bool) {
        self.0.fetch_add((u64::from(failed) << 32) | 1, Relaxed);
    }

    /// Ends the interval; what share of its calls succeeded, in per cent, and how many there were.
    pub(super) fn end(&self) -> Option<Rate> {
        let counted = self.0.swap(0, Relaxed);
        let (failed, calls) = (counted >> 32, counted & u64::from(u32::MAX));
        (calls > 0).then(|| Rate {
            success: 100.0 * calls.saturating_sub(failed) as f64 / calls as f64,
            calls,
        })
    }
}

/// The calls of a host in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// Per cent.
    pub(super) success: f64,
    pub(super) calls: u64,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

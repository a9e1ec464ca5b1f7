//! The worker's clock: read once per turn of a connection, not once per call.

use std::{
    cell::Cell,
    sync::OnceLock,
    time::{Duration, Instant},
};

static START: OnceLock<Instant> = OnceLock::new();

/// Microseconds since the process first asked for the time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where time is read"
)]
pub fn now_us() -> u64 {
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A moment as the worker saw it at the start of its current turn, in microseconds since the
/// start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Milliseconds since the start of the process.
    pub fn ms(self) -> u64 {
        self.0 / 1000
    }

    /// How long ago `earlier` was.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This moment, later by `by`.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// The cached time of one worker.
#[derive(Debug, Default)]
pub struct Clock {
    now: Cell<u64>,
}

impl Clock {
    /// Reads the time; called at the start of each turn.
    pub fn tick(&self) -> Moment {
        self.now.set(now_us());
        self.now()
    }

    /// The time of the current turn.
    pub fn now(&self) -> Moment {
        Moment(self.now.get())
    }
}

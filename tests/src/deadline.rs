//! How long a test waits.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at something that another process has to bring about.
const TICK: Duration = Duration::from_millis(10);

/// A moment after which waiting is given up. Tests have the machine's clock: they watch other processes.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn after(patience: Duration) -> Self {
        Self {
            end: now() + patience,
        }
    }

    /// What is left; zero when it has passed.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(now())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// Sleeps a moment, before one looks again.
    pub fn tick(&self) {
        thread::sleep(TICK.min(self.left()));
    }
}

/// Looks again and again until there is something or the patience is over.
pub fn eventually<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if deadline.passed() {
            return None;
        }
        deadline.tick();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "no worker here: tests watch other processes by the machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}

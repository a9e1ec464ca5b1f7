//! The one place of the benchmark that reads the wall clock: its processes measure time, they have
//! no worker whose clock they could ask.

use std::time::Instant;

/// The instant now.
#[expect(clippy::disallowed_methods, reason = "a load generator measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

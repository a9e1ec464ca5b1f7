//! Configuration that changes while the process runs.

#[cfg_attr(not(test), expect(dead_code, reason = "nothing is discovered yet"))]
mod counts;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing is discovered yet"))]
mod watch;

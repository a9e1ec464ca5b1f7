//! What the log says of ejections: a line for each, but only so many.

use std::time::Duration;

use crate::cluster::Host;

/// Lines in one second, over all clusters. What is left out is counted in the next line.
const LINES: u32 = 10;

/// The lines of the second at hand.
#[derive(Debug)]
pub(super) struct Lines {
    second: u64,
    written: u32,
    left_out: u64,
}

impl Lines {
    pub(super) const fn new() -> Self {
        Self {
            second: 0,
            written: 0,
            left_out: 0,
        }
    }

    /// A host gets no calls for `time`.
    pub(super) fn ejected(
        &mut self,
        (cluster, host): (&str, &Host),
        cause: &str,
        time: Duration,
        now_ms: u64,
    ) {
        let Some(left_out) = self.next(now_ms) else {
            return;
        };
        let (address, times) = (host.address, host.state.outlier.ejections());
        let time = time.as_secs_f64();
        tracing::warn!(
            cluster,
            left_out = (left_out > 0).then_some(left_out),
            "{address} is ejected for {time} s: {cause}; ejections of it so far: {times}. Look at \
             the host; outlier_detection of the cluster says when hosts are ejected"
        );
    }

    /// The time of a host's ejection is over.
    pub(super) fn returned(&mut self, (cluster, host): (&str, &Host), now_ms: u64) {
        if let Some(left_out) = self.next(now_ms) {
            let address = host.address;
            tracing::info!(
                cluster,
                left_out = (left_out > 0).then_some(left_out),
                "{address} gets calls again"
            );
        }
    }

    /// Whether one more line may be written now, with the number of those that were not.
    fn next(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1000;
        if second != self.second {
            (self.second, self.written) = (second, 0);
        }
        if self.written == LINES {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_ten_lines() {
        let mut lines = Lines::new();
        let written = (0..25).filter(|_| lines.next(5_900).is_some()).count();
        assert_eq!(written, 10, "as docs/limits.md says");
        assert_eq!(lines.next(6_000), Some(15), "the others are counted");
        assert_eq!(lines.next(6_001), Some(0));
    }
}

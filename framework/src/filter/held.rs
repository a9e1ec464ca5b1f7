//! What filters keep for the time of a call.

use std::fmt;

/// Values that are dropped when the call has ended, however it ends: a place that a filter has
/// taken is given back by the guard that it leaves here. Nothing is allocated for calls of which
/// nothing is kept.
#[derive(Default)]
pub struct Held(Option<Box<dyn Send>>);

impl Held {
    /// Keeps one more value.
    pub fn hold(&mut self, value: impl Send + 'static) {
        self.0 = Some(match self.0.take() {
            None => Box::new(value),
            Some(before) => Box::new((before, value)),
        });
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn everything_is_dropped_with_the_call() {
        let place = Arc::new(());
        let mut held = Held::default();
        (0..3).for_each(|_| held.hold(Arc::clone(&place)));
        assert_eq!(Arc::strong_count(&place), 4);
        drop(held);
        assert_eq!(Arc::strong_count(&place), 1);
    }
}

//! Interim answers (1xx) on their way from a host to the client that waits for the final one
//! (RFC 9110 section 15.2).

use std::cell::{Cell, RefCell};

use http::response;

/// The interim answers of one call that its client has not been told yet. It holds nothing on the
/// heap while there are none, which is nearly always.
#[derive(Debug, Default)]
pub struct Interim {
    heads: RefCell<Vec<response::Parts>>,
    taken: Cell<usize>,
}

impl Interim {
    /// The most of one call. A host that sends more gives no usable answer.
    pub const MOST: usize = 16;

    /// Adds one; `false` if there were too many of them.
    pub fn add(&self, head: response::Parts) -> bool {
        let fits = self.taken.get() < Self::MOST;
        if fits {
            self.taken.set(self.taken.get() + 1);
            self.heads.borrow_mut().push(head);
        }
        fits
    }

    /// Those that have come since this was last asked.
    #[inline]
    pub fn take(&self) -> Vec<response::Parts> {
        std::mem::take(&mut *self.heads.borrow_mut())
    }
}

//! The `date` of answers that have none (RFC 9110 section 6.6.1), written once a second.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::SystemTime,
};

use crossdock_framework::worker::Worker;
use http::{HeaderMap, HeaderValue, header};

/// The current second in the form of the field.
#[derive(Debug)]
pub(crate) struct Dates {
    worker: Worker,
    /// The worker's second that the text was written in.
    written: Cell<u64>,
    text: RefCell<HeaderValue>,
}

impl Dates {
    /// The worker's dates.
    pub(crate) fn of(worker: &Worker) -> Rc<Self> {
        worker.part(|| {
            Rc::new(Self {
                worker: worker.clone(),
                written: Cell::new(u64::MAX),
                text: RefCell::new(HeaderValue::from_static("")),
            })
        })
    }

    /// Dates a message that has no date.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        if headers.contains_key(header::DATE) {
            return;
        }
        let second = self.worker.now().ms() / 1000;
        if self.written.replace(second) != second {
            let now = httpdate::fmt_http_date(SystemTime::now());
            if let Ok(text) = HeaderValue::try_from(now) {
                *self.text.borrow_mut() = text;
            }
        }
        headers.insert(header::DATE, self.text.borrow().clone());
    }
}

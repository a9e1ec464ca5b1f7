//! What the gateway sees of the quickstart's calls.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crossdock_framework::{
    log::{AccessLog, Record},
    status::Class,
};

/// What the gateway says of one call.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) protocol: &'static str,
    pub(super) path: String,
    pub(super) route: String,
    pub(super) cluster: String,
    pub(super) endpoint: String,
    pub(super) outcome: Class,
    pub(super) local: bool,
    pub(super) time: Duration,
}

/// An access log that keeps what it sees, for the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness(Arc<Mutex<Vec<Seen>>>);

/// Calls that are kept at most.
const KEPT: usize = 1000;

impl AccessLog for Witness {
    fn log(&self, record: &Record<'_>) {
        use crossdock_framework::view::Key;
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() == KEPT {
            return;
        }
        seen.push(Seen {
            protocol: record.request.protocol(),
            path: text(record.request.get(Key::Path).as_deref()),
            route: text(record.route.map(|route| route.name.as_ref())),
            cluster: text(record.cluster.map(|cluster| cluster.name.as_ref())),
            endpoint: record
                .host
                .map_or_else(|| "-".into(), |host| host.address.to_string()),
            outcome: record.class,
            local: record.cause.is_some(),
            time: record.duration,
        });
    }
}

impl Witness {
    /// Takes everything that was seen since the last time.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

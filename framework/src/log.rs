//! What is known of a call when it has ended.

use std::{fmt, net::SocketAddr, time::Duration};

pub use crate::attempts::Retried;

use crate::{
    cluster::{Cluster, Host},
    flags::Flags,
    route::{Facts, Route, RouteId, Router},
    snapshot::Ends,
    status::{Cause, Class, Detail},
    time::Moment,
    view::RoutingView,
};

/// Writes ended calls somewhere. Called on the worker: it must not block, and drops and counts
/// what it cannot queue.
pub trait AccessLog: fmt::Debug + Send + Sync + 'static {
    /// Takes one ended call.
    fn log(&self, record: &Record<'_>);

    /// Whether it looks at [`Record::response`]. The answer to a stream is copied for it then, because
    /// its bytes have gone on when the call ends.
    fn reads_answers(&self) -> bool {
        true
    }
}

/// One ended call.
pub struct Record<'r> {
    /// The request as it came.
    pub request: &'r dyn RoutingView,
    /// The response: the upstream's, if one came; of a stream else the gateway's own.
    pub response: Option<&'r dyn RoutingView>,
    /// What is known of the call besides.
    pub facts: &'r Facts,
    /// Its downstream connection.
    pub ends: Ends,
    /// The route, if one matched.
    pub route: Option<&'r Route>,
    /// The table that the route is in, and its place there.
    pub table: Option<(&'r dyn Router, RouteId)>,
    /// The cluster, if one was chosen.
    pub cluster: Option<&'r Cluster>,
    /// The host, if one was chosen.
    pub host: Option<&'r Host>,
    /// How the call ended.
    pub class: Class,
    /// The HTTP status that stands for the outcome.
    pub http: u16,
    /// Why the gateway answered, or broke the answer off, if it did.
    pub cause: Option<Cause>,
    /// What is known of the cause besides.
    pub detail: Detail,
    /// Whether the host's answer had begun when that happened.
    pub begun: bool,
    /// Why no connection to the host could be opened, in words without spaces.
    pub transport_failure: Option<&'r str>,
    /// What happened to the call.
    pub flags: Flags,
    /// The caller left before the answer.
    pub orphaned: bool,
    /// Octets of the request frame.
    pub received: usize,
    /// Octets of the answer frame, or 0.
    pub sent: usize,
    /// When the request was complete.
    pub began: Moment,
    /// From then to the end of the call.
    pub duration: Duration,
    /// From the request's queueing upstream to the answer, if it was sent.
    pub upstream: Option<Duration>,
    /// From the beginning of the call to the last time that it was sent.
    pub sent_after: Option<Duration>,
    /// Our end of the connection that it was sent on.
    pub upstream_local: Option<SocketAddr>,
    /// Attempts made upstream.
    pub attempts: u32,
    /// How often it was given to an open connection.
    pub sends: u32,
    /// What became of its retries.
    pub retried: Retried,
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("class", &self.class)
            .field("cause", &self.cause)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

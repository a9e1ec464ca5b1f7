//! Connections, in the terms of calls.

use std::time::Duration;

use crossdock_framework::{
    log::{Record, Retried},
    route::Facts,
    status::{Class, Detail},
    view::Opaque,
};
use crossdock_xds::envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;

use crate::tcp::Outcome;

/// A connection, at its end or at a moment of its life.
pub(crate) struct Connection<'c> {
    /// Which moment.
    pub(crate) kind: AccessLogType,
    /// Its ends, its beginning, and what TLS told.
    pub(crate) facts: &'c Facts,
    /// What has become of it.
    pub(crate) outcome: &'c Outcome,
    /// The time since it was accepted.
    pub(crate) duration: Duration,
}

/// A connection has no words.
const SILENT: Opaque = Opaque { protocol: "-" };

impl Connection<'_> {
    /// The connection as a call without words and status.
    pub(super) fn record(&self) -> Record<'_> {
        let outcome = self.outcome;
        Record {
            request: &SILENT,
            response: None,
            facts: self.facts,
            ends: self.facts.ends,
            route: None,
            table: None,
            cluster: outcome.cluster.as_deref(),
            host: outcome.host(),
            class: Class::Ok,
            http: 0,
            cause: None,
            detail: Detail::Plain,
            begun: false,
            transport_failure: outcome.failure.as_deref(),
            flags: outcome.flags,
            orphaned: false,
            received: usize::try_from(outcome.received).unwrap_or(usize::MAX),
            sent: usize::try_from(outcome.sent).unwrap_or(usize::MAX),
            began: self.facts.began,
            duration: self.duration,
            upstream: None,
            attempts: outcome.attempts,
            sent_after: None,
            upstream_local: outcome.upstream_local,
            sends: 0,
            retried: Retried::default(),
        }
    }
}

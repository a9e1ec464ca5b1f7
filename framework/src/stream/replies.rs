//! What configuration makes of the gateway's own answers (`local_reply_config`).

use std::{fmt, sync::Arc};

use super::{codec::StreamCodec, ledger::Ledger};
use crate::{
    accounts,
    log::{Record, Retried},
    status::Status,
};

/// Changes the gateway's own answers before they take the form of the caller's protocol.
pub trait Rewrite: fmt::Debug + Send + Sync + 'static {
    /// Changes an answer. `record` tells of the call, with the answer's status as it is.
    fn rewrite(&self, record: &Record<'_>, status: &mut Status);
}

/// The changes of one connection manager. They are equal to themselves alone.
#[derive(Clone, Debug)]
pub struct Replies(pub Arc<dyn Rewrite>);

impl PartialEq for Replies {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Replies {}

/// The answer that configuration wants in place of this one.
pub(super) fn rewritten<C: StreamCodec>(ledger: &Ledger<C>, status: &Status) -> Option<Status> {
    let policy = ledger.policy()?;
    let replies = policy.http.replies.as_ref()?;
    let now = ledger.door.worker.now();
    let record = Record {
        request: &C::request(&ledger.request),
        response: None,
        facts: &ledger.facts,
        ends: ledger.door.ends,
        route: ledger.progress.route.map(|route| policy.router.get(route)),
        table: ledger.progress.route.map(|route| (&*policy.router, route)),
        cluster: ledger.cluster().map(Arc::as_ref),
        host: ledger.host(),
        class: status.class(),
        http: status.http,
        cause: Some(status.cause),
        detail: status.detail,
        begun: false,
        transport_failure: status.transport.as_deref(),
        flags: accounts::flags(
            ledger.progress.flags,
            Some(status.cause),
            status.detail,
            false,
        ),
        orphaned: false,
        received: ledger.flight.received() as usize,
        sent: 0,
        began: ledger.began,
        duration: now.since(ledger.began),
        upstream: None,
        sent_after: ledger.sent_at.map(|at| at.since(ledger.began)),
        upstream_local: ledger.flight.local(),
        attempts: ledger.tried.len() as u32,
        sends: ledger.flight.sends(),
        retried: Retried::default(),
    };
    let mut rewritten = status.clone();
    replies.0.rewrite(&record, &mut rewritten);
    Some(rewritten)
}

//! Filters: see a call, change it, answer it, or make it wait.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    edits::Edits,
    flags::Flags,
    route::{Facts, Route},
    status::{Class, Status},
    view::RoutingView,
};

/// What becomes of a call after a filter has seen it.
pub enum Flow {
    /// The next filter sees it.
    Continue,
    /// The caller gets this answer, in its own protocol.
    Reply(Status),
    /// The call is parked until the future is ready, and then goes on at the *next* filter, or is
    /// answered. Only a filter that waits allocates.
    Wait(Pin<Box<dyn Future<Output = Verdict> + Send>>),
}

/// How a wait ended.
#[derive(Debug)]
pub enum Verdict {
    /// The call goes on at the next filter.
    Continue,
    /// The call goes on with these changes of the request.
    ContinueWith(Edits),
    /// The caller gets this answer.
    Reply(Status),
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Reply(status) => f.debug_tuple("Reply").field(status).finish(),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}

/// A request as a filter meets it.
pub struct RequestCx<'c> {
    /// The request as the caller sent it.
    pub request: &'c dyn RoutingView,
    /// What is known of the call besides.
    pub facts: &'c Facts,
    /// The route that was found, if one was.
    pub route: Option<&'c Route>,
    /// Changes that the request leaves with; filters add theirs.
    pub edits: &'c mut Edits,
    /// Set by a filter whose edits change what the route depends on: the route is looked up
    /// again after the chain, with the edits applied.
    pub reroute: &'c mut bool,
    /// What has happened to the call so far, for the access log: a filter that delays it sets
    /// [`Flag::DelayInjected`](crate::flags::Flag::DelayInjected).
    pub flags: &'c mut Flags,
}

/// A response as a filter meets it.
pub struct ResponseCx<'c> {
    /// The response as the upstream sent it.
    pub response: &'c dyn RoutingView,
    /// The request that it answers.
    pub request: &'c dyn RoutingView,
    /// What is known of the call besides.
    pub facts: &'c Facts,
    /// How the call ended.
    pub class: Class,
    /// Changes that the response leaves with.
    pub edits: &'c mut Edits,
}

/// Sees every call of a listener. One value serves all workers; per-call state belongs into the
/// edits or into a future.
pub trait Filter: fmt::Debug + Send + Sync + 'static {
    /// The name used in configuration and logs.
    fn name(&self) -> &'static str;

    /// Sees a request before its host is chosen.
    fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let _ = cx;
        Flow::Continue
    }

    /// Sees an upstream's response before it is forwarded; `Some` replaces it by a local answer.
    fn on_response(&self, cx: &mut ResponseCx<'_>) -> Option<Status> {
        let _ = cx;
        None
    }

    /// Whether [`Filter::on_response`] does anything; asked once per configuration.
    fn sees_responses(&self) -> bool {
        false
    }
}

/// The filters of one listener, in order; requests pass them first to last, responses last to
/// first.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    filters: Arc<[Arc<dyn Filter>]>,
    sees_responses: bool,
}

/// How far a request came in a [`Chain`].
#[derive(Debug)]
pub enum Passage {
    /// Past the last filter.
    Through,
    /// A filter answered.
    Reply(Status),
    /// A filter waits; the call goes on at filter number `next`.
    Parked {
        /// Where to go on.
        next: usize,
        /// A [`Flow::Wait`].
        wait: Flow,
    },
}

impl Chain {
    /// A chain of these filters.
    pub fn new(filters: Vec<Arc<dyn Filter>>) -> Self {
        let sees_responses = filters.iter().any(|filter| filter.sees_responses());
        Self {
            filters: filters.into(),
            sees_responses,
        }
    }

    /// Whether responses have to be shown to the chain.
    pub fn sees_responses(&self) -> bool {
        self.sees_responses
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Shows the request to the filters from number `from` on.
    pub fn on_request(&self, from: usize, cx: &mut RequestCx<'_>) -> Passage {
        for (at, filter) in self.filters.iter().enumerate().skip(from) {
            match filter.on_request(cx) {
                Flow::Continue => {}
                Flow::Reply(status) => return Passage::Reply(status),
                wait @ Flow::Wait(_) => return Passage::Parked { next: at + 1, wait },
            }
        }
        Passage::Through
    }

    /// Shows the response to the filters, last to first.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) -> Option<Status> {
        self.filters
            .iter()
            .rev()
            .find_map(|filter| filter.on_response(cx))
    }
}

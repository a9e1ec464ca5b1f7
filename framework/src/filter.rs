//! Filters: see a call, change it, answer it, or make it wait.

mod chain;
mod held;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub use chain::{Chain, Filters, Passage, RouteChains};
pub use held::Held;

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
    /// Tells the name of the cluster that the call will go to, if there is one: of several, the one
    /// that is drawn for this call. Costs a draw, so it is made when it is asked for.
    pub cluster: &'c dyn Fn() -> Option<Arc<str>>,
    /// Changes that the request leaves with; filters add theirs.
    pub edits: &'c mut Edits,
    /// Headers that the answer gets, whoever gives it, where the caller's protocol has headers to
    /// tell them by (HTTP).
    pub answer: &'c mut Edits,
    /// What a filter wants kept until the call has ended, and dropped then.
    pub held: &'c mut Held,
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

//! The filters that a call passes: those of its listener, or those that its route has instead.

use std::sync::Arc;

use super::{Filter, Flow, RequestCx, ResponseCx};
use crate::{route::RouteId, status::Status};

/// Filters in order; requests pass them first to last, responses last to first.
///
/// A filter keeps its number from the listener's configuration in every chain that is made of it,
/// whether or not those before it are switched off there, so that a waiting call goes on at the
/// right one.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    links: Arc<[Link]>,
    sees_responses: bool,
}

#[derive(Clone, Debug)]
struct Link {
    number: usize,
    filter: Arc<dyn Filter>,
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
        Self::sparse(filters.into_iter().map(Some))
    }

    /// A chain in which some filters are off; they cost nothing.
    pub fn sparse(filters: impl IntoIterator<Item = Option<Arc<dyn Filter>>>) -> Self {
        let numbered = filters.into_iter().enumerate();
        let links: Arc<[Link]> = numbered
            .filter_map(|(number, filter)| filter.map(|filter| Link { number, filter }))
            .collect();
        Self {
            sees_responses: links.iter().any(|link| link.filter.sees_responses()),
            links,
        }
    }

    /// Whether responses have to be shown to the chain.
    pub fn sees_responses(&self) -> bool {
        self.sees_responses
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The filters and their numbers.
    pub fn filters(&self) -> impl Iterator<Item = (usize, &Arc<dyn Filter>)> {
        self.links.iter().map(|link| (link.number, &link.filter))
    }

    /// Shows the request to the filters from number `from` on.
    pub fn on_request(&self, from: usize, cx: &mut RequestCx<'_>) -> Passage {
        for link in self.links.iter().filter(|link| link.number >= from) {
            match link.filter.on_request(cx) {
                Flow::Continue => {}
                Flow::Reply(status) => return Passage::Reply(status),
                wait @ Flow::Wait(_) => {
                    let next = link.number + 1;
                    return Passage::Parked { next, wait };
                }
            }
        }
        Passage::Through
    }

    /// Shows the response to the filters, last to first.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) -> Option<Status> {
        let mut links = self.links.iter().rev();
        links.find_map(|link| link.filter.on_response(cx))
    }
}

/// The chains of one connection manager: the usual one, and those of routes that configure a filter
/// themselves.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    usual: Chain,
    by_route: Box<[Option<RouteChains>]>,
    /// Some chain has a filter.
    any: bool,
}

/// The chains of one route.
#[derive(Clone, Debug, Default)]
pub struct RouteChains {
    /// The chain of its calls.
    pub whole: Chain,
    /// The chains of the calls to some of its weighted clusters, by the number of the entry.
    pub entries: Box<[Option<Chain>]>,
}

impl Filters {
    /// The chain `usual`, but `by_route` for the calls of a route that has chains there.
    pub fn new(usual: Chain, by_route: Vec<Option<RouteChains>>) -> Self {
        let filled = |chains: &RouteChains| {
            let mut all = chains.entries.iter().flatten().chain([&chains.whole]);
            all.any(|chain| !chain.is_empty())
        };
        let own = by_route.iter().any(Option::is_some);
        Self {
            any: !usual.is_empty() || by_route.iter().flatten().any(filled),
            usual,
            by_route: match own {
                true => by_route.into(),
                false => Box::default(),
            },
        }
    }

    /// Whether there is no filter for any call.
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// The chain of the calls of `route`. `entry` tells which of its weighted clusters the call goes
    /// to, and is asked only where that makes a difference.
    #[inline]
    pub fn of(&self, route: Option<RouteId>, entry: impl FnOnce() -> Option<u16>) -> &Chain {
        let own = route.and_then(|id| self.by_route.get(id.0 as usize));
        let Some(Some(own)) = own else {
            return &self.usual;
        };
        if own.entries.is_empty() {
            return &own.whole;
        }
        let entry = entry().and_then(|at| own.entries.get(usize::from(at)));
        entry.and_then(Option::as_ref).unwrap_or(&own.whole)
    }
}

impl From<Chain> for Filters {
    fn from(usual: Chain) -> Self {
        Self::new(usual, Vec::new())
    }
}

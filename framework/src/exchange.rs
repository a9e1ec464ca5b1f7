//! The decision about one call, the same for every protocol and for both relays: filters, route,
//! cluster, host. No I/O; the relay that asks moves the bytes.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    cluster::{Cluster, HostIx, Pick},
    edits::Edits,
    filter::{Chain, Flow, Held, Passage, RequestCx, ResponseCx},
    flags::Flags,
    retry::{Retries, RetryPolicy},
    route::{
        Action, Draw, Facts, Forward, Named, RouteId, Scene, Target, Template, TimeLimits, Weighted,
    },
    snapshot::{ClusterIx, Policy, Snapshot},
    status::{Cause, Class, Status},
    view::{Key, RoutingView},
    wishes,
};

mod replies;
mod seen;

use replies::{edit_reply, no_route, redirected};
use seen::{Edited, Local};

/// How far the decision about a call has come. Kept with a parked call, so that it goes on at the
/// next filter.
#[derive(Debug, Default)]
pub struct Progress {
    /// The route, once looked up.
    pub route: Option<RouteId>,
    /// Changes that the request leaves with.
    pub edits: Edits,
    /// Headers that the response gets before its own changes, such as the cookie of a hash policy.
    pub response: Edits,
    /// The next filter to pass.
    pub next_filter: usize,
    /// What has happened to the call so far, for the access log.
    pub flags: Flags,
    /// It has passed the filters.
    pub passed: bool,
    /// What filters keep until its end.
    pub held: Held,
    /// Headers that the answer gets, whoever gives it, where the caller's protocol has headers.
    pub answer: Edits,
}

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The route that says so.
    pub route: RouteId,
    /// The cluster.
    pub cluster: ClusterIx,
    /// The entry of the route's weighted clusters, whose header changes apply too.
    pub entry: Option<u16>,
    /// The route's time limits for this call.
    pub times: TimeLimits,
    /// The hash for the balancer.
    pub hash: Option<u64>,
    /// Which circuit breaker, 0 (default) or 1 (high).
    pub priority: u8,
    /// What may be tried again; `None` for nothing.
    pub retries: Option<Retries>,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Decision {
    /// It is forwarded.
    Forward(Aim),
    /// The gateway answers it.
    Reply(Status),
    /// A filter waits; decide again when it is ready.
    Park(Flow),
}

/// Decides about a call, or goes on deciding after a filter has waited.
///
/// The route is looked up before the filters, because their configuration may differ by route;
/// a filter that changes what the route depends on asks for a second look.
pub fn decide(
    snapshot: &Snapshot,
    policy: &Policy,
    request: &dyn RoutingView,
    facts: &Facts,
    progress: &mut Progress,
) -> Decision {
    if progress.next_filter == 0 {
        progress.route = policy.router.route(request, facts);
    }
    let asked = Asked {
        snapshot,
        policy,
        request,
        facts,
    };
    if !policy.filters.is_empty()
        && let Some(stop) = asked.pass_filters(progress)
    {
        return stop;
    }
    progress.passed = true;
    let Some(id) = progress.route else {
        return Decision::Reply(no_route(request));
    };
    let route = policy.router.get(id);
    match &route.action {
        Action::Direct(direct) => {
            let mut status = Status::new(Cause::DirectResponse, direct.body.to_string());
            status.http = direct.status;
            edit_reply(route, (request, &progress.edits), facts, &mut status);
            Decision::Reply(status)
        }
        Action::Redirect(redirect) => {
            let mut status = redirected(redirect, route, request, facts);
            edit_reply(route, (request, &progress.edits), facts, &mut status);
            Decision::Reply(status)
        }
        Action::Forward(forward) => match asked.aim(id, forward, &mut progress.response) {
            Ok(mut aim) => {
                asked.edit_request(&aim, &mut progress.edits);
                asked.grant(&mut aim, forward, &mut progress.edits);
                Decision::Forward(aim)
            }
            Err(mut status) => {
                edit_reply(route, (request, &progress.edits), facts, &mut status);
                Decision::Reply(status)
            }
        },
    }
}

/// Gives the answer of a filter the headers that the route adds to responses, as Envoy does for
/// routes that forward.
pub fn filter_edits(
    policy: &Policy,
    (request, progress): (&dyn RoutingView, &Progress),
    facts: &Facts,
    status: &mut Status,
) {
    let route = progress.route.map(|id| policy.router.get(id));
    if let Some(route) = route.filter(|route| matches!(route.action, Action::Forward(_))) {
        edit_reply(route, (request, &progress.edits), facts, status);
    }
}

/// Chooses a host for one attempt.
pub fn choose(
    cluster: &Cluster,
    hash: Option<u64>,
    tried: &[HostIx],
    random: u64,
    now_ms: u64,
) -> Option<HostIx> {
    cluster.balancer.pick(
        &cluster.hosts,
        &Pick {
            hash,
            random,
            now_ms,
            tried,
            ejected: cluster.ejected(),
        },
    )
}

/// An answer on its way back.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The answer as it came.
    pub response: &'a dyn RoutingView,
    /// The request that it answers.
    pub request: &'a dyn RoutingView,
    /// The changes that the request left with ([`Progress::edits`]): formats that look at the
    /// request see it with them, as in Envoy.
    pub sent: &'a Edits,
    /// What is known of the call besides.
    pub facts: &'a Facts,
    /// The name of the cluster.
    pub cluster: Option<&'a str>,
    /// The host that answered.
    pub host: Option<SocketAddr>,
}

/// Whether [`pass_back`] could do anything, so that the answer has to be looked at.
pub fn sees_responses(policy: &Policy, aim: &Aim) -> bool {
    chain(policy, aim).sees_responses() || edits_responses(policy, aim)
}

/// An answer on its way back: its header changes, and the filters, one of which may replace it.
pub fn pass_back(
    policy: &Policy,
    aim: &Aim,
    answer: &Answer<'_>,
    class: Class,
    edits: &mut Edits,
) -> Option<Status> {
    response_edits(policy, aim, answer, edits);
    let chain = chain(policy, aim);
    if !chain.sees_responses() {
        return None;
    }
    chain.on_response(&mut ResponseCx {
        response: answer.response,
        request: answer.request,
        facts: answer.facts,
        class,
        edits,
    })
}

/// The filters that the answer to a call passes.
fn chain<'p>(policy: &'p Policy, aim: &Aim) -> &'p Chain {
    policy.filters.of(Some(aim.route), || aim.entry)
}

/// The header changes of a response on its way back; those of [`Progress::response`] go before.
fn response_edits(policy: &Policy, aim: &Aim, answer: &Answer<'_>, edits: &mut Edits) {
    let route = policy.router.get(aim.route);
    let request = Edited {
        inner: answer.request,
        edits: answer.sent,
    };
    let scene = Scene {
        message: answer.response,
        request: &request,
        facts: answer.facts,
        route,
        cluster: answer.cluster,
        host: answer.host,
    };
    if let Some((_, template)) = entry_of(policy, aim)
        && !template.is_empty()
    {
        template.apply(&scene, edits);
    }
    if !route.response_edits.is_empty() {
        route.response_edits.apply(&scene, edits);
    }
}

/// Gives an answer of the gateway itself the headers that the route adds to responses, as Envoy
/// does for every call that has a route: time-outs, hosts that are gone and so on.
pub fn local_edits(
    policy: &Policy,
    aim: &Aim,
    (request, sent): (&dyn RoutingView, &Edits),
    (facts, cluster): (&Facts, Option<&str>),
    status: &mut Status,
) {
    if !edits_responses(policy, aim) {
        return;
    }
    let mut headers = std::mem::take(&mut status.headers);
    let answer = Answer {
        response: &Local,
        request,
        sent,
        facts,
        cluster,
        host: None,
    };
    response_edits(policy, aim, &answer, &mut headers);
    status.headers = headers;
}

/// How the call of `aim` is forwarded.
pub fn forward<'p>(policy: &'p Policy, aim: &Aim) -> Option<&'p Forward> {
    match &policy.router.get(aim.route).action {
        Action::Forward(forward) => Some(forward),
        Action::Direct(_) | Action::Redirect(_) => None,
    }
}

/// The policy that the retries of `aim` are under.
pub(crate) fn retry_policy<'p>(policy: &'p Policy, aim: &Aim) -> Option<&'p RetryPolicy> {
    Some(wishes::policy(forward(policy, aim)?.retry.as_deref()))
}

/// Whether [`response_edits`] could do anything.
fn edits_responses(policy: &Policy, aim: &Aim) -> bool {
    !policy.router.get(aim.route).response_edits.is_empty()
        || entry_of(policy, aim).is_some_and(|(_, response)| !response.is_empty())
}

/// A request that is decided upon.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    request: &'a dyn RoutingView,
    facts: &'a Facts,
}

/// What [`Asked::draw`] found.
struct Drawn {
    cluster: Option<ClusterIx>,
    entry: Option<u16>,
    /// The hash that was drawn with, if one was.
    hash: Option<u64>,
}

impl Asked<'_> {
    /// Shows the call to the filters that it has not passed yet; `Some` where it stops.
    fn pass_filters(&self, progress: &mut Progress) -> Option<Decision> {
        let (policy, route) = (self.policy, progress.route);
        let chain = policy.filters.of(route, || self.drawn(route?)?.entry);
        if chain.is_empty() {
            return None;
        }
        let cluster = || {
            let ix = self.drawn(route?)?.cluster?;
            Some(Arc::clone(&self.snapshot.cluster(ix)?.name))
        };
        let mut reroute = false;
        let mut cx = RequestCx {
            request: self.request,
            facts: self.facts,
            route: route.map(|id| policy.router.get(id)),
            cluster: &cluster,
            edits: &mut progress.edits,
            answer: &mut progress.answer,
            flags: &mut progress.flags,
            held: &mut progress.held,
            reroute: &mut reroute,
        };
        let passage = chain.on_request(progress.next_filter, &mut cx);
        if reroute {
            let edited = Edited {
                inner: self.request,
                edits: &progress.edits,
            };
            progress.route = policy.router.route(&edited, self.facts);
        }
        match passage {
            Passage::Through => None,
            Passage::Reply(mut status) => {
                filter_edits(policy, (self.request, progress), self.facts, &mut status);
                Some(Decision::Reply(status))
            }
            Passage::Parked { next, wait } => {
                progress.next_filter = next;
                Some(Decision::Park(wait))
            }
        }
    }

    /// The draw that [`Asked::aim`] will make for a call that takes this route.
    fn drawn(&self, id: RouteId) -> Option<Drawn> {
        match &self.policy.router.get(id).action {
            Action::Forward(forward) => Some(self.draw(id, forward, &mut Edits::none())),
            Action::Direct(_) | Action::Redirect(_) => None,
        }
    }

    /// Chooses the cluster: the same one, however often it is asked for a call.
    fn draw(&self, id: RouteId, forward: &Forward, response: &mut Edits) -> Drawn {
        let mut hash = None;
        let (cluster, entry) = match &forward.target {
            Target::Single(slot) => (self.policy.cluster(*slot), None),
            Target::Weighted(weighted) => {
                if *weighted.draws_by() == Draw::Hash {
                    hash = self.hash(id, response);
                }
                let at = weighted.draw(self.number(weighted, hash));
                let entry = weighted.entries().get(at);
                let cluster = match entry.map(|entry| &entry.cluster) {
                    Some(Named::Slot(slot)) => self.policy.cluster(*slot),
                    Some(Named::Header(name)) => self.named(name),
                    None => None,
                };
                (cluster, u16::try_from(at).ok())
            }
            Target::Header(name) => (self.named(name), None),
        };
        Drawn {
            cluster,
            entry,
            hash,
        }
    }

    fn aim(&self, id: RouteId, forward: &Forward, response: &mut Edits) -> Result<Aim, Status> {
        let Drawn {
            cluster,
            entry,
            mut hash,
        } = self.draw(id, forward, response);
        let cluster = cluster.and_then(|ix| Some((ix, self.snapshot.cluster(ix)?)));
        let Some((ix, cluster)) = cluster else {
            let route = &self.policy.router.get(id).name;
            let text = format!("route '{route}' names a cluster that is not configured");
            let mut status = Status::new(Cause::NoCluster, text);
            status.http = forward.no_cluster;
            return Err(status);
        };
        if hash.is_none() && !forward.hash.is_empty() && cluster.balancer.hashes() {
            hash = self.hash(id, response);
        }
        Ok(Aim {
            route: id,
            cluster: ix,
            entry,
            times: forward.times.of(self.request),
            hash,
            priority: forward.priority.min(1),
            retries: match &forward.retry {
                Some(policy) => Retries::of(policy, self.request),
                None => None,
            },
        })
    }

    fn hash(&self, id: RouteId, response: &mut Edits) -> Option<u64> {
        let (request, facts) = (self.request, self.facts);
        self.policy.router.hash(id, request, facts, response)
    }

    /// The cluster that a request header names.
    fn named(&self, header: &str) -> Option<ClusterIx> {
        let name = self.request.first(Key::from_header_name(header))?;
        self.snapshot.find(&name)
    }

    /// The number that a draw among several clusters is made with.
    fn number(&self, weighted: &Weighted, hash: Option<u64>) -> u64 {
        let given = match weighted.draws_by() {
            Draw::Random => None,
            Draw::Hash => hash,
            // A number that stands there twice is not one number.
            Draw::Header(name) => {
                let value = self.request.get(Key::from_header_name(name));
                value.and_then(|value| value.trim_ascii().parse().ok())
            }
        };
        given.unwrap_or(self.facts.random)
    }

    /// Grants what the request asks for in headers of Envoy's.
    fn grant(&self, aim: &mut Aim, forward: &Forward, edits: &mut Edits) {
        let trusted = !self.policy.http.internal.is_empty() && self.request.is_trusted();
        if trusted || !edits.is_empty() {
            let route = forward.retry.as_deref();
            wishes::grant(aim, route, (self.request, trusted), edits);
        }
    }

    fn edit_request(&self, aim: &Aim, edits: &mut Edits) {
        let route = self.policy.router.get(aim.route);
        let entry = entry_of(self.policy, aim).map(|(request, _)| request);
        let entry = entry.filter(|template| !template.is_empty());
        if entry.is_none() && route.request_edits.is_empty() {
            return;
        }
        let cluster = self.snapshot.cluster(aim.cluster);
        let scene = Scene {
            message: self.request,
            request: self.request,
            facts: self.facts,
            route,
            cluster: cluster.map(|cluster| &*cluster.name),
            host: None,
        };
        if let Some(template) = entry {
            template.apply(&scene, edits);
        }
        if !route.request_edits.is_empty() {
            route.request_edits.apply(&scene, edits);
        }
    }
}

/// The request and response changes of the weighted cluster that was drawn.
fn entry_of<'p>(policy: &'p Policy, aim: &Aim) -> Option<(&'p dyn Template, &'p dyn Template)> {
    let at = usize::from(aim.entry?);
    match &policy.router.get(aim.route).action {
        Action::Forward(Forward {
            target: Target::Weighted(weighted),
            ..
        }) => {
            let entry = weighted.entries().get(at)?;
            Some((entry.request_edits.as_ref(), entry.response_edits.as_ref()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

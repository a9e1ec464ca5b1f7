//! The decision about one call, the same for every protocol and for both relays: filters, route,
//! cluster, host. No I/O; the relay that asks moves the bytes.

use std::{borrow::Cow, time::Duration};

use crate::{
    cluster::{Cluster, HostIx, Pick},
    edits::{Edits, Effect},
    filter::{Flow, Passage, RequestCx},
    route::{Action, Facts, Forward, RouteId, Target, Template},
    snapshot::{ClusterIx, Policy, Snapshot},
    status::{Cause, Status},
    view::{Key, RoutingView},
};

/// How far the decision about a call has come. Kept with a parked call, so that it goes on at the
/// next filter.
#[derive(Debug, Default)]
pub struct Progress {
    /// The route, once looked up.
    pub route: Option<RouteId>,
    /// Changes that the request leaves with.
    pub edits: Edits,
    /// The next filter to pass.
    pub next_filter: usize,
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
    /// The route's time limit.
    pub timeout: Option<Duration>,
    /// The hash for the balancer.
    pub hash: Option<u64>,
    /// Which circuit breaker, 0 (default) or 1 (high).
    pub priority: u8,
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
    if !policy.filters.is_empty()
        && let Some(stop) = pass_filters(policy, request, facts, progress)
    {
        return stop;
    }
    let Some(id) = progress.route else {
        return Decision::Reply(no_route(request));
    };
    let route = policy.router.get(id);
    match &route.action {
        Action::Direct(direct) => Decision::Reply(Status {
            cause: Cause::DirectResponse,
            http: direct.status,
            text: Cow::Owned(direct.body.to_string()),
        }),
        Action::Forward(forward) => match aim(snapshot, policy, id, forward, request, facts) {
            Ok(aim) => {
                edit_request(policy, &aim, request, facts, &mut progress.edits);
                Decision::Forward(aim)
            }
            Err(status) => Decision::Reply(status),
        },
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
        },
    )
}

/// The header changes of a response on its way back.
pub fn response_edits(
    policy: &Policy,
    aim: &Aim,
    response: &dyn RoutingView,
    request: &dyn RoutingView,
    facts: &Facts,
    edits: &mut Edits,
) {
    let route = policy.router.get(aim.route);
    if let Some(entry) = entry_of(policy, aim)
        && !entry.1.is_empty()
    {
        entry.1.apply(response, request, facts, edits);
    }
    if !route.response_edits.is_empty() {
        route.response_edits.apply(response, request, facts, edits);
    }
}

/// Whether [`response_edits`] could do anything.
pub fn edits_responses(policy: &Policy, aim: &Aim) -> bool {
    !policy.router.get(aim.route).response_edits.is_empty()
        || entry_of(policy, aim).is_some_and(|(_, response)| !response.is_empty())
}

fn pass_filters(
    policy: &Policy,
    request: &dyn RoutingView,
    facts: &Facts,
    progress: &mut Progress,
) -> Option<Decision> {
    let mut reroute = false;
    let mut cx = RequestCx {
        request,
        facts,
        route: progress.route.map(|id| policy.router.get(id)),
        edits: &mut progress.edits,
        reroute: &mut reroute,
    };
    let passage = policy.filters.on_request(progress.next_filter, &mut cx);
    if reroute {
        let edited = Edited {
            inner: request,
            edits: &progress.edits,
        };
        progress.route = policy.router.route(&edited, facts);
    }
    match passage {
        Passage::Through => None,
        Passage::Reply(status) => Some(Decision::Reply(status)),
        Passage::Parked { next, wait } => {
            progress.next_filter = next;
            Some(Decision::Park(wait))
        }
    }
}

fn aim(
    snapshot: &Snapshot,
    policy: &Policy,
    id: RouteId,
    forward: &Forward,
    request: &dyn RoutingView,
    facts: &Facts,
) -> Result<Aim, Status> {
    let (cluster, entry) = match &forward.target {
        Target::Single(slot) => (policy.cluster(*slot), None),
        Target::Weighted(weighted) => {
            let at = weighted.draw(facts.random);
            let slot = weighted.entries().get(at).map(|entry| entry.cluster);
            (
                slot.and_then(|slot| policy.cluster(slot)),
                u16::try_from(at).ok(),
            )
        }
        Target::Header(name) => {
            let named = request.get(Key::from_header_name(name));
            (named.and_then(|name| snapshot.find(&name)), None)
        }
    };
    let Some(cluster) = cluster else {
        let route = &policy.router.get(id).name;
        return Err(Status::new(
            Cause::NoCluster,
            format!("route '{route}' names a cluster that is not configured"),
        ));
    };
    let hash = match forward.hash.is_empty() {
        true => None,
        false => policy.router.hash(id, request, facts),
    };
    let (timeout, priority) = (forward.timeout, forward.priority.min(1));
    Ok(Aim {
        route: id,
        cluster,
        entry,
        timeout,
        hash,
        priority,
    })
}

fn edit_request(
    policy: &Policy,
    aim: &Aim,
    request: &dyn RoutingView,
    facts: &Facts,
    edits: &mut Edits,
) {
    if let Some((template, _)) = entry_of(policy, aim)
        && !template.is_empty()
    {
        template.apply(request, request, facts, edits);
    }
    let route = policy.router.get(aim.route);
    if !route.request_edits.is_empty() {
        route.request_edits.apply(request, request, facts, edits);
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

fn no_route(request: &dyn RoutingView) -> Status {
    let text = match (request.service(), request.method()) {
        (Some(service), Some(method)) => format!("no route for {service}.{method}"),
        (Some(service), None) => format!("no route for {service}"),
        _ => "no route: the request names no service that could be read".to_owned(),
    };
    Status::new(Cause::NoRoute, text)
}

/// A request as it will be after its edits: what a second look at the route sees.
struct Edited<'e> {
    inner: &'e dyn RoutingView,
    edits: &'e Edits,
}

impl RoutingView for Edited<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let current = self.inner.get(key);
        let name = match key {
            Key::Header(name) => name,
            Key::Authority => ":authority",
            Key::Path => ":path",
            Key::HttpMethod => ":method",
            Key::Scheme => ":scheme",
        };
        match self.edits.effect(name, current.as_deref()) {
            Effect::Keep => current,
            Effect::Remove => None,
            Effect::Become(value) => Some(Cow::Owned(value)),
        }
    }

    fn method(&self) -> Option<Cow<'_, str>> {
        self.inner.method()
    }

    fn protocol(&self) -> &'static str {
        self.inner.protocol()
    }
}

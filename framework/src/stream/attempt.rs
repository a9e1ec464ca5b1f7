//! Attempts: a request on its way to a host, and to another where that is called for.

use std::{pin::pin, sync::Arc, time::Duration};

use http::{Response, request, response};

use super::{
    call::timed_out,
    codec::{Attempt, Failure, StreamCodec},
    flight::Expiry,
    interim::Interim,
    ledger::Ledger,
};
use crate::{
    attempts::{self, MAX_ATTEMPTS},
    cluster::{Cluster, ClusterMetric},
    edits::{Edit, Edits},
    exchange::{self, Aim},
    outcome::{self, Outcome},
    retry::Attempted,
    status::{Cause, Status},
    view::{Key, RoutingView},
};

/// How one attempt ended.
enum Ended<B> {
    /// With an answer.
    Answered(response::Parts, B),
    /// No connection to the host: nothing of the request was sent.
    Unsent(Option<outcome::Failure>, Status),
    /// The host did not act upon it, and may over another connection.
    Stale(Status),
    /// Otherwise, and what that says of the host.
    Failed(Option<outcome::Failure>, Status),
}

/// Sends the request: to another host if nothing of it was acted upon, and again if that is what
/// its route wants.
pub(super) async fn send<C: StreamCodec>(
    ledger: &mut Ledger<C>,
    aim: &Aim,
    cluster: &Arc<Cluster>,
    interim: &Interim,
) -> Result<Response<C::Body>, Status> {
    let worker = ledger.door.worker.clone();
    let pools = C::pools(&worker);
    let mut stale = 0;
    let mut host = attempts::choose(cluster, aim.hash, &mut ledger.tried, &worker)?;
    loop {
        let head = begin(ledger, aim)?;
        let attempt = Attempt {
            cluster,
            host,
            priority: aim.priority,
            fresh: stale > 0,
            interim,
        };
        let answered = {
            let sending = C::send(&pools, attempt, head, ledger.flight.upload());
            ledger.flight.within(pin!(sending)).await
        };
        worker.tick();
        let ended = match end(ledger, cluster, answered) {
            Ended::Unsent(failed, status) => {
                if let Some(host) = cluster.hosts.get(host) {
                    host.state.refused(worker.now().ms());
                }
                let others = ledger.tried.len() < cluster.hosts.len();
                if others && ledger.tried.may_move() && ledger.flight.is_whole() {
                    ledger.leave_host(failed.map_or(Outcome::Unknown, Outcome::Failed));
                    ledger.tried.go_elsewhere();
                    cluster.stats.inc(worker.shard(), ClusterMetric::RqResent);
                    host = attempts::choose(cluster, aim.hash, &mut ledger.tried, &worker)?;
                    continue;
                }
                Ended::Failed(failed, status)
            }
            Ended::Stale(status) => {
                stale += 1;
                let refused = outcome::Failure::Refused;
                if ledger.flight.is_whole() && stale < MAX_ATTEMPTS {
                    outcome::conclude(cluster, host, &Outcome::Failed(refused), &worker);
                    cluster.stats.inc(worker.shard(), ClusterMetric::RqResent);
                    continue;
                }
                Ended::Failed(Some(refused), status)
            }
            ended => ended,
        };
        match (again(ledger, aim, cluster, &ended), ended) {
            (None, Ended::Answered(head, body)) => {
                ledger.answered_at = Some(worker.now());
                ledger.flight.answered();
                return Ok(Response::from_parts(head, body));
            }
            (None, Ended::Failed(failed, status)) => {
                ledger.outcome.failure = failed;
                return Err(status);
            }
            (None, Ended::Unsent(_, status) | Ended::Stale(status)) => return Err(status),
            (Some(wait), ended) => {
                ledger.leave_host(ended.outcome::<C>());
                drop(ended);
                pause(ledger, cluster, wait).await?;
                stale = 0;
                host = attempts::choose(cluster, aim.hash, &mut ledger.tried, &worker)?;
            }
        }
    }
}

/// Begins an attempt: the head that leaves.
fn begin<C: StreamCodec>(ledger: &mut Ledger<C>, aim: &Aim) -> Result<request::Parts, Status> {
    let head = outgoing(ledger, aim)?;
    let worker = &ledger.door.worker;
    ledger.sent_at = Some(worker.now());
    let whole = ledger
        .cluster()
        .and_then(|cluster| cluster.http.attempt_duration);
    ledger.flight.begin_attempt(aim.times.per_try, whole);
    Ok(head)
}

/// Tells how an attempt ended.
fn end<C: StreamCodec>(
    ledger: &Ledger<C>,
    cluster: &Cluster,
    answered: Result<Result<Response<C::Body>, Failure>, Expiry>,
) -> Ended<C::Body> {
    let answered = match answered {
        Ok(Err(Failure::Lost(_))) if ledger.flight.is_late() => Err(Expiry::Deadline),
        answered => answered,
    };
    let failure = match answered {
        Ok(Ok(response)) => {
            let (head, body) = response.into_parts();
            return Ended::Answered(head, body);
        }
        Ok(Err(failure)) => failure,
        Err(expiry) => {
            let shard = ledger.door.worker.shard();
            ledger.flight.count_given_up(cluster, shard);
            let failed = match expiry {
                Expiry::Attempt | Expiry::Host => Some(outcome::Failure::TryTimeout),
                Expiry::Deadline => Some(outcome::Failure::Timeout),
                Expiry::Upload | Expiry::Idle => None,
            };
            return Ended::Failed(failed, late(ledger, expiry, cluster));
        }
    };
    let failed = failure.of_host();
    if let Some(metric) = failure.metric() {
        cluster.stats.inc(ledger.door.worker.shard(), metric);
    }
    match failure {
        Failure::Unsent(status) => Ended::Unsent(failed, status),
        Failure::Stale(status) => Ended::Stale(status),
        Failure::Lost(status) | Failure::Refused(status) => Ended::Failed(failed, status),
    }
}

impl<B> Ended<B> {
    fn outcome<C: StreamCodec<Body = B>>(&self) -> Outcome {
        match self {
            Self::Answered(head, _) => Outcome::Answered {
                class: C::classify(head),
                http: head.status.as_u16(),
                concealed: C::conceals(&head.headers),
            },
            Self::Unsent(failed, _) | Self::Failed(failed, _) => {
                failed.map_or(Outcome::Unknown, Outcome::Failed)
            }
            Self::Stale(_) => Outcome::Failed(outcome::Failure::Refused),
        }
    }
}

/// After which time the call is tried again, if it is.
fn again<C: StreamCodec>(
    ledger: &mut Ledger<C>,
    aim: &Aim,
    cluster: &Cluster,
    ended: &Ended<C::Body>,
) -> Option<Duration> {
    let again = ledger.again.as_mut()?;
    let policy = ledger.pinned.policy(ledger.door.policy)?;
    let policy = exchange::retry_policy(policy, aim)?;
    let answer = match ended {
        Ended::Answered(head, _) => Some(head),
        _ => None,
    };
    let view = answer.map(|head| C::response(head, None));
    let attempted = Attempted {
        outcome: ended.outcome::<C>(),
        grpc: answer.and_then(|head| C::grpc_status(&head.headers)),
        answer: view.as_ref().map(|view| view as &dyn RoutingView),
    };
    let worker = &ledger.door.worker;
    if !ledger.flight.is_whole() {
        again.abandon((cluster, policy), &attempted, aim, worker);
        return None;
    }
    let flags = &mut ledger.progress.flags;
    let wait = again.decide((cluster, policy), &attempted, (aim, flags), worker)?;
    ledger.tried.retry(policy.other_hosts);
    Some(wait)
}

/// Waits for the next attempt.
async fn pause<C: StreamCodec>(
    ledger: &Ledger<C>,
    cluster: &Cluster,
    wait: Duration,
) -> Result<(), Status> {
    let worker = &ledger.door.worker;
    let paused = ledger.flight.pause(wait).await;
    worker.tick();
    paused.map_err(|expiry| late(ledger, expiry, cluster))
}

/// What the caller is told when the time is over.
fn late<C: StreamCodec>(ledger: &Ledger<C>, expiry: Expiry, cluster: &Cluster) -> Status {
    expiry.count(cluster, ledger.door.worker.shard());
    match expiry {
        Expiry::Upload => unfinished(ledger),
        Expiry::Host if !ledger.flight.is_complete() => Status {
            http: 408,
            ..timed_out(ledger, &cluster.name).because(expiry.detail())
        },
        Expiry::Deadline | Expiry::Attempt | Expiry::Host | Expiry::Idle => {
            timed_out(ledger, &cluster.name).because(expiry.detail())
        }
    }
}

/// The head as it leaves: with the changes of rules, and the time that is left.
fn outgoing<C: StreamCodec>(ledger: &Ledger<C>, aim: &Aim) -> Result<request::Parts, Status> {
    let mut head = ledger.request.clone();
    if let Some(timeout) = expected(ledger, aim)
        && ledger.tells()
    {
        C::tell_timeout(&mut head, timeout);
    }
    if ledger.way().is_some_and(|way| way.attempt_count.request) {
        C::tell_attempts(&mut head.headers, ledger.tried.len());
    }
    let edits = &ledger.progress.edits;
    if !edits.is_empty() {
        C::edit_request(&mut head, edits).map_err(|text| Status::new(Cause::CannotEdit, text))?;
    }
    name_after_host(ledger, aim, &mut head)?;
    if let Some(deadline) = ledger.flight.deadline() {
        let left = deadline.since(ledger.door.worker.now());
        let left = aim.times.per_try.map_or(left, |time| left.min(time));
        C::tell_deadline(&mut head, left);
    }
    Ok(head)
}

/// How long the answer to this attempt may take: what the route says of attempts, within what is
/// left of its time for all of them.
fn expected<C: StreamCodec>(ledger: &Ledger<C>, aim: &Aim) -> Option<Duration> {
    let spent = match ledger.tried.len() {
        0 | 1 => Duration::ZERO,
        _ => ledger.door.worker.now().since(ledger.began),
    };
    let whole = aim.times.timeout.map(|whole| whole.saturating_sub(spent));
    match (aim.times.per_try, whole) {
        (Some(one), Some(whole)) => Some(one.min(whole)),
        (one, whole) => one.or(whole),
    }
}

/// Makes the name of the host that was chosen the request's authority, where the route says so.
fn name_after_host<C: StreamCodec>(
    ledger: &Ledger<C>,
    aim: &Aim,
    head: &mut request::Parts,
) -> Result<(), Status> {
    let forward = ledger
        .policy()
        .and_then(|policy| exchange::forward(policy, aim));
    let Some(forward) = forward.filter(|forward| forward.auto_host_rewrite) else {
        return Ok(());
    };
    let Some(name) = ledger.host().and_then(|host| host.hostname.as_deref()) else {
        return Ok(());
    };
    let mut edits = Edits::none();
    if let Some(former) = C::request(head).get(Key::Authority) {
        if ledger.tells() {
            let former = former.as_ref().into();
            edits.push(Edit::Set("x-envoy-original-host".into(), former));
        }
        if forward.append_x_forwarded_host && former != name {
            let former = former.as_ref().into();
            edits.push(Edit::Append("x-forwarded-host".into(), former));
        }
    }
    edits.push(Edit::Set(":authority".into(), name.into()));
    C::edit_request(head, &edits).map_err(|text| Status::new(Cause::CannotEdit, text))
}

/// The request did not come to its end in time.
fn unfinished<C: StreamCodec>(ledger: &Ledger<C>) -> Status {
    let waited = ledger.door.worker.now().since(ledger.began).as_millis();
    let text = format!("the request did not end within {waited} ms (request_timeout)");
    Status {
        http: 408,
        ..Status::new(Cause::Timeout, text).because(Expiry::Upload.detail())
    }
}

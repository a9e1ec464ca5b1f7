//! One streamed call: decided upon, sent, and its answer passed back while it comes.

use std::{future::Future, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Version};

use super::{
    answer::Answer,
    attempt,
    codec::{Caller, StreamCodec},
    flight::{Expiry, Flight, Limits},
    interim::Interim,
    ledger::{Heard, Ledger},
    replies,
};
use crate::{
    accounts,
    attempts::{self, Again, Tried},
    drain::{ChainDrain, Drain},
    edits::Edits,
    exchange::{self, Aim, Decision, Progress},
    filter::{Flow, Verdict},
    protocol::Tls,
    route::{Facts, Limit},
    snapshot::{Ends, HttpMetric, PolicyIx, Terms},
    stats::Group,
    status::{Cause, Detail, Status},
    time::Moment,
    view::RoutingView,
    worker::Worker,
};

/// What the calls of one downstream connection share.
#[derive(Debug)]
pub struct Door {
    /// The worker that serves it.
    pub worker: Worker,
    /// Its two ends.
    pub ends: Ends,
    /// What TLS told of the caller.
    pub tls: Option<Arc<Tls>>,
    /// Which policy its calls are under.
    pub policy: PolicyIx,
    /// The drain of its filter chain.
    pub drain: Arc<ChainDrain>,
    /// The metrics that its calls are counted in.
    pub stats: Arc<Group>,
}

impl Door {
    /// The drain in progress that concerns the connection.
    #[inline]
    pub fn drain(&self) -> Option<Drain> {
        self.worker.drain_of(&self.drain)
    }
}

/// Carries one call: the answer is ready when its head is, and its body comes as the host sends it.
/// Dropping the future or the answer gives the call up.
///
/// What the host sends before its final answer is put into `interim`, where it waits to be passed on.
pub fn carry<'a, C: StreamCodec>(
    door: &Rc<Door>,
    request: Request<C::Body>,
    interim: &'a Interim,
) -> impl Future<Output = Response<Answer<C>>> + use<'a, C> {
    // Outside of the future, which would keep a place for the request.
    let mut ledger = open::<C>(door, request);
    async move {
        match forward(&mut ledger, interim).await {
            Ok(response) => pass_back(ledger, response),
            Err(mut status) => {
                if let (Some(aim), Some(policy)) = (&ledger.aim, ledger.policy()) {
                    let request = C::request(&ledger.request);
                    let sent = &ledger.progress.edits;
                    let cluster = ledger.cluster().map(|cluster| &*cluster.name);
                    let facts = (&ledger.facts, cluster);
                    exchange::local_edits(policy, aim, (&request, sent), facts, &mut status);
                }
                reply(ledger, &status)
            }
        }
    }
}

/// Answers a request that cannot become a call.
pub fn refuse<C: StreamCodec>(
    door: &Rc<Door>,
    request: Request<C::Body>,
    status: &Status,
) -> Response<Answer<C>> {
    reply(open::<C>(door, request), status)
}

/// What came on a connection and is no request.
#[derive(Clone, Debug)]
pub struct Unread {
    /// The protocol of the connection.
    pub protocol: &'static str,
    /// Why.
    pub status: Status,
    /// The bytes of the answer's body; `None` where there is no answer, and the connection ends.
    pub answer: Option<usize>,
    /// Since when it came.
    pub since: Moment,
}

impl Door {
    /// Tells access logs of what is no request, and counts it as a call if it is answered.
    pub fn note(&self, terms: &Terms, unread: &Unread) {
        let facts = Facts {
            source: Some(self.ends.peer),
            ends: self.ends,
            began: unread.since,
            tls: self.tls.clone(),
            random: self.worker.random(),
        };
        accounts::unread(terms, unread, &facts, &self.worker);
    }
}

fn open<C: StreamCodec>(door: &Rc<Door>, request: Request<C::Body>) -> Box<Ledger<C>> {
    let worker = &door.worker;
    let began = worker.tick();
    accounts::begin(&door.stats, worker.shard());
    let version = match request.version() {
        Version::HTTP_2 => HttpMetric::RqHttp2Total,
        _ => HttpMetric::RqHttp1Total,
    };
    door.stats.inc(worker.shard(), version);
    let pinned = worker.snapshot();
    let logged = pinned
        .policy(door.policy)
        .is_some_and(|policy| policy.logs.iter().any(|log| log.reads_answers()));
    let (request, body) = request.into_parts();
    let source = match request.extensions.get() {
        Some(Caller(address)) => *address,
        None => door.ends.peer,
    };
    Box::new(Ledger {
        door: Rc::clone(door),
        flight: Flight::new(worker, body),
        pinned,
        logged,
        facts: Facts {
            source: Some(source),
            ends: door.ends,
            began,
            tls: door.tls.clone(),
            random: worker.random(),
        },
        progress: Progress::default(),
        request,
        aim: None,
        tried: Tried::default(),
        again: None,
        counted: false,
        began,
        sent_at: None,
        answered_at: None,
        outcome: Heard::default(),
    })
}

/// Decides, sends, and waits for the head of the answer.
async fn forward<C: StreamCodec>(
    ledger: &mut Ledger<C>,
    interim: &Interim,
) -> Result<Response<C::Body>, Status> {
    let aim = decide(ledger).await?;
    ledger.aim = Some(aim);
    ledger.again = Again::of(&aim);
    permit(ledger, &aim)?;
    let cluster = ledger.cluster().cloned();
    let cluster = cluster.ok_or_else(|| Status::new(Cause::NoCluster, "the cluster is gone"))?;
    attempts::admit(&cluster, aim.priority, ledger.door.worker.shard())?;
    ledger.counted = true;
    limit(ledger, &aim);
    if let Some(forward) = ledger.way() {
        ledger.flight.keep_at_most(forward.kept_body);
    }
    attempt::send(ledger, &aim, &cluster, interim).await
}

/// Asks the decision layer until it has decided.
async fn decide<C: StreamCodec>(ledger: &mut Ledger<C>) -> Result<Aim, Status> {
    loop {
        let Some(policy) = ledger.pinned.policy(ledger.door.policy).cloned() else {
            let text = "the listener of this connection is no longer configured";
            return Err(Status::new(Cause::NoRoute, text));
        };
        let decision = exchange::decide(
            &ledger.pinned,
            &policy,
            &C::request(&ledger.request),
            &ledger.facts,
            &mut ledger.progress,
        );
        let wait = match decision {
            Decision::Forward(aim) => return Ok(aim),
            Decision::Reply(status) => return Err(status),
            Decision::Park(Flow::Wait(wait)) => wait,
            Decision::Park(Flow::Continue) => continue,
            Decision::Park(Flow::Reply(status)) => return Err(status),
        };
        let idle = Some(policy.http.stream_idle_timeout).filter(|idle| !idle.is_zero());
        ledger.flight.limit(Limits {
            idle,
            ..Limits::default()
        });
        let verdict = ledger.flight.within(wait).await;
        ledger.door.worker.tick();
        let late = |expiry: Expiry| timed_out(ledger, "a filter").because(expiry.detail());
        match verdict.map_err(late)? {
            Verdict::Continue => {}
            Verdict::ContinueWith(edits) => ledger.progress.edits.extend(edits),
            Verdict::Reply(mut status) => {
                let request = C::request(&ledger.request);
                let asked = (&request as &dyn RoutingView, &ledger.progress);
                exchange::filter_edits(&policy, asked, &ledger.facts, &mut status);
                return Err(status);
            }
        }
    }
}

/// Whether a request that wants to speak something else afterwards may: by its route, or else by
/// the connection manager.
fn permit<C: StreamCodec>(ledger: &Ledger<C>, aim: &Aim) -> Result<(), Status> {
    let (Some(kind), Some(policy)) = (C::upgrade(&ledger.request), ledger.policy()) else {
        return Ok(());
    };
    let by_route = exchange::forward(policy, aim).and_then(|forward| forward.upgrade(kind));
    match by_route.unwrap_or_else(|| policy.http.allows(kind)) {
        true => Ok(()),
        false => {
            let text = format!("'{kind}' is no upgrade that is configured here (upgrade_configs)");
            Err(Status::new(Cause::Denied, text).because(Detail::Upgrade))
        }
    }
}

/// Sets the time limits of a call that is forwarded: the route's, the caller's and the idle time.
fn limit<C: StreamCodec>(ledger: &Ledger<C>, aim: &Aim) {
    let idle = match aim.times.idle {
        Limit::Inherited => ledger
            .policy()
            .map(|policy| policy.http.stream_idle_timeout)
            .filter(|idle| !idle.is_zero()),
        Limit::Unlimited => None,
        Limit::After(idle) => Some(idle),
    };
    let told = C::request(&ledger.request).timeout();
    let http = ledger.policy().map(|policy| &policy.http);
    let duration = match aim.times.duration {
        Limit::After(duration) => Some(duration),
        Limit::Inherited => http.and_then(|http| http.stream_duration),
        Limit::Unlimited => None,
    };
    let longest = match (duration, told) {
        (Some(duration), Some(told)) => Some(duration.min(told)),
        (duration, told) => duration.or(told),
    };
    let upload = http.and_then(|http| http.request_timeout);
    // The request of an upgrade has no end: its answer has to begin in time.
    let upgrade = C::upgrade(&ledger.request).is_some();
    let (head, answer) = match upgrade {
        true => (aim.times.timeout, None),
        false => (None, aim.times.timeout),
    };
    let after = |longest: Duration| ledger.began.after(longest);
    ledger.flight.limit(Limits {
        deadline: longest.map(after),
        head: head.map(after),
        upload: upload.filter(|_| !upgrade).map(after),
        answer,
        idle,
    });
}

/// Passes the host's answer on, unless a filter replaces it.
fn pass_back<C: StreamCodec>(
    mut ledger: Box<Ledger<C>>,
    response: Response<C::Body>,
) -> Response<Answer<C>> {
    let (mut head, body) = response.into_parts();
    ledger.hear(&head);
    let mut edits = std::mem::take(&mut ledger.progress.response);
    if let Some(status) = edit_response(&ledger, &head, &mut edits) {
        drop(body);
        return reply(ledger, &status);
    }
    edits.extend(std::mem::take(&mut ledger.progress.answer));
    if !edits.is_empty()
        && let Err(text) = C::edit_response(&mut head, &edits)
    {
        drop(body);
        return reply(ledger, &Status::new(Cause::CannotEdit, text));
    }
    if let Some((sent, answered)) = ledger.sent_at.zip(ledger.answered_at)
        && ledger.tells()
    {
        C::tell_service_time(&mut head, answered.since(sent));
    }
    ledger.tell_attempts(&mut head);
    Response::from_parts(head, Answer::upstream(body, ledger))
}

/// Collects the changes of a response; `Some` when a filter replaces it.
fn edit_response<C: StreamCodec>(
    ledger: &Ledger<C>,
    head: &http::response::Parts,
    edits: &mut Edits,
) -> Option<Status> {
    let (aim, policy) = (ledger.aim.as_ref()?, ledger.policy()?);
    if !exchange::sees_responses(policy, aim) {
        return None;
    }
    let answer = exchange::Answer {
        response: &C::response(head, None),
        request: &C::request(&ledger.request),
        sent: &ledger.progress.edits,
        facts: &ledger.facts,
        cluster: ledger.cluster().map(|cluster| &*cluster.name),
        host: ledger.host().map(|host| host.address),
    };
    exchange::pass_back(policy, aim, &answer, C::classify(head), edits)
}

/// The gateway's own answer.
fn reply<C: StreamCodec>(mut ledger: Box<Ledger<C>>, status: &Status) -> Response<Answer<C>> {
    let rewritten = replies::rewritten(&ledger, status);
    let status = rewritten.as_ref().unwrap_or(status);
    ledger.end_locally(status);
    let (mut head, body): (_, Bytes) = C::answer(&ledger.request, status).into_parts();
    ledger.tell_attempts(&mut head);
    if !ledger.progress.answer.is_empty() {
        // A field that cannot be written is left out: there is nobody else to tell.
        let _ = C::edit_response(&mut head, &ledger.progress.answer);
    }
    ledger.say(&head);
    Response::from_parts(head, Answer::local(body, ledger))
}

pub(super) fn timed_out<C: StreamCodec>(ledger: &Ledger<C>, place: &str) -> Status {
    let waited = ledger.door.worker.now().since(ledger.began).as_millis();
    let text = format!("no answer from {place} within {waited} ms");
    Status::new(Cause::Timeout, text)
}

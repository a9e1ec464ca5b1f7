//! `envoy.extensions.filters.http.fault.v3.HTTPFault`: delays calls, or ends them, on purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crossdock_framework::{
    filter::{Filter, Flow, RequestCx, Verdict},
    flags::Flag,
    metrics,
    stats::{Group, Shard},
    status::{Cause, Status},
    view::{Key, RoutingView},
};
use crossdock_routers::{HeaderRules, Problem};
use crossdock_xds::envoy_types::pb::envoy::extensions::filters::{
    common::fault::v3::{FaultDelay, fault_delay::FaultDelaySecifier},
    http::fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType},
};

use crate::{
    Configure, Message, Site,
    Support::{Acts, Harmless, Ignored},
    percent::{Draw, Percent},
};

/// Injects faults into the calls that it concerns: a delay, an abort, or the one after the other.
///
/// A fault is active from its injection to the end of its call, as in Envoy, whatever the relay or
/// the worker; a caller that leaves ends it.
#[derive(Debug)]
pub(crate) struct Fault {
    delay: Option<Delay>,
    abort: Option<Abort>,
    /// The one cluster whose calls it concerns.
    cluster: Option<Box<str>>,
    headers: HeaderRules,
    /// The nodes whose calls it concerns (`x-envoy-downstream-service-node`); empty for all.
    nodes: Box<[String]>,
    /// The most faults that may be active.
    most: u64,
    /// Faults that are active under the same connection manager.
    active: Arc<AtomicU64>,
    stats: Arc<Group>,
}

metrics! {
    /// Metrics of fault injection, `http.<stat_prefix>.fault.…`.
    pub(crate) enum FaultMetric {
        /// Calls that were delayed.
        counter Delays = "fault.delays_injected",
        /// Calls that were aborted.
        counter Aborts = "fault.aborts_injected",
        /// Calls that a fault was not injected into because as many as may be were active.
        counter Overflow = "fault.faults_overflow",
        /// Faults that are active.
        gauge Active = "fault.active_faults",
    }
}

#[derive(Debug)]
struct Delay {
    /// `None`: the request says how long, in milliseconds.
    fixed: Option<Duration>,
    share: Percent,
    draw: Draw,
}

#[derive(Debug)]
struct Abort {
    /// `None`: the request says what it is answered.
    answer: Option<Answer>,
    text: Arc<str>,
    share: Percent,
    draw: Draw,
}

/// What an aborted call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Http(u16),
    Grpc(u16),
}

const DELAY: &str = "x-envoy-fault-delay-request";
const DELAY_SHARE: &str = "x-envoy-fault-delay-request-percentage";
const ABORT: &str = "x-envoy-fault-abort-request";
const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";
const ABORT_SHARE: &str = "x-envoy-fault-abort-request-percentage";
const NODE: &str = "x-envoy-downstream-service-node";

/// The highest gRPC status that is known.
const LAST_GRPC: u16 = 16;

const RUNTIME: &str = "values at runtime are not looked up; the configured value holds";

impl Configure for Fault {
    type Config = HttpFault;
    type RouteConfig = HttpFault;

    const FIELDS: &'static [Message] = &[
        Message {
            name: "envoy.extensions.filters.http.fault.v3.HTTPFault",
            fields: &[
                (Acts, &["delay", "abort", "max_active_faults"]),
                (Acts, &["headers", "upstream_cluster", "downstream_nodes"]),
                (
                    Ignored("the bodies of answers are not slowed down in this version"),
                    &["response_rate_limit"],
                ),
                (
                    Ignored(RUNTIME),
                    &[
                        "delay_percent_runtime",
                        "abort_percent_runtime",
                        "delay_duration_runtime",
                        "abort_http_status_runtime",
                        "abort_grpc_status_runtime",
                        "max_active_faults_runtime",
                        "response_rate_limit_percent_runtime",
                    ],
                ),
                (
                    Harmless("faults are not counted by the cluster of the caller"),
                    &["disable_downstream_cluster_stats"],
                ),
                (
                    Harmless("nothing reads this metadata in this version"),
                    &["filter_metadata"],
                ),
            ],
        },
        Message {
            name: "envoy.extensions.filters.common.fault.v3.FaultDelay",
            fields: &[(Acts, &["fixed_delay", "header_delay", "percentage"])],
        },
        Message {
            name: "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
            fields: &[],
        },
        Message {
            name: "envoy.extensions.filters.http.fault.v3.FaultAbort",
            fields: &[
                (Acts, &["http_status", "grpc_status", "header_abort"]),
                (Acts, &["percentage", "response_body"]),
            ],
        },
        Message {
            name: "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
            fields: &[],
        },
    ];

    fn configure(config: HttpFault, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let headers = HeaderRules::compile(&config.headers).unwrap_or_else(|wrong| {
            problems.extend(wrong);
            HeaderRules::default()
        });
        let abort = config.abort.as_ref();
        let abort = abort.and_then(|abort| Abort::compile(abort, site, &mut problems));
        let most = config.max_active_faults.as_ref();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            delay: config
                .delay
                .as_ref()
                .map(|delay| Delay::compile(delay, site)),
            abort,
            cluster: match config.upstream_cluster.as_str() {
                "" => None,
                name => Some(name.into()),
            },
            headers,
            nodes: config.downstream_nodes.into(),
            most: most.map_or(u64::MAX, |most| most.value.into()),
            active: site.keep_for_all("active faults", AtomicU64::default),
            stats: site.stats.group::<FaultMetric>("http", site.stat_prefix),
        })
    }

    /// What a route says holds instead of everything that the listener says.
    fn on_route(&self, config: HttpFault, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        Self::configure(config, site)
    }
}

impl Filter for Fault {
    fn name(&self) -> &'static str {
        "envoy.filters.http.fault"
    }

    fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if !self.concerns(cx) {
            return Flow::Continue;
        }
        let delay = self.delay.as_ref().and_then(|delay| delay.of(cx));
        if let Some(delay) = delay.filter(|_| self.begin(cx)) {
            return self.wait(delay, cx);
        }
        let abort = self.abort.as_ref().and_then(|abort| abort.of(cx));
        match abort.filter(|_| self.begin(cx)) {
            Some(status) => {
                self.stats.inc(Shard::current(), FaultMetric::Aborts);
                Flow::Reply(status)
            }
            None => Flow::Continue,
        }
    }
}

impl Fault {
    fn concerns(&self, cx: &RequestCx<'_>) -> bool {
        let node = || {
            let node = cx.request.get(Key::Header(NODE));
            node.is_some_and(|node| self.nodes.iter().any(|own| *own == *node))
        };
        (self.delay.is_some() || self.abort.is_some())
            && self.headers.match_all(cx.request)
            && (self.nodes.is_empty() || node())
            && self
                .cluster
                .as_deref()
                .is_none_or(|own| (cx.cluster)().as_deref() == Some(own))
    }

    /// Takes a place among the active faults until the end of the call.
    fn begin(&self, cx: &mut RequestCx<'_>) -> bool {
        let take = |active| (active < self.most).then_some(active + 1);
        if self.active.fetch_update(Relaxed, Relaxed, take).is_err() {
            self.stats.inc(Shard::current(), FaultMetric::Overflow);
            return false;
        }
        self.stats.inc(Shard::current(), FaultMetric::Active);
        cx.held.hold(Active {
            active: Arc::clone(&self.active),
            stats: Arc::clone(&self.stats),
        });
        true
    }

    fn wait(&self, delay: Duration, cx: &mut RequestCx<'_>) -> Flow {
        self.stats.inc(Shard::current(), FaultMetric::Delays);
        cx.flags.set(Flag::DelayInjected);
        let abort = self.abort.as_ref().and_then(|abort| abort.of(cx));
        let stats = Arc::clone(&self.stats);
        Flow::Wait(Box::pin(async move {
            tokio::time::sleep(delay).await;
            match abort {
                Some(status) => {
                    stats.inc(Shard::current(), FaultMetric::Aborts);
                    Verdict::Reply(status)
                }
                None => Verdict::Continue,
            }
        }))
    }
}

/// A place among the active faults.
struct Active {
    active: Arc<AtomicU64>,
    stats: Arc<Group>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.active.fetch_sub(1, Relaxed);
        self.stats.dec(Shard::current(), FaultMetric::Active);
    }
}

impl Delay {
    fn compile(config: &FaultDelay, site: &Site<'_>) -> Self {
        let fixed = match &config.fault_delay_secifier {
            Some(FaultDelaySecifier::FixedDelay(given)) => {
                let seconds = u64::try_from(given.seconds).unwrap_or_default();
                let nanos = u32::try_from(given.nanos).unwrap_or_default();
                Some(Duration::from_secs(seconds) + Duration::from_nanos(nanos.into()))
            }
            Some(FaultDelaySecifier::HeaderDelay(_)) | None => None,
        };
        Self {
            fixed,
            share: Percent::of(config.percentage.as_ref()),
            draw: Draw::new(site.place, "delay"),
        }
    }

    /// How long a call is delayed, if it is.
    fn of(&self, cx: &RequestCx<'_>) -> Option<Duration> {
        let time = match self.fixed {
            Some(fixed) => fixed,
            None => Duration::from_millis(number(cx.request, DELAY)?),
        };
        let share = asked(self.share, self.fixed.is_none(), cx.request, DELAY_SHARE);
        (!time.is_zero() && share.takes(cx.facts, self.draw)).then_some(time)
    }
}

impl Abort {
    fn compile(config: &FaultAbort, site: &Site<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let answer = match config.error_type.as_ref()? {
            ErrorType::HttpStatus(status) => Answer::Http(u16::try_from(*status).ok()?),
            ErrorType::GrpcStatus(0) => {
                problems.push(Problem {
                    path: "abort.grpc_status".to_owned(),
                    reason: "0 says that the call worked, and an aborted call has not".to_owned(),
                    cure: "give another one, such as 14 (UNAVAILABLE)".to_owned(),
                });
                return None;
            }
            ErrorType::GrpcStatus(status) => {
                Answer::Grpc(u16::try_from(*status).unwrap_or(u16::MAX))
            }
            ErrorType::HeaderAbort(_) => {
                return Some(Self::new(None, config, site));
            }
        };
        Some(Self::new(Some(answer), config, site))
    }

    fn new(answer: Option<Answer>, config: &FaultAbort, site: &Site<'_>) -> Self {
        Self {
            answer,
            text: match config.response_body.as_str() {
                "" => "fault filter abort".into(),
                text => text.into(),
            },
            share: Percent::of(config.percentage.as_ref()),
            draw: Draw::new(site.place, "abort"),
        }
    }

    /// What a call is answered, if it is aborted.
    fn of(&self, cx: &RequestCx<'_>) -> Option<Status> {
        let answer = match self.answer {
            Some(answer) => answer,
            None => Answer::asked(cx.request)?,
        };
        let share = asked(self.share, self.answer.is_none(), cx.request, ABORT_SHARE);
        if !share.takes(cx.facts, self.draw) {
            return None;
        }
        let mut status = Status::new(Cause::Fault, self.text.to_string());
        (status.http, status.grpc) = match answer {
            Answer::Http(http) => (http, None),
            Answer::Grpc(grpc) => (http_of(grpc), Some(grpc)),
        };
        Some(status)
    }
}

impl Answer {
    /// What the request asks to be answered; its HTTP status goes before the one of gRPC.
    fn asked(request: &dyn RoutingView) -> Option<Self> {
        let http = number(request, ABORT).and_then(|status| u16::try_from(status).ok());
        let http = http.filter(|status| (200..600).contains(status));
        let grpc = || {
            let status = number(request, ABORT_GRPC)?;
            let status = u16::try_from(status).ok()?;
            (1..=LAST_GRPC).contains(&status).then_some(status)
        };
        http.map(Self::Http).or_else(|| grpc().map(Self::Grpc))
    }
}

/// The share of calls, which a request may lower that says itself what happens to it.
fn asked(share: Percent, by_request: bool, request: &dyn RoutingView, name: &str) -> Percent {
    let wanted = by_request.then(|| number(request, name)).flatten();
    let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
    wanted.map_or(share, |wanted| share.at_most(wanted))
}

fn number(request: &dyn RoutingView, name: &str) -> Option<u64> {
    let value = request.first(Key::Header(name))?;
    value.trim_ascii().parse().ok()
}

/// The HTTP status that stands for a gRPC status (Envoy's `Grpc::Utility::grpcToHttpStatus`): what a
/// caller gets that does not speak gRPC, for which Envoy has 200.
fn http_of(grpc: u16) -> u16 {
    match grpc {
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

#[cfg(test)]
mod tests;

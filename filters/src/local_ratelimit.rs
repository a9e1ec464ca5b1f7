//! `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`: refuses calls that come too
//! often for this process.

mod rules;

use std::{borrow::Cow, sync::Arc};

use crossdock_framework::{
    edits::{Edit, Edits},
    filter::{Filter, Flow, RequestCx},
    metrics,
    route::{Scene, Template},
    stats::{Group, Scope, Shard},
    status::{Cause, Status},
    view::Opaque,
};
use crossdock_routers::{Problem, added_to_requests, added_to_responses};
use crossdock_xds::envoy_types::pb::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{RateLimit, route::Action},
    },
    extensions::{
        common::ratelimit::v3::{VhRateLimitsOptions, XRateLimitHeadersRfcVersion},
        filters::http::local_ratelimit::v3::LocalRateLimit as Config,
    },
};
use smallvec::SmallVec;

use self::rules::{Found, Rules, Tokens};
use crate::{
    Configure, Message, RoutePlace, Site,
    Support::{Acts, Ignored},
    bucket::{Level, Rate},
    descriptors::Descriptors,
    http_filters::within,
    percent::{Draw, Percent},
};

/// Lets as many calls pass as there are tokens, in all workers together.
///
/// A call takes a token of each bucket that its descriptors fit, the one that fills most slowly
/// first, and of the default bucket; where one has none, the call is refused.
#[derive(Debug)]
pub(crate) struct LocalRateLimit {
    limit: Arc<Limit>,
    /// What makes the descriptors of calls.
    descriptors: Arc<Descriptors>,
}

/// What one configuration says.
#[derive(Debug)]
struct Limit {
    enabled: (Percent, Draw),
    enforced: (Percent, Draw),
    http: u16,
    grpc: Option<u16>,
    usual: Option<Tokens>,
    /// Take a token of the default bucket also where a descriptor fits.
    always: bool,
    rules: Rules,
    requests: Box<dyn Template>,
    responses: Box<dyn Template>,
    /// Tell callers what is left, and when they may come again.
    tells_level: bool,
    tells_retry: bool,
    descriptors: Arc<Descriptors>,
    /// Whether the filter says itself what makes descriptors.
    makes_descriptors: bool,
    stage: u32,
    hosts: VhRateLimitsOptions,
    local_cluster: Box<str>,
    stats: Arc<Group>,
}

metrics! {
    /// Metrics of a local rate limit, `<stat_prefix>.http_local_rate_limit.…`.
    pub(crate) enum LimitMetric {
        /// Calls that the limit was asked about.
        counter Enabled = "enabled",
        /// Calls that were refused.
        counter Enforced = "enforced",
        /// Calls that found their tokens.
        counter Passed = "ok",
        /// Calls that did not, be they refused or not.
        counter Limited = "rate_limited",
        /// Calls that lacked a token of a bucket that refuses none (`shadow_mode`).
        counter Shadow = "shadow_mode",
    }
}

impl Configure for LocalRateLimit {
    type Config = Config;
    type RouteConfig = Config;

    const FIELDS: &'static [Message] = FIELDS;

    fn configure(config: Config, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        let limit = Arc::new(Limit::compile(&config, site)?);
        Ok(Self {
            descriptors: Arc::clone(&limit.descriptors),
            limit,
        })
    }

    /// What a route says holds instead of everything that the listener says.
    fn on_route(&self, config: Config, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        if config.token_bucket.is_none() {
            return Err(vec![Problem {
                path: "token_bucket".to_owned(),
                reason: "the limit of a part of the routes has no bucket".to_owned(),
                cure: "give it one".to_owned(),
            }]);
        }
        Self::configure(config, site)
    }

    /// What makes descriptors stands in the route and in its virtual host, unless the filter says it
    /// itself.
    fn for_route(&self, place: &RoutePlace<'_>) -> Result<Option<Self>, Vec<Problem>> {
        if self.limit.makes_descriptors || self.limit.rules.is_empty() {
            return Ok(None);
        }
        let descriptors = self.limit.descriptors_of(place)?;
        Ok((!descriptors.is_empty()).then(|| Self {
            limit: Arc::clone(&self.limit),
            descriptors: Arc::new(descriptors),
        }))
    }
}

impl Filter for LocalRateLimit {
    fn name(&self) -> &'static str {
        "envoy.filters.http.local_ratelimit"
    }

    fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let limit = &*self.limit;
        let (enabled, draw) = limit.enabled;
        if !enabled.takes(cx.facts, draw) {
            return Flow::Continue;
        }
        limit.count(LimitMetric::Enabled);
        let level = self.level(cx);
        if limit.tells_level
            && let Some(level) = level
        {
            tell(&level, cx.answer);
        }
        let Some(level) = level.filter(|level| !level.passed) else {
            limit.count(LimitMetric::Passed);
            return Flow::Continue;
        };
        limit.count(LimitMetric::Limited);
        let (enforced, draw) = limit.enforced;
        if !enforced.takes(cx.facts, draw) {
            limit.mark(cx);
            return Flow::Continue;
        }
        limit.count(LimitMetric::Enforced);
        Flow::Reply(limit.refuse(&level, cx))
    }
}

impl LocalRateLimit {
    /// What is left for a call in the bucket that decides; `None` where no bucket is for it.
    fn level(&self, cx: &RequestCx<'_>) -> Option<Level> {
        let (limit, now) = (&*self.limit, cx.facts.began);
        let ends = cx.facts.ends;
        let mut found: SmallVec<[Found<'_>; 4]> = SmallVec::new();
        self.descriptors.of(cx, |entries| {
            found.extend(limit.rules.find(entries, ends));
        });
        // The bucket that fills most slowly is asked first.
        found.sort_by_key(|found| found.rank());
        let mut first = None;
        for found in &found {
            let level = found.take(now);
            match level.passed {
                true => first = first.or(Some(level)),
                false if found.is_shadow() => limit.count(LimitMetric::Shadow),
                false => return Some(level),
            }
        }
        if let Some(usual) = &limit.usual
            && (limit.always || found.is_empty())
        {
            let level = usual.take(&[], ends, now);
            return match level.passed {
                true => first.or(Some(level)),
                false => Some(level),
            };
        }
        first
    }
}

impl Limit {
    fn compile(config: &Config, site: &Site<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let rules = Rules::compile(config, site, &mut problems);
        let usual = config.token_bucket.as_ref().and_then(|message| {
            let rate = Rate::of(message);
            let rate = rate.map_err(|wrong| problems.extend(within("token_bucket", vec![wrong])));
            let per_connection = config.local_rate_limit_per_downstream_connection;
            Some(Tokens::new("default", rate.ok()?, per_connection, site))
        });
        let mut descriptors = Descriptors::default();
        for (at, own) in config.rate_limits.iter().enumerate() {
            let path = format!("rate_limits[{at}]");
            descriptors.add(own, &path, site.local_cluster, &mut problems);
        }
        let requests = added_to_requests(
            &config.request_headers_to_add_when_not_enforced,
            "request_headers_to_add_when_not_enforced",
        );
        let responses =
            added_to_responses(&config.response_headers_to_add, "response_headers_to_add");
        let (requests, responses) = match (requests, responses) {
            (Ok(requests), Ok(responses)) if problems.is_empty() => (requests, responses),
            (requests, responses) => {
                problems.extend(requests.err().into_iter().flatten());
                problems.extend(responses.err().into_iter().flatten());
                return Err(problems);
            }
        };
        let version = config.enable_x_ratelimit_headers();
        let always = config.always_consume_default_token_bucket.as_ref();
        let status = config.status.as_ref().map_or(0, |status| status.code);
        Ok(Self {
            enabled: share(config.filter_enabled.as_ref(), site, "enabled"),
            enforced: share(config.filter_enforced.as_ref(), site, "enforced"),
            // Envoy takes 429 for what is no failure.
            http: u16::try_from(status)
                .ok()
                .filter(|status| *status >= 400)
                .unwrap_or(429),
            grpc: config.rate_limited_as_resource_exhausted.then_some(8),
            usual,
            always: always.is_none_or(|always| always.value),
            rules,
            requests,
            responses,
            tells_level: version == XRateLimitHeadersRfcVersion::DraftVersion03,
            tells_retry: config.enable_retry_after_header,
            descriptors: Arc::new(descriptors),
            makes_descriptors: !config.rate_limits.is_empty(),
            stage: config.stage,
            hosts: config.vh_rate_limits(),
            local_cluster: site.local_cluster.into(),
            stats: site.stats.group_of::<LimitMetric>(Scope::new(
                "*.http_local_rate_limit",
                &[&config.stat_prefix],
            )),
        })
    }

    /// What the route and its virtual host say of descriptors.
    fn descriptors_of(&self, place: &RoutePlace<'_>) -> Result<Descriptors, Vec<Problem>> {
        let (mut descriptors, mut problems) = (Descriptors::default(), Vec::new());
        let (v, host) = place.virtual_host;
        let mut add = |limits: &[RateLimit], path: &str| {
            for (at, limit) in limits.iter().enumerate() {
                let stage = limit.stage.as_ref().map_or(0, |stage| stage.value);
                if stage == self.stage {
                    let path = format!("{path}.rate_limits[{at}]");
                    descriptors.add(limit, &path, &self.local_cluster, &mut problems);
                }
            }
        };
        let Some((r, route)) = place.route else {
            return Ok(Descriptors::default());
        };
        let Some(Action::Route(action)) = &route.action else {
            return Ok(Descriptors::default());
        };
        let path = format!("virtual_hosts[{v}].routes[{r}].route");
        add(&action.rate_limits, &path);
        #[expect(deprecated, reason = "Envoy's users still set it there")]
        let included = action.include_vh_rate_limits.is_some_and(|on| on.value);
        let included = match self.hosts {
            _ if included => true,
            VhRateLimitsOptions::Override => action.rate_limits.is_empty(),
            VhRateLimitsOptions::Include => true,
            VhRateLimitsOptions::Ignore => false,
        };
        if included {
            add(&host.rate_limits, &format!("virtual_hosts[{v}]"));
        }
        match problems.is_empty() {
            true => Ok(descriptors),
            false => Err(problems),
        }
    }

    fn count(&self, metric: LimitMetric) {
        self.stats.inc(Shard::current(), metric);
    }

    /// Marks a call that is over the limit and goes on all the same.
    fn mark(&self, cx: &mut RequestCx<'_>) {
        if let Some(route) = cx.route.filter(|_| !self.requests.is_empty()) {
            let scene = Scene {
                message: cx.request,
                request: cx.request,
                facts: cx.facts,
                route,
                cluster: None,
                host: None,
            };
            self.requests.apply(&scene, cx.edits);
        }
    }

    /// The answer to a call that is over the limit.
    fn refuse(&self, level: &Level, cx: &RequestCx<'_>) -> Status {
        let mut status = Status::new(Cause::RateLimited, Cow::Borrowed("local_rate_limited"));
        status.http = self.http;
        status.grpc = self.grpc;
        if let Some(route) = cx.route.filter(|_| !self.responses.is_empty()) {
            let scene = Scene {
                message: &Opaque { protocol: "local" },
                request: cx.request,
                facts: cx.facts,
                route,
                cluster: None,
                host: None,
            };
            self.responses.apply(&scene, &mut status.headers);
        }
        if self.tells_retry && self.http == 429 {
            let seconds = seconds(level.wait_us).max(1).to_string();
            let retry = Edit::AddIfAbsent("retry-after".into(), seconds.into());
            status.headers.push(retry);
        }
        status
    }
}

fn share(given: Option<&RuntimeFractionalPercent>, site: &Site<'_>, name: &str) -> (Percent, Draw) {
    (Percent::of_runtime(given), Draw::new(site.place, name))
}

/// Tells a caller of the bucket that its call came to (draft-polli-ratelimit-headers-03).
fn tell(level: &Level, answer: &mut Edits) {
    for (name, value) in [
        ("x-ratelimit-limit", level.most),
        ("x-ratelimit-remaining", level.left),
        ("x-ratelimit-reset", seconds(level.wait_us)),
    ] {
        answer.push(Edit::Set(name.into(), value.to_string().into()));
    }
}

fn seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}

const ALONE: &str = "the limit is that of this process, however many there are";

const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        fields: &[
            (
                Acts,
                &[
                    "stat_prefix",
                    "status",
                    "token_bucket",
                    "filter_enabled",
                    "filter_enforced",
                    "request_headers_to_add_when_not_enforced",
                    "response_headers_to_add",
                    "descriptors",
                    "stage",
                    "local_rate_limit_per_downstream_connection",
                    "enable_x_ratelimit_headers",
                    "enable_retry_after_header",
                    "vh_rate_limits",
                    "always_consume_default_token_bucket",
                    "rate_limited_as_resource_exhausted",
                    "rate_limits",
                    "max_dynamic_descriptors",
                ],
            ),
            (Ignored(ALONE), &["local_cluster_rate_limit"]),
        ],
    },
    Message {
        name: "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor",
        fields: &[(Acts, &["entries", "token_bucket", "shadow_mode"])],
    },
    Message {
        name: "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry",
        fields: &[(Acts, &["key", "value"])],
    },
    Message {
        name: "envoy.type.v3.TokenBucket",
        fields: &[(Acts, &["max_tokens", "tokens_per_fill", "fill_interval"])],
    },
    Message {
        name: "envoy.type.v3.HttpStatus",
        fields: &[(Acts, &["code"])],
    },
];

#[cfg(test)]
mod tests;

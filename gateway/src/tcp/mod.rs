//! Connections whose bytes are relayed as they are: `tcp_proxy`, and unknown protocols.

mod connect;
mod outcome;

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use crossdock_framework::{
    drain::ChainDrain,
    flags::Flag,
    protocol::{Io, Tls},
    route::Facts,
    snapshot::Ends,
    tcp::{self, Ended, Flow, Limits, Side, TcpMetric},
    time::Moment,
    worker::Worker,
};
use crossdock_xds::envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;

use self::connect::Upstream;
pub(crate) use self::outcome::Outcome;
use crate::{access_log::Connection, compile::TcpPlan};

/// An accepted connection, ready to be served.
pub(crate) struct Arrived {
    /// Reads and writes it.
    pub(crate) io: Io,
    /// What has been read already.
    pub(crate) prefix: BytesMut,
    /// Its two ends.
    pub(crate) ends: Ends,
    /// What TLS told of the peer.
    pub(crate) tls: Option<Arc<Tls>>,
    /// When it was accepted.
    pub(crate) began: Moment,
    /// The drain of its filter chain.
    pub(crate) drain: Arc<ChainDrain>,
}

impl Arrived {
    /// What rules and logs may know of the connection.
    fn facts(&self, random: u64) -> Facts {
        Facts {
            source: Some(self.ends.peer),
            ends: self.ends,
            began: self.began,
            tls: self.tls.clone(),
            random,
        }
    }
}

/// Relays a connection to a host of the plan's clusters, to its end.
pub(crate) async fn serve(plan: &TcpPlan, arrived: Arrived, worker: &Worker) -> Outcome {
    let shard = worker.shard();
    plan.stats.inc(shard, TcpMetric::CxTotal);
    plan.stats.inc(shard, TcpMetric::CxActive);
    let session = Session {
        plan,
        worker,
        facts: arrived.facts(worker.random()),
    };
    let mut outcome = Outcome::default();
    if plan.flush.on_start {
        session.log(AccessLogType::TcpConnectionStart, &outcome);
    }
    match session.connect(&arrived.io, &mut outcome).await {
        Some(upstream) => {
            if plan.flush.on_connected {
                session.log(AccessLogType::TcpUpstreamConnected, &outcome);
            }
            session.relay(arrived, upstream, &mut outcome).await;
        }
        None => {
            outcome.received = arrived.prefix.len() as u64;
            plan.stats.add(shard, TcpMetric::Rx, outcome.received);
            drop(arrived.io);
        }
    }
    worker.tick();
    session.log(AccessLogType::TcpConnectionEnd, &outcome);
    plan.stats.dec(shard, TcpMetric::CxActive);
    outcome
}

/// One connection being served.
struct Session<'s> {
    plan: &'s TcpPlan,
    worker: &'s Worker,
    facts: Facts,
}

impl Session<'_> {
    fn log(&self, kind: AccessLogType, outcome: &Outcome) {
        let record = Connection {
            kind,
            facts: &self.facts,
            outcome,
            duration: self.worker.now().since(self.facts.began),
        };
        self.plan
            .logs
            .iter()
            .for_each(|log| log.connection(&record));
    }

    async fn relay(&self, arrived: Arrived, mut upstream: Upstream, outcome: &mut Outcome) {
        let (plan, worker) = (self.plan, self.worker);
        let (mut down, prefix, drain) = (arrived.io, arrived.prefix, arrived.drain);
        let limits = Limits {
            idle: plan.idle_timeout,
            until: plan
                .longest
                .map(|longest| self.facts.began.after(longest.draw(worker.random()))),
            drain,
            leaves_on_drain: plan.leaves_on_drain,
        };
        let cluster = Arc::clone(upstream.stats());
        let flow = Flow::new(Arc::clone(&plan.stats), cluster);
        let relayed = tcp::relay(&mut down, &mut upstream.io, prefix, &limits, &flow, worker);
        let ended = match plan.flush.interval {
            None => relayed.await,
            Some(every) => {
                let told = |outcome: &mut Outcome| {
                    outcome.count(&flow);
                    self.log(AccessLogType::TcpPeriodic, outcome);
                };
                periodically(every, relayed, || told(outcome)).await
            }
        };
        outcome.count(&flow);
        self.account(ended, outcome);
        upstream.close(down, ended, worker);
    }

    /// Counts how the connection ended, and says so in the log.
    fn account(&self, ended: Ended, outcome: &mut Outcome) {
        let (stats, shard) = (&self.plan.stats, self.worker.shard());
        match ended {
            Ended::Closed | Ended::Reset(Side::Down) => {}
            Ended::Idle => {
                stats.inc(shard, TcpMetric::IdleTimeout);
                outcome.reason = Some("tcp_session_idle_timeout");
            }
            Ended::Expired => {
                stats.inc(shard, TcpMetric::MaxDuration);
                outcome.flag(Flag::DurationTimeout);
                outcome.reason = Some("max_connection_duration_reached");
            }
            Ended::Overload => {
                stats.inc(shard, TcpMetric::Overload);
                outcome.flag(Flag::OverloadManager);
            }
            Ended::Drained => outcome.reason = Some("drain_close"),
            Ended::Reset(Side::Up) => outcome.flag(Flag::UpstreamRemoteReset),
        }
    }
}

/// Runs `task` to its end, and `each` after every `every`.
async fn periodically<T>(
    every: Duration,
    task: impl Future<Output = T>,
    mut each: impl FnMut(),
) -> T {
    let mut task = std::pin::pin!(task);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            done = &mut task => return done,
            _ = ticks.tick() => each(),
        }
    }
}

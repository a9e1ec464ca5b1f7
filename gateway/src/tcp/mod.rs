//! Connections whose bytes are relayed as they are: `tcp_proxy`, and unknown protocols.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use crossdock_framework::{
    cluster::{HostIx, Pick},
    protocol::Io,
    snapshot::Ends,
    tcp::{self, Ended, TcpMetric},
    worker::Worker,
};
use tokio::net::TcpStream;

use crate::compile::TcpPlan;

/// Hosts that one TCP connection is tried at.
const CONNECT_ATTEMPTS: usize = 3;

/// Relays a connection to a host of the plan's clusters. `prefix` has been read already.
pub(crate) async fn serve(
    plan: &TcpPlan,
    socket: Io,
    prefix: BytesMut,
    _ends: Ends,
    worker: &Worker,
) {
    let shard = worker.shard();
    plan.stats.inc(shard, TcpMetric::CxTotal);
    plan.stats.inc(shard, TcpMetric::CxActive);
    let served = match connect(plan, worker).await {
        Some(connected) => {
            let received = prefix.len();
            let (moved, ended) =
                tcp::relay(socket, connected.socket, prefix, plan.idle_timeout, worker).await;
            plan.stats
                .add(shard, TcpMetric::Rx, moved.received.max(received as u64));
            plan.stats.add(shard, TcpMetric::Tx, moved.sent);
            connected.host.end();
            ended
        }
        None => {
            plan.stats.inc(shard, TcpMetric::CxNoRoute);
            Ended::Broken
        }
    };
    if served == Ended::Idle {
        plan.stats.inc(shard, TcpMetric::IdleTimeout);
    }
    plan.stats.dec(shard, TcpMetric::CxActive);
}

struct Connected {
    socket: TcpStream,
    host: Arc<crossdock_framework::cluster::HostState>,
}

async fn connect(plan: &TcpPlan, worker: &Worker) -> Option<Connected> {
    let snapshot = worker.snapshot();
    let cluster = Arc::clone(snapshot.cluster(snapshot.find(draw(plan, worker.random())?)?)?);
    let mut tried: Vec<HostIx> = Vec::with_capacity(CONNECT_ATTEMPTS);
    while tried.len() < CONNECT_ATTEMPTS {
        let now_ms = worker.tick().ms();
        let pick = Pick {
            hash: None,
            random: worker.random(),
            now_ms,
            tried: &tried,
        };
        let ix = cluster
            .balancer
            .pick(&cluster.hosts, &pick)
            .filter(|ix| !tried.contains(ix))?;
        let host = cluster.hosts.get(ix)?;
        let opening = TcpStream::connect(host.address);
        match tokio::time::timeout(cluster.connect_timeout, opening).await {
            Ok(Ok(socket)) => {
                let _ = socket.set_nodelay(true);
                host.state.begin();
                return Some(Connected {
                    socket,
                    host: Arc::clone(&host.state),
                });
            }
            Ok(Err(error)) => {
                tracing::debug!(cluster = %cluster.name, "cannot connect to {}: {error}", host.address);
            }
            Err(_) => {
                tracing::debug!(cluster = %cluster.name, "{} does not accept", host.address);
            }
        }
        host.state.avoid_until(now_ms + REFUSED.as_millis() as u64);
        tried.push(ix);
    }
    None
}

/// For how long other hosts are preferred after one refused a connection.
const REFUSED: Duration = Duration::from_millis(500);

/// The cluster that `random` falls upon.
fn draw(plan: &TcpPlan, random: u64) -> Option<&str> {
    let total: u64 = plan
        .targets
        .iter()
        .map(|target| u64::from(target.weight))
        .sum();
    let mut left = random.checked_rem(total)?;
    for target in &plan.targets {
        match left.checked_sub(u64::from(target.weight)) {
            Some(rest) => left = rest,
            None => return Some(&target.cluster),
        }
    }
    None
}

//! One accepted connection: which protocol it speaks, and who serves it.

use std::sync::Arc;

use bytes::BytesMut;
use crossdock_framework::{
    codec::Probe,
    protocol::{Connection, Io, Protocol},
    snapshot::{Ends, HttpMetric},
    time::Moment,
    worker::{Drain, Worker},
};
use tokio::net::TcpStream;

use crate::{
    compile::RpcPlan,
    listen::{ListenerMetric, Site},
    tcp::{self, Arrived, Outcome},
};

/// Bytes by which every protocol can be told: the longest fixed header, with room to spare.
const PREFIX: usize = 64;

/// Serves a connection of a listener with an HTTP connection manager, and says what became of it
/// where it went on as plain bytes.
pub(crate) async fn serve_rpc(
    site: &Site,
    rpc: &RpcPlan,
    mut socket: TcpStream,
    ends: Ends,
    began: Moment,
    worker: &Worker,
) -> Outcome {
    let shard = worker.shard();
    match detect(rpc, &mut socket, worker).await {
        Some(Detected::Protocol(protocol, prefix)) => {
            let policy = rpc.policy;
            let connection = Connection {
                io: Io::Tcp(socket),
                prefix,
                ends,
                policy,
                tls: None,
            };
            protocol.serve(connection, worker.clone()).await;
        }
        Some(Detected::Unknown { prefix, timed_out }) => {
            site.stats.inc(
                shard,
                match timed_out {
                    true => ListenerMetric::DetectTimeout,
                    false => ListenerMetric::Unknown,
                },
            );
            match &rpc.fallback {
                Some(fallback) => {
                    site.stats.inc(shard, ListenerMetric::Fallback);
                    let arrived = Arrived {
                        io: Io::Tcp(socket),
                        prefix,
                        ends,
                        tls: None,
                        began,
                    };
                    return tcp::serve(fallback, arrived, worker).await;
                }
                None => tracing::debug!(
                    listener = %site.plan.name, peer = %ends.peer,
                    "unknown protocol, closing: it begins with {:02x?}", prefix.get(..8.min(prefix.len()))
                ),
            }
        }
        None => {}
    }
    Outcome::default()
}

/// What the first bytes of a connection say.
enum Detected {
    Protocol(Arc<dyn Protocol>, BytesMut),
    Unknown { prefix: BytesMut, timed_out: bool },
}

/// Reads until a protocol says yes, or all say no, or the time is up. A drain ends the wait for a
/// first byte. `None` when there is nothing left to serve.
async fn detect(rpc: &RpcPlan, socket: &mut TcpStream, worker: &Worker) -> Option<Detected> {
    let mut prefix = BytesMut::new();
    if rpc.fallback.is_none() {
        // Callers connect long before their first call, and only a server's protocol begins with
        // silence: the time to tell protocols apart begins with the first byte.
        let policy = Arc::clone(worker.snapshot().policy(rpc.policy)?);
        let idle = policy.limits.idle_timeout;
        match tokio::time::timeout(idle, first_byte(rpc, socket, worker)).await {
            Ok(first) => first?,
            Err(_) => {
                policy.stats.inc(worker.shard(), HttpMetric::CxIdleTimeout);
                return None;
            }
        }
    }
    let found = tokio::time::timeout(rpc.detect_timeout, async {
        first_byte(rpc, socket, worker).await?;
        sniff(rpc, socket, &mut prefix, worker).await
    });
    let timed_out = match found.await {
        Ok(Some((Probe::Yes, Some(protocol)))) => {
            return Some(Detected::Protocol(protocol, prefix));
        }
        Ok(Some(_)) => false,
        Ok(None) => return None,
        Err(_) => true,
    };
    Some(Detected::Unknown { prefix, timed_out })
}

/// Waits for the first byte; `None` when a drain or the peer ends the wait.
async fn first_byte(rpc: &RpcPlan, socket: &TcpStream, worker: &Worker) -> Option<()> {
    tokio::select! {
        readable = socket.readable() => readable.ok(),
        () = drained(rpc, worker) => None,
    }
}

/// What the protocols say in the end; `None` if the peer leaves before.
async fn sniff(
    rpc: &RpcPlan,
    socket: &TcpStream,
    prefix: &mut BytesMut,
    worker: &Worker,
) -> Option<(Probe, Option<Arc<dyn Protocol>>)> {
    loop {
        // An idle connection holds no buffer, not even before its first byte.
        socket.readable().await.ok()?;
        let mut block = worker.take_block(PREFIX);
        let read = socket.try_read_buf(&mut block);
        prefix.extend_from_slice(&block.split());
        worker.put_block(block);
        match read {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        let judged = judge(&rpc.protocols, prefix);
        if judged.0 != Probe::More {
            return Some(judged);
        }
    }
}

/// Ends a quiet moment after a drain of the listener has begun.
async fn drained(rpc: &RpcPlan, worker: &Worker) {
    let policy = worker.snapshot().policy(rpc.policy).cloned();
    let inbound = policy.is_some_and(|policy| policy.limits.inbound);
    worker.drain_begins(inbound).await;
    tokio::time::sleep(Drain::QUIET).await;
}

/// Asks every protocol in its order. The first yes counts; probes exclude each other, so the
/// order only decides who is asked first.
fn judge(protocols: &[Arc<dyn Protocol>], prefix: &[u8]) -> (Probe, Option<Arc<dyn Protocol>>) {
    let mut undecided = false;
    for protocol in protocols {
        match protocol.probe(prefix) {
            Probe::Yes => return (Probe::Yes, Some(Arc::clone(protocol))),
            Probe::More => undecided = true,
            Probe::No => {}
        }
    }
    match undecided {
        true => (Probe::More, None),
        false => (Probe::No, None),
    }
}

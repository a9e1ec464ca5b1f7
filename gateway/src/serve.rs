//! Which protocol a connection speaks, and who serves it.

use std::{future::poll_fn, io, pin::Pin, sync::Arc};

use bytes::BytesMut;
use crossdock_framework::{
    codec::Probe,
    drain::ChainDrain,
    protocol::{Connection, Io, Protocol, Tls},
    snapshot::HttpMetric,
    worker::{Drain, Worker},
};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use crate::{
    compile::RpcPlan,
    listen::{ListenerMetric, Site},
    tcp::{self, Arrived, Outcome},
};

/// Octets that a read has room for at least: more than any fixed header, and most ClientHellos.
const ROOM: usize = 2048;

/// Serves a connection of a chain with an HTTP connection manager, and says what became of it where
/// it went on as plain bytes.
pub(crate) async fn serve_rpc(
    site: &Site,
    rpc: &RpcPlan,
    mut arrived: Arrived,
    worker: &Worker,
) -> Outcome {
    let shard = worker.shard();
    let prefix = std::mem::take(&mut arrived.prefix);
    let agreed = arrived.tls.as_ref().and_then(|tls| agreed(rpc, tls));
    match detect(rpc, agreed, &mut arrived, prefix, worker).await {
        Some(Detected::Protocol(protocol, prefix)) => {
            let connection = Connection {
                io: arrived.io,
                prefix,
                ends: arrived.ends,
                policy: rpc.place,
                drain: arrived.drain,
                tls: arrived.tls,
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
                    arrived.prefix = prefix;
                    return Box::pin(tcp::serve(fallback, arrived, worker)).await;
                }
                None => tracing::debug!(
                    listener = %site.name, peer = %arrived.ends.peer,
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

/// HTTP/2, where client and gateway agreed upon it (RFC 9113 section 3.2): whatever comes then is read
/// as that. Other names say less: a client of RPC may offer `http/1.1` because its library does.
fn agreed(rpc: &RpcPlan, tls: &Tls) -> Option<Arc<dyn Protocol>> {
    let http2 = rpc.protocols.iter().find(|one| one.name() == "http2");
    http2
        .filter(|_| tls.alpn.as_deref() == Some(b"h2"))
        .cloned()
}

/// Reads until a protocol says yes, or all say no, or the time is up; of a connection whose protocol
/// is agreed upon, the first bytes. A drain ends the wait for a first byte. `None` when there is
/// nothing left to serve.
async fn detect(
    rpc: &RpcPlan,
    agreed: Option<Arc<dyn Protocol>>,
    arrived: &mut Arrived,
    mut prefix: BytesMut,
    worker: &Worker,
) -> Option<Detected> {
    let (io, drain) = (&mut arrived.io, &*arrived.drain);
    if (rpc.fallback.is_none() || agreed.is_some()) && prefix.is_empty() {
        // Callers connect long before their first call, and only a server's protocol begins with
        // silence: the time to tell protocols apart begins with the first byte.
        let terms = Arc::clone(worker.snapshot().terms(rpc.place)?);
        let limits = terms.limits;
        let first = first_bytes(io, &mut prefix, drain, worker);
        match tokio::time::timeout(limits.idle_timeout, first).await {
            Ok(first) => first?,
            Err(_) => {
                terms.stats.inc(worker.shard(), HttpMetric::CxIdleTimeout);
                return None;
            }
        }
    }
    if let Some(protocol) = agreed {
        return Some(Detected::Protocol(protocol, prefix));
    }
    let found = tokio::time::timeout(rpc.detect_timeout, async {
        if prefix.is_empty() {
            first_bytes(io, &mut prefix, drain, worker).await?;
        }
        sniff(rpc, io, &mut prefix, worker).await
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

/// Waits for the first bytes; `None` when a drain or the peer ends the wait.
pub(crate) async fn first_bytes<R: AsyncRead + Unpin>(
    from: &mut R,
    prefix: &mut BytesMut,
    drain: &ChainDrain,
    worker: &Worker,
) -> Option<()> {
    tokio::select! {
        read = read(from, prefix, worker) => matches!(read, Ok(1..)).then_some(()),
        () = drained(drain, worker) => None,
    }
}

/// What the protocols say in the end; `None` if the peer leaves before.
async fn sniff(
    rpc: &RpcPlan,
    io: &mut Io,
    prefix: &mut BytesMut,
    worker: &Worker,
) -> Option<(Probe, Option<Arc<dyn Protocol>>)> {
    loop {
        let judged = judge(&rpc.protocols, prefix);
        if judged.0 != Probe::More {
            return Some(judged);
        }
        if !matches!(read(io, prefix, worker).await, Ok(1..)) {
            return None;
        }
    }
}

/// Reads what has come and adds it to `prefix`. While nothing comes, no buffer is held. Can be
/// dropped at any time without losing a byte.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    prefix: &mut BytesMut,
    worker: &Worker,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut block = worker.take_block(ROOM);
        let polled = poll_read_buf(Pin::new(&mut *from), cx, &mut block);
        prefix.extend_from_slice(&block.split());
        worker.put_block(block);
        polled
    })
    .await
}

/// Ends a quiet moment after a drain of the listener has begun.
async fn drained(drain: &ChainDrain, worker: &Worker) {
    worker.drain_begins(drain).await;
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

//! Pairs of connections in memory, where every wait is known.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};

use super::*;
use crate::{
    snapshot::{Live, Snapshot},
    stats::Registry,
    worker::{ChainDrain, DrainScope, READ_BLOCK},
};

struct Rig {
    worker: Worker,
    flow: Flow,
}

impl Rig {
    fn new() -> Self {
        Self::within(1 << 30)
    }

    /// A rig whose worker may buffer so much.
    fn within(memory: usize) -> Self {
        let registry = Arc::new(Registry::new(1));
        let live = Arc::new(Live::new(Snapshot::default()));
        let flow = Flow::new(
            registry.group::<TcpMetric>("tcp", "t"),
            registry.group::<ClusterMetric>("cluster", "c"),
        );
        Self {
            worker: Worker::new(Shard(1), live, registry, memory),
            flow,
        }
    }

    async fn relay(
        &self,
        down: &mut (impl AsyncRead + AsyncWrite + Unpin),
        up: &mut (impl AsyncRead + AsyncWrite + Unpin),
        prefix: &[u8],
        limits: Limits,
    ) -> Ended {
        relay(down, up, prefix.into(), &limits, &self.flow, &self.worker).await
    }
}

/// Two ends of a pipe: the relay's, and the peer's.
fn pipe(bytes: usize) -> (DuplexStream, DuplexStream) {
    duplex(bytes)
}

#[tokio::test]
async fn bytes_pass_with_what_was_read_before_and_each_side_ends_for_itself() {
    let rig = Rig::new();
    let ((mut down, mut client), (mut up, mut host)) = (pipe(16), pipe(16));
    let peers = async {
        let text = vec![b'x'; 100_000];
        let (sent, heard) = tokio::join!(
            async {
                client.write_all(&text).await.expect("it is taken");
                client.shutdown().await.expect("it is open");
            },
            async {
                let mut all = Vec::new();
                host.read_to_end(&mut all).await.expect("it ends");
                all
            }
        );
        let () = sent;
        assert_eq!((heard.len(), &heard[..5]), (100_005, &b"earlyx"[..5]));
        // The host answers after the client has said all.
        host.write_all(b"late").await.expect("it is taken");
        drop(host);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("it ends");
        assert_eq!(answer, b"late");
    };
    let (ended, ()) = tokio::join!(
        rig.relay(&mut down, &mut up, b"early", Limits::default()),
        peers
    );
    assert_eq!(ended, Ended::Closed);
    let flow = &rig.flow;
    let counts = [
        &flow.received,
        &flow.upstream_sent,
        &flow.upstream_received,
        &flow.sent,
    ];
    assert_eq!(counts.map(Cell::get), [100_005, 100_005, 4, 4]);
    assert_eq!(flow.stats.get(TcpMetric::Rx), 100_005);
    assert_eq!(flow.cluster.get(ClusterMetric::CxRx), 4);
    assert_eq!(rig.worker.buffered(), 0);
}

#[tokio::test]
async fn no_more_than_a_block_waits_for_a_slow_reader() {
    let rig = Rig::new();
    let ((mut down, mut client), (mut up, mut host)) = (pipe(1 << 20), pipe(10));
    client
        .write_all(&vec![7; 1 << 20])
        .await
        .expect("there is room");
    let watch = async {
        let mut most = 0;
        let mut heard = 0;
        let mut some = [0; 4096];
        while heard < 1 << 20 {
            tokio::task::yield_now().await;
            most = most.max(rig.worker.buffered());
            heard += host.read(&mut some).await.expect("it comes");
        }
        drop((client, host));
        most
    };
    let (_, most) = tokio::join!(rig.relay(&mut down, &mut up, b"", Limits::default()), watch);
    assert!((1..=READ_BLOCK).contains(&most), "{most} bytes waited");
    assert_eq!(rig.worker.buffered(), 0);
    assert!(rig.flow.stats.get(TcpMetric::Paused) > 0);
}

#[tokio::test]
async fn slow_readers_together_stay_within_the_workers_memory() {
    const LIMIT: usize = 128 * 1024;
    let rig = Rig::within(LIMIT);
    let pairs: Vec<_> = (0..40).map(|_| (pipe(1 << 18), pipe(8))).collect();
    let mut ends = Vec::new();
    let mut peers = Vec::new();
    for ((down, mut client), (up, host)) in pairs {
        client
            .write_all(&[7; 1 << 18])
            .await
            .expect("there is room");
        ends.push((down, up));
        peers.push((client, host));
    }
    let until = Moment(crate::time::now_us()).after(Duration::from_millis(200));
    let limits = Limits {
        until: Some(until),
        ..Limits::default()
    };
    let mut relays: Vec<_> = ends
        .iter_mut()
        .map(|(down, up)| Box::pin(rig.relay(down, up, b"", limits.clone())))
        .collect();
    let mut ended = vec![None; relays.len()];
    std::future::poll_fn(|cx| {
        for (relay, ended) in relays.iter_mut().zip(&mut ended) {
            if ended.is_none()
                && let Poll::Ready(end) = relay.as_mut().poll(cx)
            {
                *ended = Some(end);
            }
            assert!(rig.worker.buffered() <= LIMIT + LIMIT / 4 + READ_BLOCK);
        }
        match ended.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    let count = |end| ended.iter().filter(|ended| **ended == Some(end)).count();
    let (refused, kept) = (count(Ended::Overload), count(Ended::Expired));
    assert_eq!(refused + kept, 40);
    // Two blocks fill the limit, and the reserve is for short reads.
    assert!((2..=11).contains(&kept), "{kept} stayed");
    assert_eq!(rig.worker.buffered(), 0);
}

/// Keeps what is written until it is flushed, as TLS may, and reads whatever `read` says.
struct Lazy {
    kept: Vec<u8>,
    inner: DuplexStream,
    read: Option<io::ErrorKind>,
}

impl AsyncRead for Lazy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.read {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Pin::new(&mut self.inner).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Lazy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.kept.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.kept.is_empty() {
            match Pin::new(&mut this.inner).poll_write(cx, &this.kept)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(written) => drop(this.kept.drain(..written)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn what_a_connection_keeps_is_flushed_before_more_is_read() {
    let rig = Rig::new();
    let ((mut down, mut client), (inner, mut host)) = (pipe(1 << 20), pipe(8));
    let mut up = Lazy {
        kept: Vec::new(),
        inner,
        read: None,
    };
    let peers = async {
        client.write_all(&[7; 1000]).await.expect("there is room");
        let mut all = [0; 1000];
        host.read_exact(&mut all).await.expect("they come");
        drop((client, host));
    };
    let (_, ()) = tokio::join!(rig.relay(&mut down, &mut up, b"", Limits::default()), peers);
    assert!(up.kept.is_empty());
}

#[tokio::test]
async fn a_broken_side_ends_the_pair_and_a_silent_end_is_an_end() {
    for (kind, expected) in [
        (io::ErrorKind::ConnectionReset, Ended::Reset(Side::Up)),
        (io::ErrorKind::UnexpectedEof, Ended::Closed),
    ] {
        let rig = Rig::new();
        let ((mut down, client), (inner, _host)) = (pipe(8), pipe(8));
        let mut up = Lazy {
            kept: Vec::new(),
            inner,
            read: Some(kind),
        };
        drop(client);
        let ended = rig.relay(&mut down, &mut up, b"", Limits::default()).await;
        assert_eq!(ended, expected, "{kind}");
    }
}

#[tokio::test]
async fn what_was_said_before_a_host_stopped_to_listen_still_arrives() {
    let rig = Rig::new();
    let ((mut down, mut client), (mut up, mut host)) = (pipe(1024), pipe(1024));
    host.write_all(b"no more").await.expect("there is room");
    drop(host);
    client.write_all(b"unheard").await.expect("there is room");
    let ended = rig.relay(&mut down, &mut up, b"", Limits::default()).await;
    // A pipe whose other end is gone takes no more bytes, as a socket that was reset.
    assert_eq!(ended, Ended::Reset(Side::Up));
    drop(down);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("it ends");
    assert_eq!(answer, b"no more");
}

#[tokio::test]
async fn limits_end_a_pair() {
    let ms = Duration::from_millis;
    for (limits, expected) in [
        (
            Limits {
                idle: Some(ms(30)),
                ..Limits::default()
            },
            Ended::Idle,
        ),
        (
            Limits {
                idle: Some(ms(3_600_000)),
                until: Some(Moment(crate::time::now_us()).after(ms(30))),
                ..Limits::default()
            },
            Ended::Expired,
        ),
    ] {
        let rig = Rig::new();
        let ((mut down, _client), (mut up, _host)) = (pipe(8), pipe(8));
        assert_eq!(rig.relay(&mut down, &mut up, b"", limits).await, expected);
    }
}

#[tokio::test]
async fn a_drain_of_inbound_listeners_concerns_only_their_pairs() {
    let rig = Rig::new();
    let ((mut down, _client), (mut up, _host)) = (pipe(8), pipe(8));
    let ((mut other_down, mut other), (mut other_up, mut other_host)) = (pipe(8), pipe(8));
    let inbound = Limits {
        drain: ChainDrain::new(true),
        ..Limits::default()
    };
    let ended = tokio::join!(
        rig.relay(&mut down, &mut up, b"", inbound),
        rig.relay(&mut other_down, &mut other_up, b"", Limits::default()),
        async {
            tokio::task::yield_now().await;
            let time = Duration::from_millis(30);
            rig.worker.begin_drain(time, DrainScope::Inbound);
            tokio::time::sleep(3 * time).await;
            other.write_all(b"on").await.expect("it is open");
            let mut heard = [0; 2];
            other_host.read_exact(&mut heard).await.expect("it goes on");
            rig.worker.begin_drain(Duration::ZERO, DrainScope::All);
            drop(other);
        }
    );
    assert_eq!((ended.0, ended.1), (Ended::Drained, Ended::Drained));
}

//! Limits of one downstream connection, as close to the edge as a test can tell.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crossdock_framework::{
    cluster::ClusterMetric,
    frame::Kind,
    protocol::Io,
    snapshot::{DownstreamLimits, HttpMetric},
    worker::Memory,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};

use crate::{
    rig::{Host, Rig, Setup, eventually, run},
    toy::{HEADER, Msg, Toy},
};

/// A peer that has sent everything and takes nothing: counts how often it is asked to.
#[derive(Debug)]
struct Deaf {
    sends: Vec<u8>,
    /// Takes this much of what is written to it, then nothing.
    takes: usize,
    writes: Rc<Cell<usize>>,
    _waker: Option<Waker>,
}

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self._waker = Some(cx.waker().clone());
        let here = self.sends.len().min(buf.remaining());
        if here == 0 {
            return Poll::Pending;
        }
        let sent: Vec<u8> = self.sends.drain(..here).collect();
        buf.put_slice(&sent);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.set(self.writes.get() + 1);
        let taken = self.takes.min(buf.len());
        self.takes -= taken;
        match taken {
            0 => Poll::Pending,
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_peer_that_takes_no_byte_costs_no_turns() {
    run(async {
        let host = Host::bind();
        let setup = Setup::of(&[&host]).limits(|l| {
            l.unread_soft = 4096;
            l.stall_timeout = Duration::from_millis(600);
        });
        let rig = Rig::start(setup).await;
        let writes = Rc::new(Cell::new(0));
        let beats = 1000;
        rig.serve::<Toy>(Io::Other(Box::new(Deaf {
            sends: Msg::new(Kind::Heartbeat, 1, "").to_bytes().repeat(beats),
            takes: 100,
            writes: Rc::clone(&writes),
            _waker: None,
        })));
        sleep(Duration::from_millis(300)).await;
        assert_eq!(rig.http(HttpMetric::CxActive), 1);
        assert!(
            rig.worker.buffered() < 4096 + HEADER + beats * HEADER,
            "stopped at the soft limit"
        );
        let turns = writes.get();
        assert!(
            (1..100).contains(&turns),
            "{turns} turns for a peer that takes nothing"
        );
        eventually("it is dropped", || rig.http(HttpMetric::CxActive) == 0).await;
        assert_eq!(rig.http(HttpMetric::CxSlow), 1);
        rig.settled().await;
    });
}

#[test]
fn a_connection_with_its_most_calls_is_read_again_when_one_ends() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.calls = 4)).await;
        let mut client = rig.client().await;
        for id in 0..20 {
            client.send(&Msg::request(id, format!("a/{id}"))).await;
        }
        let mut served = host.accept().await;
        for _ in 0..4 {
            assert_eq!(served.recv().await.kind, Kind::Request);
        }
        served.silent().await;
        drop(served);
        for _ in 0..4 {
            assert_eq!(client.recv().await.cause(), "ConnectionLost");
        }
        let mut served = host.accept().await;
        for id in 4..20 {
            let asked = served.recv().await;
            assert_eq!(asked.text(), format!("a/{id}"));
            assert!(rig.http(HttpMetric::RqActive) <= 4);
            served.send(&asked.echo()).await;
            assert_eq!(client.recv().await.id, id);
        }
        assert!(rig.http(HttpMetric::CxPaused) >= 1);
        rig.settled().await;
    });
}

#[test]
fn one_way_calls_that_wait_for_a_connection_stop_a_client_and_let_it_go_on() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.calls = 1)).await;
        let mut client = rig.client().await;
        for id in 0..10 {
            client.send(&Msg::oneway(id, format!("a/{id}"))).await;
        }
        let mut served = host.accept().await;
        for id in 0..10 {
            assert_eq!(served.recv().await.text(), format!("a/{id}"));
        }
        client.silent().await;
        rig.settled().await;
    });
}

#[test]
fn a_client_that_leaves_with_a_one_way_call_in_line_is_forgotten() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::oneway(1, "a/x")).await;
        drop(client);
        let mut served = host.accept().await;
        assert_eq!(served.recv().await.id, 0, "the first id of the table");
        rig.deserted().await;
    });
}

#[test]
fn idleness_begins_with_the_last_answer() {
    run(async {
        let host = Host::bind();
        let idle = Duration::from_millis(300);
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.idle_timeout = idle)).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/slow")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        sleep(idle * 2).await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/slow");
        sleep(idle / 4).await;
        client.send(&Msg::request(2, "a/next")).await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/next");
        client.closed().await;
        assert_eq!(rig.http(HttpMetric::CxIdleTimeout), 1);
        rig.deserted().await;
    });
}

#[test]
fn a_long_call_on_an_idle_connection_costs_few_turns() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| {
            l.idle_timeout = Duration::from_millis(100);
        }))
        .await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/slow")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        sleep(Duration::from_millis(500)).await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/slow");
        client.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn a_frame_left_unfinished_closes_the_connection_and_progress_keeps_it() {
    run(async {
        let host = Host::bind();
        let limit = Duration::from_secs(2);
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.frame_timeout = limit)).await;
        host.echo();
        let (mut slow, mut steady) = (rig.client().await, rig.client().await);
        let short = Msg::request(1, "a/short").to_bytes();
        let long = Msg::request(1, [b"a/".as_slice(), &[b'x'; 1 << 20]].concat()).to_bytes();
        // Neither sends its whole frame within the time; one sends 64 KiB and more in each.
        let mut octets = short.iter();
        for chunk in long.chunks(70 * 1024) {
            steady.write(chunk).await;
            if let Some(octet) = octets.next() {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut slow.io, &[*octet]).await;
            }
            sleep(limit / 10).await;
        }
        assert_eq!(steady.recv().await.body.len(), 3 + 2 + (1 << 20));
        slow.closed().await;
        assert_eq!(rig.http(HttpMetric::CxFrameTimeout), 1);
        drop((slow, steady));
        rig.deserted().await;
    });
}

#[test]
fn silence_between_frames_is_no_unfinished_frame() {
    run(async {
        let host = Host::bind();
        let limit = Duration::from_millis(100);
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.frame_timeout = limit)).await;
        host.echo();
        let mut client = rig.client().await;
        for id in 0..3 {
            assert_eq!(client.call(id, "a/x").await.text(), "re:a/x");
            sleep(limit * 3).await;
        }
        assert_eq!(rig.http(HttpMetric::CxFrameTimeout), 0);
        rig.settled().await;
    });
}

#[test]
fn the_time_for_a_frame_does_not_run_while_the_relay_does_not_read() {
    run(async {
        let host = Host::bind();
        let limit = Duration::from_millis(200);
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| {
            l.frame_timeout = limit;
            l.calls = 1;
        }))
        .await;
        let mut client = rig.client().await;
        let second = Msg::request(2, "a/second").to_bytes();
        let (begin, end) = second.split_at(second.len() / 2);
        client
            .write(&[&Msg::request(1, "a/first").to_bytes(), begin].concat())
            .await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        sleep(limit * 3).await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.id, 1);
        sleep(limit / 4).await;
        client.write(end).await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/second");
        rig.settled().await;
    });
}

#[test]
fn calls_end_by_the_shortest_of_their_times() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::of(&[&host]);
        setup.limits.call_timeout = Duration::from_millis(150);
        let mut rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/none of its own")).await;
        client
            .send(&Msg::request(2, "a/own").with_timeout(40))
            .await;
        let mut served = host.accept().await;
        served.recv().await;
        served.recv().await;
        assert_eq!(client.recv().await.id, 2);
        let answer = client.recv().await;
        assert_eq!((answer.id, answer.cause()), (1, "Timeout"));
        let mut setup = Setup::of(&[&host]);
        setup.route_timeout = Some(Duration::from_millis(60));
        rig.publish(setup);
        client
            .send(&Msg::request(3, "a/route").with_timeout(60_000))
            .await;
        assert_eq!(client.recv().await.cause(), "Timeout");
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqTimeout), 3);
    });
}

#[test]
fn large_frames_are_overload_while_memory_is_scarce_and_small_ones_pass() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::of(&[&host]);
        setup.memory = 1 << 20;
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        let body = |size: usize| [b"a/".as_slice(), &vec![b'x'; size]].concat();
        // More than there is: refused while it arrives.
        client.send(&Msg::request(1, body(3 << 20))).await;
        assert_eq!(client.recv().await.cause(), "Overload");
        // Calls in flight fill what there is; large ones are refused then.
        for id in 2..22 {
            client.send(&Msg::request(id, body(55 * 1024))).await;
        }
        let mut served = host.accept().await;
        let mut asked = Vec::new();
        for _ in 2..22 {
            asked.push(served.recv().await);
        }
        assert_eq!(rig.worker.memory(0), Memory::Scarce);
        client.send(&Msg::request(22, body(100 * 1024))).await;
        let answer = client.recv().await;
        assert_eq!((answer.id, answer.cause()), (22, "Overload"));
        // Answers too, and then the words are the same.
        served.send(&asked[0].answer(body(100 * 1024))).await;
        let answer = client.recv().await;
        let cause = (answer.id, answer.cause());
        assert_eq!(cause, (2, "Overload"), "{}", answer.text());
        // A quarter more, and only short ones pass.
        while rig.worker.memory(0) == Memory::Scarce {
            client.send(&Msg::request(30, body(4000))).await;
            asked.push(served.recv().await);
        }
        client.send(&Msg::request(40, body(5 * 1024))).await;
        let answer = client.recv().await;
        assert_eq!((answer.id, answer.cause()), (40, "Overload"));
        client.send(&Msg::request(41, body(3 * 1024))).await;
        asked.push(served.recv().await);
        for msg in &asked[1..] {
            served.send(&msg.answer("small")).await;
        }
        for _ in &asked[1..] {
            assert_eq!(client.recv().await.text(), "small");
        }
        client.send(&Msg::request(50, body(100 * 1024))).await;
        let again = served.recv().await;
        served.send(&again.answer(body(100 * 1024))).await;
        assert_eq!(client.recv().await.body.len(), 100 * 1024 + 2);
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqOverload), 4);
    });
}

#[test]
fn clients_that_do_not_read_cannot_use_up_the_memory_together() {
    run(async {
        const CLIENTS: u64 = 16;
        const CALLS: u64 = 60;
        let host = Host::bind();
        let limit = 8 << 20;
        let mut setup = Setup::of(&[&host]).limits(|l| {
            l.unread_soft = 128 << 10;
            l.stall_timeout = Duration::from_secs(1);
        });
        setup.memory = limit;
        let rig = Rig::start(setup).await;
        for _ in 0..CLIENTS {
            let calls = (0..CALLS).flat_map(|id| Msg::request(id, "a/large").to_bytes());
            rig.serve::<Toy>(Io::Other(Box::new(Deaf {
                sends: calls.collect(),
                takes: 0,
                writes: Rc::default(),
                _waker: None,
            })));
        }
        eventually("all calls are under way", || {
            rig.http(HttpMetric::RqActive) == CLIENTS * CALLS
        })
        .await;
        let mut served = host.accept().await;
        let mut most = 0;
        for _ in 0..CLIENTS * CALLS {
            let asked = served.recv().await;
            // Short enough to pass while memory is scarce.
            served.send(&asked.answer(vec![b'x'; 60 * 1024])).await;
            tokio::task::yield_now().await;
            most = most.max(rig.worker.buffered());
        }
        assert!(
            most < limit * 3 / 2,
            "{most} bytes were buffered, {limit} are allowed"
        );
        let mut reads = rig.client().await;
        reads.send(&Msg::request(1, "a/small")).await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(reads.recv().await.text(), "re:a/small");
        assert!(rig.http(HttpMetric::CxSlow) >= 1);
        drop(reads);
        rig.deserted().await;
    });
}

#[test]
fn one_answer_is_never_too_much_for_a_client_that_reads() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| {
            l.unread_soft = 64 * 1024;
            l.unread_hard = 64 * 1024;
        }))
        .await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        let long = asked.answer(vec![b'x'; 7 << 20]);
        tokio::join!(served.send(&long), async {
            assert_eq!(client.recv().await.body.len(), 7 << 20);
        });
        rig.settled().await;
    });
}

#[test]
fn defaults_are_those_of_the_docs() {
    let limits = DownstreamLimits::default();
    assert_eq!(limits.calls, 8192);
    assert_eq!(limits.unread_soft, 1 << 20);
    assert_eq!(limits.unread_hard, 32 << 20);
    assert_eq!(limits.stall_timeout, Duration::from_secs(30));
    assert_eq!(limits.frame_timeout, Duration::from_secs(30));
    assert_eq!(limits.idle_timeout, Duration::from_secs(3600));
    assert_eq!(limits.call_timeout, Duration::from_secs(600));
}

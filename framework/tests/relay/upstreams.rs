//! What hosts do wrong, and what their callers see of it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crossdock_framework::{
    cluster::ClusterMetric, frame::Kind, relay::RelayMetric, snapshot::HttpMetric,
};
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    rig::{ClusterSetup, Host, Peer, Rig, Setup, eventually, run},
    toy::{DAMAGED, Msg},
};

#[test]
fn a_host_that_closes_fails_the_calls_that_it_has() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let (mut one, mut two) = (rig.client().await, rig.client().await);
        for id in 0..3 {
            one.send(&Msg::request(id, "a/one")).await;
            two.send(&Msg::request(id, "a/two")).await;
        }
        let mut served = host.accept().await;
        for _ in 0..6 {
            served.recv().await;
        }
        drop(served);
        for client in [&mut one, &mut two] {
            let mut ids = Vec::new();
            for _ in 0..3 {
                let answer = client.recv().await;
                assert_eq!(answer.cause(), "ConnectionLost");
                ids.push(answer.id);
            }
            ids.sort_unstable();
            assert_eq!(ids, [0, 1, 2]);
        }
        host.echo();
        assert_eq!(one.call(7, "a/again").await.text(), "re:a/again");
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxDestroyWithActive), 1);
    });
}

/// A host whose kernel takes little, so that most of what it is sent stays with the relay.
fn narrow_host() -> (TcpListener, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a free port");
    socket.listen(16).expect("listens");
    socket.set_nonblocking(true).expect("a socket");
    let listener = TcpListener::from_std(socket.into()).expect("within a runtime");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Messages that a narrow host does not take as long as it reads nothing.
const MANY: u64 = 24;

/// A connection to a narrow host that has been sent the messages of `make` and read nothing, and the client that
/// sent them. `other` is a host of the cluster as well by now.
async fn glutted(
    other: &Host,
    make: impl Fn(u64, Vec<u8>) -> Msg,
) -> (Rig, Peer, (TcpListener, tokio::net::TcpStream)) {
    let (narrow, address) = narrow_host();
    let setup = |hosts: Vec<SocketAddr>| {
        let mut setup = Setup::of(&[other]).settings(|s| s.unwritten_max = usize::MAX);
        // The client sends everything before it reads anything.
        setup.limits.unread_soft = usize::MAX;
        setup.limits.unread_hard = usize::MAX;
        setup.clusters[0].hosts = hosts;
        setup
    };
    let mut rig = Rig::start(setup(vec![address])).await;
    let mut client = rig.client().await;
    client.send(&Msg::request(100, "a/first")).await;
    let (first, _) = narrow.accept().await.expect("the relay connects");
    // From here on the cluster has both hosts; the connection to the narrow one is open.
    rig.publish(setup(vec![address, other.address]));
    let body = [b"a/".as_slice(), &[b'x'; 1 << 20]].concat();
    for id in 0..MANY {
        client.send(&make(id, body.clone())).await;
    }
    sleep(Duration::from_millis(100)).await;
    (rig, client, (narrow, first))
}

#[test]
fn calls_of_which_no_byte_has_left_go_elsewhere() {
    run(async {
        let other = Host::bind();
        let (rig, mut client, narrow) = glutted(&other, Msg::request).await;
        other.echo();
        drop(narrow);
        let (mut lost, mut echoed) = (0, 0);
        for _ in 0..=MANY {
            let answer = client.recv().await;
            match answer.status {
                0 => echoed += 1,
                _ => {
                    assert_eq!(answer.cause(), "ConnectionLost");
                    lost += 1;
                }
            }
        }
        assert_eq!(lost + echoed, MANY + 1);
        assert!(lost >= 1, "the first call was read");
        assert!(
            rig.upstream(ClusterMetric::RqResent) >= 1,
            "some had not left"
        );
        assert!(
            echoed > MANY / 2,
            "{echoed} of {MANY} answered, {lost} lost"
        );
        rig.settled().await;
    });
}

#[test]
fn one_way_calls_are_not_lost_in_silence() {
    run(async {
        let other = Host::bind();
        let (rig, mut client, narrow) = glutted(&other, Msg::oneway).await;
        drop(narrow);
        assert_eq!(client.recv().await.cause(), "ConnectionLost");
        other.echo();
        rig.settled().await;
        // Of the half that was meant for the narrow host, those that its kernel had not taken.
        let moved = rig.upstream(ClusterMetric::RqResent);
        assert!(moved >= 1, "none of {MANY} moved");
        assert_eq!(rig.upstream(ClusterMetric::RqTotal), MANY + 1 + moved);
        // The call that the client was told of, and one of which a part had left for each connection.
        let lost = rig.http(HttpMetric::RqLocal) - 1;
        assert!((1..MANY / 2 - moved).contains(&lost), "{lost} lost");
    });
}

#[test]
fn a_refused_connection_sends_calls_to_another_host() {
    run(async {
        let (absent, other) = (Host::absent(), Host::bind());
        let rig = Rig::start(Setup::of(&[&absent, &other])).await;
        other.echo();
        let mut client = rig.client().await;
        for id in 0..50 {
            assert_eq!(client.call(id, "a/x").await.text(), "re:a/x");
        }
        client.send(&Msg::oneway(0, "a/oneway")).await;
        assert_eq!(client.call(50, "a/x").await.id, 50);
        rig.settled().await;
        assert!(rig.upstream(ClusterMetric::CxConnectFail) >= 1);
    });
}

#[test]
fn without_another_host_a_refused_connection_is_told() {
    run(async {
        let absent = Host::absent();
        let rig = Rig::start(Setup::of(&[&absent])).await;
        let mut client = rig.client().await;
        for id in 0..20 {
            client.send(&Msg::request(id, "a/x")).await;
            client.send(&Msg::oneway(id, "a/x")).await;
        }
        for _ in 0..20 {
            assert_eq!(client.recv().await.cause(), "ConnectFailed");
        }
        client.silent().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxActive), 0);
    });
}

#[test]
fn a_connection_that_is_not_accepted_in_time_sends_calls_elsewhere() {
    run(async {
        // A backlog of one, and full: the kernel drops what else wants in.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).expect("a free port");
        socket.listen(0).expect("listens");
        let address = socket
            .local_addr()
            .expect("bound")
            .as_socket()
            .expect("IPv4");
        let _full = std::net::TcpStream::connect(address).expect("the one place");
        let other = Host::bind();
        let mut setup = Setup::of(&[&other]);
        setup.clusters[0].hosts.insert(0, address);
        setup.clusters[0].connect_timeout = Duration::from_millis(150);
        let rig = Rig::start(setup).await;
        other.echo();
        let mut client = rig.client().await;
        for id in 0..8 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        for _ in 0..8 {
            assert_eq!(client.recv().await.text(), "re:a/x");
        }
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxConnectTimeout), 1);
    });
}

#[test]
fn foreign_repeated_and_late_answers_reach_nobody() {
    run(async {
        let (a, b) = (Host::bind(), Host::bind());
        let clusters = vec![ClusterSetup::new("a", &[&a]), ClusterSetup::new("b", &[&b])];
        let rig = Rig::start(Setup::with(clusters)).await;
        let (mut one, mut two) = (rig.client().await, rig.client().await);
        one.send(&Msg::request(1, "a/one")).await;
        two.send(&Msg::request(1, "b/two")).await;
        let (mut a, mut b) = (a.accept().await, b.accept().await);
        let (asked_a, asked_b) = (a.recv().await, b.recv().await);
        // Ids that are another connection's, that nobody has, and that heartbeats have.
        b.send(&asked_a.answer("stolen")).await;
        let (slot, generation) = (asked_a.id, 1 << 32);
        for id in [
            slot ^ 1,
            slot + 2,
            slot | generation,
            slot.wrapping_sub(generation),
            u64::MAX,
            u64::from(u32::MAX),
        ] {
            a.send(&Msg::new(Kind::Response, id, "foreign")).await;
        }
        one.silent().await;
        two.silent().await;
        for _ in 0..3 {
            a.send(&asked_a.answer("mine")).await;
            b.send(&asked_b.answer("mine too")).await;
        }
        assert_eq!(
            (one.recv().await.text(), two.recv().await.text()),
            ("mine".into(), "mine too".into())
        );
        // Late: the deadline was earlier.
        one.send(&Msg::request(2, "a/late").with_timeout(30)).await;
        let late = a.recv().await;
        assert_eq!(one.recv().await.cause(), "Timeout");
        one.send(&Msg::request(3, "a/next")).await;
        let next = a.recv().await;
        assert_ne!(late.id, next.id);
        a.send(&late.answer("too late")).await;
        a.send(&next.answer("in time")).await;
        let answer = one.recv().await;
        assert_eq!((answer.id, answer.text()), (3, "in time".into()));
        one.silent().await;
        two.silent().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqUnmatched), 6 + 2 + 1);
    });
}

#[test]
fn one_bad_answer_among_a_hundred_costs_one_call() {
    run(async {
        let host = Host::bind();
        let limit = 4096;
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.frame = limit)).await;
        let mut client = rig.client().await;
        for id in 0..100 {
            client.send(&Msg::request(id, format!("a/{id}"))).await;
        }
        let mut host = host.accept().await;
        for _ in 0..100 {
            let asked = host.recv().await;
            let answer = match asked.text().as_str() {
                "a/33" => asked.echo().with_status(DAMAGED),
                "a/66" => asked.answer(vec![b'x'; limit + 1]),
                _ => asked.echo(),
            };
            host.send(&answer).await;
        }
        for _ in 0..100 {
            let answer = client.recv().await;
            match answer.id {
                33 => assert_eq!(answer.cause(), "BadResponse"),
                66 => assert_eq!(answer.cause(), "ResponseTooLarge"),
                id => assert_eq!(answer.text(), format!("re:a/{id}")),
            }
        }
        rig.settled().await;
    });
}

#[test]
fn answers_may_be_as_long_as_any_listener_allows() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.frame = 20 << 20)).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut host = host.accept().await;
        let asked = host.recv().await;
        let long = asked.answer(vec![b'x'; 12 << 20]);
        tokio::join!(host.send(&long), async {
            assert_eq!(client.recv().await.body.len(), 12 << 20);
        });
        rig.settled().await;
    });
}

#[test]
fn a_host_that_speaks_another_protocol_is_left() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        served.recv().await;
        served.write(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert_eq!(client.recv().await.cause(), "ConnectionLost");
        served.closed().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxProtocolError), 1);
    });
}

#[test]
fn heartbeats_of_hosts_are_answered_and_hosts_are_asked_in_turn() {
    run(async {
        let host = Host::bind();
        let setup =
            Setup::of(&[&host]).settings(|s| s.heartbeat_interval = Duration::from_millis(40));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut host = host.accept().await;
        let asked = host.recv().await;
        host.send(&Msg::new(Kind::Heartbeat, 77, "")).await;
        let mut own = 0;
        let mut acknowledged = false;
        while own < 6 {
            let msg = host.recv().await;
            match msg.kind {
                Kind::HeartbeatAck => {
                    assert_eq!(msg.id, 77);
                    acknowledged = true;
                }
                Kind::Heartbeat => {
                    assert_ne!(msg.id, asked.id, "no call's id");
                    host.send(&Msg::new(Kind::HeartbeatAck, msg.id, "")).await;
                    own += 1;
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert!(acknowledged);
        host.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        client.silent().await;
        rig.settled().await;
        let codec = rig.registry.group::<RelayMetric>("codec", "toy");
        assert!(codec.get(RelayMetric::HeartbeatSent) >= 6);
        assert_eq!(rig.upstream(ClusterMetric::CxHeartbeatFail), 0);
    });
}

#[test]
fn a_host_that_answers_no_heartbeat_is_left() {
    run(async {
        let host = Host::bind();
        let setup =
            Setup::of(&[&host]).settings(|s| s.heartbeat_interval = Duration::from_millis(40));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        served.recv().await;
        let answer = client.recv().await;
        assert_eq!(answer.cause(), "ConnectionLost");
        for _ in 0..3 {
            assert_eq!(served.recv().await.kind, Kind::Heartbeat);
        }
        served.closed().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxHeartbeatFail), 1);
    });
}

#[test]
fn a_host_that_goes_away_gets_no_new_call_and_finishes_its_old_ones() {
    run(async {
        let (leaving, other) = (Host::bind(), Host::bind());
        let rig = Rig::start(Setup::of(&[&leaving, &other])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/old")).await;
        let mut served = leaving.accept().await;
        let old = served.recv().await;
        other.echo();
        served.send(&Msg::new(Kind::GoAway, 0, "")).await;
        eventually("the event arrives", || {
            rig.upstream(ClusterMetric::CxGoaway) == 1
        })
        .await;
        for id in 10..40 {
            assert_eq!(client.call(id, "a/new").await.text(), "re:a/new");
        }
        served.silent().await;
        assert!(!leaving.is_called().await, "the other host is preferred");
        served.send(&old.echo()).await;
        let answer = client.recv().await;
        assert_eq!((answer.id, answer.text()), (1, "re:a/old".into()));
        served.closed().await;
        rig.settled().await;
    });
}

#[test]
fn a_lone_host_that_goes_away_is_called_on_a_new_connection() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/old")).await;
        let mut served = host.accept().await;
        let old = served.recv().await;
        served.send(&Msg::new(Kind::GoAway, 0, "")).await;
        eventually("the event arrives", || {
            rig.upstream(ClusterMetric::CxGoaway) == 1
        })
        .await;
        client.send(&Msg::request(2, "a/new")).await;
        let mut next = host.accept().await;
        let new = next.recv().await;
        next.send(&new.echo()).await;
        assert_eq!(client.recv().await.id, 2);
        // Taken back: the connection is good again.
        served.send(&Msg::new(Kind::Resume, 0, "")).await;
        next.send(&Msg::new(Kind::GoAway, 0, "")).await;
        next.closed().await;
        client.send(&Msg::request(3, "a/resumed")).await;
        let resumed = served.recv().await;
        served.send(&resumed.echo()).await;
        served.send(&old.echo()).await;
        assert_eq!((client.recv().await.id, client.recv().await.id), (3, 1));
        rig.settled().await;
    });
}

#[test]
fn hosts_cannot_call_on_shared_connections() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut host = host.accept().await;
        let asked = host.recv().await;
        host.send(&Msg::request(asked.id, "a/callback")).await;
        host.send(&Msg::oneway(asked.id, "a/callback")).await;
        host.send(&Msg::request(9, "a/damaged").with_status(DAMAGED))
            .await;
        let refused = host.recv().await;
        assert_eq!((refused.id, refused.cause()), (asked.id, "NoRoute"));
        assert_eq!(host.recv().await.id, 9);
        host.silent().await;
        client.silent().await;
        host.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        rig.settled().await;
    });
}

#[test]
fn a_host_that_asks_for_ever_and_reads_nothing_is_bounded() {
    run(async {
        let host = Host::bind();
        let bound = 64 * 1024;
        let setup = Setup::of(&[&host]).settings(|s| s.unwritten_max = bound);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut host = host.accept().await;
        host.recv().await;
        let beat = Msg::new(Kind::Heartbeat, 5, "").to_bytes().repeat(1000);
        let callback = Msg::request(6, "a/callback").to_bytes().repeat(100);
        for _ in 0..600 {
            // It may be cut off, and need not be.
            if tokio::time::timeout(Duration::from_secs(5), async {
                tokio::io::AsyncWriteExt::write_all(&mut host.io, &beat).await?;
                tokio::io::AsyncWriteExt::write_all(&mut host.io, &callback).await
            })
            .await
            .is_ok_and(|written| written.is_err())
            {
                break;
            }
            let buffered = rig.worker.buffered();
            assert!(
                buffered < bound + (256 << 10),
                "{buffered} bytes for a host that reads none"
            );
        }
        drop(host);
        assert_eq!(client.recv().await.cause(), "ConnectionLost");
        rig.settled().await;
    });
}

#[test]
fn an_idle_connection_to_a_host_is_closed() {
    run(async {
        let host = Host::bind();
        let setup = Setup::of(&[&host]).settings(|s| s.idle_timeout = Duration::from_millis(100));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        sleep(Duration::from_millis(250)).await;
        served.send(&asked.echo()).await;
        assert_eq!(
            client.recv().await.id,
            1,
            "no idleness while a call is in flight"
        );
        served.closed().await;
        assert_eq!(rig.upstream(ClusterMetric::CxIdleTimeout), 1);
        host.echo();
        assert_eq!(client.call(2, "a/y").await.text(), "re:a/y");
        rig.settled().await;
    });
}

#[test]
fn a_broken_connection_gives_its_place_back_before_its_calls_look_for_another() {
    run(async {
        let (first, second) = (Host::bind(), Host::bind());
        let mut setup = Setup::of(&[&first]).settings(|s| {
            s.unwritten_max = usize::MAX;
            s.fill_bytes = usize::MAX;
        });
        let (narrow, address) = narrow_host();
        drop(first);
        setup.clusters[0].hosts = vec![address];
        setup.clusters[0].breakers = (u32::MAX, 1, u32::MAX);
        let mut both = Setup::of(&[&second]);
        both.clusters[0].hosts = vec![address, second.address];
        both.clusters[0].settings = setup.clusters[0].settings;
        both.clusters[0].breakers = setup.clusters[0].breakers;
        let mut rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        let body = [b"a/".as_slice(), &[b'x'; 1 << 20]].concat();
        for id in 0..16 {
            client.send(&Msg::request(id, body.clone())).await;
        }
        let (served, _) = narrow.accept().await.expect("the relay connects");
        sleep(Duration::from_millis(100)).await;
        // The first snapshot's calls stay with their one host; these have two.
        rig.publish(both);
        second.echo();
        let fresh = (16..32).map(|id| Msg::request(id, body.clone()));
        for msg in fresh {
            client.send(&msg).await;
        }
        sleep(Duration::from_millis(100)).await;
        drop((served, narrow));
        let mut causes = Vec::new();
        for _ in 0..32 {
            let answer = client.recv().await;
            if answer.id >= 16 {
                causes.push(match answer.status {
                    0 => "echo".to_owned(),
                    _ => answer.cause().to_owned(),
                });
            }
        }
        assert!(
            !causes.iter().any(|cause| cause == "ConnectFailed"),
            "{causes:?}"
        );
        let moved = rig.upstream(ClusterMetric::RqResent);
        assert!(moved > 0, "{causes:?}");
        assert!(causes.iter().any(|cause| cause == "echo"), "{causes:?}");
        rig.settled().await;
    });
}

#[test]
fn a_host_may_send_its_answers_octet_by_octet_and_half_close() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for id in 0..3 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        let mut served = host.accept().await;
        for _ in 0..2 {
            let asked = served.recv().await;
            for octet in asked.echo().to_bytes() {
                served.write(&[octet]).await;
                tokio::task::yield_now().await;
            }
        }
        let asked = served.recv().await;
        let Peer { mut io, .. } = served;
        let bytes = asked.echo().to_bytes();
        tokio::io::AsyncWriteExt::write_all(&mut io, &bytes)
            .await
            .expect("sent");
        tokio::io::AsyncWriteExt::shutdown(&mut io)
            .await
            .expect("half closed");
        for id in 0..3 {
            let answer = client.recv().await;
            assert_eq!((answer.id, answer.text()), (id, "re:a/x".into()));
        }
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqLocal), 0);
    });
}

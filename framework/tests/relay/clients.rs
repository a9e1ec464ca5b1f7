//! What clients do wrong, and that nobody else notices.

use std::time::Duration;

use crossdock_framework::{
    cluster::ClusterMetric, frame::Kind, relay::RelayMetric, snapshot::HttpMetric,
};
use tokio::{io::AsyncWriteExt, time::sleep};

use crate::{
    rig::{Host, Peer, Rig, Setup, echo, eventually, run},
    toy::{DAMAGED, Msg, Toy},
};

#[test]
fn equal_ids_of_two_clients_are_told_apart_on_one_connection() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(rig.client().await);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            for id in 0..4 {
                client
                    .send(&Msg::request(id, format!("a/{number}/{id}")))
                    .await;
            }
        }
        let mut served = host.accept().await;
        let mut asked = Vec::new();
        for _ in 0..32 {
            asked.push(served.recv().await);
        }
        fastrand::Rng::with_seed(3).shuffle(&mut asked);
        for msg in asked {
            served.send(&msg.echo()).await;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let mut ids = Vec::new();
            for _ in 0..4 {
                let answer = client.recv().await;
                assert_eq!(answer.text(), format!("re:a/{number}/{}", answer.id));
                ids.push(answer.id);
            }
            ids.sort_unstable();
            assert_eq!(ids, [0, 1, 2, 3]);
        }
        assert!(!host.is_called().await, "one connection carries them all");
        rig.settled().await;
    });
}

#[test]
fn two_calls_under_one_id_are_both_answered() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(5, "a/one")).await;
        client.send(&Msg::request(5, "a/two")).await;
        spawn_echo(&host).await;
        let mut texts = [client.recv().await, client.recv().await].map(|answer| {
            assert_eq!(answer.id, 5);
            answer.text()
        });
        texts.sort();
        assert_eq!(texts, ["re:a/one", "re:a/two"]);
        rig.settled().await;
    });
}

async fn spawn_echo(host: &Host) {
    crossdock_framework::worker::spawn(echo(host.accept().await));
}

#[test]
fn ids_of_eight_bits_wrap_under_load() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<Toy<8>>(Setup::of(&[&host])).await;
        host.echo();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(rig.client().await);
        }
        for round in 0..500_u64 {
            for (number, client) in clients.iter_mut().enumerate() {
                for call in 0..5 {
                    client
                        .send(&Msg::request(call, format!("a/{number}/{round}/{call}")))
                        .await;
                }
            }
            for (number, client) in clients.iter_mut().enumerate() {
                for _ in 0..5 {
                    let answer = client.recv().await;
                    assert_eq!(
                        answer.text(),
                        format!("re:a/{number}/{round}/{}", answer.id)
                    );
                }
            }
        }
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqTotal), 10_000);
        assert_eq!(rig.upstream(ClusterMetric::RqUnmatched), 0);
    });
}

#[test]
fn more_calls_than_ids_are_refused_and_nothing_else() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<Toy<8>>(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for id in 0..100 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        let mut refused = 0;
        while rig.http(HttpMetric::RqCompleted) < 69 || refused < 69 {
            assert_eq!(client.recv().await.cause(), "Overload");
            refused += 1;
        }
        spawn_echo(&host).await;
        for _ in 0..31 {
            assert_eq!(client.recv().await.text(), "re:a/x");
        }
        client.silent().await;
        rig.settled().await;
        let codec = rig.registry.group::<RelayMetric>("codec", "toy");
        assert_eq!(codec.get(RelayMetric::TableFull), 69);
    });
}

#[test]
fn pipelined_clients_that_leave_hurt_nobody() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        host.echo();
        let mut stays = rig.client().await;
        for round in 0..60 {
            let mut clients = Vec::new();
            for _ in 0..16 {
                let mut client = rig.client().await;
                for id in 0..16 {
                    client.send(&Msg::request(id, "a/leaving")).await;
                }
                clients.push(client);
            }
            if round % 3 == 0 {
                // Not even a clean end.
                for client in &clients {
                    socket2::SockRef::from(&client.io)
                        .set_linger(Some(Duration::ZERO))
                        .expect("a TCP socket");
                }
            }
            drop(clients);
            assert_eq!(stays.call(round, "a/stays").await.text(), "re:a/stays");
        }
        drop(stays);
        rig.deserted().await;
        assert!(rig.upstream(ClusterMetric::CxTotal) <= 4);
        assert_eq!(rig.upstream(ClusterMetric::RqUnmatched), 0);
    });
}

#[test]
fn answers_for_a_client_that_left_are_dropped() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut leaves = rig.client().await;
        leaves.send(&Msg::request(1, "a/leaves")).await;
        let mut served = host.accept().await;
        let orphan = served.recv().await;
        socket2::SockRef::from(&leaves.io)
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket");
        drop(leaves);
        eventually("the client is gone", || rig.http(HttpMetric::CxActive) == 0).await;
        let mut stays = rig.client().await;
        stays.send(&Msg::request(1, "a/stays")).await;
        let asked = served.recv().await;
        served.send(&orphan.answer("for nobody")).await;
        served.send(&asked.echo()).await;
        assert_eq!(stays.recv().await.text(), "re:a/stays");
        stays.silent().await;
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqOrphaned), 1);
    });
}

#[test]
fn a_client_that_only_stops_sending_still_gets_its_answers() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for id in 0..3 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        client.send(&Msg::oneway(3, "a/x")).await;
        client.io.shutdown().await.expect("half closed");
        sleep(Duration::from_millis(50)).await;
        spawn_echo(&host).await;
        for _ in 0..3 {
            assert_eq!(client.recv().await.text(), "re:a/x");
        }
        client.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn one_way_calls_are_sent_and_never_answered() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for id in 0..100 {
            client.send(&Msg::oneway(id, format!("a/{id}"))).await;
            client.send(&Msg::oneway(id, "nowhere/x")).await;
            client
                .send(&Msg::oneway(id, "a/x").with_status(DAMAGED))
                .await;
        }
        let mut served = host.accept().await;
        for id in 0..100 {
            let got = served.recv().await;
            assert_eq!((got.kind, got.text()), (Kind::Oneway, format!("a/{id}")));
            // A host that answers all the same.
            served.send(&got.echo()).await;
        }
        client.silent().await;
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqOneway), 300);
        assert_eq!(rig.upstream(ClusterMetric::RqUnmatched), 100);
    });
}

#[test]
fn one_bad_request_among_a_hundred_costs_one_call() {
    run(async {
        let host = Host::bind();
        let limit = 4096;
        let rig = Rig::start(Setup::of(&[&host]).limits(|l| l.frame = limit)).await;
        host.echo();
        let mut client = rig.client().await;
        for id in 0..100 {
            let request = Msg::request(id, format!("a/{id}"));
            let request = match id {
                25 => request.with_status(DAMAGED),
                50 => Msg::request(id, vec![b'x'; 3 * limit]),
                75 => Msg::request(id, "nowhere/x"),
                _ => request,
            };
            client.send(&request).await;
        }
        for _ in 0..100 {
            let answer = client.recv().await;
            match answer.id {
                25 => assert_eq!(answer.cause(), "BadRequest"),
                50 => assert_eq!(answer.cause(), "RequestTooLarge"),
                75 => assert_eq!(answer.cause(), "NoRoute"),
                id => assert_eq!(answer.text(), format!("re:a/{id}")),
            }
        }
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqTooLarge), 1);
        assert_eq!(rig.http(HttpMetric::NoRoute), 1);
    });
}

#[test]
fn a_client_that_speaks_another_protocol_is_left_and_nobody_else() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let (mut strange, mut client) = (rig.client().await, rig.client().await);
        strange.send(&Msg::request(1, "a/before")).await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        let mut asked = [served.recv().await, served.recv().await];
        asked.sort_by_key(|msg| msg.text());
        strange.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        strange.closed().await;
        for msg in asked {
            served.send(&msg.echo()).await;
        }
        assert_eq!(client.recv().await.text(), "re:a/x");
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::CxProtocolError), 1);
        assert_eq!(rig.http(HttpMetric::RqOrphaned), 1);
    });
}

#[test]
fn heartbeats_are_answered_here_and_messages_without_sense_are_ignored() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for kind in [
            Kind::Response,
            Kind::HeartbeatAck,
            Kind::GoAway,
            Kind::Resume,
            Kind::Event,
        ] {
            client.send(&Msg::new(kind, 1, "a/x")).await;
        }
        for id in 0..1000 {
            client.send(&Msg::new(Kind::Heartbeat, id, "")).await;
        }
        for id in 0..1000 {
            let ack = client.recv().await;
            assert_eq!((ack.kind, ack.id), (Kind::HeartbeatAck, id));
        }
        assert!(!host.is_called().await, "no host hears of it");
        let codec = rig.registry.group::<RelayMetric>("codec", "toy");
        assert_eq!(codec.get(RelayMetric::HeartbeatReceived), 1000);
        assert_eq!(codec.get(RelayMetric::Stray), 1);
        rig.settled().await;
    });
}

#[test]
fn a_client_that_never_reads_is_stopped_and_dropped_and_others_go_on() {
    run(async {
        let host = Host::bind();
        let setup = Setup::of(&[&host]).limits(|l| {
            l.unread_soft = 64 * 1024;
            l.unread_hard = 64 << 20;
            l.stall_timeout = Duration::from_millis(400);
        });
        let rig = Rig::start(setup).await;
        let mut deaf = rig.client().await;
        socket2::SockRef::from(&deaf.io)
            .set_recv_buffer_size(4096)
            .expect("a TCP socket");
        let mut client = rig.client().await;
        client.send(&Msg::request(0, "a/x")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.id, 0);
        crossdock_framework::worker::spawn(async move {
            while let Some(asked) = served.next().await {
                let answer = match asked.body.starts_with(b"a/large") {
                    true => asked.answer(vec![b'x'; 1 << 20]),
                    false => asked.echo(),
                };
                if served.io.write_all(&answer.to_bytes()).await.is_err() {
                    return;
                }
            }
        });
        for id in 0..16 {
            deaf.send(&Msg::request(id, "a/large")).await;
        }
        eventually("the deaf client is dropped", || {
            rig.http(HttpMetric::CxActive) == 1
        })
        .await;
        for id in 1..50 {
            assert_eq!(client.call(id, "a/x").await.text(), "re:a/x");
        }
        assert_eq!(rig.http(HttpMetric::CxSlow), 1);
        assert!(rig.http(HttpMetric::CxPaused) >= 1);
        rig.settled().await;
    });
}

#[test]
fn unread_answers_beyond_the_hard_limit_drop_the_client_at_once() {
    run(async {
        let host = Host::bind();
        let setup = Setup::of(&[&host]).limits(|l| {
            l.unread_soft = 64 * 1024;
            l.unread_hard = 1 << 20;
        });
        let rig = Rig::start(setup).await;
        let mut deaf = rig.client().await;
        socket2::SockRef::from(&deaf.io)
            .set_recv_buffer_size(4096)
            .expect("a TCP socket");
        for id in 0..32 {
            deaf.send(&Msg::request(id, "a/large")).await;
        }
        let mut served = host.accept().await;
        let mut most = 0;
        for _ in 0..32 {
            let asked = served.recv().await;
            served.send(&asked.answer(vec![b'x'; 512 * 1024])).await;
            most = most.max(rig.worker.buffered());
        }
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxSlow), 1);
        assert!(most < 4 << 20, "{most} bytes were buffered");
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        let Peer { io, .. } = client;
        drop(io);
        rig.deserted().await;
    });
}

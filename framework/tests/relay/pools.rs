//! How calls share upstream connections, in each kind of pool.

use std::time::Duration;

use crossdock_framework::{
    cluster::ClusterMetric, frame::Kind, snapshot::HttpMetric, worker::spawn,
};
use tokio::time::{sleep, timeout};

use crate::{
    rig::{ClusterSetup, Host, Peer, Rig, Setup, echo, eventually, run},
    toy::{BINDING, DAMAGED, Msg, PING_PONG, Toy},
};

type PingPong = Toy<64, PING_PONG>;
type Bound = Toy<64, BINDING>;

#[test]
fn one_connection_is_filled_before_the_next_is_opened() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).settings(|s| {
            s.fill_calls = 10;
            s.connections_per_host = 2;
        }))
        .await;
        let mut client = rig.client().await;
        for id in 0..10 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        let first = host.accept().await;
        eventually("all are sent", || {
            rig.upstream(ClusterMetric::RqTotal) == 10
        })
        .await;
        assert!(!host.is_called().await, "one is enough for ten");
        for id in 10..40 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        let second = host.accept().await;
        eventually("all are sent", || {
            rig.upstream(ClusterMetric::RqTotal) == 40
        })
        .await;
        assert!(!host.is_called().await, "no more than two");
        spawn(echo(first));
        spawn(echo(second));
        sleep(Duration::from_millis(20)).await;
        drop(client);
        rig.deserted().await;
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 2);
    });
}

#[test]
fn a_connection_with_many_bytes_to_write_is_full_too() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).settings(|s| {
            s.fill_bytes = 64 * 1024;
            s.connections_per_host = 2;
            s.unwritten_max = 8 << 20;
        }))
        .await;
        let mut client = rig.client().await;
        let body = [b"a/".as_slice(), &[b'x'; 1 << 20]].concat();
        client.send(&Msg::request(0, "a/x")).await;
        let first = host.accept().await;
        for id in 1..60 {
            client.send(&Msg::request(id, body.clone())).await;
        }
        let second = host.accept().await;
        // Neither reads: what does not fit is refused, and counted.
        let mut refused = 0;
        while let Ok(answer) = timeout(Duration::from_millis(300), client.next()).await {
            assert_eq!(answer.expect("open").cause(), "Overload");
            refused += 1;
        }
        assert!((1..59).contains(&refused), "{refused} refused");
        assert!(rig.worker.buffered() < 60 << 20);
        spawn(echo(first));
        spawn(echo(second));
        for _ in 0..60 - refused {
            assert_eq!(client.recv().await.status, 0);
        }
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqOverload), refused);
    });
}

#[test]
fn dialects_never_share_a_connection() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for id in 0..6 {
            let variant = (id % 2) as u8;
            client
                .send(&Msg::request(id, "a/x").with_variant(variant))
                .await;
        }
        for _ in 0..2 {
            let mut served = host.accept().await;
            let asked = served.recv().await;
            for _ in 0..2 {
                let next = served.recv().await;
                assert_eq!(next.variant, asked.variant);
                served.send(&next.echo()).await;
            }
            served.send(&asked.echo()).await;
            spawn(echo(served));
        }
        for _ in 0..6 {
            assert_eq!(client.recv().await.text(), "re:a/x");
        }
        rig.settled().await;
    });
}

#[test]
fn breakers_refuse_what_is_too_much() {
    run(async {
        let host = Host::bind();
        let mut calls = ClusterSetup::new("a", &[&host]);
        calls.breakers = (3, u32::MAX, u32::MAX);
        let mut pending = ClusterSetup::new("b", &[&host]);
        pending.breakers = (u32::MAX, u32::MAX, 2);
        let rig = Rig::start(Setup::with(vec![calls, pending])).await;
        let mut client = rig.client().await;
        for (service, refused) in [("a", 3), ("b", 4)] {
            let burst: Vec<u8> = (0..6)
                .flat_map(|id| Msg::request(id, format!("{service}/x")).to_bytes())
                .collect();
            client.write(&burst).await;
            for _ in 0..refused {
                assert_eq!(client.recv().await.cause(), "Overload", "{service}");
            }
            client.silent().await;
        }
        host.echo();
        for _ in 0..3 + 2 {
            assert_eq!(client.recv().await.status, 0);
        }
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqActiveOverflow), 3);
    });
}

#[test]
fn each_host_has_one_connection_whatever_the_breaker_says_and_no_more() {
    run(async {
        let hosts = [Host::bind(), Host::bind(), Host::bind()];
        let all: Vec<&Host> = hosts.iter().collect();
        let mut setup = Setup::of(&all).settings(|s| s.fill_calls = 1);
        setup.clusters[0].breakers = (u32::MAX, 2, u32::MAX);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        for id in 0..30 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        eventually("all are sent", || {
            rig.upstream(ClusterMetric::RqTotal) == 30
        })
        .await;
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 3);
        assert!(rig.upstream(ClusterMetric::CxOverflow) >= 1);
        for host in hosts {
            host.echo();
        }
        for _ in 0..30 {
            assert_eq!(client.recv().await.status, 0);
        }
        rig.settled().await;
    });
}

#[test]
fn ping_pong_calls_wait_in_line_where_the_breaker_allows_no_connection() {
    run(async {
        let host = Host::bind();
        let mut setup = ping_pong(&host, 4);
        setup.clusters[0].breakers = (u32::MAX, 1, u32::MAX);
        let rig = Rig::start_as::<PingPong>(setup).await;
        let mut client = rig.client().await;
        for id in 0..5 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        host.echo();
        for id in 0..5 {
            assert_eq!(client.recv().await.id, id);
        }
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 1);
    });
}

/// Takes the next request of a connection and answers it.
async fn serve_one(peer: &mut Peer) -> Msg {
    let asked = peer.recv().await;
    peer.send(&asked.echo()).await;
    asked
}

fn ping_pong(host: &Host, connections: u32) -> Setup {
    Setup::of(&[host]).settings(|s| s.connections_per_host = connections)
}

#[test]
fn a_ping_pong_connection_has_one_call_at_a_time() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<PingPong>(ping_pong(&host, 2)).await;
        let mut client = rig.client().await;
        for id in 0..20 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        let (mut one, mut two) = (host.accept().await, host.accept().await);
        let (first, second) = (one.recv().await, two.recv().await);
        one.silent().await;
        two.silent().await;
        one.send(&first.echo()).await;
        two.send(&second.echo()).await;
        for _ in 0..9 {
            serve_one(&mut one).await;
            serve_one(&mut two).await;
        }
        let mut ids: Vec<u64> = Vec::new();
        for _ in 0..20 {
            ids.push(client.recv().await.id);
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..20).collect::<Vec<_>>());
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 2);
    });
}

#[test]
fn the_line_for_a_ping_pong_connection_moves_whatever_ends_a_call() {
    run(async {
        let host = Host::bind();
        let setup = ping_pong(&host, 1).limits(|l| l.frame = 1000);
        let rig = Rig::start_as::<PingPong>(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/damaged")).await;
        client.send(&Msg::request(2, "a/long")).await;
        client.send(&Msg::oneway(3, "a/oneway")).await;
        client.send(&Msg::oneway(4, "a/oneway")).await;
        client
            .send(&Msg::request(5, "a/late").with_timeout(150))
            .await;
        client.send(&Msg::request(6, "a/last")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        served.send(&asked.echo().with_status(DAMAGED)).await;
        assert_eq!(client.recv().await.cause(), "BadResponse");
        let asked = served.recv().await;
        served.send(&asked.answer(vec![b'x'; 2000])).await;
        assert_eq!(client.recv().await.cause(), "ResponseTooLarge");
        for _ in 0..2 {
            assert_eq!(served.recv().await.kind, Kind::Oneway);
        }
        let late = served.recv().await;
        assert_eq!(late.text(), "a/late");
        assert_eq!(client.recv().await.cause(), "Timeout");
        // A late answer must not meet the next call, so the connection is given up.
        served.closed().await;
        let mut next = host.accept().await;
        assert_eq!(serve_one(&mut next).await.text(), "a/last");
        assert_eq!(client.recv().await.text(), "re:a/last");
        rig.settled().await;
    });
}

#[test]
fn the_line_for_ping_pong_connections_has_an_end() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<PingPong>(ping_pong(&host, 1)).await;
        let mut client = rig.client().await;
        for id in 0..1030 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        for id in 1025..1030 {
            let answer = client.recv().await;
            assert_eq!((answer.id, answer.cause()), (id, "Overload"));
        }
        host.echo();
        for id in 0..1025 {
            assert_eq!(client.recv().await.id, id);
        }
        rig.settled().await;
    });
}

#[test]
fn connections_that_finish_their_last_calls_are_bounded() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host]).settings(|s| s.connections_per_host = 1)).await;
        let mut client = rig.client().await;
        let mut leaving = Vec::new();
        for id in 0..4 {
            client.send(&Msg::request(id, "a/x")).await;
            let mut served = host.accept().await;
            let asked = served.recv().await;
            served.send(&Msg::new(Kind::GoAway, 0, "")).await;
            eventually("the event arrives", || {
                rig.upstream(ClusterMetric::CxGoaway) == id + 1
            })
            .await;
            leaving.push((served, asked));
        }
        assert_eq!(client.call(4, "a/x").await.cause(), "Overload");
        for (served, asked) in &mut leaving {
            served.send(&asked.echo()).await;
            assert_eq!(client.recv().await.text(), "re:a/x");
        }
        eventually("they close", || rig.upstream(ClusterMetric::CxActive) == 0).await;
        host.echo();
        assert_eq!(client.call(5, "a/x").await.text(), "re:a/x");
        rig.settled().await;
    });
}

#[test]
fn hosts_that_refuse_or_leave_are_avoided_for_a_time() {
    run(async {
        let (absent, leaving) = (Host::absent(), Host::bind());
        let rig = Rig::start(Setup::of(&[&absent, &leaving])).await;
        let mut client = rig.client().await;
        let avoided = |host: &Host, after: u64| {
            let state = rig.state(host.address);
            state.avoided(rig.worker.now().ms() + after)
        };
        client.send(&Msg::request(0, "a/x")).await;
        let mut served = leaving.accept().await;
        let asked = served.recv().await;
        while rig.upstream(ClusterMetric::CxConnectFail) == 0 {
            client.send(&Msg::oneway(0, "a/x")).await;
            sleep(Duration::from_millis(5)).await;
        }
        assert!(avoided(&absent, 0) && !avoided(&absent, 500));
        assert!(!avoided(&leaving, 0));
        served.send(&Msg::new(Kind::GoAway, 0, "")).await;
        eventually("the event arrives", || {
            rig.upstream(ClusterMetric::CxGoaway) == 1
        })
        .await;
        assert!(avoided(&leaving, 9_000) && !avoided(&leaving, 10_000));
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        rig.settled().await;
    });
}

#[test]
fn calls_in_line_survive_the_connection_that_they_do_not_have() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<PingPong>(ping_pong(&host, 2)).await;
        let mut client = rig.client().await;
        for id in 0..6 {
            client.send(&Msg::request(id, format!("a/{id}"))).await;
        }
        let (mut one, mut two) = (host.accept().await, host.accept().await);
        one.recv().await;
        drop(one);
        let lost = client.recv().await;
        assert_eq!(lost.cause(), "ConnectionLost");
        let third = host.accept().await;
        spawn(echo(third));
        let mut ids = Vec::new();
        for _ in 0..4 {
            let answer = client.recv().await;
            assert_eq!(answer.status, 0, "those in line had not been sent");
            ids.push(answer.id);
        }
        assert!(!ids.contains(&lost.id));
        let asked = two.recv().await;
        two.send(&asked.echo()).await;
        assert_eq!(client.recv().await.status, 0);
        rig.settled().await;
    });
}

#[test]
fn a_ping_pong_call_that_times_out_before_its_connection_is_open_frees_it() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<PingPong>(ping_pong(&host, 1)).await;
        let mut client = rig.client().await;
        // One turn: the second stands in line behind the first, who leaves before the connection is there.
        let burst = [
            Msg::oneway(1, "a/first").to_bytes(),
            Msg::request(2, "a/second").to_bytes(),
        ];
        client.write(&burst.concat()).await;
        let mut served = host.accept().await;
        assert_eq!(served.recv().await.kind, Kind::Oneway);
        assert_eq!(serve_one(&mut served).await.text(), "a/second");
        assert_eq!(client.recv().await.text(), "re:a/second");
        rig.settled().await;
    });
}

#[test]
fn a_bound_connection_belongs_to_one_client_and_carries_both_directions() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<Bound>(Setup::of(&[&host])).await;
        let (mut one, mut two) = (rig.client().await, rig.client().await);
        one.send(&Msg::request(1, "a/one")).await;
        let mut for_one = host.accept().await;
        two.send(&Msg::request(1, "a/two")).await;
        let mut for_two = host.accept().await;
        for (served, client, text) in [
            (&mut for_one, &mut one, "re:a/one"),
            (&mut for_two, &mut two, "re:a/two"),
        ] {
            serve_one(served).await;
            assert_eq!(client.recv().await.text(), text);
            // The host calls back, and is answered by the client.
            served.send(&Msg::request(9, "callback")).await;
            let asked = client.recv().await;
            assert_eq!(
                (asked.kind, asked.id, asked.text()),
                (Kind::Request, 9, "callback".into())
            );
            client.send(&asked.answer("called back")).await;
            let answer = served.recv().await;
            assert_eq!(
                (answer.kind, answer.id, answer.text()),
                (Kind::Response, 9, "called back".into())
            );
        }
        assert!(!host.is_called().await);
        drop(one);
        for_one.closed().await;
        two.send(&Msg::request(2, "a/two")).await;
        serve_one(&mut for_two).await;
        assert_eq!(two.recv().await.id, 2);
        drop(for_two);
        two.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn a_bound_connection_that_breaks_fails_its_calls_and_closes_its_client() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<Bound>(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        client.send(&Msg::request(2, "a/x")).await;
        let mut served = host.accept().await;
        served.recv().await;
        served.recv().await;
        drop(served);
        for _ in 0..2 {
            assert_eq!(client.recv().await.cause(), "ConnectionLost");
        }
        client.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn a_bound_client_finds_another_host_when_the_first_refuses() {
    run(async {
        let (absent, host) = (Host::absent(), Host::bind());
        let rig = Rig::start_as::<Bound>(Setup::of(&[&absent, &host])).await;
        host.echo();
        for _ in 0..4 {
            let mut client = rig.client().await;
            for id in 0..4 {
                client.send(&Msg::request(id, "a/x")).await;
            }
            for _ in 0..4 {
                assert_eq!(client.recv().await.text(), "re:a/x");
            }
        }
        rig.deserted().await;
        eventually("bound connections close with their clients", || {
            rig.upstream(ClusterMetric::CxActive) == 0
        })
        .await;
    });
}

#[test]
fn a_bound_host_that_goes_away_tells_its_client_and_finishes() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start_as::<Bound>(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        served.send(&Msg::new(Kind::GoAway, 0, "")).await;
        assert_eq!(client.recv().await.kind, Kind::GoAway);
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.id, 1);
        // A client that calls all the same is served: there is no other connection for it.
        client.send(&Msg::request(2, "a/x")).await;
        serve_one(&mut served).await;
        assert_eq!(client.recv().await.id, 2);
        drop(client);
        served.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn bound_calls_to_two_clusters_keep_the_books_of_both() {
    run(async {
        let host = Host::bind();
        let clusters = vec![
            ClusterSetup::new("a", &[&host]),
            ClusterSetup::new("b", &[&host]),
        ];
        let rig = Rig::start_as::<Bound>(Setup::with(clusters)).await;
        let mut client = rig.client().await;
        let burst = [
            Msg::request(1, "a/x").to_bytes(),
            Msg::request(2, "b/x").to_bytes(),
        ];
        client.write(&burst.concat()).await;
        let mut served = host.accept().await;
        for _ in 0..2 {
            serve_one(&mut served).await;
            client.recv().await;
        }
        rig.settled().await;
    });
}

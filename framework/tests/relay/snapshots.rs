//! Configuration that changes under calls in flight, and drains.

use std::time::Duration;

use crossdock_framework::{
    cluster::ClusterMetric,
    frame::Kind,
    snapshot::HttpMetric,
    worker::{DrainScope, spawn},
};
use tokio::time::sleep;

use crate::{
    rig::{Host, Rig, Setup, echo, eventually, run},
    toy::Msg,
};

#[test]
fn calls_in_flight_keep_their_snapshot_and_new_ones_have_the_new() {
    run(async {
        let (old, new) = (Host::bind(), Host::bind());
        let mut rig = Rig::start(Setup::of(&[&old])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/old")).await;
        let mut served = old.accept().await;
        let asked = served.recv().await;
        rig.publish(Setup::of(&[&new]));
        client.send(&Msg::request(2, "a/new")).await;
        spawn(echo(new.accept().await));
        assert_eq!(client.recv().await.id, 2);
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/old");
        rig.publish(Setup::with(Vec::new()));
        assert_eq!(client.call(3, "a/none").await.cause(), "NoRoute");
        rig.settled().await;
    });
}

#[test]
fn a_swap_every_few_milliseconds_loses_no_call() {
    run(async {
        let hosts = [Host::bind(), Host::bind(), Host::bind()];
        let all: Vec<&Host> = hosts.iter().collect();
        let mut rig = Rig::start(Setup::of(&all)).await;
        let addresses = hosts.each_ref().map(|host| host.address);
        for host in hosts {
            host.echo();
        }
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(rig.client().await);
        }
        let calls = spawn_calls(clients);
        for round in 0..100_u32 {
            let mut setup = Setup::with(Vec::new());
            let mut cluster = crate::rig::ClusterSetup::new("a", &[]);
            let kept = addresses.iter().enumerate();
            cluster.hosts = kept
                .filter(|(at, _)| *at != round as usize % 3)
                .map(|(_, address)| *address)
                .collect();
            // Breakers come and go as well.
            cluster.breakers = (u32::MAX - round % 2, u32::MAX, u32::MAX);
            setup.clusters.push(cluster);
            rig.publish(setup);
            sleep(Duration::from_millis(3)).await;
        }
        calls.set(true);
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::Rq5xx), 0);
        assert_eq!(rig.http(HttpMetric::RqLocal), 0);
        assert!(rig.upstream(ClusterMetric::RqTotal) > 1000);
    });
}

/// Each client calls for as long as the cell says no; then it leaves.
fn spawn_calls(clients: Vec<crate::rig::Peer>) -> std::rc::Rc<std::cell::Cell<bool>> {
    let stop = std::rc::Rc::new(std::cell::Cell::new(false));
    for mut client in clients {
        let stop = stop.clone();
        spawn(async move {
            let mut id = 0;
            while !stop.get() {
                for _ in 0..8 {
                    client.send(&Msg::request(id, format!("a/{id}"))).await;
                    id += 1;
                }
                for _ in 0..8 {
                    let answer = client.recv().await;
                    assert_eq!(answer.text(), format!("re:a/{}", answer.id));
                }
            }
        });
    }
    stop
}

#[test]
fn connections_to_hosts_that_are_no_longer_configured_close_after_their_calls() {
    run(async {
        let (gone, stays) = (Host::bind(), Host::bind());
        let soon = Duration::from_millis(80);
        let setup = |hosts: &[&Host]| Setup::of(hosts).settings(|s| s.heartbeat_interval = soon);
        let mut rig = Rig::start(setup(&[&gone, &stays])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        client.send(&Msg::request(2, "a/x")).await;
        let (mut gone_link, mut stays_link) = (gone.accept().await, stays.accept().await);
        let (last, other) = (gone_link.recv().await, stays_link.recv().await);
        stays_link.send(&other.echo()).await;
        client.recv().await;
        rig.publish(setup(&[&stays]));
        spawn(echo(stays_link));
        // Heartbeats are answered; the one call is not, yet.
        for _ in 0..5 {
            let beat = gone_link.recv().await;
            let ack = Msg::new(Kind::HeartbeatAck, beat.id, "");
            gone_link.send(&ack).await;
        }
        let open = rig.upstream(ClusterMetric::CxActive);
        assert_eq!(open, 2, "it has a call still");
        gone_link.send(&last.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        spawn(echo(gone_link));
        eventually("it is closed", || {
            rig.upstream(ClusterMetric::CxActive) == 1
        })
        .await;
        assert_eq!(client.call(3, "a/x").await.text(), "re:a/x");
        rig.settled().await;
    });
}

#[test]
fn a_connection_whose_policy_is_gone_still_gets_answers() {
    run(async {
        let host = Host::bind();
        let mut rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        let mut setup = Setup::of(&[&host]);
        setup.policy = None;
        rig.publish(setup);
        client.send(&Msg::request(2, "a/x")).await;
        let refused = client.recv().await;
        assert_eq!((refused.id, refused.cause()), (2, "NoRoute"));
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.id, 1);
        rig.settled().await;
    });
}

#[test]
fn a_renamed_policy_leaves_no_gauge_behind() {
    run(async {
        let host = Host::bind();
        let mut rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        let mut setup = Setup::of(&[&host]);
        setup.policy = Some("renamed");
        rig.publish(setup);
        spawn(async move { echo(host.accept().await).await });
        assert_eq!(client.call(1, "a/x").await.text(), "re:a/x");
        rig.settled().await;
        let renamed = rig.registry.group::<HttpMetric>("http", "renamed");
        assert_eq!(renamed.get(HttpMetric::RqActive), 0);
    });
}

#[test]
fn a_drain_closes_each_connection_in_a_quiet_moment() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let (mut idle, mut busy, mut fresh) =
            (rig.client().await, rig.client().await, rig.client().await);
        busy.send(&Msg::request(1, "a/slow")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        idle.send(&Msg::request(1, "a/x")).await;
        let other = served.recv().await;
        served.send(&other.echo()).await;
        assert_eq!(idle.recv().await.id, 1);
        rig.worker
            .begin_drain(Duration::from_secs(30), DrainScope::All);
        idle.closed().await;
        fresh.closed().await;
        // Longer than a quiet moment takes: the call in flight keeps its connection.
        sleep(Duration::from_millis(500)).await;
        served.send(&asked.echo()).await;
        assert_eq!(busy.recv().await.text(), "re:a/slow");
        // Its answer was a moment ago: the caller may have its next call on the way.
        busy.send(&Msg::request(2, "a/next")).await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(busy.recv().await.text(), "re:a/next");
        busy.closed().await;
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxDrained), 3);
    });
}

#[test]
fn a_drain_is_announced_only_where_that_is_configured() {
    run(async {
        for announce in [false, true] {
            let host = Host::bind();
            let setup = Setup::of(&[&host]).limits(|l| l.goaway_on_drain = announce);
            let rig = Rig::start(setup).await;
            let mut client = rig.client().await;
            client.send(&Msg::request(1, "a/x").with_variant(3)).await;
            let mut served = host.accept().await;
            let asked = served.recv().await;
            rig.worker
                .begin_drain(Duration::from_secs(30), DrainScope::All);
            if announce {
                let told = client.recv().await;
                assert_eq!((told.kind, told.variant), (Kind::GoAway, 3));
                assert_ne!(told.id, 1);
            }
            served.send(&asked.echo()).await;
            assert_eq!(client.recv().await.id, 1);
            client.closed().await;
            rig.deserted().await;
        }
    });
}

#[test]
fn late_in_a_drain_any_moment_without_calls_is_quiet_enough() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        host.echo();
        let mut client = rig.client().await;
        client.call(0, "a/x").await;
        rig.worker
            .begin_drain(Duration::from_millis(1500), DrainScope::All);
        let mut id = 1;
        let began = rig.worker.drain().expect("just begun").began;
        // Never silent for long, unless this machine lets the test itself wait.
        let (mut closed, mut rested, mut last) = (false, false, began);
        while !closed {
            let bytes = Msg::request(id, "a/x").to_bytes();
            let sent = tokio::io::AsyncWriteExt::write_all(&mut client.io, &bytes).await;
            closed = sent.is_err() || client.next().await.is_none();
            id += 1;
            assert!(id < 1000, "it is closed before the drain ends");
            sleep(Duration::from_millis(20)).await;
            let now = rig.worker.tick();
            rested |= now.since(last) >= Duration::from_millis(150);
            last = now;
        }
        let late = last.since(began) >= Duration::from_millis(1200);
        assert!(late || rested, "not at the beginning of the drain");
        eventually("it is counted", || rig.http(HttpMetric::CxActive) == 0).await;
        rig.deserted().await;
    });
}

//! One filter chain drains while the others go on, and hosts that are no longer configured.

use std::time::Duration;

use crossdock_framework::{
    cluster::ClusterMetric, drain::ChainDrain, snapshot::HttpMetric, worker::spawn,
};
use tokio::time::sleep;

use crate::{
    rig::{Host, Rig, Setup, echo, eventually, run},
    toy::Msg,
};

#[test]
fn a_chain_drains_and_the_connections_of_another_stay() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let (mut idle, mut busy) = (rig.client().await, rig.client().await);
        busy.send(&Msg::request(1, "a/slow")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        idle.send(&Msg::request(1, "a/x")).await;
        let other = served.recv().await;
        served.send(&other.echo()).await;
        assert_eq!(idle.recv().await.id, 1);
        let old = rig.chain.replace(ChainDrain::new(false));
        let mut stays = rig.client().await;
        stays.send(&Msg::request(1, "a/x")).await;
        let other = served.recv().await;
        served.send(&other.echo()).await;
        assert_eq!(stays.recv().await.id, 1);
        old.begin(Duration::from_secs(30));
        rig.worker.tell_drains();
        idle.closed().await;
        sleep(Duration::from_millis(400)).await;
        served.send(&asked.echo()).await;
        assert_eq!(busy.recv().await.text(), "re:a/slow");
        busy.closed().await;
        spawn(echo(served));
        assert_eq!(stays.call(2, "a/x").await.text(), "re:a/x");
        assert_eq!(rig.http(HttpMetric::CxDrained), 2);
        assert_eq!(rig.http(HttpMetric::CxActive), 1);
        drop(stays);
        rig.deserted().await;
    });
}

#[test]
fn a_connection_that_comes_to_a_chain_in_drain_is_told_without_another_word() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        host.echo();
        rig.chain.borrow().begin(Duration::from_secs(30));
        let mut late = rig.client().await;
        assert_eq!(late.call(1, "a/x").await.text(), "re:a/x");
        late.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn a_call_does_not_keep_a_connection_beyond_the_drain_of_its_chain() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut busy = rig.client().await;
        busy.send(&Msg::request(1, "a/never")).await;
        let mut served = host.accept().await;
        let asked = served.recv().await;
        rig.chain.borrow().begin(Duration::from_millis(100));
        rig.worker.tell_drains();
        busy.closed().await;
        served.send(&asked.echo()).await;
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxDrained), 1);
    });
}

#[test]
fn a_drain_that_has_begun_keeps_its_time() {
    let chain = ChainDrain::new(true);
    assert!(chain.get().is_none() && chain.is_inbound());
    chain.begin(Duration::from_secs(5));
    let first = chain.get();
    chain.begin(Duration::from_secs(50));
    assert_eq!(chain.get(), first);
    let drain = first.expect("begun");
    assert_eq!(drain.deadline.since(drain.began), Duration::from_secs(5));
}

#[test]
fn connections_to_retired_hosts_end_with_their_calls_and_not_with_a_timer() {
    run(async {
        let (gone, stays) = (Host::bind(), Host::bind());
        // No heartbeat: nothing else would look after the connections in the time of the test.
        let setup =
            |hosts: &[&Host]| Setup::of(hosts).settings(|s| s.heartbeat_interval = Duration::ZERO);
        let mut rig = Rig::start(setup(&[&gone, &stays])).await;
        let before = rig.live.load();
        let (_, host) = before.clusters()[0].hosts.iter().next().expect("two hosts");
        let id = host.state.id;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        client.send(&Msg::request(2, "a/x")).await;
        let (mut gone_link, mut stays_link) = (gone.accept().await, stays.accept().await);
        let (last, other) = (gone_link.recv().await, stays_link.recv().await);
        stays_link.send(&other.echo()).await;
        client.recv().await;
        rig.publish(setup(&[&stays]));
        rig.worker.retire(&[id]);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(rig.upstream(ClusterMetric::CxActive), 2, "one has a call");
        gone_link.send(&last.echo()).await;
        client.recv().await;
        gone_link.closed().await;
        eventually("it is counted", || {
            rig.upstream(ClusterMetric::CxActive) == 1
        })
        .await;
        spawn(echo(stays_link));
        assert_eq!(client.call(3, "a/x").await.text(), "re:a/x");
        rig.settled().await;
    });
}

#[test]
fn a_worker_at_rest_lets_go_of_what_was_published_before() {
    run(async {
        let host = Host::bind();
        let mut rig = Rig::start(Setup::of(&[&host])).await;
        drop(rig.worker.snapshot());
        let old = std::sync::Arc::downgrade(&rig.live.load());
        rig.publish(Setup::of(&[&host]));
        assert!(old.upgrade().is_some(), "the worker has not looked yet");
        rig.worker.retire(&[]);
        assert!(old.upgrade().is_none());
    });
}

#[test]
fn a_connection_holds_nothing_of_the_routes_that_it_came_under() {
    run(async {
        let host = Host::bind();
        let mut rig = Rig::start(Setup::of(&[&host])).await;
        host.echo();
        let mut client = rig.client().await;
        assert_eq!(client.call(1, "a/x").await.text(), "re:a/x");
        let before = rig.live.load();
        let (_, policy) = before.policies().next().expect("there is one");
        let routes = std::sync::Arc::downgrade(&policy.router);
        drop(before);
        rig.publish(Setup::with(Vec::new()));
        rig.worker.retire(&[]);
        assert!(routes.upgrade().is_none());
        assert_eq!(client.call(2, "a/x").await.cause(), "NoRoute");
        rig.settled().await;
    });
}

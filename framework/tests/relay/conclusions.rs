//! That every attempt at a host is concluded once, and as what.

use crossdock_framework::{
    cluster::HostIx,
    outcome::{Failure, Outcome},
    status::Class,
};

use crate::{
    rig::{Host, QUIET, Rig, Setup, eventually, run},
    toy::{DAMAGED, Msg},
};

const ONE: HostIx = HostIx(0);
const OTHER: HostIx = HostIx(1);

fn answered(class: Class) -> Outcome {
    let http = class.http();
    Outcome::Answered {
        class,
        http,
        concealed: false,
    }
}

#[test]
fn answers_are_concluded_by_their_class() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for (status, conclusion) in [
            (0, answered(Class::Ok)),
            (7, answered(Class::Unavailable)),
            (DAMAGED, Outcome::Failed(Failure::Damaged)),
        ] {
            client.send(&Msg::request(1, "a/x")).await;
            let mut up = host.accept().await;
            let asked = up.recv().await;
            assert_eq!(rig.seen.take(), [], "before the answer");
            up.send(&asked.echo().with_status(status)).await;
            client.recv().await;
            assert_eq!(rig.seen.take(), [(ONE, conclusion)]);
            up.send(&asked.echo()).await;
            drop(up);
            tokio::time::sleep(QUIET).await;
            assert_eq!(rig.seen.take(), [], "a second answer says nothing more");
        }
        rig.settled().await;
    });
}

#[test]
fn a_connection_that_breaks_concludes_each_of_its_calls() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        for id in 0..3 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        let mut up = host.accept().await;
        for _ in 0..3 {
            up.recv().await;
        }
        drop(up);
        for _ in 0..3 {
            client.recv().await;
        }
        assert_eq!(rig.seen.take(), [(ONE, Outcome::Failed(Failure::Lost)); 3]);
    });
}

#[test]
fn a_call_that_goes_elsewhere_is_concluded_at_both_hosts() {
    run(async {
        let (absent, other) = (Host::absent(), Host::bind());
        let setup = Setup::of(&[&absent, &other]);
        other.echo();
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.call(1, "a/x").await;
        let failed = (ONE, Outcome::Failed(Failure::Connect));
        assert_eq!(rig.seen.take(), [failed, (OTHER, answered(Class::Ok))]);
    });
}

#[test]
fn the_last_host_that_refuses_is_concluded_once() {
    run(async {
        let absent = Host::absent();
        let rig = Rig::start(Setup::of(&[&absent])).await;
        let mut client = rig.client().await;
        assert_eq!(client.call(1, "a/x").await.cause(), "ConnectFailed");
        let failed = (ONE, Outcome::Failed(Failure::Connect));
        assert_eq!(rig.seen.take(), [failed]);
    });
}

#[test]
fn time_that_is_over_and_callers_that_leave_are_told_apart() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x").with_timeout(30)).await;
        let mut up = host.accept().await;
        let late = up.recv().await;
        assert_eq!(client.recv().await.cause(), "Timeout");
        assert_eq!(rig.seen.take(), [(ONE, Outcome::Failed(Failure::Timeout))]);
        up.send(&late.echo()).await;
        // The host is not to blame for a caller that leaves, and its answer counts all the same.
        client.send(&Msg::request(2, "a/x")).await;
        let asked = up.recv().await;
        drop(client);
        tokio::time::sleep(QUIET).await;
        up.send(&asked.echo()).await;
        rig.deserted().await;
        assert_eq!(rig.seen.take(), [(ONE, answered(Class::Ok))]);
    });
}

#[test]
fn one_way_calls_say_nothing_of_the_host() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::of(&[&host])).await;
        let mut client = rig.client().await;
        client.send(&Msg::oneway(1, "a/x")).await;
        host.accept().await.recv().await;
        eventually("it is concluded", || {
            rig.seen.take() == [(ONE, Outcome::Unknown)]
        })
        .await;
    });
}

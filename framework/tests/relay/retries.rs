//! Retries of framed calls: when there are any, how many, and that each call has one answer all the
//! same.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::{ClusterMetric, RetryLimit},
    frame::Kind,
    retry::{BackOff, RetryOn, RetryPolicy},
    snapshot::HttpMetric,
    worker::spawn,
};
use tokio::time::sleep;

use crate::{
    rig::{Host, Peer, QUIET, Rig, Setup, eventually, run},
    toy::{BINDING, DAMAGED, Msg, PING_PONG, Toy},
};

/// A policy of these words, without a pause.
fn policy(words: &[&str], retries: u8) -> RetryPolicy {
    let words = words.iter().map(|word| RetryOn::word(word).expect(word));
    RetryPolicy {
        on: words.fold(RetryOn::NEVER, |all, word| all | word),
        retries,
        back_off: BackOff::new(Duration::ZERO, None),
        ..RetryPolicy::default()
    }
}

fn retrying(hosts: &[&Host], words: &[&str], retries: u8) -> Setup {
    let mut setup = Setup::of(hosts);
    setup.retry = Some(Arc::new(policy(words, retries)));
    setup
}

/// What a host does with a call.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Answers with this status.
    Status(u8),
    /// Closes the connection.
    Closes,
}

/// Lets a host do these things, one with each call, and afterwards the last again and again. Gives
/// the calls that it has got.
fn play(host: Host, script: &[Does]) -> Rc<RefCell<Vec<Msg>>> {
    let got = Rc::new(RefCell::new(Vec::new()));
    let (seen, script) = (Rc::clone(&got), script.to_vec());
    spawn(async move {
        loop {
            let mut up = host.accept().await;
            let (seen, script) = (Rc::clone(&seen), script.clone());
            spawn(async move {
                while let Some(call) = up.next().await {
                    if !matches!(call.kind, Kind::Request | Kind::Oneway) {
                        continue;
                    }
                    let at = seen.borrow().len().min(script.len() - 1);
                    seen.borrow_mut().push(call.clone());
                    match script[at] {
                        Does::Status(status) => up.send(&call.echo().with_status(status)).await,
                        Does::Closes => return,
                    }
                }
            });
        }
    });
    got
}

#[test]
fn answers_are_retried_by_their_class() {
    for (word, status, again) in [
        ("5xx", 0, false),
        ("5xx", 2, true),
        ("5xx", 3, true),
        ("5xx", 4, false),
        ("5xx", 5, false),
        ("5xx", 6, false),
        ("5xx", 7, true),
        ("gateway-error", 7, true),
        ("unavailable", 7, true),
        ("unavailable", 2, false),
        ("resource-exhausted", 2, true),
        ("deadline-exceeded", 3, true),
        ("deadline-exceeded", 7, false),
        ("internal", 6, true),
        ("cancelled", 7, false),
        ("retriable-4xx", 5, false),
        ("reset", 7, false),
        ("connect-failure", 7, false),
        ("refused-stream", 7, false),
        ("retriable-status-codes", 7, false),
    ] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(retrying(&[&host], &[word], 2)).await;
            let got = play(host, &[Does::Status(status)]);
            let mut client = rig.client().await;
            let answer = client.call(1, "a/x").await;
            assert_eq!((answer.status, answer.id), (status, 1), "{word}");
            client.silent().await;
            let attempts = if again { 3 } else { 1 };
            assert_eq!(got.borrow().len(), attempts, "{word} {status}");
            rig.settled().await;
            assert_eq!(rig.upstream(ClusterMetric::RqTotal), attempts as u64);
            assert_eq!(rig.upstream(ClusterMetric::RqRetry), attempts as u64 - 1);
            let over = rig.upstream(ClusterMetric::RqRetryLimit);
            assert_eq!(over, u64::from(again), "used up");
            assert_eq!(rig.upstream(ClusterMetric::RqRetrySuccess), 0);
            assert_eq!(rig.http(HttpMetric::RqTotal), 1);
        });
    }
}

#[test]
fn what_breaks_is_retried_by_its_words() {
    for (word, does, again) in [
        ("reset", Does::Closes, true),
        ("5xx", Does::Closes, true),
        ("gateway-error", Does::Closes, true),
        ("connect-failure", Does::Closes, false),
        ("reset-before-request", Does::Closes, false),
        ("refused-stream", Does::Closes, false),
        ("unavailable", Does::Closes, false),
        ("reset", Does::Status(DAMAGED), true),
        ("internal", Does::Status(DAMAGED), false),
    ] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(retrying(&[&host], &[word], 1)).await;
            let got = play(host, &[does, Does::Status(0)]);
            let mut client = rig.client().await;
            let answer = client.call(1, "a/x").await;
            assert_eq!(answer.status == 0, again, "{word} {does:?}");
            client.silent().await;
            assert_eq!(got.borrow().len(), 1 + usize::from(again), "{word}");
            rig.settled().await;
            let (made, good) = (ClusterMetric::RqRetry, ClusterMetric::RqRetrySuccess);
            let made = (rig.upstream(made), rig.upstream(good));
            assert_eq!(made, (u64::from(again), u64::from(again)));
            assert_eq!(rig.upstream(ClusterMetric::RqResent), 0);
        });
    }
}

#[test]
fn hosts_that_refuse_connections_are_asked_again() {
    run(async {
        let absent = Host::absent();
        let rig = Rig::start(retrying(&[&absent], &["connect-failure"], 2)).await;
        let mut client = rig.client().await;
        assert_eq!(client.call(1, "a/x").await.cause(), "ConnectFailed");
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 2);
        assert_eq!(rig.upstream(ClusterMetric::RqRetryLimit), 1);
        assert_eq!(rig.upstream(ClusterMetric::CxConnectFail), 3);
        assert_eq!(rig.seen.take().len(), 3);
    });
}

#[test]
fn num_retries_is_the_number_of_retries() {
    for retries in [0, 1, 2, 20] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(retrying(&[&host], &["5xx"], retries)).await;
            let got = play(host, &[Does::Status(7)]);
            let mut client = rig.client().await;
            assert_eq!(client.call(1, "a/x").await.status, 7);
            assert_eq!(got.borrow().len(), usize::from(retries) + 1);
            assert_eq!(rig.seen.take().len(), usize::from(retries) + 1);
            rig.settled().await;
        });
    }
}

#[test]
fn the_frame_is_sent_again_as_it_came_but_for_its_id() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(retrying(&[&host], &["5xx"], 3)).await;
        let script = [7, 7, 0].map(Does::Status);
        let got = play(host, &script);
        let mut client = rig.client().await;
        let body = [b"a/".as_slice(), &[b'x'; 9000]].concat();
        client.send(&Msg::request(5, body.clone())).await;
        assert_eq!(client.recv().await.status, 0);
        let got = got.take();
        let ids: std::collections::HashSet<_> = got.iter().map(|msg| msg.id).collect();
        assert_eq!(
            (got.len(), ids.len()),
            (3, 3),
            "each attempt has its own id"
        );
        assert!(got.iter().all(|msg| msg.body == body));
        rig.settled().await;
    });
}

#[test]
fn an_attempt_that_takes_too_long_is_made_elsewhere() {
    run(async {
        let (slow, other) = (Host::bind(), Host::bind());
        let mut setup = retrying(&[&slow, &other], &["5xx"], 1);
        let mut elsewhere = policy(&["5xx"], 1);
        elsewhere.other_hosts = true;
        setup.retry = Some(Arc::new(elsewhere));
        setup.per_try = Some(Duration::from_millis(40));
        let rig = Rig::start(setup).await;
        other.echo();
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut up = slow.accept().await;
        let late = up.recv().await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        up.send(&late.answer("late")).await;
        client.silent().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqTryTimeout), 1);
        assert_eq!(rig.upstream(ClusterMetric::RqTimeout), 0);
        assert_eq!(rig.upstream(ClusterMetric::RqRetrySuccess), 1);
        assert_eq!(rig.upstream(ClusterMetric::RqUnmatched), 1, "the late one");
    });
}

#[test]
fn a_late_answer_over_the_same_connection_reaches_nobody() {
    run(async {
        let host = Host::bind();
        let mut setup = retrying(&[&host], &["gateway-error"], 1);
        setup.per_try = Some(Duration::from_millis(40));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut up = host.accept().await;
        let (first, second) = (up.recv().await, up.recv().await);
        up.send(&first.answer("late")).await;
        up.send(&second.answer("timely")).await;
        assert_eq!(client.recv().await.text(), "timely");
        client.silent().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqUnmatched), 1);
    });
}

#[test]
fn the_whole_time_bounds_all_attempts_and_pauses() {
    run(async {
        let host = Host::bind();
        let mut setup = retrying(&[&host], &["5xx"], 9);
        setup.per_try = Some(Duration::from_millis(30));
        setup.route_timeout = Some(Duration::from_millis(100));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut up = host.accept().await;
        assert_eq!(client.recv().await.cause(), "Timeout");
        let mut attempts = 0;
        while tokio::time::timeout(QUIET, up.next()).await.is_ok() {
            attempts += 1;
        }
        assert!((2..=4).contains(&attempts), "{attempts}");
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqTimeout), 1);

        // A pause too.
        let mut long = policy(&["5xx"], 9);
        long.back_off = BackOff::new(Duration::from_secs(3600), None);
        let host = Host::bind();
        let mut setup = Setup::of(&[&host]);
        setup.retry = Some(Arc::new(long));
        setup.route_timeout = Some(Duration::from_millis(100));
        let rig = Rig::start(setup).await;
        let got = play(host, &[Does::Status(7)]);
        let mut client = rig.client().await;
        assert_eq!(client.call(1, "a/x").await.cause(), "Timeout");
        assert_eq!(got.borrow().len(), 1);
        rig.settled().await;
    });
}

#[test]
fn hosts_are_told_what_is_left_of_the_callers_deadline() {
    run(async {
        let host = Host::bind();
        let mut setup = retrying(&[&host], &["5xx"], 1);
        setup.per_try = Some(Duration::from_millis(2500));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        let mut told = Vec::new();
        client
            .send(&Msg::request(1, "a/x").with_timeout(3000))
            .await;
        let mut up = host.accept().await;
        let first = up.recv().await;
        told.push(first.timeout_ms);
        sleep(Duration::from_millis(700)).await;
        up.send(&first.echo().with_status(7)).await;
        let second = up.recv().await;
        told.push(second.timeout_ms);
        up.send(&second.echo()).await;
        client.recv().await;
        assert!(
            told[0] == 2500 && (1000..2300).contains(&told[1]),
            "{told:?}"
        );
        // Who says nothing is told nothing, and who says little is not told more.
        for (said, told) in [(0, 0), (2000, 2000)] {
            client
                .send(&Msg::request(2, "a/x").with_timeout(said))
                .await;
            let asked = up.recv().await;
            assert_eq!(asked.timeout_ms, told);
            up.send(&asked.echo()).await;
            client.recv().await;
        }
    });
}

#[test]
fn one_way_calls_are_sent_once() {
    run(async {
        let host = Host::bind();
        let words = ["5xx", "reset", "connect-failure", "refused-stream"];
        let rig = Rig::start(retrying(&[&host], &words, 3)).await;
        let got = play(host, &[Does::Closes]);
        let mut client = rig.client().await;
        client.send(&Msg::oneway(1, "a/x")).await;
        eventually("it comes", || got.borrow().len() == 1).await;
        sleep(QUIET).await;
        assert_eq!(got.borrow().len(), 1);
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 0);
    });
}

#[test]
fn a_caller_that_leaves_ends_its_retries() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::of(&[&host]);
        let mut long = policy(&["5xx"], 9);
        long.back_off = BackOff::new(Duration::from_millis(80), None);
        setup.retry = Some(Arc::new(long));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut up = host.accept().await;
        let asked = up.recv().await;
        // One that only says no more would still read.
        client.io.set_zero_linger().expect("a TCP socket");
        drop(client);
        sleep(QUIET).await;
        up.send(&asked.echo().with_status(7)).await;
        rig.deserted().await;
        up.silent().await;
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 0);
    });
}

/// Sends `calls` at once to a host that fails every call, and counts what it gets.
async fn under_total_failure(limit: RetryLimit, calls: u64, retries: u8) -> (u64, u64) {
    let host = Host::bind();
    let mut setup = Setup::of(&[&host]);
    let mut slow = policy(&["5xx"], retries);
    slow.back_off = BackOff::new(Duration::from_millis(30), None);
    setup.retry = Some(Arc::new(slow));
    setup.clusters[0].retries = limit;
    let rig = Rig::start(setup).await;
    let got = play(host, &[Does::Status(7)]);
    let mut client = rig.client().await;
    for id in 0..calls {
        client.send(&Msg::request(id, "a/x")).await;
    }
    let mut ids: Vec<u64> = Vec::new();
    for _ in 0..calls {
        let answer = client.recv().await;
        assert_eq!(answer.status, 7);
        ids.push(answer.id);
    }
    ids.sort_unstable();
    assert_eq!(ids, Vec::from_iter(0..calls), "one answer each");
    rig.settled().await;
    let made = rig.upstream(ClusterMetric::RqRetry);
    assert_eq!(got.borrow().len() as u64, calls + made);
    let refused = rig.upstream(ClusterMetric::RqRetryOverflow);
    let over = rig.upstream(ClusterMetric::RqRetryLimit);
    assert_eq!(refused + over, calls, "each call ends for want of a retry");
    (made, refused)
}

#[test]
fn max_retries_bounds_what_is_tried_again_at_once() {
    run(async {
        let (made, refused) = under_total_failure(RetryLimit::Most(3), 200, 1).await;
        assert_eq!(made + refused, 200);
        assert!((3..50).contains(&made), "{made}");
        assert_eq!(under_total_failure(RetryLimit::Most(0), 20, 3).await.0, 0);
        let most = RetryLimit::Most(u32::MAX);
        assert_eq!(under_total_failure(most, 50, 2).await, (100, 0));
    });
}

#[test]
fn a_budget_bounds_retries_by_the_calls_in_flight() {
    run(async {
        let budget = RetryLimit::Budget {
            percent: 20.0,
            least: 0,
        };
        let (made, _) = under_total_failure(budget, 500, 1).await;
        assert!((1..=100).contains(&made), "{made} of 500");
    });
}

#[test]
fn calls_that_wait_in_line_are_retried_too() {
    run(async {
        let host = Host::bind();
        let setup = retrying(&[&host], &["5xx"], 1).settings(|s| s.connections_per_host = 1);
        let rig = Rig::start_as::<Toy<64, PING_PONG>>(setup).await;
        let got = play(host, &[7, 7, 0, 0].map(Does::Status));
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        client.send(&Msg::request(2, "a/y")).await;
        let answers = [client.recv().await.status, client.recv().await.status];
        assert_eq!(answers, [0, 0]);
        assert_eq!(got.borrow().len(), 4);
        rig.settled().await;
    });
}

#[test]
fn a_bound_caller_is_answered_when_its_connection_breaks() {
    run(async {
        let host = Host::bind();
        let setup = retrying(&[&host], &["5xx", "reset"], 2);
        let rig = Rig::start_as::<Toy<64, BINDING>>(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let mut up: Peer = host.accept().await;
        let asked = up.recv().await;
        up.send(&asked.echo().with_status(7)).await;
        let again = up.recv().await;
        assert_ne!(asked.id, again.id);
        drop(up);
        assert_eq!(client.recv().await.cause(), "ConnectionLost");
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 1);
    });
}

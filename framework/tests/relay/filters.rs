//! Filters that wait: a call is parked, goes on at the next filter, and ends once whatever happens
//! meanwhile.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crossdock_framework::{
    cluster::ClusterMetric,
    edits::{Edit, Edits},
    filter::{Filter, Flow, RequestCx, ResponseCx, Verdict},
    snapshot::HttpMetric,
    status::{Cause, Status},
};
use tokio::sync::oneshot;

use crate::{
    rig::{Host, Rig, Setup, eventually, run},
    toy::{Msg, Toy},
};

/// Counts what it sees.
#[derive(Debug, Default)]
struct Count {
    requests: AtomicUsize,
    responses: AtomicUsize,
}

impl Filter for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn on_request(&self, _: &mut RequestCx<'_>) -> Flow {
        self.requests.fetch_add(1, Relaxed);
        Flow::Continue
    }

    fn on_response(&self, _: &mut ResponseCx<'_>) -> Option<Status> {
        self.responses.fetch_add(1, Relaxed);
        None
    }

    fn sees_responses(&self) -> bool {
        true
    }
}

/// Parks every call until the test gives its verdict.
#[derive(Debug, Default)]
struct Gate {
    parked: Mutex<Vec<oneshot::Sender<Verdict>>>,
}

impl Gate {
    fn parked(&self) -> usize {
        self.parked.lock().expect("one thread").len()
    }

    fn release(&self, verdict: Verdict) -> bool {
        let first = self.parked.lock().expect("one thread").remove(0);
        first.send(verdict).is_ok()
    }
}

impl Filter for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn on_request(&self, _: &mut RequestCx<'_>) -> Flow {
        let (sender, verdict) = oneshot::channel();
        self.parked.lock().expect("one thread").push(sender);
        Flow::Wait(Box::pin(async move {
            verdict.await.unwrap_or(Verdict::Continue)
        }))
    }
}

struct Chained {
    rig: Rig,
    host: Host,
    before: Arc<Count>,
    gate: Arc<Gate>,
    after: Arc<Count>,
}

async fn chained(change: impl FnOnce(&mut Setup)) -> Chained {
    let host = Host::bind();
    let (before, gate, after) = (
        Arc::<Count>::default(),
        Arc::<Gate>::default(),
        Arc::<Count>::default(),
    );
    let mut setup = Setup::of(&[&host]);
    setup.filters = vec![before.clone(), gate.clone(), after.clone()];
    change(&mut setup);
    let rig = Rig::start(setup).await;
    Chained {
        rig,
        host,
        before,
        gate,
        after,
    }
}

impl Chained {
    fn seen(&self) -> [usize; 3] {
        [
            &self.before.requests,
            &self.after.requests,
            &self.after.responses,
        ]
        .map(|count| count.load(Relaxed))
    }
}

#[test]
fn a_parked_call_goes_on_at_the_next_filter() {
    run(async {
        let on = chained(|_| {}).await;
        let mut client = on.rig.client().await;
        client.send(&Msg::request(1, "a/one")).await;
        client.send(&Msg::request(2, "a/two")).await;
        eventually("both are parked", || on.gate.parked() == 2).await;
        assert_eq!(on.seen(), [2, 0, 0]);
        assert!(!on.host.is_called().await);
        // The second goes first, with a change of the request.
        let mut edits = Edits::none();
        edits.push(Edit::Set("mark".into(), "1".into()));
        let first = on.gate.parked.lock().expect("one thread").remove(0);
        assert!(on.gate.release(Verdict::ContinueWith(edits)));
        let mut served = on.host.accept().await;
        let asked = served.recv().await;
        assert_eq!(asked.text(), "a/two;mark");
        assert_eq!(on.seen(), [2, 1, 0]);
        first.send(Verdict::Continue).expect("it waits");
        let other = served.recv().await;
        assert_eq!(other.text(), "a/one");
        served.send(&asked.echo()).await;
        served.send(&other.echo()).await;
        assert_eq!((client.recv().await.id, client.recv().await.id), (2, 1));
        assert_eq!(on.seen(), [2, 2, 2], "the gate was passed once by each");
        on.rig.settled().await;
    });
}

#[test]
fn a_parked_call_can_be_refused() {
    run(async {
        let on = chained(|_| {}).await;
        let mut client = on.rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        client.send(&Msg::oneway(2, "a/x")).await;
        eventually("both are parked", || on.gate.parked() == 2).await;
        for _ in 0..2 {
            on.gate
                .release(Verdict::Reply(Status::new(Cause::Denied, "no")));
        }
        let answer = client.recv().await;
        assert_eq!((answer.id, answer.cause()), (1, "Denied"));
        client.silent().await;
        assert_eq!(on.seen(), [2, 0, 0]);
        on.rig.settled().await;
    });
}

#[test]
fn a_deadline_ends_a_parked_call_and_its_verdict_comes_too_late() {
    run(async {
        let on = chained(|setup| setup.limits.call_timeout = Duration::from_millis(60)).await;
        let mut client = on.rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        eventually("it is parked", || on.gate.parked() == 1).await;
        assert_eq!(client.recv().await.cause(), "Timeout");
        on.rig.settled().await;
        on.gate.release(Verdict::Continue);
        client.silent().await;
        assert_eq!(on.seen(), [1, 0, 0]);
        assert!(!on.host.is_called().await);
        on.rig.settled().await;
    });
}

#[test]
fn the_callers_own_deadline_counts_while_a_call_is_parked() {
    run(async {
        let on = chained(|_| {}).await;
        let mut client = on.rig.client().await;
        client.send(&Msg::request(1, "a/x").with_timeout(60)).await;
        eventually("it is parked", || on.gate.parked() == 1).await;
        assert_eq!(client.recv().await.cause(), "Timeout");
        on.rig.settled().await;
    });
}

#[test]
fn a_client_that_leaves_while_its_call_is_parked_sends_nothing() {
    run(async {
        let on = chained(|_| {}).await;
        let mut client = on.rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        eventually("it is parked", || on.gate.parked() == 1).await;
        socket2::SockRef::from(&client.io)
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket");
        drop(client);
        eventually("the client is gone", || {
            on.rig.http(HttpMetric::CxActive) == 0
        })
        .await;
        on.gate.release(Verdict::Continue);
        on.rig.deserted().await;
        assert!(!on.host.is_called().await);
        assert_eq!(on.seen(), [1, 0, 0]);
        assert_eq!(on.rig.http(HttpMetric::RqOrphaned), 1);
    });
}

#[test]
fn parked_calls_take_no_place_in_the_circuit_breaker() {
    run(async {
        let on = chained(|setup| setup.clusters[0].breakers = (1, u32::MAX, u32::MAX)).await;
        let mut client = on.rig.client().await;
        for id in 0..3 {
            client.send(&Msg::request(id, "a/x")).await;
        }
        eventually("all are parked", || on.gate.parked() == 3).await;
        for _ in 0..3 {
            on.gate.release(Verdict::Continue);
        }
        for _ in 0..2 {
            assert_eq!(client.recv().await.cause(), "Overload");
        }
        let mut served = on.host.accept().await;
        let asked = served.recv().await;
        served.send(&asked.echo()).await;
        assert_eq!(client.recv().await.text(), "re:a/x");
        on.rig.settled().await;
        assert_eq!(on.rig.upstream(ClusterMetric::RqActiveOverflow), 2);
    });
}

/// Asks for a change that the toy cannot make, of the request or of the response.
#[derive(Debug)]
struct Impossible {
    response: bool,
}

impl Filter for Impossible {
    fn name(&self) -> &'static str {
        "impossible"
    }

    fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if !self.response {
            cx.edits.push(Edit::Remove("cannot".into()));
        }
        Flow::Continue
    }

    fn on_response(&self, cx: &mut ResponseCx<'_>) -> Option<Status> {
        cx.edits.push(Edit::Remove("cannot".into()));
        None
    }

    fn sees_responses(&self) -> bool {
        self.response
    }
}

#[test]
fn an_edit_that_a_frame_cannot_carry_costs_its_own_call() {
    run(async {
        for response in [false, true] {
            let host = Host::bind();
            let mut setup = Setup::of(&[&host]);
            setup.filters = vec![Arc::new(Impossible { response })];
            let rig = Rig::start_as::<Toy>(setup).await;
            host.echo();
            let mut client = rig.client().await;
            client.send(&Msg::request(1, "a/x")).await;
            client.send(&Msg::oneway(2, "a/x")).await;
            client.send(&Msg::request(3, "a/x")).await;
            for id in [1, 3] {
                let answer = client.recv().await;
                assert_eq!((answer.id, answer.cause()), (id, "CannotEdit"));
            }
            client.silent().await;
            rig.settled().await;
        }
    });
}

#[test]
fn a_framed_call_cannot_be_renamed() {
    run(async {
        let on = chained(|_| {}).await;
        let mut client = on.rig.client().await;
        for (id, name) in [(1, ":path"), (2, ":authority")] {
            client.send(&Msg::request(id, "a/x")).await;
            eventually("it is parked", || on.gate.parked() == 1).await;
            let mut edits = Edits::none();
            edits.push(Edit::Set("mark".into(), "1".into()));
            edits.push(Edit::Set(name.into(), "/else".into()));
            on.gate.release(Verdict::ContinueWith(edits));
            let answer = client.recv().await;
            assert_eq!((answer.id, answer.cause()), (id, "CannotEdit"));
            assert!(answer.text().contains(name), "{}", answer.text());
        }
        assert!(!on.host.is_called().await);
        on.rig.settled().await;
    });
}

/// Sends every caller elsewhere.
#[derive(Debug)]
struct Elsewhere;

impl Filter for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn on_request(&self, _: &mut RequestCx<'_>) -> Flow {
        let mut status = Status::new(Cause::DirectResponse, "");
        status.http = 301;
        let location = Edit::Set("location".into(), "https://there/".into());
        status.headers.push(location);
        Flow::Reply(status)
    }
}

#[test]
fn a_framed_call_cannot_follow_a_redirect() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::of(&[&host]);
        setup.filters = vec![Arc::new(Elsewhere)];
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(&Msg::request(1, "a/x")).await;
        let answer = client.recv().await;
        assert_eq!((answer.id, answer.cause()), (1, "NoRoute"));
        assert!(answer.text().contains("https://there/"));
        rig.settled().await;
    });
}

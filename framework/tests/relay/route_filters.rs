//! Filters that differ by route, and what they keep of a call until its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crossdock_framework::{
    filter::{Chain, Filter, Filters, Flow, RequestCx, RouteChains, Verdict},
    route::RouteId,
    status::{Cause, Status},
};

use crate::{
    rig::{Host, Rig, Setup, eventually, run},
    toy::Msg,
};

/// Refuses every call.
#[derive(Debug)]
struct Refuse;

impl Filter for Refuse {
    fn name(&self) -> &'static str {
        "refuse"
    }

    fn on_request(&self, _: &mut RequestCx<'_>) -> Flow {
        Flow::Reply(Status::new(Cause::RateLimited, "no"))
    }
}

/// Makes every call wait for an hour, and counts those that it has.
#[derive(Debug, Default)]
struct Delay(Arc<AtomicUsize>);

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Filter for Delay {
    fn name(&self) -> &'static str {
        "delay"
    }

    fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        self.0.fetch_add(1, Relaxed);
        cx.held.hold(Held(Arc::clone(&self.0)));
        Flow::Wait(Box::pin(async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Verdict::Continue
        }))
    }
}

fn chain(filter: impl Filter) -> Chain {
    Chain::new(vec![Arc::new(filter)])
}

#[test]
fn a_route_has_its_own_chain() {
    let own = |chain: Chain| RouteChains {
        whole: chain,
        entries: Box::default(),
    };
    let filters = Filters::new(chain(Refuse), vec![None, Some(own(Chain::default()))]);
    let of = |route: Option<u32>| filters.of(route.map(RouteId), || None).is_empty();
    assert_eq!(
        [None, Some(0), Some(1), Some(2)].map(of),
        [false, false, true, false]
    );
    assert!(!filters.is_empty() && Filters::default().is_empty());
    let off = Filters::new(Chain::default(), vec![Some(own(Chain::default()))]);
    assert!(off.is_empty());
    let entries: Box<[_]> = Box::new([None, Some(Chain::default())]);
    let weighted = RouteChains {
        whole: chain(Refuse),
        entries,
    };
    let filters = Filters::new(Chain::default(), vec![Some(weighted)]);
    let of = |entry| filters.of(Some(RouteId(0)), || entry).is_empty();
    assert_eq!(
        [None, Some(0), Some(1), Some(9)].map(of),
        [false, false, true, false]
    );
}

/// A filter keeps its number in a chain where those before it are off.
#[test]
fn filters_keep_their_numbers() {
    let chain = Chain::sparse([None, Some(Arc::new(Refuse) as Arc<dyn Filter>), None]);
    let numbers: Vec<_> = chain.filters().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1]);
}

/// Callers that close, or reset, their connection while their calls wait: the calls end, and what
/// filters have kept of them is given back, an hour before the time.
#[test]
fn callers_that_leave_take_their_waiting_calls_with_them() {
    run(async {
        let host = Host::bind();
        let delay = Delay::default();
        let waiting = Arc::clone(&delay.0);
        let mut setup = Setup::of(&[&host]);
        setup.filters = vec![Arc::new(delay)];
        let rig = Rig::start(setup).await;
        for _ in 0..2 {
            let mut client = rig.client().await;
            for id in 1..=3 {
                client.send(&Msg::request(id, "a/x")).await;
            }
            client.send(&Msg::oneway(4, "a/x")).await;
            eventually("all wait", || waiting.load(Relaxed) == 4).await;
            drop(client);
            eventually("all are given up", || waiting.load(Relaxed) == 0).await;
        }
        assert!(!host.is_called().await);
        rig.settled().await;
    });
}

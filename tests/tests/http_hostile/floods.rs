//! Floods of HTTP/2: whoever sends one is stopped or goes unheard, memory stays, and another client
//! notices nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crossdock_tests::{Bootstrap, Gateway};
use serde_json::json;

use crate::Scene;
use crate::backend::Backend;
use crate::h2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Framed, GOAWAY, HEADERS, Outcome, PING,
    PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, head, hold, integer, literal,
    request,
};

/// How much memory a flood may leave behind, in KiB.
const GROWTH: u64 = 24 * 1024;

/// A gateway before a host that speaks HTTP/2.
fn holding(backend: &Backend) -> Gateway {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]);
    let bootstrap =
        Bootstrap::at(&["*"], routes).http2_cluster("echo", &[backend.address()], json!({}));
    Gateway::start(&bootstrap, &["--concurrency", "1"])
}

/// Calls that go on while something else happens: all of them have to succeed.
struct Honest {
    stop: Arc<AtomicBool>,
    calls: thread::JoinHandle<Vec<Outcome>>,
}

impl Honest {
    fn begin(gateway: &Gateway) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, address) = (Arc::clone(&stop), gateway.address());
        let calls = thread::spawn(move || {
            let mut client = Framed::connect(address, b"");
            let mut outcomes = Vec::new();
            while outcomes.len() < 100_000 && (outcomes.len() < 20 || !stopped.load(Relaxed)) {
                let stream = u32::try_from(outcomes.len()).expect("few") * 2 + 1;
                outcomes.push(client.call(stream, "/honest"));
            }
            outcomes
        });
        Self { stop, calls }
    }

    #[track_caller]
    fn end(self) {
        self.stop.store(true, Relaxed);
        let outcomes = self.calls.join().expect("it does not panic");
        let failed: Vec<_> = outcomes
            .iter()
            .enumerate()
            .filter(|(_, outcome)| **outcome != Outcome::Status(200))
            .collect();
        assert!(
            failed.is_empty(),
            "of {}: {:?}",
            outcomes.len(),
            failed.first()
        );
    }
}

/// Sends the bytes again and again, up to so often: whether the gateway put an end to it.
fn flood(scene: &Scene, times: usize, mut bytes: impl FnMut(u32) -> Vec<u8>) -> bool {
    let honest = Honest::begin(&scene.gateway);
    let mut client = Framed::connect(scene.gateway.address(), b"");
    assert_eq!(client.call(1, "/first"), Outcome::Status(200));
    let mut stopped = false;
    for at in 0..times {
        let stream = u32::try_from(at).expect("few") * 2 + 3;
        if !client.send(&bytes(stream)) {
            stopped = true;
            break;
        }
    }
    honest.end();
    let last = u32::try_from(times).expect("few") * 2 + 3;
    stopped || !matches!(client.call(last, "/last"), Outcome::Status(200))
}

/// The next frames of a flood, with the number of a stream that is free.
type Frames = dyn FnMut(u32) -> Vec<u8>;

#[test]
fn floods_of_frames_are_stopped() {
    let scene = Scene::start(json!({}));
    let headless = |stream| frame(HEADERS, END_STREAM, stream, &block(&request("GET", "/x")));
    let mut began = false;
    let open = head(3, "POST", "/open", false);
    let mut opened = false;
    let floods: Vec<(&str, usize, Box<Frames>)> = vec![
        (
            "rapid reset",
            3000,
            Box::new(|stream| {
                [
                    head(stream, "GET", "/x", true),
                    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
                ]
                .concat()
            }),
        ),
        ("PING", 5000, Box::new(|_| frame(PING, 0, 0, &[0; 8]))),
        (
            "PING acknowledged",
            5000,
            Box::new(|_| frame(PING, ACK, 0, &[0; 8])),
        ),
        ("SETTINGS", 5000, Box::new(|_| frame(SETTINGS, 0, 0, b""))),
        (
            "SETTINGS acknowledged",
            5000,
            Box::new(|_| frame(SETTINGS, ACK, 0, b"")),
        ),
        (
            "PRIORITY",
            5000,
            Box::new(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7])),
        ),
        (
            "WINDOW_UPDATE",
            5000,
            Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ),
        ("unknown frames", 5000, Box::new(|_| frame(99, 0, 0, b"x"))),
        (
            "empty DATA",
            5000,
            Box::new(move |_| {
                let first = if std::mem::replace(&mut opened, true) {
                    vec![]
                } else {
                    open.clone()
                };
                [first, frame(DATA, 0, 3, b"")].concat()
            }),
        ),
        (
            "CONTINUATION",
            5000,
            Box::new(move |_| match std::mem::replace(&mut began, true) {
                false => headless(3),
                true => frame(CONTINUATION, 0, 3, &block(&[("x", "y")])),
            }),
        ),
        ("empty CONTINUATION", 5000, {
            let mut began = false;
            Box::new(move |_| match std::mem::replace(&mut began, true) {
                false => headless(3),
                true => frame(CONTINUATION, 0, 3, b""),
            })
        }),
    ];
    for (name, times, bytes) in floods {
        assert!(flood(&scene, times, bytes), "{name} goes on");
        let (status, _) = scene.gateway.admin("GET", "/ready");
        assert_eq!(status, 200, "after {name}");
    }
    assert!(scene.gateway.stat("http.rpc.downstream_cx_protocol_error") >= 9);
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let backend = Backend::serving(hold);
    let gateway = holding(&backend);
    let honest = Honest::begin(&gateway);
    let mut client = Framed::connect(gateway.address(), b"");
    for at in 0..1200 {
        client.send(&head(at * 2 + 1, "POST", "/open", false));
    }
    client.send(&frame(PING, 0, 0, b"the last"));
    let mut refused = 0;
    while let Some(next) = client.next() {
        match next.kind {
            RST_STREAM if next.payload == [0, 0, 0, 7] => refused += 1,
            GOAWAY => panic!("{next:?}"),
            PING if next.flags & ACK != 0 => break,
            _ => {}
        }
    }
    assert_eq!(refused, 1200 - 1024);
    honest.end();
}

#[test]
fn blocks_that_swell_stay_small() {
    let scene = Scene::start(json!({}));
    let start = scene.gateway.resident_kib();
    for (name, kept, refs) in [
        ("indexed 4 KiB values", 4000, 60),
        ("1-byte references", 20, 15_000),
    ] {
        let honest = Honest::begin(&scene.gateway);
        let mut client = Framed::connect(scene.gateway.address(), &[0, 4, 0, 0, 0, 0]);
        let mut once = block(&request("GET", "/x"));
        once.push(0x40);
        literal(&mut once, b"x");
        literal(&mut once, "v".repeat(kept).as_bytes());
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &once));
        assert!(client.next().is_some(), "{name}");
        for stream in 1..20 {
            let mut bomb = block(&request("GET", "/x"));
            for _ in 0..refs {
                integer(&mut bomb, 0x80, 7, 62);
            }
            let sent = client.send(&frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream * 2 + 1,
                &bomb,
            ));
            if !sent {
                break;
            }
        }
        let outcome = client.outcome(3);
        assert_ne!(outcome, Outcome::Status(200), "{name}");
        honest.end();
    }
    let grown = scene.gateway.resident_kib().saturating_sub(start);
    assert!(grown < GROWTH, "{grown} KiB");
    let long = "v".repeat(90 << 10);
    let fields = [request("GET", "/x"), vec![("x", long.as_str())]].concat();
    let bytes = block(&fields);
    let mut client = Framed::connect(scene.gateway.address(), b"");
    let mut pieces = bytes.chunks(16 << 10).peekable();
    let first = pieces.next().expect("some");
    client.send(&frame(HEADERS, END_STREAM, 1, first));
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        client.send(&frame(CONTINUATION, flags, 1, piece));
    }
    assert_ne!(client.outcome(1), Outcome::Status(200));
    assert!(
        scene
            .backend
            .take()
            .iter()
            .all(|seen| !seen.contains("/x") || seen == "GET /x ")
    );
}

#[test]
fn a_client_that_leaves_with_a_thousand_streams_harms_nobody() {
    let backend = Backend::serving(hold);
    let gateway = holding(&backend);
    let honest = Honest::begin(&gateway);
    for _ in 0..5 {
        let mut client = Framed::connect(gateway.address(), b"");
        for at in 0..1000 {
            assert!(client.send(&head(at * 2 + 1, "POST", "/open", false)));
        }
        client.send(&frame(PING, 0, 0, b"the last"));
        while let Some(next) = client.next() {
            if next.kind == PING && next.flags & ACK != 0 {
                break;
            }
        }
        drop(client);
    }
    honest.end();
    let active = || gateway.stat("http.rpc.downstream_rq_active");
    let gone = crossdock_tests::eventually(crate::PATIENCE, || (active() == 0).then_some(()));
    assert!(gone.is_some(), "{} calls are left", active());
    assert_eq!(gateway.stat("cluster.echo.upstream_rq_active"), 0);
}

//! The end of the process under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossdock_tests::End;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{self, Two, Wire};
use crate::host::Manner;
use crate::scene::{PATIENCE, Scene, Setup, Version, eventually, run};

/// What clients that call one call after another have met.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    /// Connections that were closed in the way that tells when.
    told: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl Tally {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// Calls until it is told to close, and then over a fresh connection until there is none to be had.
async fn one(address: std::net::SocketAddr, path: String, tally: Arc<Tally>) {
    while let Ok(mut wire) = Wire::connect(address).await {
        let mut calls = 0;
        loop {
            if wire.ask("GET", &path, None).await.is_err() {
                break Tally::add(&tally.failed);
            }
            let Ok(head) = wire.head().await else {
                // A connection may be accepted by the kernel alone, for a listener that is gone.
                if calls > 0 || !tally.over.load(Ordering::SeqCst) {
                    eprintln!("no answer to call {calls} of an HTTP/1 connection");
                    Tally::add(&tally.failed);
                }
                break;
            };
            calls += 1;
            let mut body = head.body(false);
            match (head.status(), wire.rest(&mut body).await) {
                (200, Ok(_)) => Tally::add(&tally.answered),
                other => {
                    eprintln!("HTTP/1: {other:?}");
                    Tally::add(&tally.failed);
                }
            }
            if head.field("connection") == Some("close") {
                break Tally::add(&tally.told);
            }
        }
    }
}

/// Calls until the connection takes no more streams; the h2 crate refuses after GOAWAY.
async fn two(address: std::net::SocketAddr, path: String, tally: Arc<Tally>) {
    while let Ok(two) = Two::connect(address).await {
        let mut calls = 0;
        while let Ok((answer, _)) = two.begin("GET", &path, true).await {
            let answer = async { client::rest(answer.await?.body_mut()).await };
            match answer.await {
                Ok(_) => Tally::add(&tally.answered),
                Err(_) if calls == 0 && tally.over.load(Ordering::SeqCst) => break,
                Err(error) => {
                    eprintln!("HTTP/2, call {calls}: {error}");
                    Tally::add(&tally.failed);
                    break;
                }
            }
            calls += 1;
        }
        Tally::add(&tally.told);
    }
}

#[test]
fn a_drain_under_load_fails_no_call() {
    run(async {
        let mut scene = Scene::start(Setup {
            manner: Manner {
                pause: Duration::from_millis(3),
                ..Manner::default()
            },
            args: vec!["--drain-time-s", "20"],
            ..Setup::default()
        });
        let tally = Arc::new(Tally::default());
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        for host in [Version::One, Version::Two] {
            for _ in 0..10 {
                let path = host.path("/");
                tasks.push(tokio::spawn(one(
                    scene.address,
                    path.clone(),
                    Arc::clone(&tally),
                )));
                tasks.push(tokio::spawn(two(scene.address, path, Arc::clone(&tally))));
            }
        }
        // Streams that are in their middle when the drain begins, and end within its time.
        let slow = Two::connect(scene.address).await.expect("it listens");
        let begun = slow.begin("POST", "/h2/sink", false).await;
        let (answer, mut upload) = begun.expect("a stream");
        upload.send_data("half".into(), false).expect("a stream");
        eventually("calls go through", || {
            tally.answered.load(Ordering::SeqCst) > 500
        })
        .await;
        tally.over.store(true, Ordering::SeqCst);
        scene.gateway.process.terminate();
        sleep(Duration::from_secs(2)).await;
        for task in tasks {
            timeout(PATIENCE, task)
                .await
                .expect("in time")
                .expect("no panic");
        }
        upload.send_data("half".into(), true).expect("it goes on");
        let mut answer = timeout(PATIENCE, answer)
            .await
            .expect("in time")
            .expect("an answer");
        let length = client::rest(answer.body_mut()).await.expect("a body");
        assert_eq!(length, 1);
        assert_eq!(scene.gateway.process.wait(PATIENCE), End::Code(0));
        assert_eq!(tally.failed.load(Ordering::SeqCst), 0, "{tally:?}");
        assert!(tally.told.load(Ordering::SeqCst) >= 40, "{tally:?}");
    });
}

#[test]
fn http2_is_told_when_a_short_drain_begins() {
    run(async {
        let mut scene = Scene::start(Setup {
            args: vec!["--drain-time-s", "3"],
            ..Setup::default()
        });
        let two = Two::connect(scene.address).await.expect("it listens");
        let said = two.call("GET", "/h2/", b"").await;
        assert_eq!(said.expect("an answer"), (200, 1));
        let (answer, _stream) = two
            .begin("GET", "/h2/endless", true)
            .await
            .expect("a stream");
        let _endless = answer.await.expect("an answer");
        scene.gateway.process.terminate();
        let refused = async {
            while two.sender.clone().ready().await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let told = timeout(Duration::from_secs(2), refused).await;
        assert!(told.is_ok(), "no GOAWAY long after the drain began");
        // What does not end has the time of the drain and no more.
        assert_eq!(scene.gateway.process.wait(PATIENCE), End::Code(0));
    });
}

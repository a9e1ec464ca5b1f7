//! Clients that take nothing at all.

use std::time::Duration;

use h2::RecvStream;
use tokio::time::{sleep, timeout};

use crate::client::Two;
use crate::host::Seen;
use crate::scene::{PROMPT, Scene, Setup, Version, eventually, run};

const STREAMS: usize = 1200;

/// One window for each stream (docs/limits.md), in KiB. A frame of 16 KiB and its head stand in a
/// block of 20.
const WINDOWS: u64 = STREAMS as u64 * 64 * 5 / 4;

/// What streams cost beside their windows, and what the allocator makes of it, in KiB.
const SLACK: u64 = 24 * 1024;

/// Two connections, each with half of the streams, and none of them takes a byte beyond its window.
async fn stall(scene: &Scene, window: u32, host: Version) -> (Vec<Two>, Vec<RecvStream>) {
    let before = Seen::count(&scene.host.seen.calls);
    let mut clients = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let client = Two::with_window(scene.address, window)
            .await
            .expect("it listens");
        for _ in 0..STREAMS / 2 {
            let path = host.path("/bytes/4000000");
            let begun = client.begin("GET", &path, true).await;
            answers.push(begun.expect("it takes streams").0);
        }
        clients.push(client);
    }
    let mut bodies = Vec::new();
    for answer in answers {
        let answer = timeout(PROMPT * 2, answer).await.expect("a head in time");
        bodies.push(answer.expect("an answer").into_body());
    }
    let seen = &scene.host.seen;
    let all = before + STREAMS as u64;
    eventually("all streams stall", || Seen::count(&seen.calls) >= all).await;
    sleep(Duration::from_millis(700)).await;
    (clients, bodies)
}

fn rounds(window: u32, host: Version) {
    run(async {
        let scene = Scene::start(Setup::default());
        scene.others_go_on(5).await;
        let before = scene.memory();
        let mut peaks = Vec::new();
        for round in 0..5 {
            let (clients, bodies) = stall(&scene, window, host).await;
            let grown = scene.memory().saturating_sub(before);
            peaks.push(grown);
            assert!(grown < WINDOWS + SLACK, "round {round}: {grown} KiB more");
            scene.others_go_on(2).await;
            // On the same connections, if they let anything through.
            for client in &clients {
                for path in ["/bytes/0", "/h2/bytes/0"] {
                    let said = timeout(PROMPT, client.call("GET", path, b"")).await;
                    let said = said.expect("in time").expect("an answer");
                    assert_eq!(said, (200, 0));
                }
            }
            drop((clients, bodies));
            scene.settles().await;
        }
        // The first rounds make the tables and the allocator's arenas as large as they get.
        let (early, last) = (peaks[0].max(peaks[1]).max(peaks[2]), peaks[4]);
        assert!(
            last < early + 8 * 1024,
            "{before} KiB, and in each round {peaks:?} more"
        );
    });
}

#[test]
fn streams_without_a_window() {
    rounds(0, Version::Two);
}

#[test]
fn streams_that_nobody_reads() {
    rounds(65_535, Version::Two);
}

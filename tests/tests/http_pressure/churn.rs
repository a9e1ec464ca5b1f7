//! Many connections, and connections that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::client::{Two, Wire};
use crate::scene::{
    PATIENCE, PROMPT, Said, Scene, Setup, Version, WAYS, eventually, long, run, said, stat,
};

/// Descriptors that the test and the gateway each need beside those of the clients.
const SPARE: u64 = 1500;

/// Raises the soft limit of descriptors as far as it goes, for the gateway as well, and tells how many
/// connections may be open at once. Each has one end here and one in the gateway.
fn connections(wanted: u64) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(wanted + SPARE);
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    // Whoever may not raise it has fewer.
    let granted = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(_) => limit.current.unwrap_or(most),
    };
    let count = wanted.min(granted.saturating_sub(SPARE));
    if count < wanted {
        eprintln!("{count} connections instead of {wanted}: no more descriptors here");
    }
    usize::try_from(count).expect("a few thousand")
}

/// Connections that are opened at the same time.
const AT_ONCE: usize = 50;

/// An open connection of either version.
enum Client {
    One(Wire),
    Two(Two),
}

impl Client {
    async fn call(&mut self, path: &str) -> Said {
        match self {
            Self::One(wire) => said(wire.call("GET", path, b"").await),
            Self::Two(two) => said(two.call("GET", path, b"").await),
        }
    }

    async fn connect(address: SocketAddr, version: Version) -> Result<Self, String> {
        match version {
            Version::One => Wire::connect(address)
                .await
                .map(Self::One)
                .map_err(|e| e.to_string()),
            Version::Two => Two::connect(address)
                .await
                .map(Self::Two)
                .map_err(|e| e.to_string()),
        }
    }
}

#[test]
fn ten_thousand_connections_at_once() {
    // This process has the hosts' ends of connections too, but they are few.
    let wanted = connections(10_000);
    run(async {
        let scene = Scene::start(Setup::default());
        scene.others_go_on(2).await;
        let (descriptors, before) = (scene.descriptors(), scene.memory());
        let mut clients = Vec::new();
        while clients.len() < wanted {
            let begun = clients.len();
            let many = (begun..wanted.min(begun + AT_ONCE)).map(|number| {
                let address = scene.address;
                async move {
                    let (down, up) = WAYS[number % WAYS.len()];
                    let mut client = Client::connect(address, down).await?;
                    let said = client.call(&up.path("/")).await?;
                    Ok::<_, String>((client, said))
                }
            });
            for opened in many.collect::<JoinSet<_>>().join_all().await {
                let (client, said) = opened.expect("a connection and an answer");
                assert_eq!(said, (200, 1));
                clients.push(client);
            }
        }
        // Past the rest after which connections of HTTP/1 give their buffers back.
        sleep(Duration::from_secs(3)).await;
        let each = scene.memory().saturating_sub(before) * 1024 / wanted as u64;
        eprintln!("{each} bytes for each of {wanted} idle connections of both versions");
        assert!(each < 24 * 1024, "{each} bytes for an idle connection");
        for (number, client) in clients.iter_mut().enumerate().step_by(7) {
            assert_eq!(client.call("/").await, Ok((200, 1)), "connection {number}");
        }
        drop(clients);
        closes(&scene, descriptors).await;
        scene.settles().await;
    });
}

/// Waits until the gateway has no descriptor open but those it had and its connections to the host,
/// which stay open for the next calls.
async fn closes(scene: &Scene, before: usize) {
    let pooled = || {
        let stats = scene.stats();
        let open = |cluster| stat(&stats, &format!("cluster.{cluster}.upstream_cx_active"));
        usize::try_from(open("one") + open("two")).expect("a few")
    };
    let closed = || scene.descriptors() <= before + pooled() + 8;
    eventually("descriptors are closed", closed).await;
}

/// So many connections are opened and closed in a second.
const RATE: u64 = 1000;

async fn churn(scene: &Scene, time: Duration) -> Vec<Said> {
    let mut failed = Vec::new();
    let mut calls: JoinSet<Said> = JoinSet::new();
    // Ten at a time: timers are no finer.
    let mut ticks = interval(Duration::from_secs(10) / RATE as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + time;
    let mut number = 0;
    let address = scene.address;
    while Instant::now() < end {
        ticks.tick().await;
        for _ in 0..10 {
            let (down, up) = WAYS[number % WAYS.len()];
            number += 1;
            let path = up.path("/");
            calls.spawn(async move {
                let call = async {
                    match down {
                        Version::One => {
                            let wire = Wire::connect(address).await;
                            let mut wire = wire.map_err(|error| error.to_string())?;
                            said(wire.call("GET", &path, b"").await)
                        }
                        Version::Two => {
                            let two = Two::connect(address).await;
                            let two = two.map_err(|error| error.to_string())?;
                            said(two.call("GET", &path, b"").await)
                        }
                    }
                };
                timeout(PROMPT, call)
                    .await
                    .unwrap_or_else(|_| Err("late".to_owned()))
            });
        }
        while let Some(said) = calls.try_join_next() {
            failed.extend(Some(said.expect("no panic")).filter(|said| *said != Ok((200, 1))));
        }
        // A machine that is too slow for the rate does as much as it can.
        while calls.len() > 200 {
            let said = calls.join_next().await.expect("there are some");
            failed.extend(Some(said.expect("no panic")).filter(|said| *said != Ok((200, 1))));
        }
    }
    let last = timeout(PATIENCE, calls.join_all()).await.expect("in time");
    failed.extend(last.into_iter().filter(|said| *said != Ok((200, 1))));
    eprintln!("{number} connections in {time:?}");
    failed
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    connections(10_000);
    run(async {
        let scene = Scene::start(Setup::default());
        scene.others_go_on(2).await;
        let descriptors = scene.descriptors();
        let time = Duration::from_secs(if long() { 25 } else { 4 });
        // What a burst needs at once, the allocator keeps.
        assert_eq!(churn(&scene, time / 2).await, []);
        let before = scene.memory();
        for _ in 0..2 {
            assert_eq!(churn(&scene, time).await, []);
        }
        closes(&scene, descriptors).await;
        let grown = scene.memory().saturating_sub(before);
        assert!(
            grown < 8 * 1024,
            "{grown} KiB more after connections came and went"
        );
        scene.settles().await;
    });
}

//! Connections to hosts: shared, opened in time, and retired without a failed call.

use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Two, Wire};
use crate::host::{Host, Manner, Seen, raw};
use crate::scene::{
    PATIENCE, PROMPT, Said, Scene, Setup, Version, eventually, gateway, run, said, stat,
};

/// Clients of HTTP/2 that call all the time, each one call after another.
struct Load {
    clients: usize,
    calls: usize,
    method: &'static str,
    path: &'static str,
    body: &'static [u8],
}

impl Default for Load {
    fn default() -> Self {
        Self {
            clients: 20,
            calls: 100,
            method: "GET",
            path: "/h2/",
            body: b"",
        }
    }
}

impl Load {
    /// Every call has to be answered with 200.
    async fn run(self, address: std::net::SocketAddr) {
        let mut all = JoinSet::new();
        for _ in 0..self.clients {
            all.spawn(async move {
                let two = Two::connect(address).await.expect("it listens");
                let mut failed: Vec<Said> = Vec::new();
                for _ in 0..self.calls {
                    let call = two.call(self.method, self.path, self.body);
                    let said = said(timeout(PROMPT * 2, call).await.expect("in time"));
                    if !matches!(said, Ok((200, _))) {
                        failed.push(said);
                    }
                }
                failed
            });
        }
        let failed: Vec<Said> = all.join_all().await.concat();
        let few = failed.get(..failed.len().min(5));
        assert!(failed.is_empty(), "{} calls failed: {few:?}", failed.len());
    }
}

#[test]
fn many_clients_share_few_connections() {
    run(async {
        let scene = Scene::start(Setup::default());
        Load {
            clients: 60,
            ..Load::default()
        }
        .run(scene.address)
        .await;
        let accepted = Seen::count(&scene.host.seen.accepted);
        assert!(accepted <= 4, "{accepted} connections for one worker");
        scene.settles().await;
    });
}

#[test]
fn the_next_connection_opens_before_the_stream_limit() {
    run(async {
        let scene = Scene::start(Setup {
            manner: Manner {
                streams: Some(10),
                pause: Duration::from_millis(20),
                ..Manner::default()
            },
            ..Setup::default()
        });
        let seen = &scene.host.seen;
        let load = Load {
            clients: 36,
            calls: 30,
            ..Load::default()
        };
        load.run(scene.address).await;
        assert!(Seen::count(&seen.streams) <= 10);
        assert_eq!(Seen::count(&seen.accepted), 4);
        scene.settles().await;
    });
}

/// Streams that last must not wait for each other, not even when all of them begin at once on a host that has
/// not said yet how many it takes.
#[test]
fn lasting_streams_do_not_wait_for_each_other() {
    run(async {
        let scene = Scene::start(Setup {
            manner: Manner {
                streams: Some(10),
                ..Manner::default()
            },
            ..Setup::default()
        });
        let two = Two::connect(scene.address).await.expect("it listens");
        let mut answers = Vec::new();
        for _ in 0..40 {
            let begun = two.begin("GET", "/h2/endless", true).await;
            answers.push(begun.expect("a stream").0);
        }
        let mut lasting = Vec::new();
        for (number, answer) in answers.into_iter().enumerate() {
            let answer = timeout(PROMPT, answer).await;
            let answer = answer.unwrap_or_else(|_| panic!("stream {number} waits"));
            lasting.push(answer.expect("an answer"));
        }
        assert_eq!(Seen::count(&scene.host.seen.accepted), 4);
        // All places are taken: one more waits for its turn, and gets it.
        let (next, _) = two.begin("GET", "/h2/", true).await.expect("a stream");
        sleep(Duration::from_millis(100)).await;
        lasting.truncate(35);
        let next = timeout(PROMPT, next).await.expect("in time");
        assert_eq!(next.expect("an answer").status(), 200);
        drop((lasting, two));
        scene.settles().await;
    });
}

#[test]
fn goaway_fails_no_call() {
    run(async {
        let scene = Scene::start(Setup {
            manner: Manner {
                goaway_after: Some(50),
                pause: Duration::from_millis(2),
                ..Manner::default()
            },
            ..Setup::default()
        });
        for (method, body) in [
            ("GET", &b""[..]),
            ("POST", b"a body"),
            ("POST", &[7; 20_000]),
        ] {
            let load = Load {
                method,
                body,
                ..Load::default()
            };
            load.run(scene.address).await;
        }
        assert!(Seen::count(&scene.host.seen.accepted) > 20);
        scene.settles().await;
    });
}

/// Calls above the last stream that a GOAWAY names have not been acted upon, whatever their method.
#[test]
fn goaway_below_open_streams_fails_no_call() {
    run(async {
        let host = raw::Host::start(16, 8).await;
        let gateway = gateway(&Setup::default(), host.address);
        for (method, body) in [
            ("GET", &b""[..]),
            ("POST", b"a body"),
            ("POST", &[7; 10_000]),
        ] {
            let load = Load {
                calls: 150,
                method,
                body,
                ..Load::default()
            };
            load.run(gateway.address()).await;
        }
        // How often depends on how long the calls take.
        assert!(host.said_goaway() >= 1, "{} times", host.said_goaway());
    });
}

#[test]
fn connections_retire_by_their_count_of_requests() {
    run(async {
        let scene = Scene::start(Setup {
            common: json!({"max_requests_per_connection": 25}),
            ..Setup::default()
        });
        let post = Load {
            method: "POST",
            body: b"a body",
            ..Load::default()
        };
        post.run(scene.address).await;
        let over_one = Load {
            path: "/",
            calls: 25,
            ..Load::default()
        };
        over_one.run(scene.address).await;
        let seen = &scene.host.seen;
        assert!(Seen::count(&seen.accepted) >= 2000 / 25 + 500 / 25);
        eventually("those are closed", || Seen::count(&seen.open) <= 24).await;
        scene.settles().await;
    });
}

#[test]
fn connections_retire_by_age_and_rest() {
    run(async {
        let old = Scene::start(Setup {
            common: json!({"max_connection_duration": "0.3s"}),
            ..Setup::default()
        });
        let idle = Scene::start(Setup {
            common: json!({"idle_timeout": "0.3s"}),
            ..Setup::default()
        });
        let open = |scene: &Scene| Seen::count(&scene.host.seen.open);
        let paths = [("/", Version::One), ("/", Version::Two)];
        let deadline = tokio::time::Instant::now() + Duration::from_secs(7);
        // Calls go on while connections get old.
        while tokio::time::Instant::now() < deadline {
            for (path, host) in paths {
                for scene in [&old, &idle] {
                    let said = scene.ask((Version::Two, host), "GET", path, b"").await;
                    assert_eq!(said, Ok((200, 1)));
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert!(Seen::count(&old.host.seen.accepted) > 2);
        eventually("idle connections are closed", || open(&idle) == 0).await;
        eventually("old connections are closed", || open(&old) <= 1).await;
        old.settles().await;
        idle.settles().await;
    });
}

#[test]
fn hosts_that_close_resting_connections_fail_no_call() {
    run(async {
        let scene = Scene::start(Setup {
            manner: Manner {
                keep_alive: Some(Duration::from_millis(30)),
                ..Manner::default()
            },
            ..Setup::default()
        });
        let mut clients = JoinSet::new();
        let (address, body) = (scene.address, vec![b'x'; 10_000]);
        for client in 0..12_u64 {
            let body = body.clone();
            clients.spawn(async move {
                let mut wire = Wire::connect(address).await.expect("it listens");
                for call in 0..60_u64 {
                    let (method, body) = match call % 3 {
                        0 => ("GET", &b""[..]),
                        1 => ("PUT", &b"small"[..]),
                        _ => ("PUT", &body[..]),
                    };
                    let said = said(wire.call(method, "/", body).await);
                    assert!(matches!(said, Ok((200, _))), "{method} {call}: {said:?}");
                    // Around the moment at which the host closes.
                    sleep(Duration::from_micros(
                        26_000 + (client * 977 + call * 331) % 8000,
                    ))
                    .await;
                }
            });
        }
        clients.join_all().await;
        let stats = scene.stats();
        assert!(
            stat(&stats, "cluster.one.upstream_cx_total") > 30,
            "{stats}"
        );
        scene.settles().await;
    });
}

/// The host may have seen a POST that was written as it closed; any other is answered.
#[test]
fn a_post_is_not_sent_twice() {
    run(async {
        let scene = Scene::start(Setup {
            manner: Manner {
                keep_alive: Some(Duration::from_millis(30)),
                ..Manner::default()
            },
            ..Setup::default()
        });
        let mut wire = Wire::connect(scene.address).await.expect("it listens");
        // Long after and long before the host closes.
        for rest in [0, 60, 5, 60, 60] {
            sleep(Duration::from_millis(rest)).await;
            let said = said(wire.call("POST", "/", b"once").await);
            assert_eq!(said, Ok((200, 1)), "after {rest} ms");
        }
        assert_eq!(Seen::count(&scene.host.seen.calls), 5);
        scene.settles().await;
    });
}

#[test]
fn a_host_that_restarts_is_called_again() {
    run(async {
        let setup = Setup::default();
        let mut host = Host::start(Manner::default());
        let address = host.address;
        let gateway = gateway(&setup, address);
        let clients = [
            Two::connect(gateway.address()).await.expect("it listens"),
            Two::connect(gateway.address()).await.expect("it listens"),
        ];
        for _ in 0..5 {
            for path in ["/", "/h2/"] {
                for client in &clients {
                    let said = timeout(PATIENCE, client.call("GET", path, b"")).await;
                    assert_eq!(said.expect("in time").expect("an answer"), (200, 1));
                }
            }
            drop(host);
            // Sockets that are closed keep a port for a moment.
            host = timeout(PATIENCE, async {
                loop {
                    if let Some(host) = Host::start_at(address, Manner::default()) {
                        break host;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            })
            .await
            .expect("the port is free again");
            sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn resets_by_clients_leave_shared_connections_alone() {
    run(async {
        let scene = Scene::start(Setup::default());
        let seen = Arc::clone(&scene.host.seen);
        let two = Two::connect(scene.address).await.expect("it listens");
        let said = two.call("GET", "/h2/", b"").await.expect("an answer");
        assert_eq!(said, (200, 1));
        let good = tokio::spawn(Load::default().run(scene.address));
        // Few enough for nobody to be told to calm down.
        for _ in 0..200 {
            let (answer, mut stream) = two.begin("GET", "/h2/hang", true).await.expect("one");
            sleep(Duration::from_millis(1)).await;
            stream.send_reset(Reason::CANCEL);
            drop(answer);
        }
        good.await.expect("every call is answered");
        eventually("all end", || Seen::count(&seen.broken) == 200).await;
        assert!(Seen::count(&seen.accepted) <= 4);
        scene.settles().await;
    });
}

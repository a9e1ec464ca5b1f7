//! Either side breaks off in the middle: the other one hears of it, and nothing else is harmed.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::client::{Two, Wire};
use crate::host::Seen;
use crate::scene::{PATIENCE, PROMPT, Scene, Setup, Version, WAYS, eventually, run};

/// A call in its middle.
enum Half {
    One(Wire),
    Two(
        Two,
        h2::SendStream<bytes::Bytes>,
        h2::client::ResponseFuture,
    ),
}

impl Half {
    /// Begins a call, with 100,000 bytes of a body that does not end when it uploads.
    async fn begin(scene: &Scene, way: (Version, Version), method: &str, path: &str) -> Self {
        let path = way.1.path(path);
        let piece = vec![b'x'; 50_000];
        match way.0 {
            Version::One => {
                let mut wire = Wire::connect(scene.address).await.expect("it listens");
                let length = (method == "POST").then_some(1_000_000);
                wire.ask(method, &path, length).await.expect("it reads");
                if length.is_some() {
                    wire.socket.write_all(&piece).await.expect("it reads");
                }
                Self::One(wire)
            }
            Version::Two => {
                let two = Two::connect(scene.address).await.expect("it listens");
                let begun = two.begin(method, &path, method == "GET").await;
                let (answer, mut stream) = begun.expect("it takes streams");
                if method == "POST" {
                    stream.send_data(piece.into(), false).expect("it reads");
                }
                Self::Two(two, stream, answer)
            }
        }
    }

    /// Leaves without a word. A plain end of HTTP/1 would only say that no more requests follow.
    fn leave(self) {
        if let Self::One(wire) = self {
            wire.socket.set_zero_linger().expect("a socket");
        }
    }

    /// The status and length of the answer, if it comes to its end.
    async fn end(self) -> Result<(u16, usize), String> {
        match self {
            Self::One(mut wire) => {
                let read = async {
                    let head = wire.head().await?;
                    let mut body = head.body(false);
                    let length = wire.rest(&mut body).await?;
                    Ok((head.status(), length))
                };
                read.await.map_err(|error: io::Error| error.to_string())
            }
            Self::Two(_two, _stream, answer) => {
                let read = async {
                    let (head, mut body) = answer.await?.into_parts();
                    Ok((head.status.as_u16(), crate::client::rest(&mut body).await?))
                };
                read.await.map_err(|error: h2::Error| error.to_string())
            }
        }
    }
}

#[test]
fn a_client_that_leaves_ends_its_call_at_the_host() {
    run(async {
        let scene = Scene::start(Setup::default());
        let seen = &scene.host.seen;
        let calls = [
            ("GET", "/hang"),
            ("GET", "/endless"),
            ("GET", "/bytes/100000000"),
            ("POST", "/sink"),
            ("POST", "/hang"),
        ];
        for way in WAYS {
            for (method, path) in calls {
                let (begun, broken) = (Seen::count(&seen.calls), Seen::count(&seen.broken));
                let halves = [
                    Half::begin(&scene, way, method, path).await,
                    Half::begin(&scene, way, method, path).await,
                    Half::begin(&scene, way, method, path).await,
                ];
                let what = format!("{way:?} {method} {path}");
                eventually(&what, || Seen::count(&seen.calls) == begun + 3).await;
                sleep(Duration::from_millis(50)).await;
                halves.into_iter().for_each(Half::leave);
                eventually(&what, || Seen::count(&seen.broken) == broken + 3).await;
            }
        }
        scene.others_go_on(2).await;
        scene.settles().await;
    });
}

#[test]
fn a_stream_that_is_reset_ends_and_its_connection_goes_on() {
    run(async {
        let scene = Scene::start(Setup::default());
        let seen = &scene.host.seen;
        let two = Two::connect(scene.address).await.expect("it listens");
        for host in [Version::One, Version::Two] {
            for path in ["/hang", "/endless", "/bytes/100000000"] {
                let broken = Seen::count(&seen.broken);
                let (answer, mut stream) = two
                    .begin("GET", &host.path(path), true)
                    .await
                    .expect("a stream");
                if path == "/hang" {
                    sleep(Duration::from_millis(50)).await;
                    drop(answer);
                } else {
                    let answer = timeout(PROMPT, answer).await.expect("in time");
                    drop(answer.expect("a head"));
                }
                stream.send_reset(h2::Reason::CANCEL);
                let what = format!("{host:?} {path}");
                eventually(&what, || Seen::count(&seen.broken) == broken + 1).await;
                let said = timeout(PROMPT, two.call("GET", &host.path("/"), b"")).await;
                assert_eq!(said.expect("in time").expect("an answer"), (200, 1));
            }
        }
        scene.settles().await;
    });
}

#[test]
fn a_host_that_breaks_off_breaks_the_answer_off() {
    run(async {
        let scene = Scene::start(Setup::default());
        for way in WAYS {
            for _ in 0..20 {
                let half = Half::begin(&scene, way, "GET", "/reset").await;
                let ended = timeout(PATIENCE, half.end()).await.expect("in time");
                assert!(ended.is_err(), "{way:?}: {ended:?}");
            }
        }
        scene.others_go_on(2).await;
        scene.settles().await;
    });
}

#[test]
fn an_early_answer_arrives_and_ends_the_upload() {
    run(async {
        let scene = Scene::start(Setup::default());
        for way in WAYS {
            for _ in 0..20 {
                let half = Half::begin(&scene, way, "POST", "/early").await;
                let ended = timeout(PATIENCE, half.end()).await.expect("in time");
                assert_eq!(ended, Ok((200, 5)), "{way:?}");
            }
        }
        scene.others_go_on(2).await;
        scene.settles().await;
    });
}

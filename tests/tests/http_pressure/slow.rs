//! One side is fast and the other slow: the gateway holds the windows of docs/limits.md and no more.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::client::{self, Two, Wire};
use crate::host::{Manner, Seen};
use crate::scene::{PROMPT, Scene, Setup, Version, WAYS, eventually, long, run};

const MIB: usize = 1 << 20;

/// What one stream may hold, both ways and in every place, with what the allocator makes of it, in KiB.
const SLACK: u64 = 4 * 1024;

/// How long a reader is slow.
const SLOW: Duration = Duration::from_millis(2500);

fn scene() -> Scene {
    let scene = Scene::start(Setup::default());
    assert_eq!(Manner::default().streams, None);
    scene
}

/// A download whose reader has its own speed.
enum Download {
    One(Wire, client::Body),
    Two(Box<Two>, h2::RecvStream),
}

impl Download {
    async fn begin(scene: &Scene, way: (Version, Version), size: usize) -> Self {
        let path = way.1.path(&format!("/bytes/{size}"));
        match way.0 {
            Version::One => {
                let mut wire = Wire::connect(scene.address).await.expect("it listens");
                wire.ask("GET", &path, None).await.expect("it reads");
                let head = wire.head().await.expect("it answers");
                assert_eq!(head.status(), 200);
                let body = head.body(false);
                Self::One(wire, body)
            }
            Version::Two => {
                let two = Two::connect(scene.address).await.expect("it listens");
                let begun = two.begin("GET", &path, true).await;
                let answer = begun
                    .expect("it takes streams")
                    .0
                    .await
                    .expect("it answers");
                Self::Two(Box::new(two), answer.into_body())
            }
        }
    }

    /// Reads a few KB.
    async fn piece(&mut self) -> usize {
        match self {
            Self::One(wire, body) => wire.piece(body).await.expect("it goes on"),
            Self::Two(_, body) => client::piece(body).await.expect("it goes on"),
        }
        .unwrap_or_default()
    }

    async fn rest(&mut self) -> usize {
        match self {
            Self::One(wire, body) => wire.rest(body).await.expect("it goes on"),
            Self::Two(_, body) => client::rest(body).await.expect("it goes on"),
        }
    }
}

#[test]
fn a_slow_reader_stops_a_fast_host() {
    run(async {
        let scene = scene();
        scene.others_go_on(10).await;
        let before = scene.memory();
        let whole = if long() { 1024 * MIB } else { 256 * MIB };
        for way in WAYS {
            let mut download = Download::begin(&scene, way, whole).await;
            let mut read = 0;
            let reading = async {
                loop {
                    read += download.piece().await;
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let others = async {
                scene.others_go_on(10).await;
                sleep(SLOW).await;
            };
            tokio::select! {
                () = reading => {}
                () = others => {}
            }
            if let Download::Two(two, _) = &download {
                let path = way.1.path("/");
                for _ in 0..10 {
                    let said = timeout(PROMPT, two.call("GET", &path, b""))
                        .await
                        .expect("in time");
                    assert_eq!(said.expect("an answer"), (200, 1), "{way:?}");
                }
            }
            let grown = scene.memory().saturating_sub(before);
            assert!(
                grown < SLACK,
                "{way:?}: {grown} KiB more for one slow reader"
            );
            // One reads all the rest at once, the others leave.
            if way == (Version::Two, Version::Two) {
                assert_eq!(read + download.rest().await, whole);
            }
        }
        let grown = scene.memory().saturating_sub(before);
        assert!(grown < SLACK, "{grown} KiB more after slow readers");
        scene.settles().await;
    });
}

#[test]
fn a_host_that_does_not_read_stops_a_fast_client() {
    const WHOLE: usize = 48 * MIB;
    run(async {
        let scene = scene();
        scene.others_go_on(10).await;
        let before = scene.memory();
        for way in WAYS {
            let seen = Seen::count(&scene.host.seen.received);
            scene.host.read(false);
            let path = way.1.path("/sink");
            let address = scene.address;
            let upload = tokio::spawn(async move {
                match way.0 {
                    Version::One => {
                        upload_one(Wire::connect(address).await.expect("it listens"), &path).await
                    }
                    Version::Two => {
                        upload_two(&Two::connect(address).await.expect("it listens"), &path).await
                    }
                }
            });
            sleep(SLOW / 2).await;
            let grown = scene.memory().saturating_sub(before);
            assert!(grown < SLACK, "{way:?}: {grown} KiB more for one slow host");
            assert_eq!(Seen::count(&scene.host.seen.received), seen);
            for other in WAYS {
                let size = (200, 100_000);
                let said = timeout(PROMPT, scene.ask(other, "GET", "/bytes/100000", b"")).await;
                assert_eq!(said, Ok(Ok(size)), "{other:?} beside {way:?}");
            }
            scene.host.read(true);
            let said = timeout(PROMPT * 3, upload).await;
            let all = Seen::count(&scene.host.seen.received) - seen;
            let said = said.unwrap_or_else(|_| panic!("{way:?}: {all} bytes in time"));
            assert_eq!(
                said.expect("an answer"),
                (200, WHOLE.to_string().len()),
                "{way:?}"
            );
            assert_eq!(Seen::count(&scene.host.seen.received), seen + WHOLE as u64);
        }
        let grown = scene.memory().saturating_sub(before);
        assert!(grown < SLACK, "{grown} KiB more after slow hosts");
        scene.settles().await;
    });

    async fn upload_one(mut wire: Wire, path: &str) -> (u16, usize) {
        wire.ask("POST", path, Some(WHOLE)).await.expect("it reads");
        let piece = vec![b'x'; MIB];
        for _ in 0..WHOLE / MIB {
            wire.socket.write_all(&piece).await.expect("it reads");
        }
        let head = wire.head().await.expect("it answers");
        let mut body = head.body(false);
        (head.status(), wire.rest(&mut body).await.expect("a body"))
    }

    async fn upload_two(two: &Two, path: &str) -> (u16, usize) {
        let (answer, mut stream) = two.begin("POST", path, false).await.expect("a stream");
        let mut left = WHOLE;
        while left > 0 {
            stream.reserve_capacity(left.min(MIB));
            let credit = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
            let credit = credit.expect("it goes on").expect("it goes on").min(left);
            let piece = Bytes::from(vec![b'x'; credit]);
            left -= credit;
            stream.send_data(piece, left == 0).expect("it goes on");
        }
        let (head, mut body) = answer.await.expect("an answer").into_parts();
        (
            head.status.as_u16(),
            client::rest(&mut body).await.expect("a body"),
        )
    }
}

#[test]
fn slow_and_fast_streams_of_one_connection() {
    run(async {
        let scene = scene();
        let two = Two::connect(scene.address).await.expect("it listens");
        let mut slow = Vec::new();
        for way in [Version::One, Version::Two].repeat(10) {
            let path = way.path("/bytes/100000000");
            let (answer, _) = two.begin("GET", &path, true).await.expect("a stream");
            slow.push(answer.await.expect("an answer").into_body());
        }
        let seen = &scene.host.seen;
        eventually("all have begun", || Seen::count(&seen.calls) == 20).await;
        for way in [Version::One, Version::Two] {
            let path = way.path("/bytes/16777216");
            let said = timeout(PROMPT, two.call("GET", &path, b""))
                .await
                .expect("in time");
            assert_eq!(said.expect("an answer"), (200, 16 * MIB));
        }
        drop(slow);
        scene.others_go_on(1).await;
        scene.settles().await;
    });
}

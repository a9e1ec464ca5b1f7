//! What a caller sees when the gateway itself answers: the exception of its own framework for that cause. Each
//! test makes a column of the tables in `docs/local-replies.md`, see [`table::check`].

mod policies;
mod scene;
mod table;

use crossdock_tests::calls::MIB;
use crossdock_tests::{Kind, Turn};
use serde_json::json;

use scene::{Put, Scene};

/// This provider would send more than the gateway passes on.
const GENEROUS: &[&str] = &["--payload", "67108864"];

/// How a framework's failures differ from each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// By class and number.
    Class,
    /// By what they say.
    Words,
}

impl By {
    fn cell(self, failure: &str, message: &str) -> String {
        match self {
            Self::Class => table::cell(failure),
            Self::Words => table::cell_with_words(failure, message),
        }
    }
}

type Row = (&'static str, String);

/// Has every cause happen but the loss of the host.
#[track_caller]
fn replies(scene: &mut Scene, by: By) -> Vec<Row> {
    let mut seen = scene.replies();
    seen.push(("overload, a limit reached", scene.overload()));
    let row = |(cause, seen): (&'static str, scene::Seen)| {
        let rest = if seen.works {
            ""
        } else {
            "; every later call as well"
        };
        (cause, by.cell(&seen.failure, &seen.message) + rest)
    };
    seen.into_iter().map(row).collect()
}

/// Loses the host, and compares all with the column of the docs.
#[track_caller]
fn check(column: &str, mut rows: Vec<Row>, scene: &mut Scene, by: By) {
    let lost = scene.lost();
    rows.push((
        "host lost during the call",
        by.cell(&lost.failure(), lost.message()),
    ));
    table::check(column, &rows);
}

#[test]
fn java_dubbo27() {
    let _turn = Turn::take();
    let provides = (Kind::JavaDubbo27, GENEROUS);
    let Some(mut scene) = Scene::set(provides, Kind::JavaDubbo27, Put::Attachment) else {
        return;
    };
    scene.refer(json!({"payload": 64 * MIB}));
    let seen = replies(&mut scene, By::Class);
    check("Dubbo 2.7.23", seen, &mut scene, By::Class);
}

/// 3.3 wraps an `RpcException` that a reply carries (its `RpcExceptionFilter` throws it where a value is
/// awaited): the code that says more is that of the innermost cause.
#[test]
fn java_dubbo33() {
    let _turn = Turn::take();
    let provides = (Kind::JavaDubbo, GENEROUS);
    let Some(mut scene) = Scene::set(provides, Kind::JavaDubbo, Put::Attachment) else {
        return;
    };
    // A consumer repeats a call that failed for a reason that another try may get around, and no other.
    scene.refer(json!({"connections": 1, "retries": 2}));
    for (case, tries) in [
        ("no-route", 1),
        ("denied", 1),
        ("no-host", 1),
        ("refused", 3),
    ] {
        let before = scene.gateway.stat("http.rpc.downstream_rq_total");
        assert!(!scene.call(case).ok());
        let after = scene.gateway.stat("http.rpc.downstream_rq_total");
        assert_eq!(after - before, tries, "{case}");
    }
    let [hessian2, fastjson2] = ["hessian2", "fastjson2"].map(|serialization| {
        let way = json!({"serialization": serialization, "payload": 64 * MIB, "connections": 1, "retries": 0});
        scene.refer(way);
        replies(&mut scene, By::Class)
    });
    assert_eq!(hessian2, fastjson2);
    check("Dubbo 3.3.6", fastjson2, &mut scene, By::Class);
}

#[test]
fn node_dubbo() {
    let _turn = Turn::take();
    let provides = (Kind::Node, &["--wire", "dubbo"][..]);
    let Some(mut scene) = Scene::set(provides, Kind::Node, Put::Attachment) else {
        return;
    };
    scene.refer(json!({"wire": "dubbo"}));
    let seen = replies(&mut scene, By::Words);
    check("dubbo-remoting 2.1.4 (Node)", seen, &mut scene, By::Words);
}

#[test]
fn python_dubbo() {
    let _turn = Turn::take();
    let provides = (Kind::JavaDubbo, GENEROUS);
    let Some(mut scene) = Scene::set(provides, Kind::Python, Put::Attachment) else {
        return;
    };
    scene.refer(json!({"wire": "dubbo", "timeout": 6000}));
    let seen = replies(&mut scene, By::Words);
    check("dubbo-ssl-python 0.9.6", seen, &mut scene, By::Words);
}

#[test]
fn java_sofarpc() {
    let _turn = Turn::take();
    let Some(mut scene) = Scene::set((Kind::JavaSofa, &[]), Kind::JavaSofa, Put::Header) else {
        return;
    };
    scene.refer(json!({}));
    let seen = replies(&mut scene, By::Class);
    assert!(scene.call("no-route").message().contains("RPC-020100010"));
    no_status_made_it_hang_up(&scene);
    check("SOFARPC 5.13.2", seen, &mut scene, By::Class);
}

#[test]
fn java_bolt_with_crc() {
    let _turn = Turn::take();
    let Some(mut scene) = Scene::set((Kind::JavaBolt, &[]), Kind::JavaBolt, Put::Attachment) else {
        return;
    };
    scene.refer(json!({"protocol": 2, "version": 2}));
    let seen = replies(&mut scene, By::Class);
    no_status_made_it_hang_up(&scene);
    check("SOFABolt 1.6.12", seen, &mut scene, By::Class);
}

#[test]
fn node_bolt() {
    let _turn = Turn::take();
    let provides = (
        Kind::Node,
        &["--wire", "bolt", "--version", "1.0,timeout,overload"][..],
    );
    let Some(mut scene) = Scene::set(provides, Kind::Node, Put::Version) else {
        return;
    };
    scene.refer(json!({"wire": "bolt"}));
    let seen = replies(&mut scene, By::Words);
    check("sofa-rpc-node 2.10.0", seen, &mut scene, By::Words);
}

#[test]
fn python_bolt() {
    let _turn = Turn::take();
    let Some(mut scene) = Scene::set((Kind::Python, &[]), Kind::Python, Put::Attachment) else {
        return;
    };
    scene.refer(json!({"wire": "bolt"}));
    let seen = replies(&mut scene, By::Words);
    no_status_made_it_hang_up(&scene);
    check("anthunder 0.8.1 (Python)", seen, &mut scene, By::Words);
}

#[track_caller]
fn no_status_made_it_hang_up(scene: &Scene) {
    assert_eq!(scene.gateway.stat("http.rpc.downstream_cx_total"), 1);
}

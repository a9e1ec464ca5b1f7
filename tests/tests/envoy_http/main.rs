//! The same file under Envoy and under Crossdock, the same requests to both, the same hosts behind them: what clients
//! are told and what hosts get has to be the same, except for what `expected.rs` names.

mod ask;
mod client;
mod compare;
mod expected;
mod file;
mod host;
mod scene;
mod scenes;
mod wire;

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::Path};

use crossdock_tests::{Gateway, Kind, Peers, Turn};
use serde_json::Value;

use ask::{Ask, Outcome};
use expected::Verdict;
use file::Clusters;
use host::Book;
use scene::{Compare, Scene};

#[test]
fn the_same_file_gives_the_same_answers() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::Envoy) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let scenes = scenes::all();
    let asked: usize = scenes.iter().map(|scene| scene.asks.len()).sum();
    if false {
        assert!(scenes.len() >= 40, "{} configurations", scenes.len());
        assert!(asked >= 2000, "{asked} requests");
    }
    let book = Book::default();
    let clusters = runtime.block_on(Clusters::start(&book));
    let file = clusters.bootstrap(&scenes);
    let envoy = {
        let envoy = Gateway::start_program("envoy", &peers.envoy(), |folder| {
            let mut args = write(&file, folder);
            args.extend(["--concurrency", "1", "--log-level", "error"].map(OsString::from));
            args.push("--disable-hot-restart".into());
            args
        });
        runtime.block_on(all(&envoy, &scenes, &book))
    };
    let ours = {
        let gateway = Gateway::start_with(|folder| write(&file, folder));
        runtime.block_on(all(&gateway, &scenes, &book))
    };
    let mut verdict = Verdict::default();
    for ((scene, envoy), ours) in scenes.iter().zip(&envoy).zip(&ours) {
        judge(scene, envoy, ours, &mut verdict);
    }
    eprintln!("{} configurations, {asked} requests", scenes.len());
    verdict.finish();
}

fn write(file: &Value, folder: &Path) -> Vec<OsString> {
    let path = folder.join("bootstrap.json");
    std::fs::write(&path, file.to_string()).expect("the folder can be written");
    vec!["-c".into(), path.into()]
}

/// What becomes of every request of every scene.
async fn all(proxy: &Gateway, scenes: &[Scene], book: &Book) -> Vec<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for scene in scenes {
        let address = proxy.address_of(scene.name);
        let mut told = Vec::new();
        for (number, ask) in scene.asks.iter().enumerate() {
            told.push(one(address, ask, &format!("{}-{number}", scene.name), book).await);
        }
        outcomes.push(told);
    }
    outcomes
}

async fn one(address: SocketAddr, ask: &Ask, case: &str, book: &Book) -> Outcome {
    let ask = ask.clone().header(host::CASE, case);
    let told = client::ask(address, &ask).await;
    Outcome {
        told,
        seen: book.take(case),
    }
}

fn judge(scene: &Scene, envoy: &[Outcome], ours: &[Outcome], verdict: &mut Verdict) {
    match scene.compare {
        Compare::Each => {}
        Compare::Shares => return shares(scene, envoy, ours),
        Compare::Counts | Compare::Statuses => return sums(scene, envoy, ours, verdict),
    }
    for (number, ask) in scene.asks.iter().enumerate() {
        let found = compare::differences(ask, &envoy[number], &ours[number]);
        verdict.note(scene.name, ask, &found);
    }
}

/// As many clients are told the same, and hosts are asked as often, whichever they are: one round more or less.
fn sums(scene: &Scene, envoy: &[Outcome], ours: &[Outcome], verdict: &mut Verdict) {
    let sum = |outcomes: &[Outcome]| {
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        for outcome in outcomes {
            *statuses.entry(outcome.told.status).or_default() += 1;
        }
        let mut counts: Vec<usize> = by_host(outcomes).into_values().collect();
        counts.sort_unstable();
        (statuses, counts)
    };
    let (envoy, ours) = (sum(envoy), sum(ours));
    let near = |(one, other): (&usize, &usize)| one.abs_diff(*other) <= 2;
    let as_often = envoy.1.len() == ours.1.len() && envoy.1.iter().zip(&ours.1).all(near);
    let same = envoy.0 == ours.0 && (as_often || scene.compare == Compare::Statuses);
    verdict.whole(scene.name, same, &(envoy, ours));
}

/// How often each host was asked.
fn by_host(outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut hosts: BTreeMap<String, usize> = BTreeMap::new();
    for seen in outcomes.iter().flat_map(|outcome| &outcome.seen) {
        *hosts.entry(seen.host.clone()).or_default() += 1;
    }
    hosts
}

/// Weights are kept to, not draws.
fn shares(scene: &Scene, envoy: &[Outcome], ours: &[Outcome]) {
    let (envoy, ours) = (by_host(envoy), by_host(ours));
    assert_eq!(
        envoy.keys().collect::<Vec<_>>(),
        ours.keys().collect::<Vec<_>>(),
        "{}",
        scene.name
    );
    // Both are draws: twice five deviations apart at most.
    let all = scene.asks.len() as f64;
    for (host, told) in &envoy {
        let share = *told as f64 / all;
        let most = 10.0 * (all * share * (1.0 - share)).sqrt();
        let apart = (*told as f64 - ours[host] as f64).abs();
        assert!(apart <= most, "{}: {envoy:?} and {ours:?}", scene.name);
    }
}

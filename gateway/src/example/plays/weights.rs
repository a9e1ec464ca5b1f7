//! A new version takes over while calls flow.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use super::{Example, by};
use crate::example::{
    callers::{Ask, Caller, SITES, Site},
    cast::Running,
    stage::{Stage, Tally},
};

const ROUTES: &str = include_str!("../../../../examples/shift-weights.routes.yaml");

pub(super) const EXAMPLE: Example = Example {
    name: "shift-weights",
    shows: "version 2 takes over while calls flow, by a file that is moved into place",
    config: include_str!("../../../../examples/shift-weights.yaml"),
    file: Some(("shift-weights.routes.yaml", ROUTES)),
    play: |stage| Box::pin(play(stage)),
};

/// Calls of each caller under each of the two weights, at least.
const ENOUGH: u64 = 1000;

/// What counts the routes that the gateway has taken over.
const UPDATES: &str = "http.rpc.rds.rpc.update_success";

/// How often, and after which pauses, something is looked at that has to come about.
const LOOKS: u32 = 6000;
const PAUSE: Duration = Duration::from_millis(5);

/// Where the change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Changing,
    After,
    Over,
}

/// The phases in which calls are made, what they are called, and the share of version 1 there.
const PHASES: [(Phase, &str, Option<f64>); 3] = [
    (Phase::Before, "weights 90 and 10", Some(0.9)),
    (Phase::Changing, "meanwhile", None),
    (Phase::After, "weights 10 and 90", Some(0.1)),
];

/// What one caller was told, by phase.
type Told = RefCell<[Tally; 3]>;

async fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let phase = Cell::new(Phase::Before);
    let told: [Told; 4] = Default::default();
    let ([orders, stock, web, chat], running) = stage.split();
    let [a, b, c, d] = &SITES;
    tokio::try_join!(
        change(running, &phase, &told),
        calls(a, orders, &phase, &told[0]),
        calls(b, stock, &phase, &told[1]),
        calls(c, web, &phase, &told[2]),
        calls(d, chat, &phase, &told[3]),
    )?;
    for (at, (_, note, share)) in PHASES.into_iter().enumerate() {
        for (site, told) in SITES.iter().zip(&told) {
            let tally = told.borrow().get(at).cloned().unwrap_or_default();
            let right = is_right(site, &tally, share);
            stage.show(site, Ask::FIRST, note, tally, right);
        }
    }
    for (site, told) in SITES.iter().zip(&told) {
        for version in ["v1", "v2"] {
            let calls = told
                .borrow()
                .iter()
                .map(|tally| by(site, tally, version))
                .sum();
            stage.expect(site.counter(version, "upstream_rq_total"), calls);
        }
    }
    stage.expect(UPDATES.into(), 2);
    Ok(())
}

/// Moves the new routes into place, with enough calls before and after that.
async fn change(running: &Running, phase: &Cell<Phase>, told: &[Told; 4]) -> Result<(), String> {
    enough(told, 0).await?;
    phase.set(Phase::Changing);
    running.replace_file(&exchanged(ROUTES))?;
    taken_over(running).await?;
    phase.set(Phase::After);
    enough(told, 2).await?;
    phase.set(Phase::Over);
    Ok(())
}

/// The routes with the two weights exchanged.
fn exchanged(routes: &str) -> String {
    let (much, little) = ("weight: 90}", "weight: 10}");
    let parts = routes.split(much).map(|part| part.replace(little, much));
    parts.collect::<Vec<_>>().join(little)
}

/// Waits until every caller has made enough calls in a phase.
async fn enough(told: &[Told; 4], phase: usize) -> Result<(), String> {
    for _ in 0..LOOKS {
        let calls = |told: &Told| -> u64 {
            let told = told.borrow();
            told.get(phase).map_or(0, |tally| tally.values().sum())
        };
        if told.iter().all(|told| calls(told) >= ENOUGH) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(format!("fewer than {ENOUGH} calls in time"))
}

/// Waits until the gateway has taken the new routes over.
async fn taken_over(running: &Running) -> Result<(), String> {
    for _ in 0..LOOKS {
        if running.metrics().await?.get(UPDATES) == Some(&2) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("the gateway does not take the new routes over".into())
}

/// Whether every call was served, and version 1 got its share within five standard deviations of a
/// binomial distribution.
fn is_right(site: &Site, tally: &Tally, share: Option<f64>) -> bool {
    let (v1, v2) = (by(site, tally, "v1"), by(site, tally, "v2"));
    let calls = tally.values().sum::<u64>();
    let expected = share.is_none_or(|share| {
        let (calls, v1) = (calls as f64, v1 as f64);
        (v1 - calls * share).powi(2) <= 25.0 * calls * share * (1.0 - share)
    });
    v1 + v2 == calls && expected
}

/// Calls until the change is over.
async fn calls(
    site: &Site,
    caller: &mut Caller,
    phase: &Cell<Phase>,
    told: &Told,
) -> Result<(), String> {
    loop {
        let begun = phase.get();
        if begun == Phase::Over {
            return Ok(());
        }
        let answer = caller.call(site, Ask::FIRST).await?;
        let counts = match (begun, phase.get()) {
            // It may have met the one routes or the other.
            (Phase::Before, now) if now != Phase::Before => Phase::Changing,
            _ => begun,
        };
        let at = PHASES.iter().position(|(phase, ..)| *phase == counts);
        let mut told = told.borrow_mut();
        if let Some(tally) = at.and_then(|at| told.get_mut(at)) {
            *tally.entry(answer).or_default() += 1;
        }
    }
}

//! Everything at once, for a minute: 64 clients and 4 hosts that answer late, twice, damaged, for
//! others, or not at all, come and go, and stop to read. Every call is accounted for.
//!
//! A failing run prints its seed; `CROSSDOCK_CHAOS_SEED` repeats what each peer does (not what the
//! scheduler does), `CROSSDOCK_CHAOS_SECONDS` changes the time.

use std::collections::HashMap;
use std::env;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Frame, Host, Kind, Link, Wire};
use crossdock_tests::{Bootstrap, Deadline, End, Gateway, eventually};
use fastrand::Rng;
use serde_json::{Value, json};

const CLIENTS: u64 = 64;
const HOSTS: u64 = 4;
const SECONDS: u64 = 60;

/// The route's time limit: what hosts keep for longer comes too late.
const ROUTE_TIMEOUT_MS: u64 = 700;

/// An answer that takes longer than this has been lost.
const LOST: Duration = Duration::from_secs(20);

/// What all clients saw together.
#[derive(Debug, Default)]
struct Tally {
    sessions: AtomicU64,
    sent: AtomicU64,
    oneway: AtomicU64,
    good: AtomicU64,
    /// Calls that the gateway answered, or the host with a failure.
    failed: AtomicU64,
    /// Calls of sessions that left before their answers.
    left: AtomicU64,
    beats: AtomicU64,
}

fn number(name: &str, default: impl Fn() -> u64) -> u64 {
    let given = env::var(name).ok();
    given.map_or_else(default, |text| text.parse().expect("a number"))
}

#[test]
fn every_call_of_a_wild_minute_has_one_answer() {
    let seed = number("CROSSDOCK_CHAOS_SEED", || fastrand::u64(..));
    let time = Duration::from_secs(number("CROSSDOCK_CHAOS_SECONDS", || SECONDS));
    println!("CROSSDOCK_CHAOS_SEED={seed}");
    let hosts: Vec<Host> = (0..HOSTS).map(|number| wild_host(seed ^ number)).collect();
    let addresses: Vec<SocketAddr> = hosts.iter().map(Host::address).collect();
    let mut gateway = Gateway::start(
        &bootstrap(&addresses),
        &["--concurrency", "2", "--drain-time-s", "10"],
    );
    let idle_kib = gateway.resident_kib();

    let stop = Arc::new(AtomicBool::new(false));
    let hosts = Arc::new(Mutex::new(hosts));
    let restarts = restart_hosts(&hosts, seed, &stop);
    let tally = Arc::new(Tally::default());
    let address = gateway.address();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
            let random = Rng::with_seed(seed ^ number << 8);
            thread::spawn(move || client(address, number, random, &tally, &stop))
        })
        .collect();
    let deadline = Deadline::after(time);
    let mut most_kib = 0;
    while !deadline.passed() && clients.iter().all(|client| !client.is_finished()) {
        thread::sleep(Duration::from_millis(200));
        most_kib = most_kib.max(gateway.resident_kib());
    }
    stop.store(true, Relaxed);
    let ended: Vec<_> = clients.into_iter().map(thread::JoinHandle::join).collect();
    restarts.join().expect("hosts come back");
    println!("{tally:?}; resident {idle_kib} KiB before, {most_kib} KiB at most");
    assert!(ended.iter().all(Result::is_ok), "seed {seed}");
    account(&gateway, &tally);
    assert!(most_kib < 256 << 10, "{most_kib} KiB");
    // The hosts leave, and nothing of them stays.
    drop(hosts);
    settles(&gateway, "cluster.echo.upstream_cx_active");
    assert_eq!(gateway.stop(Duration::from_secs(15)), End::Code(0));
}

fn bootstrap(hosts: &[SocketAddr]) -> Bootstrap {
    let timeout = format!("{}s", ROUTE_TIMEOUT_MS as f64 / 1000.0);
    let routes = json!([
        {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": timeout}},
    ]);
    let settings: [(&str, Value); 7] = [
        ("heartbeat_interval_ms", json!(500)),
        ("frame_bytes", json!(200_000)),
        ("calls_per_connection", json!(12)),
        ("fill_calls", json!(40)),
        ("unread_soft_bytes", json!(20_000)),
        ("frame_timeout_ms", json!(2000)),
        ("stall_timeout_ms", json!(5000)),
    ];
    let bootstrap =
        Bootstrap::of(routes).cluster("echo", hosts, json!({"lb_policy": "LEAST_REQUEST"}));
    settings
        .into_iter()
        .fold(bootstrap, |bootstrap, (name, value)| {
            bootstrap.setting(&format!("crossdock.{name}"), value)
        })
}

/// A gauge goes back to zero.
#[track_caller]
fn settles(gateway: &Gateway, gauge: &str) {
    let zero = eventually(LOST, || (gateway.stat(gauge) == 0).then_some(()));
    assert!(zero.is_some(), "{gauge} stays at {}", gateway.stat(gauge));
}

/// Compares what the clients saw with what the gateway says.
fn account(gateway: &Gateway, tally: &Tally) {
    for gauge in [
        "http.rpc.downstream_rq_active",
        "http.rpc.downstream_cx_active",
        "cluster.echo.upstream_rq_active",
        "cluster.echo.upstream_rq_pending_active",
        &format!(
            "listener.{}.downstream_cx_active",
            gateway.address().to_string().replace(':', "_")
        ),
    ] {
        settles(gateway, gauge);
    }
    let of = |counter: &AtomicU64| counter.load(Relaxed);
    let (sent, good) = (of(&tally.sent), of(&tally.good));
    let (failed, left) = (of(&tally.failed), of(&tally.left));
    assert_eq!(sent, good + failed + left, "calls and answers");
    let begun = gateway.stat("http.rpc.downstream_rq_total");
    let ended = ["completed", "rx_reset"];
    let ended = ended.map(|how| gateway.stat(&format!("http.rpc.downstream_rq_{how}")));
    assert_eq!(begun, ended.iter().sum::<u64>(), "{ended:?}");
    let all = sent + of(&tally.oneway);
    assert!(
        (sent - left..=all).contains(&begun),
        "{begun} of {all} calls arrived, {left} may have not"
    );
    assert!(good > sent / 3, "most calls are meant to work");
    for counter in [
        "cluster.echo.upstream_rq_timeout",
        "http.rpc.downstream_rq_too_large",
        "http.rpc.downstream_rq_rx_reset",
        "cluster.echo.upstream_rq_unmatched_response",
        "cluster.echo.upstream_cx_close_notify",
        "cluster.echo.upstream_cx_destroy_with_active_rq",
    ] {
        println!("{counter}: {}", gateway.stat(counter));
        assert!(
            gateway.stat(counter) > 0,
            "{counter}: the fault was never tried"
        );
    }
}

/// Takes one host after the other away for a moment and brings it back at its address.
fn restart_hosts(
    hosts: &Arc<Mutex<Vec<Host>>>,
    seed: u64,
    stop: &Arc<AtomicBool>,
) -> thread::JoinHandle<()> {
    let (hosts, stop) = (Arc::clone(hosts), Arc::clone(stop));
    let mut random = Rng::with_seed(seed ^ 0xd0);
    thread::spawn(move || {
        let lock = || hosts.lock().unwrap_or_else(PoisonError::into_inner);
        while !stop.load(Relaxed) {
            thread::sleep(Duration::from_millis(random.u64(200..1500)));
            let gone = {
                let mut hosts = lock();
                let at = random.usize(..hosts.len());
                hosts.swap_remove(at)
            };
            let address = gone.address();
            drop(gone);
            thread::sleep(Duration::from_millis(random.u64(0..400)));
            let back = wild_host_at(address, random.u64(..));
            lock().push(back);
        }
    })
}

fn wild_host(seed: u64) -> Host {
    let number = AtomicU64::new(seed << 16);
    Host::start(move |link| wild(link, Rng::with_seed(number.fetch_add(1, Relaxed))))
}

fn wild_host_at(address: SocketAddr, seed: u64) -> Host {
    let number = AtomicU64::new(seed);
    Host::start_at(address, move |link| {
        wild(link, Rng::with_seed(number.fetch_add(1, Relaxed)))
    })
}

/// One connection of a host, until it has had enough.
fn wild(mut link: Link, mut random: Rng) {
    let mut kept: Vec<Frame> = Vec::new();
    loop {
        let patience = if kept.is_empty() {
            LOST
        } else {
            Duration::from_millis(20)
        };
        let Some(frame) = link.take_within(patience) else {
            if kept.is_empty() {
                return;
            }
            // A silent moment: everything that was kept, in any order.
            random.shuffle(&mut kept);
            for frame in kept.drain(..) {
                if !link.answer(&frame) {
                    return;
                }
            }
            continue;
        };
        if !matches!(frame.kind, Kind::Request) {
            if !link.answer(&frame) {
                return;
            }
            continue;
        }
        if !misbehave(&mut link, frame, &mut kept, &mut random) {
            match random.bool() {
                true => link.close(),
                false => link.reset(),
            }
            return;
        }
    }
}

/// Does something about a call; `false` when the connection is to be closed.
fn misbehave(link: &mut Link, frame: Frame, kept: &mut Vec<Frame>, random: &mut Rng) -> bool {
    let wire = frame.wire;
    let echo = frame.echo();
    match random.u32(..1000) {
        // Out of order.
        0..150 => kept.push(frame),
        // Twice, and for somebody else first.
        150..200 => return link.send(&echo) && link.send(&echo),
        200..240 => {
            // The same place in the gateway's table, at another time: never the id of a living call.
            let bit = if wire == Wire::Dubbo {
                random.u32(32..64)
            } else {
                random.u32(17..32)
            };
            let foreign = frame.id ^ 1 << bit;
            return link.send(&wire.response(foreign, "<<for somebody else>>")) && link.send(&echo);
        }
        // Never, and too late.
        240..255 => {}
        255..262 => {
            thread::sleep(Duration::from_millis(ROUTE_TIMEOUT_MS + 300));
            return link.send(&echo);
        }
        // Damaged, where that can be told; too large; a failure.
        262..280 => {
            let mut damaged = echo;
            if wire == Wire::Bolt2Crc {
                let at = damaged.len() - 6;
                damaged[at] ^= 1;
            }
            return link.send(&damaged);
        }
        280..284 => return link.send(&wire.response(frame.id, &"x".repeat(250_000))),
        284..300 => {
            return link.send(&wire.status(frame.id, if wire == Wire::Dubbo { 80 } else { 2 }));
        }
        // The host's own questions.
        300..340 => {
            return link.send(&wire.heartbeat(frame.id))
                && link.send(&wire.request(frame.id, "<<callback>>"))
                && link.send(&wire.oneway(frame.id, "<<callback>>"))
                && link.send(&echo);
        }
        // In pieces.
        340..400 => {
            let (begin, end) = echo.split_at(random.usize(..echo.len()));
            let begun = link.send(begin);
            thread::yield_now();
            return begun && link.send(end);
        }
        // It goes away, and finishes what it has.
        400..404 => return link.send(&wire.goaway()) && link.send(&echo),
        // It is gone.
        404..408 => return false,
        408..410 => {
            link.send(&echo[..echo.len() / 2]);
            return false;
        }
        410..411 => return link.send(b"\x00 no protocol at all"),
        // It does not read for a while.
        411..414 => {
            thread::sleep(Duration::from_millis(random.u64(50..400)));
            return link.send(&echo);
        }
        _ => return link.send(&echo),
    }
    true
}

/// What a client waits for, by ids, which it may use twice.
type Pending = HashMap<u64, Waiting>;

/// The calls of one id.
#[derive(Debug, Default)]
struct Waiting {
    /// Their texts, which good answers say again.
    texts: Vec<String>,
    /// Answers that name no call but by the id: one of the texts each, no matter which.
    failed: usize,
    beats: usize,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.texts.len() == self.failed && self.beats == 0
    }
}

/// One client: a connection after the other.
fn client(address: SocketAddr, number: u64, mut random: Rng, tally: &Tally, stop: &AtomicBool) {
    let mut session = 0;
    while !stop.load(Relaxed) {
        let wire = Wire::ALL[random.usize(..4)];
        let mut client = Client::connect(address, wire);
        if random.u8(..8) == 0 {
            client = client.narrow();
        }
        tally.sessions.fetch_add(1, Relaxed);
        session += 1;
        for batch in 0..random.u32(1..12) {
            let name = format!("{number}.{session}.{batch}");
            let mut pending = Pending::new();
            send(&mut client, &name, &mut pending, &mut random, tally);
            let waiting = pending
                .values()
                .map(|waiting| waiting.texts.len() as u64)
                .sum();
            if random.u8(..10) == 0 {
                tally.left.fetch_add(waiting, Relaxed);
                leave(client, &mut random);
                break;
            }
            receive(&mut client, &mut pending, &mut random, tally);
            if random.u8(..5) == 0 {
                client.silent(Duration::from_millis(2));
            }
            if stop.load(Relaxed) {
                return;
            }
        }
    }
}

fn leave(mut client: Client, random: &mut Rng) {
    if random.u8(..4) == 0 {
        // In the middle of a frame.
        let frame = client.wire().request(0, "<<never complete>>");
        client.offer(&frame[..random.usize(1..frame.len())]);
    }
    match random.bool() {
        true => client.reset(),
        false => drop(client),
    }
}

/// Sends up to sixteen calls at once.
fn send(client: &mut Client, name: &str, pending: &mut Pending, random: &mut Rng, tally: &Tally) {
    let wire = client.wire();
    let mut octets = Vec::new();
    for call in 0..random.u64(1..=16) {
        // Every client has the same ids, and some twice.
        let id = if random.u8(..20) == 0 { 0 } else { call };
        let id = if random.bool() {
            id
        } else {
            !id & wire.id_mask()
        };
        let text = format!("<<{name}.{call}>>");
        let mut expected = format!("{name}.{call}");
        match random.u32(..1000) {
            0..40 => {
                octets.extend(wire.oneway(id, &text));
                tally.oneway.fetch_add(1, Relaxed);
                continue;
            }
            40..80 => {
                octets.extend(wire.heartbeat(id));
                pending.entry(id).or_default().beats += 1;
                tally.beats.fetch_add(1, Relaxed);
                continue;
            }
            80..100 => octets.extend(wire.stray(id, &text)),
            100..105 => octets.extend(wire.request(id, &"x".repeat(220_000))),
            105..130 => octets.extend(wire.request(id, &format!("{text}{}", "x".repeat(20_000)))),
            130..160 => octets.extend(wire.hurried(id, &text, 30)),
            160..180 if wire == Wire::Bolt2Crc => {
                let mut damaged = wire.request(id, &text);
                let at = damaged.len() - 6;
                damaged[at] ^= 1;
                octets.extend(damaged);
                expected = String::from("damaged");
            }
            _ => octets.extend(wire.request(id, &text)),
        }
        tally.sent.fetch_add(1, Relaxed);
        pending.entry(id).or_default().texts.push(expected);
    }
    if random.u8(..10) == 0 {
        let (begin, end) = octets.split_at(random.usize(..=octets.len()));
        client.write(begin);
        thread::sleep(Duration::from_millis(random.u64(..30)));
        client.write(end);
    } else {
        client.write(&octets);
    }
}

/// Takes the answer of each call, whatever their order, and no other.
fn receive(client: &mut Client, pending: &mut Pending, random: &mut Rng, tally: &Tally) {
    if random.u8(..30) == 0 {
        // Not at once.
        thread::sleep(Duration::from_millis(random.u64(..300)));
    }
    while !pending.is_empty() {
        let answer = match client.next(LOST) {
            Ok(Some(answer)) => answer,
            Ok(None) => panic!("closed with calls in flight: {pending:?}"),
            Err(_) => panic!("calls without an answer: {pending:?}"),
        };
        let Some(waiting) = pending.get_mut(&answer.id) else {
            panic!("nothing waits for {answer:?}, but {pending:?}");
        };
        let known = match answer.kind {
            Kind::HeartbeatAck => {
                waiting.beats = waiting.beats.wrapping_sub(1);
                waiting.beats < 1000
            }
            Kind::Response if answer.is_good() => {
                tally.good.fetch_add(1, Relaxed);
                let owner = |text: &String| Some(text.as_str()) == answer.token();
                let owner = waiting.texts.iter().position(owner);
                owner.map(|at| waiting.texts.swap_remove(at)).is_some()
            }
            Kind::Response => {
                tally.failed.fetch_add(1, Relaxed);
                waiting.failed += 1;
                waiting.failed <= waiting.texts.len()
            }
            _ => false,
        };
        assert!(
            known,
            "somebody else's, or a second answer: {answer:?}, {pending:?}"
        );
        if pending.get(&answer.id).is_some_and(Waiting::is_over) {
            pending.remove(&answer.id);
        }
    }
}

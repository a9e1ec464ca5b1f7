//! Octets without sense, from either side.

use std::net::Shutdown;

use crossdock_tests::fake::{Client, Host, Wire};
use crossdock_tests::{Bootstrap, Gateway};
use serde_json::json;

use crate::{ONE_WORKER, unharmed};

#[test]
fn noise() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[]);
    for _ in 0..400 {
        let wire = Wire::ALL[random.usize(..4)];
        let mut client = Client::connect(gateway.address(), wire);
        if random.bool() {
            client.call(1, "known");
        }
        let mut octets = match random.u8(..3) {
            0 => (0..random.usize(..2000)).map(|_| random.u8(..)).collect(),
            _ => [
                wire.request(2, "<<noise>>"),
                wire.heartbeat(3),
                wire.response(4, "?"),
            ]
            .concat(),
        };
        for _ in 0..random.usize(..8) {
            if !octets.is_empty() {
                let at = random.usize(..octets.len().min(60));
                octets[at] = random.u8(..);
            }
        }
        client.offer(&octets);
        if random.bool() {
            let _ = client.stream.shutdown(Shutdown::Write);
        }
        match random.bool() {
            true => drop(client),
            false => client.reset(),
        }
    }
    unharmed(&gateway);
    assert!(gateway.resident_kib() < 200 << 10);
}

#[test]
fn hosts_that_answer_noise() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let seeds = std::sync::atomic::AtomicU64::new(seed);
    let noisy = Host::start(move |mut link| {
        let seed = seeds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut random = fastrand::Rng::with_seed(seed);
        while let Some(frame) = link.take() {
            let mut octets = frame.echo();
            match random.u8(..4) {
                0 => octets = (0..random.usize(..500)).map(|_| random.u8(..)).collect(),
                1 => {
                    for _ in 0..4 {
                        let at = random.usize(..octets.len());
                        octets[at] = random.u8(..);
                    }
                }
                2 => octets.truncate(random.usize(..octets.len())),
                _ => {}
            }
            if !link.send(&octets) || random.u8(..4) == 0 {
                return;
            }
        }
    });
    let good = Host::echo();
    let routes = json!([
        {"match": {"prefix": "/"}, "route": {"cluster": "noisy", "timeout": "0.3s"}},
    ]);
    let bootstrap = Bootstrap::of(routes).cluster("noisy", &[noisy.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, ONE_WORKER);
    for round in 0..60 {
        let wire = Wire::ALL[round % 4];
        let mut client = Client::connect(gateway.address(), wire);
        for id in 0..8 {
            client.write(&wire.request(id, &format!("<<{round}.{id}>>")));
        }
        let mut ids: Vec<u64> = (0..8).map(|_| client.recv().id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..8).collect::<Vec<_>>(), "each call has one answer");
    }
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
    gateway.until("cluster.noisy.upstream_rq_active", |active| active == 0);
    drop(good);
}

//! Hostile input: whatever a peer sends, the process lives, its memory stays within its limits, and the
//! other peers notice nothing.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Kind, Wire};
use crossdock_tests::{Bootstrap, Gateway, eventually};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

const ONE_WORKER: &[&str] = &["--concurrency", "1"];
const PATIENCE: Duration = Duration::from_secs(30);

fn gateway(hosts: &[&Host], settings: &[(&str, Value)]) -> Gateway {
    let addresses: Vec<SocketAddr> = hosts.iter().map(|host| host.address()).collect();
    let mut bootstrap = Bootstrap::to(&addresses);
    for (name, value) in settings {
        bootstrap = bootstrap.setting(&format!("crossdock.{name}"), value.clone());
    }
    Gateway::start(&bootstrap, ONE_WORKER)
}

#[track_caller]
fn until(gateway: &Gateway, metric: &str, holds: impl Fn(u64) -> bool) {
    let reached = eventually(PATIENCE, || holds(gateway.stat(metric)).then_some(()));
    assert!(reached.is_some(), "{metric} is {}", gateway.stat(metric));
}

/// The gateway answers, and no call is left over.
#[track_caller]
fn unharmed(gateway: &Gateway) {
    for wire in Wire::ALL {
        Client::connect(gateway.address(), wire).call(1, "unharmed");
    }
    until(gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
    until(gateway, "http.rpc.downstream_cx_active", |open| open == 0);
}

#[test]
fn lengths_with_the_top_bit_set() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("frame_timeout_ms", json!(500))]);
    // As the first frame these octets are no Dubbo at all.
    let mut first = Client::connect(gateway.address(), Wire::Dubbo);
    let mut frame = Wire::Dubbo.request(9, "<<negative>>");
    frame[12] = 0xff;
    first.write(&frame);
    first.closed();
    // Later on they are a frame of almost 4 GiB, which is refused and never comes.
    let mut later = Client::connect(gateway.address(), Wire::Dubbo);
    later.call(1, "known");
    later.write(&frame);
    let refused = later.recv();
    assert!(
        refused.id == 9 && refused.says("crossdock.frame_bytes"),
        "{refused:?}"
    );
    later.closed();
    // Bolt's lengths are signed, and a negative one loses the framing.
    for (wire, lengths) in [(Wire::Bolt1, 14), (Wire::Bolt2, 16), (Wire::Bolt2Crc, 16)] {
        for at in [lengths, lengths + 2, lengths + 4] {
            let mut client = Client::connect(gateway.address(), wire);
            client.call(1, "known");
            let mut frame = wire.request(2, "<<negative>>");
            frame[at] |= 0x80;
            client.write(&frame);
            client.closed();
        }
    }
    assert_eq!(gateway.stat("http.rpc.downstream_cx_protocol_error"), 9);
    unharmed(&gateway);
}

#[test]
fn bodies_that_nest_without_end() {
    let host = Host::start(|mut link| {
        while let Some(frame) = link.take() {
            let answer = frame.wire.response(frame.id, "<<arrived>>");
            link.send(&answer);
        }
    });
    let routes = json!([
        {"match": {"prefix": "/", "headers": [{"name": "deep", "present_match": true}]},
         "direct_response": {"status": 403}},
        {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}},
    ]);
    let bootstrap = Bootstrap::of(routes).cluster("echo", &[host.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, ONE_WORKER);
    // Lists of one, maps, objects with fields of objects, references, endless strings.
    let nests: [&[u8]; 6] = [
        b"\x79",
        b"H",
        b"M\x01a",
        b"C\x01a\x91\x01b\x60",
        b"Q\x90",
        b"R\x00\x01a",
    ];
    let whole = Wire::Dubbo.request(1, "<<x>>");
    let words = whole.len() - b"\x05<<x>>HZ".len();
    for (number, nest) in nests.into_iter().enumerate() {
        let mut client = Client::connect(gateway.address(), Wire::Dubbo);
        let body = [&whole[16..words], &nest.repeat(200_000 / nest.len())].concat();
        let mut frame = whole[..12].to_vec();
        frame.extend((body.len() as u32).to_be_bytes());
        frame.extend(body);
        client.write(&frame);
        let answer = client.recv();
        assert_eq!(
            (answer.kind, answer.id),
            (Kind::Response, 1),
            "nest {number}"
        );
        client.call(2, "arrived");
        // The same as the content of a Bolt call, and as the answer's body by way of a mirror.
        let mut client = Client::connect(gateway.address(), Wire::Bolt1);
        let content = String::from_utf8_lossy(&nest.repeat(200_000 / nest.len())).into_owned();
        client.write(&Wire::Bolt1.request(1, &content));
        assert_eq!(client.recv().id, 1);
    }
    assert_eq!(gateway.stat("http.rpc.downstream_cx_protocol_error"), 0);
}

#[test]
fn statuses_and_commands_that_nobody_knows() {
    let host = Host::start(|mut link| {
        while let Some(frame) = link.take() {
            let code = frame.token().and_then(|token| token.parse().ok());
            let answer = match code {
                Some(code) => frame.wire.status(frame.id, code),
                None => frame.echo(),
            };
            link.send(&answer);
        }
    });
    let gateway = gateway(&[&host], &[]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.call(1, "known");
        for code in (0..=255_u16).chain([1000, 0x7fff, 0x8000, u16::MAX]) {
            client.write(&wire.request(code.into(), &format!("<<{code}>>")));
            let answer = client.recv();
            assert_eq!((answer.kind, answer.id), (Kind::Response, code.into()));
            match wire {
                Wire::Dubbo => assert_eq!(answer.status, code & 0xff, "as the host said it"),
                // Java closes its connection over a status that it does not know.
                _ => assert!(
                    matches!(answer.status, 0..=9 | 16..=18),
                    "{}",
                    answer.status
                ),
            }
        }
        if wire != Wire::Dubbo {
            for command in [2, 3, 99, 101, 0x7fff, 0xffff] {
                client.write(&wire.unknown_command(7, command));
                let answer = client.recv();
                assert_eq!(
                    (answer.kind, answer.id, answer.is_good()),
                    (Kind::Response, 7, false)
                );
            }
        }
        client.call(2, "known");
    }
    assert!(host.accepted() <= 4, "no connection broke over it");
    assert_eq!(gateway.stat("http.rpc.downstream_cx_protocol_error"), 0);
    unharmed(&gateway);
}

#[test]
fn a_wrong_checksum_costs_its_own_call() {
    let host = Host::start(|mut link| {
        while let Some(frame) = link.take() {
            let mut answer = frame.echo();
            if frame.token() == Some("damage the answer") {
                *answer.last_mut().expect("not empty") ^= 1;
            }
            link.send(&answer);
        }
    });
    let gateway = gateway(&[&host], &[]);
    let mut client = Client::connect(gateway.address(), Wire::Bolt2Crc);
    for id in 0..100 {
        let text = if id == 70 {
            "<<damage the answer>>"
        } else {
            "<<fine>>"
        };
        let mut request = Wire::Bolt2Crc.request(id, text);
        if id == 30 {
            let at = request.len() - 7;
            request[at] ^= 0x40;
        }
        client.write(&request);
    }
    let mut bad = Vec::new();
    for _ in 0..100 {
        let answer = client.recv();
        match answer.is_good() {
            true => assert_eq!(answer.token(), Some("fine")),
            false => bad.push((answer.id, answer.status)),
        }
    }
    bad.sort_unstable();
    assert_eq!(bad, [(30, 18), (70, 17)]);
    assert_eq!(host.accepted(), 1);
    drop(client);
    unharmed(&gateway);
}

#[test]
fn every_truncation_of_a_frame() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[]);
    for wire in Wire::ALL {
        let frame = wire.request(1, "<<cut>>");
        for end in 0..frame.len() {
            let mut client = Client::connect(gateway.address(), wire);
            client.write(&frame[..end]);
            match end % 3 {
                0 => drop(client),
                1 => client.reset(),
                _ => {
                    client
                        .stream
                        .shutdown(Shutdown::Write)
                        .expect("half closed");
                    client.closed();
                }
            }
        }
    }
    assert_eq!(host.frames(), 0);
    unharmed(&gateway);
}

#[test]
fn noise() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let host = Host::echo();
    let gateway = gateway(&[&host], &[]);
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
    until(&gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
    until(&gateway, "cluster.noisy.upstream_rq_active", |active| {
        active == 0
    });
    drop(good);
}

#[test]
fn a_flood_of_heartbeats() {
    const BEATS: usize = 100_000;
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("stall_timeout_ms", json!(2000))]);
    let before = gateway.resident_kib();
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let flood = wire.heartbeat(5).repeat(1000);
        // Read: each is answered.
        let mut reads = Client::connect(gateway.address(), wire);
        let mut writer = reads.stream.try_clone().expect("a socket");
        let octets = flood.clone();
        let writing = thread::spawn(move || {
            for _ in 0..BEATS / 1000 {
                writer.write_all(&octets).expect("the gateway reads");
            }
        });
        for _ in 0..BEATS {
            assert_eq!(reads.recv().kind, Kind::HeartbeatAck);
        }
        writing.join().expect("written");
        // Not read: the sender is stopped, and dropped when it takes nothing.
        let mut deaf = Client::connect(gateway.address(), wire).narrow();
        deaf.stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .expect("not zero");
        while deaf.offer(&flood) {}
        Client::connect(gateway.address(), wire).call(1, "others go on");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_cx_unread_closed"), 2);
    assert_eq!(host.frames(), 2, "no heartbeat reaches a host");
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
    unharmed(&gateway);
}

/// Lets this process, and the gateway that it starts, open as many files as the system lets them.
fn many_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
    limit.current.map_or(1 << 20, |files| files as usize)
}

#[test]
fn ten_thousand_idle_connections() {
    const WANTED: usize = 10_000;
    /// What one of them may hold in the gateway.
    const KIB_EACH: u64 = 8;
    let files = many_files();
    let count = WANTED.min(files.saturating_sub(500));
    println!("{count} connections; the limit of files is {files}");
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("detect_timeout_ms", json!(600_000))]);
    unharmed(&gateway);
    let before = gateway.resident_kib();
    let address = gateway.address();
    let mut idle: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(address).expect("within the limit");
        // Some have said something, most have not.
        if number % 4 == 0 {
            stream.write_all(&Wire::Bolt1.heartbeat(1)).expect("open");
        }
        idle.push(stream);
    }
    let beats = count.div_ceil(4) as u64;
    until(&gateway, "codec.bolt.heartbeat_received", |received| {
        received == beats
    });
    let label = address.to_string().replace(':', "_");
    until(
        &gateway,
        &format!("listener.{label}.downstream_cx_active"),
        |open| open == count as u64,
    );
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {count} connections");
    assert!(
        grown < KIB_EACH * count as u64,
        "{grown} KiB for {count} idle connections"
    );
    Client::connect(address, Wire::Dubbo).call(1, "among many");
    drop(idle);
    unharmed(&gateway);
}

#[test]
fn many_beginnings_of_frames() {
    const WANTED: usize = 2000;
    let count = WANTED.min(many_files().saturating_sub(500));
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("frame_timeout_ms", json!(600_000))]);
    unharmed(&gateway);
    let already = gateway.stat("http.rpc.downstream_cx_rx_bytes_total");
    let before = gateway.resident_kib();
    let flood = Wire::Dubbo.heartbeat(1).repeat(60_000 / 17);
    let frame = Wire::Dubbo.request(1, "<<begun>>");
    let mut begun: Vec<Client> = (0..count)
        .map(|_| Client::connect(gateway.address(), Wire::Dubbo))
        .collect();
    for client in &mut begun {
        // What fills a block goes before, and leaves nothing behind.
        client.write(&[flood.as_slice(), &frame[..40]].concat());
    }
    let octets = (count * (flood.len() + 40)) as u64 + already;
    until(&gateway, "http.rpc.downstream_cx_rx_bytes_total", |read| {
        read == octets
    });
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {count} beginnings of frames");
    assert!(
        grown < 10 * count as u64 + (24 << 10),
        "{grown} KiB for {count} beginnings"
    );
    drop(begun);
    unharmed(&gateway);
}

#[test]
fn small_calls_that_wait_pin_no_large_blocks() {
    const CALLS: u64 = 3000;
    let host = Host::mute();
    let gateway = gateway(&[&host], &[("calls_per_connection", json!(131_000))]);
    let before = gateway.resident_kib();
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    // One call in each 64 KiB of the stream: the rest is heartbeats that leave nothing behind.
    let beats = Wire::Bolt1.heartbeat(1).repeat(60_000 / 22);
    let mut reader = client.stream.try_clone().expect("a socket");
    let reading = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    for id in 0..CALLS {
        let call = Wire::Bolt1.request(id, &format!("<<waits>>{}", "x".repeat(2000)));
        client.write(&[call, beats.clone()].concat());
    }
    until(&gateway, "cluster.echo.upstream_rq_active", |active| {
        active == CALLS
    });
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {CALLS} waiting calls of 2 KiB");
    // The calls themselves, and 1024 whose blocks are shared.
    let allowed = CALLS * 2 * 2 + 1024 * 64 + (48 << 10);
    assert!(grown < allowed, "{grown} KiB for {CALLS} calls of 2 KiB");
    client.stream.shutdown(Shutdown::Both).expect("open");
    reading.join().expect("ends").ok();
    drop((client, host));
    until(&gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
}

#[test]
fn answers_that_wait_pin_no_large_blocks() {
    const CALLS: u64 = 4000;
    // Each answer for the deaf client stands among 64 KiB of answers for the other.
    let host = Host::start(|mut link| {
        let (small, large) = ("x".repeat(3000), "x".repeat(58_000));
        while let Some(frame) = link.take() {
            let answer = match frame.token() {
                Some("small") => frame.wire.response(frame.id, &small),
                Some("large") => frame.wire.response(frame.id, &large),
                _ => frame.echo(),
            };
            if !link.send(&answer) {
                return;
            }
        }
    });
    let settings = [
        ("unread_soft_bytes", json!(32 << 20)),
        ("calls_per_connection", json!(131_000)),
    ];
    let gateway = gateway(&[&host], &settings);
    let before = gateway.resident_kib();
    let mut deaf = Client::connect(gateway.address(), Wire::Bolt1).narrow();
    let mut reads = Client::connect(gateway.address(), Wire::Bolt1);
    for id in 0..CALLS {
        deaf.write(&Wire::Bolt1.request(id, "<<small>>"));
        reads.write(&Wire::Bolt1.request(id, "<<large>>"));
        // One after the other, so that no two small answers come together.
        assert!(reads.recv().octets.len() > 58_000);
    }
    until(&gateway, "http.rpc.downstream_rq_completed", |ended| {
        ended == 2 * CALLS
    });
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {CALLS} unread answers of 3 KiB");
    assert!(
        grown < CALLS * 3 * 3 + (48 << 10),
        "{grown} KiB for {CALLS} answers of 3 KiB"
    );
    drop((reads, deaf));
    unharmed(&gateway);
}

#[test]
fn connections_that_come_and_go() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[]);
    let address = gateway.address();
    let churning: Vec<_> = (0..4)
        .map(|thread| {
            thread::spawn(move || {
                for number in 0..400_u64 {
                    let wire = Wire::ALL[(number % 4) as usize];
                    let mut client = Client::connect(address, wire);
                    match (thread + number) % 4 {
                        0 => client.reset(),
                        1 => drop(client),
                        2 => {
                            client.offer(&wire.request(1, "<<never read>>"));
                            client.reset();
                        }
                        _ => client.call(number, "short"),
                    }
                }
            })
        })
        .collect();
    for thread in churning {
        thread.join().expect("every call is answered");
    }
    assert!(
        host.accepted() <= 4 * 4,
        "{} upstream connections",
        host.accepted()
    );
    unharmed(&gateway);
}

//! The end of the process, in the way that costs callers least.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Wire};
use crossdock_tests::{Bootstrap, Deadline, End, Gateway, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

fn gateway(host: &Host, drain_seconds: &str) -> Gateway {
    let args = ["--concurrency", "2", "--drain-time-s", drain_seconds];
    Gateway::start(&Bootstrap::to(&[host.address()]), &args)
}

fn active(gateway: &Gateway, calls: u64) {
    let reached = || (gateway.stat("http.rpc.downstream_rq_active") == calls).then_some(());
    assert!(eventually(PATIENCE, reached).is_some());
}

/// Takes its time for the first call of a connection.
fn slow_host(time: Duration) -> Host {
    Host::start(move |mut link| {
        let mut left = time;
        while let Some(frame) = link.take() {
            thread::sleep(std::mem::take(&mut left));
            link.answer(&frame);
        }
    })
}

#[test]
fn calls_in_flight_finish_and_idle_connections_close_first() {
    let host = slow_host(Duration::from_millis(1500));
    let mut gateway = gateway(&host, "20");
    let address = gateway.address();
    let mut silent = TcpStream::connect(address).expect("it listens");
    let mut busy = Wire::ALL.map(|wire| Client::connect(address, wire));
    for client in &mut busy {
        client.write(&client.wire().request(1, "<<in flight>>"));
    }
    active(&gateway, 4);
    gateway.process.terminate();
    let refused = || TcpStream::connect(address).is_err().then_some(());
    assert!(
        eventually(PATIENCE, refused).is_some(),
        "no new connections"
    );
    let ends = busy.map(|mut client| {
        thread::spawn(move || {
            assert_eq!(client.recv().token(), Some("in flight"));
            // A last call before the quiet moment.
            client.call(2, "the next");
            client.closed();
        })
    });
    for end in ends {
        end.join().expect("the calls are answered");
    }
    let mut octet = [0];
    let end = std::io::Read::read(&mut silent, &mut octet);
    assert!(matches!(end, Ok(0) | Err(_)), "nothing is told, it ends");
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
}

#[test]
fn callers_that_never_rest_lose_nothing_but_their_connection() {
    let host = Host::echo();
    let mut gateway = gateway(&host, "3");
    let address = gateway.address();
    let answered = std::sync::Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..8_u64)
        .map(|number| {
            let answered = std::sync::Arc::clone(&answered);
            thread::spawn(move || {
                let wire = Wire::ALL[(number % 4) as usize];
                let mut client = Client::connect(address, wire);
                let mut lost = 0;
                for id in 0.. {
                    let text = format!("{number}.{id}");
                    if !client.offer(&wire.request(id, &format!("<<{text}>>"))) {
                        break;
                    }
                    match client.next(PATIENCE).expect("an answer or an end") {
                        Some(answer) => assert_eq!(answer.token(), Some(text.as_str())),
                        None => {
                            lost += 1;
                            break;
                        }
                    }
                    answered.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
                lost
            })
        })
        .collect();
    let warm = || (answered.load(Relaxed) > 200).then_some(());
    assert!(eventually(PATIENCE, warm).is_some());
    let before = answered.load(Relaxed);
    gateway.process.terminate();
    assert_eq!(gateway.process.wait(Duration::from_secs(10)), End::Code(0));
    for caller in callers {
        let lost: u32 = caller.join().expect("every answer is right");
        assert!(lost <= 1);
    }
    let served = answered.load(Relaxed) - before;
    assert!(served > 200, "{served} calls were served while draining");
}

#[test]
fn a_call_that_never_ends_does_not_hold_the_process() {
    let host = Host::mute();
    let mut gateway = gateway(&host, "2");
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.write(&Wire::Dubbo.request(1, "<<never>>"));
    active(&gateway, 1);
    let deadline = Deadline::after(Duration::from_secs(2) + Duration::from_secs(8));
    assert_eq!(gateway.stop(deadline.left()), End::Code(0));
    client.closed();
}

#[test]
fn a_drain_by_the_admin_endpoint_leaves_the_process() {
    let host = Host::echo();
    let mut gateway = gateway(&host, "3");
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    client.call(1, "before");
    let (status, _) = gateway.admin("POST", "/drain_listeners?graceful");
    assert_eq!(status, 200);
    client.closed();
    let (status, body) = gateway.admin("GET", "/ready");
    assert_eq!((status, body.trim()), (503, "DRAINING"));
    // And then it is told to end, as a supervisor does.
    assert_eq!(gateway.stop(Duration::from_secs(10)), End::Code(0));
}

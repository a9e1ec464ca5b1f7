//! A hundred thousand calls of a byte mover each, of which a fault takes one in a hundred.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::quartet::{PATIENCE, Protocol};
use serde_json::json;

use super::{WORKERS, before, saying};

const CALLS: u64 = 100_000;
const CALLERS: u64 = 8;
/// Calls that are sent before an answer is read.
const BURST: u64 = 250;
/// A hundredth of them, and four standard deviations of a binomial distribution (31.5) to each side.
const HUNDREDTH: std::ops::RangeInclusive<u64> = 874..=1126;

/// Makes its part of the calls and tells how many failed.
type Mover = fn(SocketAddr) -> u64;

/// How many of its calls a Dubbo caller sees fail: status 20 and no value of the host.
fn framed(address: SocketAddr) -> u64 {
    let mut client = Client::connect(address, Wire::Dubbo);
    let mut failed = 0;
    for burst in 0..CALLS / CALLERS / BURST {
        let ids = burst * BURST..(burst + 1) * BURST;
        let call = |id| {
            Call::new(Wire::Dubbo, id)
                .of(Protocol::Dubbo.service(), "echo")
                .octets()
        };
        let octets: Vec<u8> = ids.flat_map(call).collect();
        client.write(&octets);
        for _ in 0..BURST {
            failed += u64::from(client.recv().token() != Some("done"));
        }
    }
    failed
}

/// The same over HTTP/1.1, by the status.
fn streamed(address: SocketAddr) -> u64 {
    const START: &[u8] = b"HTTP/1.1 ";
    let request = format!(
        "GET /echo HTTP/1.1\r\nhost: {}\r\n\r\n",
        Protocol::Http.service()
    );
    let burst = request.repeat(BURST as usize);
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut failed = 0;
    let mut block = vec![0; 1 << 16];
    for _ in 0..CALLS / CALLERS / BURST {
        stream
            .write_all(burst.as_bytes())
            .expect("the gateway reads");
        let (mut answers, mut unread) = (0, Vec::new());
        while answers < BURST {
            let size = stream.read(&mut block).expect("answers come");
            assert!(size > 0, "the connection lasts");
            unread.extend_from_slice(&block[..size]);
            let mut rest = unread.as_slice();
            let status = START.len() + 3;
            while let Some(at) = rest
                .windows(status)
                .position(|head| head.starts_with(START))
            {
                let (head, after) = rest[at..].split_at(status);
                answers += 1;
                match &head[START.len()..] {
                    b"200" => {}
                    b"503" => failed += 1,
                    other => panic!("status {}", String::from_utf8_lossy(other)),
                }
                rest = after;
            }
            // What may be the begin of a head stays.
            let from = unread.len() - rest.len().min(status - 1);
            unread.drain(..from);
        }
    }
    failed
}

#[test]
fn one_call_in_a_hundred_is_aborted() {
    let config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 503, "percentage": {"numerator": 1}},
    });
    let off = json!({"@type": config["@type"]});
    let (gateway, services) = before(
        &[("fault", off)],
        &json!([saying("fault", &config)]),
        &WORKERS,
    );
    let address = gateway.address();
    let movers: [(Protocol, Mover); 2] = [(Protocol::Dubbo, framed), (Protocol::Http, streamed)];
    let mut all = 0;
    for (protocol, caller) in movers {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| thread::spawn(move || caller(address)))
            .collect();
        let failed: u64 = callers
            .into_iter()
            .map(|caller| caller.join().expect("every call is answered"))
            .sum();
        assert!(HUNDREDTH.contains(&failed), "{protocol:?}: {failed}");
        let received = services[protocol as usize].received();
        assert_eq!(received, CALLS - failed, "{protocol:?}");
        all += failed;
        assert_eq!(gateway.stat("http.rpc.fault.aborts_injected"), all);
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_total"), 2 * CALLS);
}

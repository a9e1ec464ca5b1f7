//! Calls that their host says it has not begun: another host gets them, without any policy, and without a flood.

use std::time::Duration;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Host, Wire};

/// What a host says whose threads are all at work: Dubbo's 100, Bolt's 4.
fn busy(wire: Wire) -> u16 {
    if wire == Wire::Dubbo { 100 } else { 4 }
}

fn full() -> Host {
    Host::start(|mut link| {
        while let Some(frame) = link.take() {
            link.send(&frame.wire.status(frame.id, busy(frame.wire)));
        }
    })
}

fn unsent(gateway: &Gateway) -> u64 {
    gateway.stat("cluster.echo.upstream_rq_retry_unsent")
}

#[test]
fn a_call_that_a_full_host_refuses_goes_to_another() {
    for wire in [Wire::Dubbo, Wire::Bolt1, Wire::Bolt2Crc] {
        let (full, other) = (full(), Host::echo());
        let gateway = Gateway::before(&[&full, &other], &[]);
        let mut client = Client::connect(gateway.address(), wire);
        for id in 0..30 {
            client.call(id, "anywhere");
        }
        assert_eq!(unsent(&gateway) as usize, full.frames(), "{wire:?}");
        assert!(full.frames() >= 10, "{wire:?}: {}", full.frames());
        assert_eq!(gateway.stat("cluster.echo.upstream_rq_retry"), 0);
    }
}

/// Where all are full, a call is told so, and a fifth is added to the load once the store of each connection is empty.
#[test]
fn refusals_do_not_multiply() {
    const CALLS: u64 = 1000;
    const BURST: u64 = 50;
    /// What each of the two connections has in store.
    const STORE: usize = 32;
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let hosts = [full(), full()];
        let gateway = Gateway::before(&[&hosts[0], &hosts[1]], &[]);
        let mut client = Client::connect(gateway.address(), wire);
        for burst in 0..CALLS / BURST {
            let ids = burst * BURST..(burst + 1) * BURST;
            let calls: Vec<u8> = ids
                .flat_map(|id| wire.request(id, "<<anywhere>>"))
                .collect();
            client.write(&calls);
            for _ in 0..BURST {
                assert_eq!(client.recv().status, busy(wire));
            }
        }
        let got = hosts[0].frames() + hosts[1].frames();
        let most = CALLS as usize + 2 * STORE + got / 5;
        assert!(got <= most && got > CALLS as usize, "{wire:?}: {got}");
        assert_eq!(got as u64, CALLS + unsent(&gateway), "{wire:?}");
    }
}

/// Dubbo 2.7 withdraws its services as soon as it has said that it is read-only: what is under way then gets status
/// 70 with these words. Before that event they say that there is no such service, and are passed on.
#[test]
fn a_call_that_comes_too_late_to_a_host_that_leaves_goes_to_another() {
    const WORDS: &[u8] =
        b"org.apache.dubbo.remoting.RemotingException: Not found exported service: com.acme.Echo";
    let wire = Wire::Dubbo;
    let leaving = Host::start(move |mut link| {
        let mut gone = false;
        while let Some(frame) = link.take() {
            let late = frame.token() == Some("late");
            if late && !std::mem::replace(&mut gone, true) {
                link.send(&wire.goaway());
            }
            let mut body = vec![0x30 | (WORDS.len() >> 8) as u8, WORDS.len() as u8];
            body.extend(WORDS);
            let mut octets = vec![0xda, 0xbb, 0x02, 70];
            octets.extend(frame.id.to_be_bytes());
            octets.extend((body.len() as u32).to_be_bytes());
            octets.extend(body);
            link.send(&octets);
        }
    });
    let other = Host::echo();
    let gateway = Gateway::before(&[&leaving, &other], &[]);
    let mut client = Client::connect(gateway.address(), wire);
    let mut refused = 0;
    for id in 0..4 {
        client.write(&wire.request(id, "<<early>>"));
        refused += usize::from(client.recv().status == 70);
    }
    assert_eq!((refused, unsent(&gateway)), (2, 0));
    for id in 4..20 {
        client.call(id, "late");
    }
    assert_eq!(unsent(&gateway), 1);
    client.silent(Duration::from_millis(100));
}

//! Frames that are wrong in one place.

use std::net::Shutdown;

use crossdock_tests::fake::{Client, Host, Kind, Wire};
use crossdock_tests::{Bootstrap, Gateway};
use serde_json::json;

use crate::{ONE_WORKER, unharmed};

#[test]
fn lengths_with_the_top_bit_set() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("frame_timeout_ms", json!(500))]);
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
    let gateway = Gateway::before(&[&host], &[]);
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
    let gateway = Gateway::before(&[&host], &[]);
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
    let gateway = Gateway::before(&[&host], &[]);
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

//! Cutting, probing and the messages about the connection.

mod common;

use bytes::{Bytes, BytesMut};
use common::{decode, frame, message, names, octets};
use crossdock_dubbo::{Dubbo, HEADER_LEN};
use crossdock_framework::{
    codec::{Codec as _, Decoded, FrameLimits, Probe},
    edits::Edits,
    frame::{Frame, Head as _, Kind, Variant, WireId},
    out::Out,
};

const LIMITS: FrameLimits = FrameLimits { frame: 1024 };

#[test]
fn a_message_cut_anywhere_asks_for_what_is_missing() {
    let whole = octets("jd33_h2_req_echo");
    for cut in 0..whole.len() {
        let mut buf = BytesMut::from(&whole[..cut]);
        let missing = match cut {
            0..HEADER_LEN => HEADER_LEN - cut,
            _ => whole.len() - cut,
        };
        match Dubbo::default().decode(&mut buf, &LIMITS) {
            Ok(Decoded::More(more)) => assert_eq!(more, missing, "cut at {cut}"),
            other => panic!("cut at {cut}: {other:?}"),
        }
        assert_eq!(buf.len(), cut);
    }
}

#[test]
fn what_is_no_message_ends_the_framing_at_its_first_octet() {
    for octets in [
        &b"status\r\n"[..],
        b"\xda",
        b"\xda\xbb",
        b"\xda\xbc",
        b"\x02",
    ] {
        let mut buf = BytesMut::from(octets);
        let is_prefix = octets == b"\xda" || octets == b"\xda\xbb";
        assert_eq!(
            Dubbo::default().decode(&mut buf, &LIMITS).is_ok(),
            is_prefix
        );
    }
}

#[test]
fn a_length_over_the_limit_costs_only_the_header() {
    for length in [1009_u32, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let mut octets = message(0xc2, 0, b"");
        octets[12..].copy_from_slice(&length.to_be_bytes());
        octets.extend(b"\x052.0.2");
        let mut buf = BytesMut::from(&octets[..]);
        match Dubbo::default().decode(&mut buf, &LIMITS) {
            Ok(Decoded::Oversized { frame, rest }) => {
                assert_eq!(frame.bytes, octets[..HEADER_LEN]);
                assert_eq!(frame.head.kind(), Kind::Request);
                assert_eq!(rest, u64::from(length));
            }
            other => panic!("{length}: {other:?}"),
        }
        assert_eq!(&buf[..], b"\x052.0.2");
    }
    let mut fits = BytesMut::from(&message(0xc2, 0, &[b'N'; 1008])[..]);
    assert!(matches!(
        Dubbo::default().decode(&mut fits, &LIMITS),
        Ok(Decoded::Frame(_))
    ));
}

#[test]
fn every_vector_is_probed_from_its_header() {
    for name in names() {
        let octets = octets(&name);
        for length in 0..=octets.len().min(24) {
            let expected = if length < HEADER_LEN {
                Probe::More
            } else {
                Probe::Yes
            };
            assert_eq!(
                Dubbo::probe(&octets[..length]),
                expected,
                "{name}, {length} octets"
            );
        }
    }
}

#[test]
fn each_field_of_the_header_can_say_no() {
    let says_no = |at: usize, octet: u8, flag: u8, status: u8| {
        let mut octets = message(flag, status, b"");
        octets[at] = octet;
        for length in 0..=HEADER_LEN {
            let expected = match length {
                ..HEADER_LEN if length <= at => Probe::More,
                _ => Probe::No,
            };
            assert_eq!(
                Dubbo::probe(&octets[..length]),
                expected,
                "octet {at}, {length}"
            );
        }
    };
    says_no(0, 0xdb, 0xc2, 0);
    says_no(1, 0xba, 0xc2, 0);
    says_no(2, 0xc0, 0xc2, 0);
    says_no(3, 20, 0xc2, 0);
    says_no(3, 0, 0x02, 20);
    says_no(3, 101, 0x02, 20);
    says_no(12, 0x80, 0xc2, 0);
    says_no(14, 1, 0xe2, 0);
    says_no(15, 16, 0xe2, 0);
    assert_eq!(Dubbo::probe(b"GET / HTTP/1.1\r\n\r\n"), Probe::No);
}

#[test]
fn events_are_what_their_body_says() {
    for (flag, body, expected) in [
        (0xe2, &b"N"[..], Kind::Heartbeat),
        (0xe2, b"NN", Kind::Heartbeat),
        (0xe2, b"", Kind::Heartbeat),
        (0xa2, b"N", Kind::Heartbeat),
        (0xa2, b"\x01R", Kind::GoAway),
        (0xa2, b"\x01W", Kind::Resume),
        (0xa2, b"\x01X", Kind::Event),
        (0xa2, b"\x40", Kind::Event),
        (0xe2, &[b'N'; 16], Kind::Event),
        (0xf7, b"\0\0\0\x01\xaf", Kind::Heartbeat),
        (0xb7, b"\0\0\0\x02\x4aR", Kind::GoAway),
        (0xb7, b"\0\0\0\x02\x4aW", Kind::Resume),
        (0xb7, b"\0\0\0\x02", Kind::Event),
        // Null in a serialization that is not read.
        (0xe8, b"\0", Kind::Heartbeat),
        (0xa8, b"\0", Kind::Event),
    ] {
        let octets = message(flag, 0, body);
        assert_eq!(
            decode(&octets).head.kind(),
            expected,
            "{flag:02x} {body:02x?}"
        );
    }
    assert_eq!(
        decode(&message(0x22, 20, b"N")).head.kind(),
        Kind::HeartbeatAck
    );
}

fn written(write: impl FnOnce(&mut Dubbo, &mut Out)) -> Vec<u8> {
    let mut out = Out::default();
    write(&mut Dubbo::default(), &mut out);
    out.to_vec()
}

#[test]
fn heartbeats_are_those_of_java() {
    let java = octets("jd33_h2_heartbeat");
    let id = frame("jd33_h2_heartbeat").head.id();
    assert_eq!(
        written(|codec, out| codec.heartbeat(Variant(0), id, out)),
        java
    );
}

#[test]
fn a_heartbeat_is_answered_in_its_own_serialization() {
    let ack = |frame: &Frame<_>| written(|codec, out| codec.heartbeat_ack(frame, out));
    let fast = frame("jd33_fj2_heartbeat");
    assert_eq!(ack(&fast), octets("jd33_fj2_heartbeat_ack"));
    let hessian = frame("n_dubbo_heartbeat");
    assert_eq!(ack(&hessian), octets("n_dubbo_heartbeat_ack"));
    assert_eq!(
        ack(&decode(&message(0xe8, 0, b"\0"))),
        message(0x28, 20, b"\0")
    );
}

#[test]
fn nothing_else_is_answered_as_a_heartbeat() {
    for octets in [
        message(0xa2, 0, b"N"),
        message(0x22, 20, b"N"),
        message(0xa2, 0, b"\x01R"),
        octets("jd33_h2_req_echo"),
    ] {
        let frame = decode(&octets);
        assert_eq!(written(|codec, out| codec.heartbeat_ack(&frame, out)), b"");
    }
}

#[test]
fn the_read_only_event_is_that_of_java() {
    let java = octets("jd33_h2_event_readonly");
    let id = frame("jd33_h2_event_readonly").head.id();
    let mut said = false;
    let octets = written(|codec, out| said = codec.goaway(Variant(0), id, out));
    assert!(said);
    assert_eq!(octets, java);
}

#[test]
fn a_new_id_changes_eight_octets() {
    for name in names() {
        let frame = frame(&name);
        for id in [0, 1, u64::MAX, 0x0102_0304_0506_0708] {
            let octets = written(|codec, out| {
                codec
                    .encode(&frame, WireId(id), &Edits::none(), out)
                    .expect("no edit");
            });
            let mut expected = frame.bytes.to_vec();
            expected[4..12].copy_from_slice(&id.to_be_bytes());
            assert_eq!(Bytes::from(octets), expected, "{name}");
        }
    }
}

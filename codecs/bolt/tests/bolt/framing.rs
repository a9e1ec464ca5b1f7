//! What is a frame, and what is none.

use std::time::Duration;

use crossdock_bolt::{Bolt, Dialect};
use crossdock_framework::{
    codec::{Codec, Decoded, FrameLimits, Probe},
    frame::{Head as _, Kind, WireId},
    out::Out,
};

use crate::made::{Made, decode, decode_within, renumbered, written};

const DIALECTS: [Dialect; 3] = [Dialect::V1, Dialect::V2, Dialect::V2Crc];

fn error(bytes: &[u8]) -> &'static str {
    match decode(bytes) {
        Err(error) => error.reason,
        other => panic!("{other:?}"),
    }
}

fn damage(made: &Made) -> (Kind, &'static str) {
    match decode(&made.bytes()) {
        Ok(Decoded::Damaged { frame, reason }) => (frame.head.kind(), reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn octets_that_no_frame_has_lose_the_framing() {
    assert_eq!(error(&[3]), "the protocol octet is neither 1 nor 2");
    assert_eq!(error(&[2, 3]), "unknown version of protocol 2");
    assert_eq!(error(&[1, 3]), "the type is none of 0, 1 and 2");
    assert_eq!(error(&[2, 2, 0xff]), "the type is none of 0, 1 and 2");
}

#[test]
fn lengths_with_the_top_bit_set_are_refused() {
    for (at, what) in [
        (14, "a class or header length is negative"),
        (16, "a class or header length is negative"),
        (18, "the content length is negative"),
    ] {
        let mut bytes = Made::request().bytes();
        bytes[at] = 0x80;
        assert_eq!(error(&bytes), what);
    }
    for dialect in [Dialect::V2, Dialect::V2Crc] {
        let made = Made {
            dialect,
            switch: 0x80,
            ..Made::request()
        };
        assert_eq!(error(&made.bytes()), "unknown switch");
    }
}

#[test]
fn the_largest_lengths_are_oversized_and_not_waited_for() {
    let mut header = Made::request().bytes();
    header.truncate(22);
    header[14..22].copy_from_slice(&[0x7f, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    match decode(&header) {
        Ok(Decoded::Oversized { frame, rest }) => {
            assert_eq!(rest, 2 * 0x7fff + 0x7fff_ffff);
            assert_eq!(
                (frame.head.id(), frame.head.kind()),
                (WireId(7), Kind::Request)
            );
            assert_eq!(frame.bytes, header);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_limit_counts_every_octet_of_a_frame() {
    let made = Made {
        dialect: Dialect::V2Crc,
        switch: 1,
        content: vec![0; 100],
        ..Made::request()
    };
    let bytes = made.bytes();
    let limit = |frame| decode_within(&bytes, FrameLimits { frame });
    assert!(matches!(limit(bytes.len()), Ok(Decoded::Frame(_))));
    assert!(matches!(
        limit(bytes.len() - 1),
        Ok(Decoded::Oversized { .. })
    ));
}

#[test]
fn type_and_command_make_the_kind() {
    for (kind, command, expected) in [
        (1, 1, Kind::Request),
        (2, 1, Kind::Oneway),
        (0, 2, Kind::Response),
        (1, 0, Kind::Heartbeat),
        (0, 0, Kind::HeartbeatAck),
        (1, 100, Kind::GoAway),
        (2, 100, Kind::GoAway),
        (2, 0, Kind::Event),
        (0, 100, Kind::Event),
    ] {
        for dialect in DIALECTS {
            let made = Made {
                dialect,
                kind,
                command,
                ..Made::request()
            };
            let head = made.frame().head;
            assert_eq!(head.kind(), expected, "{made:?}");
            assert_eq!(head.dialect(), dialect);
            assert_eq!(Dialect::of(head.variant()), dialect);
        }
    }
}

#[test]
fn unknown_commands_and_statuses_hurt_their_own_call_alone() {
    let unknown = |kind, command, status| Made {
        kind,
        command,
        status,
        ..Made::request()
    };
    let request = "the command code of the request is unknown";
    assert_eq!(damage(&unknown(1, 3, 0)), (Kind::Request, request));
    assert_eq!(damage(&unknown(2, 0xffff, 0)), (Kind::Oneway, request));
    let response = "the command code of the response is unknown";
    assert_eq!(damage(&unknown(0, 1, 0)), (Kind::Response, response));
    for status in [10, 15, 19, 99, 0xffff] {
        let what = "the status of the response is unknown";
        assert_eq!(damage(&Made::response(status)), (Kind::Response, what));
    }
    for status in (0..=9).chain(16..=18) {
        Made::response(status).frame();
    }
}

#[test]
fn a_checksum_is_read_where_the_frame_says_so_and_nowhere_else() {
    for (dialect, switch, crc) in [
        (Dialect::V1, 0, false),
        (Dialect::V2, 0, false),
        (Dialect::V2, 1, false),
        (Dialect::V2Crc, 0, false),
        (Dialect::V2Crc, 2, false),
        (Dialect::V2Crc, 1, true),
        (Dialect::V2Crc, 3, true),
    ] {
        let made = Made {
            dialect,
            switch,
            content: b"content".to_vec(),
            ..Made::request()
        };
        let frame = made.frame();
        assert_eq!(frame.head.has_crc(), crc, "{made:?}");
        // Octets of the class name and of the content: none that the framing needs.
        for at in [26, frame.bytes.len() - 6, frame.bytes.len() - 1] {
            let mut bytes = made.bytes();
            bytes[at] ^= 1;
            let damaged = match decode(&bytes) {
                Ok(Decoded::Damaged { frame, reason }) => {
                    assert_eq!(frame.head.id(), WireId(7));
                    assert_eq!(reason, "the checksum is wrong");
                    true
                }
                Ok(Decoded::Frame(_)) => false,
                other => panic!("{other:?}"),
            };
            assert_eq!(damaged, crc, "{at} {made:?}");
        }
    }
}

#[test]
fn the_low_bits_of_an_id_are_the_wire_id() {
    for dialect in DIALECTS {
        let made = Made {
            dialect,
            switch: 1,
            content: vec![5; 5000],
            ..Made::request()
        };
        let expected = Made {
            id: 0xdead_beef,
            ..made.clone()
        };
        let bytes = renumbered(&made.frame(), 0x1234_5678_dead_beef);
        assert_eq!(bytes, expected.bytes(), "{dialect:?}");
    }
}

#[test]
fn a_timeout_is_a_positive_number() {
    for (ms, expected) in [
        (-1, None),
        (0, None),
        (i32::MIN, None),
        (1, Some(1)),
        (i32::MAX, Some(i32::MAX as u64)),
    ] {
        let made = Made {
            timeout: ms,
            ..Made::request()
        };
        let head = made.frame().head;
        assert_eq!(head.timeout(), expected.map(Duration::from_millis));
        assert_eq!(head.timeout_ms(), Some(ms));
        assert_eq!(head.status(), None);
    }
    let head = Made::response(7).frame().head;
    assert_eq!((head.timeout_ms(), head.timeout()), (None, None));
    assert_eq!(head.status(), Some(7));
}

#[test]
fn a_probe_judges_the_whole_header() {
    let good = Made::request();
    let bad = [
        Made {
            command: 3,
            ..good.clone()
        },
        Made {
            command: 2,
            ..good.clone()
        },
        Made {
            codec: 3,
            ..good.clone()
        },
        Made {
            status: 33,
            ..Made::response(0)
        },
        // A heartbeat carries nothing.
        Made {
            command: 0,
            ..good.clone()
        },
        Made {
            command: 100,
            ..good.clone()
        },
    ];
    assert_eq!(Bolt::probe(&good.bytes()), Probe::Yes);
    for made in bad {
        let bytes = made.bytes();
        assert_eq!(
            Bolt::probe(&bytes[..20]),
            match made.kind {
                0 => Probe::No,
                _ => Probe::More,
            }
        );
        assert_eq!(Bolt::probe(&bytes), Probe::No, "{made:?}");
    }
    let mut bytes = good.bytes();
    bytes[4] = 2;
    assert_eq!(Bolt::probe(&bytes), Probe::No);
    assert_eq!(Bolt::probe(&[]), Probe::More);
}

#[test]
fn heartbeats_are_java_s_octets() {
    let mut out = Out::default();
    Bolt.heartbeat(Dialect::V1.variant(), WireId(100), &mut out);
    let expected = b"\x01\x01\0\0\x01\0\0\0\x64\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
    assert_eq!(out.to_vec(), expected);

    let mut ack = Out::default();
    Bolt.heartbeat_ack(&written(&out), &mut ack);
    let expected = b"\x01\0\0\0\x01\0\0\0\x64\x01\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(ack.to_vec(), expected);

    // With a checksum on the connection: none in small messages.
    let mut out = Out::default();
    Bolt.heartbeat(Dialect::V2Crc.variant(), WireId(9), &mut out);
    let expected = b"\x02\x02\x01\0\0\x01\0\0\0\x09\x01\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
    assert_eq!(out.to_vec(), expected);
}

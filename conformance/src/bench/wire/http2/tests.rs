use super::super::{Heard, Talk, Verdict, letters};
use super::flow::DEFAULT_WINDOW;
use super::hpack::{Fields, Reader, Writer};
use super::*;
use std::sync::Arc;

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(digits, 16).expect("hexadecimal")
        })
        .collect()
}

/// A caller with one open call, on stream 1.
fn calling(payload: usize, mark: u64) -> Caller {
    let mut caller = Caller::new(Arc::new(template(payload)));
    caller.call(mark, &mut Vec::new());
    caller
}

fn hear(caller: &mut Caller, kind: u8, flags: u8, payload: &[u8]) -> Heard {
    let mut whole = Vec::new();
    frame(kind, flags, 1, payload, &mut whole);
    caller.take(&whole, &mut Vec::new()).expect("good")
}

/// A header block with these fields, all of them written whole.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    Writer::default().fields(0, fields, &mut block);
    block
}

#[test]
fn texts_are_decoded() {
    let code = octets("f1e3c2e5f23a6ba0ab90f4ff");
    assert_eq!(
        huffman::decode(&code).as_deref(),
        Some(&b"www.example.com"[..])
    );
    let date = octets("d07abe941054d444a8200595040b8166e082a62d1bff");
    let text = &b"Mon, 21 Oct 2013 20:13:21 GMT"[..];
    assert_eq!(huffman::decode(&date).as_deref(), Some(text));
    assert_eq!(huffman::decode(&[]), Some(Vec::new()));
    assert_eq!(huffman::decode(&[0xff]), None, "padding of a whole octet");
    assert_eq!(huffman::decode(&[0]), None, "padding of zeros");
}

#[test]
fn a_table_is_kept_through_eviction() {
    // RFC 7541, C.6: responses with Huffman coding; here the table has room for all entries.
    let mut reader = Reader::default();
    let blocks = [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad17\
         1863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
    ];
    let statuses = blocks.map(|hex| reader.read(&octets(hex)).expect("good").status);
    assert_eq!(statuses, [Some(b"302".to_vec()), Some(b"307".to_vec())]);
    // `:status: 302` was entered first of all and `:status: 307` last.
    assert_eq!(
        reader.read(&[0x80 | 66]).expect("good").status,
        Some(b"302".to_vec())
    );
    assert_eq!(
        reader.read(&[0x80 | 62]).expect("good").status,
        Some(b"307".to_vec())
    );
    // A table of 256 octets, as in the RFC, has room for four of the five entries.
    assert!(reader.read(&octets("3fe101")).is_ok());
    assert!(reader.read(&[0x80 | 66]).is_err(), "evicted");
    assert!(reader.read(&[0x80 | 65]).is_ok());
}

#[test]
fn what_a_writer_repeats_a_reader_understands() {
    let fields = [
        (":status", "200"),
        ("grpc-status", "0"),
        ("grpc-message", "m"),
    ];
    let expected = Fields {
        status: Some(b"200".to_vec()),
        grpc_status: Some(b"0".to_vec()),
        grpc_message: Some(b"m".to_vec()),
    };
    let (mut writer, mut reader) = (Writer::default(), Reader::default());
    for round in 0..4 {
        if round == 2 {
            writer.limit(0);
        }
        let mut block = Vec::new();
        writer.fields(0, &fields[..2], &mut block);
        writer.fields(2, &fields[2..], &mut block);
        assert_eq!(reader.read(&block), Ok(expected.clone()), "round {round}");
        assert_eq!(
            block.len() == 3,
            round == 1,
            "by places in the table only then"
        );
    }
}

#[test]
fn no_block_makes_a_reader_panic() {
    for hex in [
        "",
        "ff",
        "ffffffffff",
        "40",
        "400a",
        "7f",
        "be",
        "00",
        "4085",
        "0f",
    ] {
        let _either_is_fine = Reader::default().read(&octets(hex));
    }
}

#[test]
fn answers_are_judged() {
    let ok = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    let message = |mark| {
        let mut message = vec![0, 0, 0, 0, 16];
        message.extend_from_slice(&letters(mark));
        message
    };
    let end = |message: &[u8], trailers: &[(&str, &str)]| {
        let mut caller = calling(16, 7);
        assert_eq!(hear(&mut caller, HEADERS, END_HEADERS, &ok), Heard::Nothing);
        for part in message.chunks(9) {
            assert_eq!(hear(&mut caller, DATA, 0, part), Heard::Nothing);
        }
        let mut trailer_block = Vec::new();
        let mut writer = Writer::default();
        writer.limit(0);
        writer.fields(0, trailers, &mut trailer_block);
        hear(
            &mut caller,
            HEADERS,
            END_HEADERS | END_STREAM,
            &trailer_block,
        )
    };
    let good = [("grpc-status", "0")];
    assert_eq!(end(&message(7), &good), Heard::End(7, Verdict::Right));
    let other = end(&message(8), &good);
    assert!(
        matches!(other, Heard::End(7, Verdict::Wrong(_))),
        "{other:?}"
    );
    for trailers in [&[("grpc-status", "14"), ("grpc-message", "gone")][..], &[]] {
        let failed = end(&message(7), trailers);
        assert!(
            matches!(failed, Heard::End(7, Verdict::Failed(_))),
            "{failed:?}"
        );
    }
    let mut caller = calling(16, 7);
    let reset = hear(&mut caller, RST_STREAM, 0, &[0, 0, 0, 7]);
    assert_eq!(
        reset,
        Heard::End(7, Verdict::Failed("reset with error 7".into()))
    );
    let again = hear(&mut caller, RST_STREAM, 0, &[0, 0, 0, 7]);
    assert!(matches!(again, Heard::Stray(_)));
}

#[test]
fn the_peers_window_is_kept() {
    let size = 4096 + PREFIX;
    let mut caller = Caller::new(Arc::new(template(4096)));
    let mut out = Vec::new();
    for mark in 0..20 {
        caller.call(mark, &mut out);
    }
    let sent = |bytes: &[u8]| {
        let (mut rest, mut sum) = (bytes, 0);
        while let Some(head) = Head::read(rest) {
            sum += if head.kind == DATA { head.length } else { 0 };
            rest = &rest[HEADER + head.length..];
        }
        sum
    };
    let first = DEFAULT_WINDOW as usize / size * size;
    assert_eq!(sent(&out), first);
    let mut more = Vec::new();
    let mut update = Vec::new();
    frame(
        WINDOW_UPDATE,
        0,
        0,
        &(2 * size as u32).to_be_bytes(),
        &mut update,
    );
    caller.take(&update, &mut more).expect("good");
    assert_eq!(sent(&more), 2 * size);
    let mut small = Vec::new();
    frame(SETTINGS, 0, 0, &octets("000400001000"), &mut small);
    assert!(
        caller.take(&small, &mut Vec::new()).is_err(),
        "no message fits"
    );
}

#[test]
fn frames_are_cut() {
    assert_eq!(length(b"PRI"), Ok(Some(PREFACE.len())));
    assert!(length(b"PRX").is_err());
    assert_eq!(length(&[0, 0, 5, 0]), Ok(None));
    assert_eq!(length(&[0, 0, 5, 0, 0, 0, 0, 0, 1]), Ok(Some(14)));
    assert!(length(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1]).is_err());
}

//! Every octet in value position, in both grammars.

use crossdock_hessian::{Error, ErrorKind, Grammar, Kind, Limits, Walker};

/// A tag, its kind, and the shortest octets that complete its value.
type Row = (u8, Kind, Vec<u8>);

/// What later values refer to: 16 classes without fields, reference 0 (an object), reference 1
/// and type 0 (an empty list).
fn prefix(grammar: Grammar) -> (Vec<u8>, usize) {
    match grammar {
        Grammar::V2 => (
            [b"C\x01a\x90".repeat(16).as_slice(), b"\x60p\x01t"].concat(),
            2,
        ),
        Grammar::V3 => (
            [b"O\x91a\x90".repeat(16).as_slice(), b"o\x90Vt\0\x01tn\0z"].concat(),
            2,
        ),
    }
}

fn zeros(count: usize) -> Vec<u8> {
    vec![0; count]
}

/// A head of `head` octets that count `units` ASCII characters.
fn text(head: &[u8], units: usize) -> Vec<u8> {
    [head, &b"x".repeat(units)].concat()
}

/// What both grammars share.
fn shared() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend((0x00..=0x1f).map(|tag| (tag, Kind::String, text(b"", tag.into()))));
    rows.extend((0x20..=0x2f).map(|tag| (tag, Kind::Binary, zeros(usize::from(tag - 0x20)))));
    rows.extend((0x38..=0x3f).map(|tag| (tag, Kind::Long, zeros(2))));
    rows.extend((0x80..=0xbf).map(|tag| (tag, Kind::Int, zeros(0))));
    rows.extend((0xc0..=0xcf).map(|tag| (tag, Kind::Int, zeros(1))));
    rows.extend((0xd0..=0xd7).map(|tag| (tag, Kind::Int, zeros(2))));
    rows.extend((0xd8..=0xef).map(|tag| (tag, Kind::Long, zeros(0))));
    rows.extend((0xf0..=0xff).map(|tag| (tag, Kind::Long, zeros(1))));
    rows.extend([
        (b'B', Kind::Binary, text(&[1, 1], 257)),
        (b'D', Kind::Double, zeros(8)),
        (b'F', Kind::Bool, zeros(0)),
        (b'I', Kind::Int, zeros(4)),
        (b'L', Kind::Long, zeros(8)),
        (b'N', Kind::Null, zeros(0)),
        (b'S', Kind::String, text(&[1, 1], 257)),
        (b'T', Kind::Bool, zeros(0)),
    ]);
    rows
}

/// Source: Hessian 2.0 serialization, as hessian-lite writes it.
fn v2() -> Vec<Row> {
    let mut rows = shared();
    let wide = |tag: u8, base: u8| text(&[2], (usize::from(tag - base) << 8) + 2);
    rows.extend((0x30..=0x33).map(|tag| (tag, Kind::String, wide(tag, 0x30))));
    rows.extend((0x34..=0x37).map(|tag| (tag, Kind::Binary, wide(tag, 0x34))));
    rows.extend((0x60..=0x6f).map(|tag| (tag, Kind::Object, zeros(0))));
    let nulls = |count: u8| b"N".repeat(count.into());
    let typed = |tag: u8| [b"\x01u".as_slice(), &nulls(tag - 0x70)].concat();
    rows.extend((0x70..=0x77).map(|tag| (tag, Kind::List, typed(tag))));
    rows.extend((0x78..=0x7f).map(|tag| (tag, Kind::List, nulls(tag - 0x78))));
    rows.extend([
        (b'A', Kind::Binary, b"\0\x01x\x21x".to_vec()),
        (b'H', Kind::Map, b"\x01k\x91Z".to_vec()),
        (b'J', Kind::Date, zeros(8)),
        (b'K', Kind::Date, zeros(4)),
        (b'M', Kind::Map, b"\x01u\x01k\x91Z".to_vec()),
        (b'O', Kind::Object, vec![0x9f]),
        (b'Q', Kind::Reference, vec![0x91]),
        (b'R', Kind::String, b"\0\x01x\x01x".to_vec()),
        (b'U', Kind::List, b"\x90\x91Z".to_vec()),
        (b'V', Kind::List, b"\x01u\x92NN".to_vec()),
        (b'W', Kind::List, b"\x91Z".to_vec()),
        (b'X', Kind::List, b"\x92NN".to_vec()),
        (b'Y', Kind::Long, zeros(4)),
        (0x5b, Kind::Double, zeros(0)),
        (0x5c, Kind::Double, zeros(0)),
        (0x5d, Kind::Double, zeros(1)),
        (0x5e, Kind::Double, zeros(2)),
        (0x5f, Kind::Double, zeros(4)),
    ]);
    rows
}

/// Source: sofa-hessian, branch 3.x.
fn v3() -> Vec<Row> {
    let mut rows = shared();
    rows.extend([
        (b'J', Kind::Reference, vec![1]),
        (b'K', Kind::Reference, vec![0, 1]),
        (b'M', Kind::Map, b"t\0\x01u\x01k\x91z".to_vec()),
        (b'R', Kind::Reference, vec![0, 0, 0, 1]),
        (b'V', Kind::List, b"u\x90l\0\0\0\x01\x91z".to_vec()),
        (b'X', Kind::String, b"\0\x01x".to_vec()),
        (b'b', Kind::Binary, b"\0\x01x\x21x".to_vec()),
        (b'd', Kind::Date, zeros(8)),
        (0x67, Kind::Double, zeros(0)),
        (0x68, Kind::Double, zeros(0)),
        (0x69, Kind::Double, zeros(1)),
        (0x6a, Kind::Double, zeros(2)),
        (0x6b, Kind::Double, zeros(4)),
        (b'o', Kind::Object, vec![0x9f]),
        (b'r', Kind::Remote, b"t\0\x01u\x01x".to_vec()),
        (b's', Kind::String, b"\0\x01xS\0\x01x".to_vec()),
        (b'v', Kind::List, b"\x90\x92NN".to_vec()),
        (b'w', Kind::Long, zeros(4)),
        (b'x', Kind::String, b"\0\x01xX\0\x01x".to_vec()),
    ]);
    rows
}

fn check(grammar: Grammar, rows: &[Row], definition: u8) {
    for tag in 0..=u8::MAX {
        let (mut stream, values) = prefix(grammar);
        let start = stream.len();
        stream.push(tag);
        let row = rows.iter().find(|row| row.0 == tag);
        if let Some((_, _, tail)) = row {
            stream.extend(tail);
        }
        let mut walker = Walker::new(&stream, grammar, Limits::default());
        (0..values).for_each(|_| walker.skip_value().expect("the prefix is good"));
        assert_eq!(walker.pos(), start);
        match row {
            Some((_, kind, tail)) => {
                assert_eq!(walker.peek_kind(), Ok(*kind), "{grammar:?} {tag:#04x}");
                assert_eq!(walker.pos(), start, "a look reads nothing");
                assert_eq!(walker.skip_value(), Ok(()), "{grammar:?} {tag:#04x}");
                assert!(walker.at_end(), "{grammar:?} {tag:#04x}");
                containers_take_a_reference(grammar, &stream, *kind);
                every_cut_is_truncated(grammar, &stream, start, tail.len());
            }
            None if tag == definition => {
                assert!(walker.peek_kind().is_err_and(|error| error.is_truncated()));
            }
            None => {
                let error = Error {
                    offset: start,
                    kind: ErrorKind::BadTag(tag),
                };
                assert_eq!(walker.peek_kind(), Err(error), "{grammar:?}");
                assert_eq!(walker.skip_value(), Err(error), "{grammar:?}");
            }
        }
    }
}

/// The prefix took references 0 and 1, so a container that follows it is number 2.
fn containers_take_a_reference(grammar: Grammar, stream: &[u8], kind: Kind) {
    let container = matches!(kind, Kind::List | Kind::Map | Kind::Object);
    let last = if container { 2 } else { 1 };
    for (index, known) in [(last, true), (last + 1, false)] {
        let reference = match grammar {
            Grammar::V2 => [b'Q', 0x90 + index],
            Grammar::V3 => [b'J', index],
        };
        let stream = [stream, &reference].concat();
        let mut walker = Walker::new(&stream, grammar, Limits::default());
        (0..3).for_each(|_| walker.skip_value().expect("the value is good"));
        assert_eq!(
            walker.skip_value().is_ok(),
            known,
            "{grammar:?} {kind} {index}"
        );
    }
}

fn every_cut_is_truncated(grammar: Grammar, stream: &[u8], start: usize, tail: usize) {
    for cut in 0..tail {
        let mut walker = Walker::new(&stream[..=start + cut], grammar, Limits::default());
        let error = (0..=2).find_map(|_| walker.skip_value().err());
        assert!(
            error.is_some_and(|error| error.is_truncated()),
            "{:#04x}: {error:?}",
            stream[start]
        );
    }
}

#[test]
fn each_octet_begins_a_value_of_hessian_2_or_none() {
    check(Grammar::V2, &v2(), b'C');
}

#[test]
fn each_octet_begins_a_value_of_the_draft_or_none() {
    check(Grammar::V3, &v3(), b'O');
}

#[test]
fn numbers_have_the_value_that_java_reads() -> Result<(), Error> {
    let rows: [(&[u8], i64); 16] = [
        (b"\x80", -16),
        (b"\xbf", 47),
        (b"\xc0\x00", -2048),
        (b"\xcf\xff", 2047),
        (b"\xd0\x00\x00", -262_144),
        (b"\xd7\xff\xff", 262_143),
        (b"I\x80\x00\x00\x00", i32::MIN as i64),
        (b"I\x7f\xff\xff\xff", i32::MAX as i64),
        (b"\xd8", -8),
        (b"\xef", 15),
        (b"\xf0\x00", -2048),
        (b"\xff\xff", 2047),
        (b"\x38\x00\x00", -262_144),
        (b"\x3f\xff\xff", 262_143),
        (b"L\x80\0\0\0\0\0\0\0", i64::MIN),
        (b"L\0\0\0\x01\0\0\0\0", 1 << 32),
    ];
    for grammar in [Grammar::V2, Grammar::V3] {
        for (stream, value) in rows {
            let mut walker = Walker::new(stream, grammar, Limits::default());
            match i32::try_from(value) {
                Ok(int) => assert_eq!(walker.read_int(), Ok(int)),
                Err(_) => assert!(walker.read_int().is_err() && walker.pos() == 0),
            }
            let mut walker = Walker::new(stream, grammar, Limits::default());
            assert_eq!(walker.read_long()?, value);
            assert!(walker.at_end());
        }
    }
    let mut walker = Walker::new(b"Y\xff\xff\xff\xff", Grammar::V2, Limits::default());
    assert_eq!(walker.read_long()?, -1);
    let mut walker = Walker::new(b"w\xff\xff\xff\xff", Grammar::V3, Limits::default());
    assert_eq!(walker.read_long()?, -1);
    Ok(())
}

#[test]
fn the_wrong_kind_is_refused_and_left_in_place() {
    let mut walker = Walker::new(b"\x91", Grammar::V2, Limits::default());
    let expected = |wanted| Error {
        offset: 0,
        kind: ErrorKind::Expected {
            wanted,
            octet: 0x91,
        },
    };
    assert_eq!(walker.read_string().err(), Some(expected(Kind::String)));
    assert_eq!(
        walker.read_string_or_null().err(),
        Some(expected(Kind::String))
    );
    assert_eq!(walker.read_bool().err(), Some(expected(Kind::Bool)));
    assert_eq!(walker.map().err(), Some(expected(Kind::Map)));
    assert_eq!(walker.list().err(), Some(expected(Kind::List)));
    assert_eq!(walker.object().err(), Some(expected(Kind::Object)));
    assert_eq!(walker.peek_class(), Ok(None));
    assert_eq!(walker.read_null(), Ok(false));
    assert_eq!(walker.read_int(), Ok(1));
}

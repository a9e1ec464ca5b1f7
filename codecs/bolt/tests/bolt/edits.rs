//! Changing the header map.

use std::time::Duration;

use crossdock_bolt::{Bolt, Dialect, Head, checksum_holds};
use crossdock_framework::{
    codec::{CannotEdit, Codec},
    edits::{Edit, Edits},
    frame::{Frame, WireId},
    out::Out,
};

use crate::made::{Made, entry, written};

fn set(name: &str, value: &str) -> Edit {
    Edit::Set(name.into(), value.into())
}

fn remove(name: &str) -> Edit {
    Edit::Remove(name.into())
}

fn edited(frame: &Frame<Head>, list: Vec<Edit>) -> Result<Frame<Head>, CannotEdit> {
    let mut edits = Edits::none();
    list.into_iter().for_each(|edit| edits.push(edit));
    let mut out = Out::default();
    let done = Bolt.encode(frame, WireId(8), &edits, &mut out);
    assert_eq!(done.is_err(), out.is_empty());
    done.map(|()| written(&out))
}

#[track_caller]
fn check(made: &Made, list: Vec<Edit>, header: Vec<Vec<u8>>) {
    for (dialect, switch) in [(Dialect::V1, 0), (Dialect::V2, 1), (Dialect::V2Crc, 1)] {
        for response in [false, true] {
            let (kind, command) = if response { (0, 2) } else { (1, 1) };
            let before = Made {
                dialect,
                switch,
                kind,
                command,
                ..made.clone()
            };
            let expected = Made {
                id: 8,
                header: header.concat(),
                ..before.clone()
            };
            let after = edited(&before.frame(), list.clone()).expect("the map is one");
            assert_eq!(after.bytes, expected.bytes(), "{dialect:?} {list:?}");
        }
    }
}

fn made() -> Made {
    Made {
        content: vec![1; 3000],
        ..Made::request()
    }
    .header(&[("service", "a.B:1.0"), ("X-Tag", "one"), ("app", "")])
}

#[test]
fn untouched_entries_stay_as_they_are() {
    let service = entry("service", "a.B:1.0");
    let app = entry("app", "");
    check(
        &made(),
        vec![set("x-new", "中")],
        vec![
            service.clone(),
            entry("X-Tag", "one"),
            app.clone(),
            entry("x-new", "中"),
        ],
    );
    // The key keeps its spelling and its place.
    check(
        &made(),
        vec![set("x-tag", "two")],
        vec![service.clone(), entry("X-Tag", "two"), app.clone()],
    );
    check(&made(), vec![remove("x-tag")], vec![service.clone(), app]);
    let append = Edit::Append("x-tag".into(), "two".into());
    check(
        &made(),
        vec![append, remove("app")],
        vec![service, entry("X-Tag", "one,two")],
    );
}

#[test]
fn every_entry_may_go_and_the_first_may_come() {
    let all = vec![remove("service"), remove("x-tag"), remove("app")];
    check(&made(), all, vec![]);
    check(&Made::request(), vec![set("a", "b")], vec![entry("a", "b")]);
}

#[test]
fn of_several_entries_one_is_left() {
    let mut made = made();
    made.header = [entry("K", "1"), entry("z", "9"), entry("k", "2")].concat();
    // The last one counts, so that is what is appended to.
    let append = Edit::Append("k".into(), "3".into());
    check(
        &made,
        vec![append],
        vec![entry("K", "2,3"), entry("z", "9")],
    );
    check(&made, vec![remove("k")], vec![entry("z", "9")]);
}

#[test]
fn a_null_is_absent_but_not_lost() {
    let null = b"\0\0\0\x01n\xff\xff\xff\xff".to_vec();
    let mut made = made();
    made.header = [null.clone(), entry("a", "1")].concat();
    check(
        &made,
        vec![set("a", "2")],
        vec![null.clone(), entry("a", "2")],
    );
    check(&made, vec![remove("n")], vec![null, entry("a", "1")]);
    check(
        &made,
        vec![Edit::AddIfAbsent("n".into(), "x".into())],
        vec![entry("n", "x"), entry("a", "1")],
    );
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let refused = |made: &Made, list| edited(&made.frame(), list).unwrap_err().0;
    let raw = Made {
        header: b"not a map".to_vec(),
        ..Made::request()
    };
    assert_eq!(
        refused(&raw, vec![set("a", "b")]),
        "the header block is no map"
    );

    let long = "x".repeat(32767 - 8 - 1);
    let full = Made::request().header(&[("a", &long)]);
    assert_eq!(full.header.len(), 32767);
    let too_long = "the header map would grow over 32767 octets";
    assert_eq!(refused(&full, vec![set("b", "")]), too_long);
    assert_eq!(
        refused(&full, vec![set("a", &format!("{long}y"))]),
        too_long
    );
    check(&full, vec![set("a", "y")], vec![entry("a", "y")]);

    let derived = "a word that Bolt derives cannot be changed";
    for name in [
        ":path",
        ":authority",
        "x-sofa-version",
        "x-sofa-unique-id",
        "x-bolt-class",
    ] {
        assert_eq!(refused(&made(), vec![set(name, "v")]), derived);
    }
}

#[test]
fn edits_without_effect_change_the_id_alone() {
    let list = vec![set("x-tag", "one"), remove("absent")];
    let header = vec![made().header];
    check(&made(), list, header);
    // Even where nothing could be changed.
    let raw = Made {
        header: b"not a map".to_vec(),
        ..Made::request()
    };
    assert!(edited(&raw.frame(), vec![]).is_ok());
}

#[test]
fn the_time_that_is_left_stands_in_the_timeout() {
    for (dialect, switch) in [
        (Dialect::V1, 0),
        (Dialect::V2, 1),
        (Dialect::V2Crc, 0),
        (Dialect::V2Crc, 1),
    ] {
        let before = Made {
            dialect,
            switch,
            ..made()
        };
        for (left, timeout) in [
            (Duration::from_micros(1_234_900), 1234),
            (Duration::ZERO, 1),
            (Duration::MAX, i32::MAX),
        ] {
            for (list, header) in [
                (vec![], made().header),
                (
                    vec![set("app", "b")],
                    made()
                        .header(&[("service", "a.B:1.0"), ("X-Tag", "one"), ("app", "b")])
                        .header,
                ),
            ] {
                let mut edits = Edits::none();
                list.into_iter().for_each(|edit| edits.push(edit));
                let mut out = Out::default();
                Bolt.encode_within(&before.frame(), WireId(8), &edits, left, &mut out)
                    .expect("the map is one");
                let expected = Made {
                    id: 8,
                    timeout,
                    header,
                    ..before.clone()
                };
                let after = written(&out);
                assert_eq!(
                    after.bytes,
                    expected.bytes(),
                    "{dialect:?} {switch} {left:?}"
                );
                assert!(checksum_holds(&after));
            }
        }
    }
}

use proptest::prelude::*;

use super::*;

/// Name and octets of values that fastjson2 wrote.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    include_str!("../../vectors/jsonb_values.tsv")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, hex)| (name, unhex(hex)))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

fn text(octets: &[u8]) -> Option<Cow<'_, str>> {
    match Reader::new(octets).value() {
        Ok(Some(Scalar::Text(text))) => Some(text.to_cow()),
        _ => None,
    }
}

#[test]
fn every_value_of_fastjson2_is_passed_over_exactly() {
    let values = values();
    assert_eq!(values.len(), 83);
    for (name, octets) in values {
        let mut reader = Reader::new(&octets);
        assert!(reader.value().is_ok(), "{name}");
        assert!(reader.rest().is_empty(), "{name}");
        for cut in 0..octets.len() {
            let mut reader = Reader::new(&octets[..cut]);
            assert!(reader.value().is_err(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn integers_of_every_width_are_read() {
    let mut count = 0;
    for (name, octets) in values() {
        let digits = name
            .strip_prefix("int ")
            .or_else(|| name.strip_prefix("long "));
        let Some(expected) = digits.and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        assert_eq!(Reader::new(&octets).int(), Ok::<i64, _>(expected), "{name}");
        count += 1;
    }
    assert_eq!(count, 32);
}

#[test]
fn text_of_every_coding_is_read() {
    let values = values();
    let (short, long) = ("a".repeat(47), "a".repeat(48));
    for (name, expected) in [
        ("empty", ""),
        ("str 47", short.as_str()),
        ("str 48", &long),
        ("latin1", "héllo"),
        ("cjk", "中文"),
        ("emoji", "中😀"),
        ("mixed", "abc 中"),
    ] {
        let (_, octets) = values.iter().find(|(known, _)| *known == name).expect(name);
        assert_eq!(text(octets).as_deref(), Some(expected), "{name}");
        assert_eq!(text(&octets[..octets.len() - 1]), None, "{name}");
    }
}

#[test]
fn what_is_written_is_what_fastjson2_writes() {
    let values = values();
    for (name, written) in [
        ("empty", ""),
        ("str 47", &"a".repeat(47)),
        ("str 48", &"a".repeat(48)),
    ] {
        let (_, octets) = values.iter().find(|(known, _)| *known == name).expect(name);
        let mut out = Vec::new();
        write_string(&mut out, written);
        assert_eq!(&out, octets, "{name}");
    }
}

#[test]
fn nesting_is_limited() {
    let deep = |depth: usize| {
        let mut octets = vec![0x95; depth];
        octets.push(NULL);
        octets
    };
    assert!(Reader::new(&deep(DEPTH + 1)).value().is_ok());
    assert_eq!(Reader::new(&deep(DEPTH + 2)).value().map(drop), Err(DEEP));
    assert_eq!(
        Reader::new(&vec![OBJECT; 200_000]).value().map(drop),
        Err(DEEP)
    );
}

#[test]
fn lengths_are_not_believed() {
    for octets in [
        &b"\x79\x48\x7f\xff\xff\xff"[..],
        b"\x79\xf0",
        b"\x91\xbe\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa4\x48\x7f\xff\xff\xff\xaf",
    ] {
        assert_eq!(Reader::new(octets).value().map(drop), Err(SHORT));
    }
}

proptest! {
    #[test]
    fn strings_are_read_as_written(written in "\\PC{0,300}") {
        let mut out = Vec::new();
        write_string(&mut out, &written);
        let found = text(&out);
        prop_assert_eq!(found.as_deref(), Some(written.as_str()));
    }

    #[test]
    fn lengths_are_read_as_written(written in 0_usize..1 << 24) {
        let mut out = Vec::new();
        write_int(&mut out, written);
        prop_assert_eq!(Reader::new(&out).int(), Ok(written as i64));
    }

    #[test]
    fn garbage_ends(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(&octets);
        while !reader.rest().is_empty() && reader.value().is_ok() {}
    }
}

use crossdock_hessian::{Grammar, Limits, Walker};
use proptest::prelude::*;

use super::*;

/// Passes over a value as the walker does.
fn walk(octets: &[u8]) -> Option<&[u8]> {
    let mut walker = Walker::new(octets, Grammar::V2, Limits::default());
    walker.skip_value().ok()?;
    Some(walker.rest())
}

#[test]
fn scalars_of_every_tag_end_where_the_walker_says() {
    let mut scalars = 0;
    for tag in 0..=u8::MAX {
        for low in [0, 1, 40] {
            let mut octets = vec![b'a'; 1100];
            octets[0] = tag;
            octets[1] = low;
            if let Some(rest) = skip_scalar(&octets) {
                assert_eq!(Some(rest), walk(&octets), "{tag:02x} {low:02x}");
                scalars += 1;
            }
        }
    }
    assert!(scalars > 3 * 190, "{scalars}");
}

#[test]
fn what_a_scalar_lacks_is_missed() {
    for octets in [
        &b""[..],
        b"\x02a",
        b"\x30",
        b"\x30\x02a",
        b"I\0\0\0",
        b"L\0",
        b"\xc8",
        b"\x22a",
    ] {
        assert_eq!(skip_scalar(octets), None, "{octets:02x?}");
    }
}

proptest! {
    #[test]
    fn the_walker_agrees(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Some(rest) = skip_scalar(&octets) {
            prop_assert_eq!(Some(rest), walk(&octets));
        }
    }

    /// Mostly text, so that many inputs are plain to their end.
    #[test]
    fn the_walker_finds_the_same(
        entries in proptest::collection::vec(("[aAbB]{0,2}", "[ -~é]{0,40}"), 0..6),
        cut in 0_usize..4,
    ) {
        let mut map = Vec::new();
        let mut entries = entries.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        crossdock_hessian::Writer::new(&mut map, Grammar::V2).string_map(entries.clone());
        map.truncate(map.len().saturating_sub(cut));
        let found = find(Serialization::HESSIAN2, &map, "ab");
        let expected = entries.rfind(|(key, _)| key.eq_ignore_ascii_case("ab"));
        match found {
            Found::Value(value) => prop_assert_eq!(Some(value.as_str()), expected.map(|(_, value)| value)),
            Found::Absent => prop_assert_eq!(expected, None),
            Found::Unknown => prop_assert!(cut > 0 || !map.is_ascii()),
        }
        prop_assert!(cut == 0 || found == Found::Unknown);
    }
}

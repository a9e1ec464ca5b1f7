//! Text as Java writes it.

use std::borrow::Cow;

use crossdock_hessian::{Error, ErrorKind, Grammar, Kind, Limits, Str, Walker};

use crate::common::named;

fn read(stream: &[u8]) -> Result<Str<'_>, Error> {
    Walker::new(stream, Grammar::V2, Limits::default()).read_string()
}

fn lenient(stream: &[u8]) -> Result<Str<'_>, Error> {
    Walker::new(stream, Grammar::V2, Limits::default())
        .lenient()
        .read_string()
}

const EMOJI: &[u8] = b"\x02\xed\xa0\xbd\xed\xb8\x80";

#[test]
fn plain_text_is_borrowed() -> Result<(), Error> {
    for (stream, text) in [
        (b"\x05hello".as_slice(), "hello"),
        (b"\x00", ""),
        ("\x03é中x".as_bytes(), "é中x"),
        (b"S\0\x02hi", "hi"),
        (b"\x30\x02hi", "hi"),
        (b"\x01\0", "\0"),
    ] {
        let string = read(stream)?;
        assert_eq!(string.as_str(), Some(text));
        assert!(matches!(string.to_cow(), Cow::Borrowed(borrowed) if borrowed == text));
        assert!(string.eq_str(text) && string == *text);
        assert_eq!(string.to_string(), text);
        assert_eq!(string.unit_len(), text.encode_utf16().count());
        assert_eq!(string.is_empty(), text.is_empty());
        assert_eq!(
            string.chunks().collect::<Vec<_>>().concat(),
            text.as_bytes()
        );
        assert!(!string.eq_str("other") && !string.eq_str("hello!"));
    }
    Ok(())
}

#[test]
fn a_surrogate_pair_is_one_character() -> Result<(), Error> {
    let string = read(EMOJI)?;
    assert_eq!((string.as_str(), string.unit_len()), (None, 2));
    assert_eq!(string.to_cow(), "😀");
    assert!(string.eq_str("😀") && string.eq_ignore_ascii_case("😀") && !string.eq_str("😁"));
    assert_eq!(format!("{string:?}"), "\"😀\"");
    Ok(())
}

#[test]
fn a_lone_surrogate_is_kept_and_shown_as_a_replacement() -> Result<(), Error> {
    let string = read(b"\x03a\xed\xa0\xbdb")?;
    assert_eq!(string.to_cow(), "a\u{fffd}b");
    assert!(!string.eq_str("a\u{fffd}b"), "it equals no text");
    assert_eq!(string.units().collect::<Vec<_>>(), [0x61, 0xd83d, 0x62]);
    assert_eq!(string.chunks().collect::<Vec<_>>(), [b"a\xed\xa0\xbdb"]);
    Ok(())
}

#[test]
fn chunks_of_any_size_are_one_string() -> Result<(), Error> {
    // The pair is split between two chunks, and some chunks are empty.
    let stream = b"R\0\0R\0\x02a\xed\xa0\xbdR\0\0R\0\x01\xed\xb8\x80\x30\x01Z\x91";
    let mut walker = Walker::new(stream, Grammar::V2, Limits::default());
    let string = walker.read_string()?;
    assert_eq!(walker.rest(), b"\x91");
    assert_eq!((string.as_str(), string.unit_len()), (None, 4));
    assert_eq!(string.to_cow(), "a😀Z");
    assert!(string.eq_str("a😀Z") && string.eq_ignore_ascii_case("A😀z"));
    assert_eq!(
        string.chunks().map(<[u8]>::len).collect::<Vec<_>>(),
        [0, 4, 0, 3, 1]
    );
    assert_eq!(string, read(b"\x04a\xed\xa0\xbd\xed\xb8\x80Z")?);
    assert_ne!(string, read(b"\x03a\xed\xa0\xbd\xed\xb8\x80")?);
    assert_ne!(string, read(b"\x04abcd")?);

    let stream = b"s\0\x01ax\0\x01bX\0\x01c";
    let string = Walker::new(stream, Grammar::V3, Limits::default()).read_string()?;
    assert_eq!(string.to_cow(), "abc");
    Ok(())
}

#[test]
fn a_chunk_must_be_followed_by_a_string() {
    let mut walker = Walker::new(b"R\0\x01a\x91", Grammar::V2, Limits::default());
    let kind = ErrorKind::Expected {
        wanted: Kind::String,
        octet: 0x91,
    };
    assert_eq!(walker.read_string(), Err(Error { offset: 4, kind }));
    assert_eq!(walker.pos(), 0, "what failed is not consumed");
    assert!(read(b"R\0\x01a\x02b").is_err_and(|error| error.is_truncated()));
}

#[test]
fn case_is_ignored_in_ascii_only() -> Result<(), Error> {
    assert!(read(b"\x05X-Tag")?.eq_ignore_ascii_case("x-tag"));
    assert!(!read(b"\x05X-Tag")?.eq_ignore_ascii_case("x-tax"));
    assert!(read("\x02éX".as_bytes())?.eq_ignore_ascii_case("éx"));
    assert!(!read("\x02ÉX".as_bytes())?.eq_ignore_ascii_case("éx"));
    Ok(())
}

#[test]
fn sequences_that_java_does_not_write_are_refused() {
    let sequences: [&[u8]; 11] = [
        b"\x01\x80",
        b"\x01\xc0\x80",
        b"\x01\xc1\xa1",
        b"\x01\xe0\x80\x80",
        b"\x01\xe0\x9f\xbf",
        b"\x01\xc3a",
        b"\x01\xe4\xb8a",
        b"\x01\xe4aa",
        b"\x02\xf0\x9f\x98\x80",
        b"\x01\xf0\x9f\x98\x80",
        b"\x01\xff",
    ];
    for stream in sequences {
        let error = Error {
            offset: 1,
            kind: ErrorKind::BadUtf8(stream[1]),
        };
        assert_eq!(read(stream), Err(error), "{stream:x?}");
    }
}

#[test]
fn four_octets_are_two_units_when_lenient() -> Result<(), Error> {
    let string = lenient(b"\x04a\xf0\x9f\x98\x80b")?;
    assert_eq!((string.to_cow(), string.unit_len()), ("a😀b".into(), 4));
    assert_eq!(string, read(b"\x04a\xed\xa0\xbd\xed\xb8\x80b")?);
    let chunked = lenient(b"R\0\x02\xf0\x9f\x98\x80\x01b")?;
    assert!(chunked.eq_str("😀b"));
    // Counted as one unit by its writer, overlong, and beyond Unicode.
    for stream in [
        b"\x01\xf0\x9f\x98\x80",
        b"\x02\xf0\x8f\x98\x80",
        b"\x02\xf4\x90\x80\x80",
    ] {
        assert_eq!(lenient(stream).map_err(|error| error.offset), Err(1));
    }
    assert!(lenient(b"\x02\xf0\x9f").is_err_and(|error| error.is_truncated()));
    Ok(())
}

#[test]
fn long_strings_of_java_and_node_are_whole() -> Result<(), Error> {
    let boundary = "a".repeat(32_767) + "😀" + &"b".repeat(10);
    for (name, text) in [
        ("j_lite_str_emoji_boundary", boundary.as_str()),
        ("j_sofa3_str_emoji_boundary", &boundary),
        ("n_h2_str_chunk_surrogate", &boundary),
        ("j_lite_str_emoji_35000", &"😀".repeat(35_000)),
        ("j_lite_str_mixed", "héllo 中文 😀"),
    ] {
        let vector = named(name);
        let string = vector.walker().read_string()?;
        assert_eq!(string.unit_len(), text.encode_utf16().count(), "{name}");
        assert!(string.eq_str(text) && string.to_cow() == text, "{name}");
    }
    Ok(())
}

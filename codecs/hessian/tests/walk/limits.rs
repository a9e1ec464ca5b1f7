//! What a hostile peer may make a walk cost, and the error that stops it.

use crossdock_hessian::{Error, ErrorKind, Grammar, Limits, MAX_DEPTH, Walker};

fn skip(stream: &[u8], grammar: Grammar, limits: Limits) -> Result<(), Error> {
    let mut walker = Walker::new(stream, grammar, limits);
    while !walker.at_end() {
        walker.skip_value()?;
    }
    Ok(())
}

fn kind(stream: &[u8], grammar: Grammar, limits: Limits) -> Option<ErrorKind> {
    skip(stream, grammar, limits).err().map(|error| error.kind)
}

/// `depth` lists inside each other.
fn nested(depth: usize, grammar: Grammar) -> Vec<u8> {
    match grammar {
        Grammar::V2 => [vec![0x79; depth - 1], vec![0x78]].concat(),
        Grammar::V3 => [vec![b'V'; depth], vec![b'z'; depth]].concat(),
    }
}

#[test]
fn nesting_stops_at_the_limit() {
    for grammar in [Grammar::V2, Grammar::V3] {
        for limit in [1, 2, 127, 128, MAX_DEPTH] {
            let limits = Limits {
                depth: limit,
                ..Limits::default()
            };
            let deepest = nested(limit.into(), grammar);
            assert_eq!(skip(&deepest, grammar, limits), Ok(()), "{limit}");
            let deeper = nested(usize::from(limit) + 1, grammar);
            let error = Error {
                offset: limit.into(),
                kind: ErrorKind::TooDeep { limit },
            };
            assert_eq!(skip(&deeper, grammar, limits), Err(error), "{limit}");
        }
    }
}

#[test]
fn a_depth_over_the_largest_counts_as_the_largest() {
    let limits = Limits {
        depth: u16::MAX,
        ..Limits::default()
    };
    let too_deep = Some(ErrorKind::TooDeep { limit: MAX_DEPTH });
    assert_eq!(
        kind(&nested(257, Grammar::V2), Grammar::V2, limits),
        too_deep
    );
}

#[test]
fn two_hundred_kilobytes_of_nested_lists_are_refused() {
    let stream = vec![0x79; 200_000];
    let limit = Limits::default().depth;
    assert_eq!(
        kind(&stream, Grammar::V2, Limits::default()),
        Some(ErrorKind::TooDeep { limit })
    );
    let stream = vec![b'M'; 200_000];
    assert_eq!(
        kind(&stream, Grammar::V3, Limits::default()),
        Some(ErrorKind::TooDeep { limit })
    );
}

#[test]
fn cursors_and_skipping_share_the_depth() -> Result<(), Error> {
    let limits = Limits {
        depth: 3,
        ..Limits::default()
    };
    for (inner, expected) in [
        (nested(2, Grammar::V2), None),
        (nested(3, Grammar::V2), Some(3)),
    ] {
        let stream = [b"\x79".as_slice(), &inner].concat();
        let mut walker = Walker::new(&stream, Grammar::V2, limits);
        let mut items = walker.list()?;
        let item = items.next_item()?.unwrap();
        let limit = item.skip_value().err().map(|error| match error.kind {
            ErrorKind::TooDeep { limit } => limit,
            other => panic!("{other}"),
        });
        assert_eq!(limit, expected);
    }
    let mut walker = Walker::new(b"\x79\x78", Grammar::V2, Limits { depth: 1, ..limits });
    let mut items = walker.list()?;
    let error = items.next_item()?.unwrap().skip_value().unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::TooDeep { limit: 1 },
        "an empty list is a level, too"
    );
    let mut walker = Walker::new(b"\x78", Grammar::V2, Limits { depth: 0, ..limits });
    assert_eq!(
        walker.list().unwrap_err().kind,
        ErrorKind::TooDeep { limit: 0 }
    );
    Ok(())
}

#[test]
fn a_container_that_has_ended_gives_its_depth_back() -> Result<(), Error> {
    let mut walker = Walker::new(
        b"\x78HZC\x01c\x90\x60\x78",
        Grammar::V2,
        Limits {
            depth: 1,
            ..Limits::default()
        },
    );
    walker.list()?.finish()?;
    walker.map()?.finish()?;
    walker.object()?.finish()?;
    walker.skip_value()
}

#[test]
fn lengths_are_not_believed() {
    let large = |head: &[u8], tail: &[u8]| [head, b"I\x7f\xff\xff\xff", tail].concat();
    for stream in [
        large(b"X", b"NNN"),
        large(b"V\x01t", b"NNN"),
        large(b"C\x01c", b"\x01f"),
    ] {
        assert_eq!(
            kind(&stream, Grammar::V2, Limits::default()),
            Some(ErrorKind::Truncated)
        );
    }
    let streams: [&[u8]; 4] = [
        b"Vl\x7f\xff\xff\xffNNNz",
        b"Vt\0\x01tzv\x90I\x7f\xff\xff\xffNN",
        b"OI\x7f\xff\xff\xffname",
        b"O\x91cI\x7f\xff\xff\xff\x01f",
    ];
    for stream in streams {
        assert_eq!(
            kind(stream, Grammar::V3, Limits::default()),
            Some(ErrorKind::Truncated)
        );
    }
}

#[test]
fn a_count_is_refused_before_its_values_are_walked() {
    let error = Error {
        offset: 2,
        kind: ErrorKind::Truncated,
    };
    assert_eq!(skip(b"X\x92N", Grammar::V2, Limits::default()), Err(error));
}

#[test]
fn lengths_below_zero_are_refused() {
    let minus_one = Some(ErrorKind::NegativeLength(-1));
    for stream in [b"X\x8f".as_slice(), b"V\x01t\x8f", b"C\x01c\x8f"] {
        assert_eq!(kind(stream, Grammar::V2, Limits::default()), minus_one);
    }
    for stream in [b"Vl\xff\xff\xff\xffz".as_slice(), b"O\x8f", b"O\x91c\x8f"] {
        assert_eq!(kind(stream, Grammar::V3, Limits::default()), minus_one);
    }
}

#[test]
fn values_stop_at_the_limit() {
    let limits = Limits {
        values: 5,
        ..Limits::default()
    };
    let too_many = Some(ErrorKind::TooManyValues { limit: 5 });
    assert_eq!(kind(b"\x7cNNNN", Grammar::V2, limits), None);
    assert_eq!(kind(b"\x7dNNNNN", Grammar::V2, limits), too_many);
    assert_eq!(kind(b"NNNNNN", Grammar::V2, limits), too_many);
    let mut walker = Walker::new(b"\x90\x90\x01aTNN", Grammar::V2, limits);
    assert!(walker.read_int().is_ok() && walker.read_long().is_ok());
    assert!(walker.read_string().is_ok() && walker.read_bool().is_ok());
    assert_eq!(walker.read_null(), Ok(true));
    assert_eq!(walker.read_null().err().map(|error| error.kind), too_many);
}

#[test]
fn class_definitions_stop_at_the_limit() {
    let limits = Limits {
        classes: 20,
        ..Limits::default()
    };
    for (grammar, definition, object) in [
        (Grammar::V2, b"C\x01c\x91\x01f", b"O\xa3N"),
        (Grammar::V3, b"O\x91c\x91\x01f", b"o\xa3N"),
    ] {
        let twenty = [definition.repeat(20).as_slice(), object].concat();
        assert_eq!(
            skip(&twenty, grammar, limits),
            Ok(()),
            "the last of 20 classes"
        );
        let nineteen = [definition.repeat(19).as_slice(), object].concat();
        assert_eq!(
            kind(&nineteen, grammar, limits),
            Some(ErrorKind::UnknownClass(19))
        );
        let one_more = definition.repeat(21);
        let error = Error {
            offset: 120,
            kind: ErrorKind::TooManyClasses { limit: 20 },
        };
        assert_eq!(skip(&one_more, grammar, limits), Err(error));
    }
}

#[test]
fn fields_stop_at_the_limit() {
    let limits = Limits {
        fields: 2,
        ..Limits::default()
    };
    assert_eq!(
        kind(b"C\x01c\x92\x01f\x01g\x60NN", Grammar::V2, limits),
        None
    );
    let too_many = Some(ErrorKind::TooManyFields { limit: 2 });
    assert_eq!(
        kind(b"C\x01c\x93\x01f\x01g\x01h\x60NNN", Grammar::V2, limits),
        too_many
    );
}

#[test]
fn references_reach_only_what_has_begun() {
    // A list may hold itself, but not the list after it.
    assert_eq!(kind(b"\x79Q\x90", Grammar::V2, Limits::default()), None);
    let unknown = |index| Some(ErrorKind::UnknownReference(index));
    assert_eq!(
        kind(b"\x79Q\x91\x78", Grammar::V2, Limits::default()),
        unknown(1)
    );
    assert_eq!(kind(b"Q\x90", Grammar::V2, Limits::default()), unknown(0));
    assert_eq!(
        kind(b"\x78Q\x8f", Grammar::V2, Limits::default()),
        unknown(-1)
    );
    for stream in [b"J\0".as_slice(), b"K\0\0", b"R\0\0\0\0"] {
        assert_eq!(kind(stream, Grammar::V3, Limits::default()), unknown(0));
    }
    assert_eq!(
        kind(b"MzR\xff\xff\xff\xff", Grammar::V3, Limits::default()),
        unknown(-1)
    );
}

#[test]
fn references_to_references_cost_their_octets_only() {
    // Each list holds the one before it twice: 2^10000 values when unfolded.
    let mut stream = vec![0x78];
    for index in 0..10_000_i32 {
        stream.extend(b"\x7aQI");
        stream.extend(index.to_be_bytes());
        stream.extend(b"QI");
        stream.extend(index.to_be_bytes());
    }
    assert_eq!(skip(&stream, Grammar::V2, Limits::default()), Ok(()));
}

#[test]
fn types_and_classes_reach_only_what_is_known() {
    assert_eq!(kind(b"p\x01tp\x90", Grammar::V2, Limits::default()), None);
    for stream in [
        b"p\x90".as_slice(),
        b"p\x01tp\x91",
        b"M\x90Z",
        b"U\x8fZ",
        b"V\x91\x90",
    ] {
        let error = kind(stream, Grammar::V2, Limits::default());
        assert!(
            matches!(error, Some(ErrorKind::UnknownType(_))),
            "{error:?}"
        );
    }
    for stream in [b"Vu\x90z".as_slice(), b"MT\x90z", b"v\x90\x90"] {
        let error = kind(stream, Grammar::V3, Limits::default());
        assert_eq!(error, Some(ErrorKind::UnknownType(0)));
    }
    for stream in [b"\x60".as_slice(), b"\x6f", b"O\x8f", b"O\xb0"] {
        let error = kind(stream, Grammar::V2, Limits::default());
        assert!(
            matches!(error, Some(ErrorKind::UnknownClass(_))),
            "{error:?}"
        );
        let mut walker = Walker::new(stream, Grammar::V2, Limits::default());
        assert_eq!(walker.peek_class().err().map(|error| error.kind), error);
        assert_eq!(walker.object().err().map(|error| error.kind), error);
    }
}

#[test]
fn a_map_that_ends_after_a_key_is_refused() {
    let stray_end = Some(ErrorKind::BadTag(b'Z'));
    assert_eq!(kind(b"H\x01kZ", Grammar::V2, Limits::default()), stray_end);
    let mut walker = Walker::new(b"H\x01kZ", Grammar::V2, Limits::default());
    let error = walker.map().and_then(|entries| entries.finish()).err();
    assert_eq!(error.map(|error| error.kind), stray_end);
}

#[test]
fn an_error_tells_the_operator_what_and_where() {
    let error = skip(b"\x79\x79Q\x95", Grammar::V2, Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hessian, offset 3: reference to unknown value 5"
    );
    let mut walker = Walker::new(b"\x91", Grammar::V2, Limits::default());
    let error = walker.read_string().unwrap_err();
    assert_eq!(
        error.to_string(),
        "hessian, offset 0: expected a string, found octet 0x91"
    );
}

//! Containers entry by entry.

use crossdock_hessian::{Error, Grammar, Kind, Limits, Walker};

fn walker(stream: &[u8], grammar: Grammar) -> Walker<'_> {
    Walker::new(stream, grammar, Limits::default())
}

#[test]
fn values_left_alone_are_skipped() -> Result<(), Error> {
    let stream = b"H\x01a\x7a\x91\x92\x01b\x01x\x01c\x78\x01d\x93Z\x05after";
    let mut walker = walker(stream, Grammar::V2);
    let mut found = Vec::new();
    let mut entries = walker.map()?;
    while let Some(key) = entries.next_key()? {
        let key = key.unwrap().to_string();
        if key == "b" {
            found.push(entries.value().read_string()?.to_string());
        }
        found.push(key);
    }
    assert!(entries.next_key()?.is_none(), "ended for good");
    assert_eq!(found, ["a", "x", "b", "c", "d"]);
    assert!(walker.read_string()?.eq_str("after"));
    Ok(())
}

#[test]
fn keys_that_are_no_strings_are_skipped() -> Result<(), Error> {
    for (stream, grammar) in [
        (
            b"M\x01tN\x01n\x91\x01i\x79\x91\x01l\x01s\x01vZ".as_slice(),
            Grammar::V2,
        ),
        (
            b"Mt\0\x01tN\x01n\x91\x01iVn\x01\x91z\x01l\x01s\x01vz",
            Grammar::V3,
        ),
    ] {
        let mut walker = walker(stream, grammar);
        let mut keys = Vec::new();
        let mut entries = walker.map()?;
        while let Some(key) = entries.next_key()? {
            let value = entries.value().read_string()?;
            keys.push((key.map(|key| key.to_string()), value.to_string()));
        }
        let names: Vec<_> = keys.iter().map(|(key, _)| key.as_deref()).collect();
        assert_eq!(names, [None, None, None, Some("s")]);
        assert_eq!(keys[2].1, "l");
        assert!(walker.at_end());
    }
    Ok(())
}

#[test]
fn a_look_at_a_value_does_not_read_it() -> Result<(), Error> {
    // Each value has a class definition in front, which the look does read.
    let stream = b"H\x01aC\x01c\x91\x01f\x60\x91\x01bC\x01d\x90\x61Z";
    let mut walker = walker(stream, Grammar::V2);
    let mut classes = Vec::new();
    let mut entries = walker.map()?;
    while entries.next_key()?.is_some() {
        assert_eq!(entries.value().peek_kind()?, Kind::Object);
        classes.extend(entries.value().peek_class()?.map(|class| class.to_string()));
        assert!(
            entries.value().read_string().is_err(),
            "a failed reading leaves it, too"
        );
    }
    assert_eq!(classes, ["c", "d"]);
    assert!(walker.at_end());
    Ok(())
}

#[test]
fn a_definition_may_stand_before_any_value() -> Result<(), Error> {
    let stream = b"C\x01c\x90\x91C\x01d\x90\x01xC\x01e\x90N";
    let mut walker = walker(stream, Grammar::V2);
    assert_eq!(walker.read_int()?, 1);
    assert!(walker.read_string_or_null()?.is_some());
    assert!(walker.read_string_or_null()?.is_none());
    assert!(walker.at_end());
    Ok(())
}

#[test]
fn every_form_of_list_is_entered() -> Result<(), Error> {
    let lists: [(&[u8], Grammar); 9] = [
        (b"\x7a\x91\x92", Grammar::V2),
        (b"X\x92\x91\x92", Grammar::V2),
        (b"W\x91\x92Z", Grammar::V2),
        (b"r\x01t\x91\x92", Grammar::V2),
        (b"V\x01t\x92\x91\x92", Grammar::V2),
        (b"U\x01t\x91\x92Z", Grammar::V2),
        (b"V\x91\x92z", Grammar::V3),
        (b"Vt\0\x01tn\x02\x91\x92z", Grammar::V3),
        (b"Vl\0\0\0\x02\x91\x92z", Grammar::V3),
    ];
    for (stream, grammar) in lists {
        let mut walker = walker(stream, grammar);
        let mut items = walker.list()?;
        let mut sum = 0;
        while let Some(item) = items.next_item()? {
            sum += item.read_int()?;
        }
        assert!(items.next_item()?.is_none(), "ended for good");
        assert_eq!(sum, 3);
        assert!(walker.at_end());
    }
    let mut walker = walker(b"Vt\0\x01tzv\x90\x92\x91\x92", Grammar::V3);
    walker.list()?.finish()?;
    walker.list()?.finish()?;
    assert!(walker.at_end());
    Ok(())
}

#[test]
fn fields_have_the_names_of_their_class() -> Result<(), Error> {
    let classes: [(&[u8], Grammar); 2] = [
        (
            b"C\x01c\x93\x01x\x01y\x01z\x60\x91\x92\x93\x60\x94\x95\x96",
            Grammar::V2,
        ),
        (
            b"O\x91c\x93\x01x\x01y\x01zo\x90\x91\x92\x93o\x90\x94\x95\x96",
            Grammar::V3,
        ),
    ];
    for (stream, grammar) in classes {
        let mut walker = walker(stream, grammar);
        for y in [2, 5] {
            let mut fields = walker.object()?;
            assert!(fields.class_name().eq_str("c"));
            let mut names = String::new();
            while let Some(name) = fields.next_field()? {
                names += &name.to_cow();
                if name.eq_str("y") {
                    assert_eq!(fields.value().read_int()?, y);
                }
            }
            assert!(fields.next_field()?.is_none(), "ended for good");
            assert_eq!(names, "xyz");
        }
        assert!(walker.at_end());
    }
    Ok(())
}

#[test]
fn containers_inside_containers_are_entered() -> Result<(), Error> {
    let mut walker = walker(b"\x79H\x01kC\x01c\x91\x01f\x60\x79\x05innerZ", Grammar::V2);
    let mut text = None;
    let mut items = walker.list()?;
    while let Some(item) = items.next_item()? {
        let mut entries = item.map()?;
        while entries.next_key()?.is_some() {
            let mut fields = entries.value().object()?;
            while fields.next_field()?.is_some() {
                let mut inner = fields.value().list()?;
                while let Some(item) = inner.next_item()? {
                    text = Some(item.read_string()?);
                }
            }
        }
    }
    assert!(text.is_some_and(|text| text.eq_str("inner")));
    assert!(walker.at_end());
    Ok(())
}

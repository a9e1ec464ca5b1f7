//! The laws of the Hessian walker.

use crossdock_hessian::{Error, Grammar, Kind, Limits, Walker};

/// A stream of Hessian 2.0.
pub fn v2(octets: &[u8]) {
    check(octets, Grammar::V2);
}

/// A stream of the 3.x draft.
pub fn v3(octets: &[u8]) {
    check(octets, Grammar::V3);
}

fn check(octets: &[u8], grammar: Grammar) {
    let walker = |octets| Walker::new(octets, grammar, Limits::default());
    let skipped = skip(walker(octets));
    match skipped {
        Ok(values) => assert!(values <= octets.len(), "every value takes an octet"),
        Err(error) => assert!(error.offset <= octets.len(), "{error}"),
    }
    let explored = explore(walker(octets));
    assert_eq!(skipped.ok(), explored.ok(), "{skipped:?} {explored:?}");
    let _ = explore(walker(octets).lenient());

    // The beginning of a good stream is whole or truncated, never bad.
    if let (Ok(_), Some((_, beginning))) = (skipped, octets.split_last()) {
        let cut = skip(walker(beginning));
        assert!(
            cut.map_or_else(|error| error.is_truncated(), |_| true),
            "{cut:?}"
        );
    }
}

fn skip(mut walker: Walker<'_>) -> Result<usize, Error> {
    let mut values = 0;
    while !walker.at_end() {
        walker.skip_value()?;
        values += 1;
    }
    Ok(values)
}

/// Reads each value by the method for its kind.
fn explore(mut walker: Walker<'_>) -> Result<usize, Error> {
    let mut values = 0;
    while !walker.at_end() {
        let before = walker.pos();
        let class = walker.peek_class()?.map(|class| class.to_string());
        match walker.peek_kind()? {
            Kind::String => {
                let string = walker.read_string()?;
                let units: Vec<u16> = string.units().collect();
                assert_eq!(units.len(), string.unit_len());
                assert_eq!(string.to_cow(), String::from_utf16_lossy(&units));
                assert_eq!(
                    string.eq_str(&string.to_cow()),
                    String::from_utf16(&units).is_ok()
                );
            }
            Kind::Int => drop(walker.read_int()?),
            Kind::Long => drop(walker.read_long()?),
            Kind::Bool => drop(walker.read_bool()?),
            Kind::Null => assert!(walker.read_null()?),
            Kind::Map => {
                let mut map = walker.map()?;
                while map.next_key()?.is_some() {
                    let _ = map.value().read_string_or_null();
                }
            }
            Kind::List => walker.list()?.finish()?,
            Kind::Object => {
                let fields = walker.object()?;
                assert_eq!(class, Some(fields.class_name().to_string()));
                fields.finish()?;
            }
            _ => walker.skip_value()?,
        }
        assert!(walker.pos() > before, "no value is free");
        values += 1;
    }
    Ok(values)
}

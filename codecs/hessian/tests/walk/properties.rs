//! Laws that hold for all values, and for all octets.

use crossdock_hessian::{Error, Grammar, Kind, Limits, Walker, Writer};
use proptest::prelude::*;

use crate::common::{all, skip_all};

/// A value that the writer can write.
#[derive(Debug, Clone)]
enum Value {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Text(Vec<u16>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Object(Vec<Self>),
}

fn grammars() -> impl Strategy<Value = Grammar> {
    prop_oneof![Just(Grammar::V2), Just(Grammar::V3)]
}

/// Any units, lone surrogates among them; often whole characters.
fn texts() -> impl Strategy<Value = Vec<u16>> {
    let units = prop_oneof![0x20..0x7f_u16, any::<u16>(), 0xd800..=0xdfff_u16];
    let characters = any::<String>().prop_map(|text| text.encode_utf16().collect());
    prop_oneof![proptest::collection::vec(units, 0..40), characters]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        (-3000..3000_i64).prop_map(Value::Long),
        texts().prop_map(Value::Text),
    ];
    leaf.prop_recursive(5, 40, 10, |inner| {
        let many = proptest::collection::vec(inner.clone(), 0..10);
        let pairs = proptest::collection::vec((inner.clone(), inner), 0..5);
        prop_oneof![
            many.clone().prop_map(Value::List),
            many.prop_map(Value::Object),
            pairs.prop_map(map),
        ]
    })
}

/// A first key `true` reads as a type in the draft: Java cannot read back what it wrote, either.
fn map(mut entries: Vec<(Value, Value)>) -> Value {
    if let Some((key @ Value::Bool(true), _)) = entries.first_mut() {
        *key = Value::Null;
    }
    Value::Map(entries)
}

fn write(writer: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Null => writer.null(),
        Value::Bool(bool) => writer.bool(*bool),
        Value::Int(int) => writer.int(*int),
        Value::Long(long) => writer.long(*long),
        Value::Text(units) => writer.string_units(units),
        Value::List(items) => {
            writer.begin_list("[object", items.len());
            items.iter().for_each(|item| write(writer, item));
            writer.end_list();
        }
        Value::Map(entries) => {
            writer.begin_map();
            for (key, value) in entries {
                write(writer, key);
                write(writer, value);
            }
            writer.end_map();
        }
        Value::Object(fields) => {
            let class = writer.define_class("Each", &vec!["field"; fields.len()]);
            writer.object(class);
            fields.iter().for_each(|field| write(writer, field));
        }
    }
}

/// Reads the value through the cursors and compares.
fn check(walker: &mut Walker<'_>, value: &Value) -> Result<(), Error> {
    match value {
        Value::Null => assert!(walker.read_null()?),
        Value::Bool(bool) => assert_eq!(walker.read_bool()?, *bool),
        Value::Int(int) => assert_eq!(walker.read_int()?, *int),
        Value::Long(long) => assert_eq!(walker.read_long()?, *long),
        Value::Text(units) => {
            let string = walker.read_string()?;
            assert_eq!(&string.units().collect::<Vec<_>>(), units);
            assert_eq!(string.to_cow(), String::from_utf16_lossy(units));
            assert_eq!(
                string.eq_str(&string.to_cow()),
                String::from_utf16(units).is_ok()
            );
        }
        Value::List(items) => {
            let mut list = walker.list()?;
            for item in items {
                check(list.next_item()?.expect("an item"), item)?;
            }
            assert!(list.next_item()?.is_none());
        }
        Value::Map(entries) => {
            let mut map = walker.map()?;
            for (key, value) in entries {
                let read = map.next_key()?.expect("an entry");
                match (key, read) {
                    (Value::Text(units), Some(read)) => {
                        assert!(read.units().eq(units.iter().copied()))
                    }
                    (Value::Text(_), None) | (_, Some(_)) => panic!("{key:?} is {read:?}"),
                    (_, None) => {}
                }
                check(map.value(), value)?;
            }
            assert!(map.next_key()?.is_none());
        }
        Value::Object(fields) => {
            assert!(
                walker
                    .peek_class()?
                    .is_some_and(|class| class.eq_str("Each"))
            );
            let mut object = walker.object()?;
            for field in fields {
                assert!(
                    object
                        .next_field()?
                        .is_some_and(|name| name.eq_str("field"))
                );
                check(object.value(), field)?;
            }
            assert!(object.next_field()?.is_none());
        }
    }
    Ok(())
}

/// Uses every method on whatever the octets are; returns how many values were read.
fn explore(mut walker: Walker<'_>) -> Result<usize, Error> {
    let mut values = 0;
    while !walker.at_end() {
        let before = walker.pos();
        let _ = walker.peek_class()?;
        match walker.peek_kind()? {
            Kind::String => {
                let string = walker.read_string()?;
                let _ = (string.to_cow(), string.eq_str("x"), string.chunks().count());
                assert_eq!(string.units().count(), string.unit_len());
            }
            Kind::Int => drop(walker.read_int()?),
            Kind::Long => drop(walker.read_long()?),
            Kind::Map => walker.map()?.finish()?,
            Kind::List => walker.list()?.finish()?,
            Kind::Object => walker.object()?.finish()?,
            _ => walker.skip_value()?,
        }
        assert!(walker.pos() > before, "no value is free");
        values += 1;
    }
    Ok(values)
}

/// Cursors and skipping take the same streams.
fn agree(octets: &[u8], grammar: Grammar) {
    let limits = Limits::default();
    let skipped = skip_all(Walker::new(octets, grammar, limits));
    let explored = explore(Walker::new(octets, grammar, limits));
    assert_eq!(
        skipped.is_ok(),
        explored.is_ok(),
        "{skipped:?} {explored:?}"
    );
    if let (Ok(skipped), Ok(explored)) = (skipped, explored) {
        assert_eq!(skipped, explored);
    }
    let _ = explore(Walker::new(octets, grammar, limits).lenient());
}

proptest! {
    // No file of past failures: a failure worth keeping becomes a test of its own.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(grammar in grammars(), values in proptest::collection::vec(values(), 1..4)) {
        let mut stream = Vec::new();
        let mut writer = Writer::new(&mut stream, grammar);
        values.iter().for_each(|value| write(&mut writer, value));
        let mut walker = Walker::new(&stream, grammar, Limits::default());
        for value in &values {
            check(&mut walker, value)?;
        }
        prop_assert!(walker.at_end());
        prop_assert_eq!(skip_all(Walker::new(&stream, grammar, Limits::default()))?, values.len());
    }

    #[test]
    fn any_octets_are_read_or_refused(grammar in grammars(), octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        agree(&octets, grammar);
    }

    #[test]
    fn a_changed_octet_is_read_or_refused(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let (grammar, mut stream) = pick.get(&SHORT).clone();
        let at = at.index(stream.len());
        stream[at] = octet;
        agree(&stream, grammar);
    }
}

/// The vectors that are quick to walk many times.
static SHORT: std::sync::LazyLock<Vec<(Grammar, Vec<u8>)>> = std::sync::LazyLock::new(|| {
    let short = all()
        .into_iter()
        .filter(|vector| vector.stream.len() < 2000);
    short
        .map(|vector| (vector.grammar, vector.stream))
        .collect()
});

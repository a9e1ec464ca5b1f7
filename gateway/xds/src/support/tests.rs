use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, Kind};

use super::{extension::SLOTS, *};
use crate::descriptors;

fn pool() -> DescriptorPool {
    descriptors::pool(descriptors::names())
}

#[test]
fn every_field_of_every_listed_message_is_decided() {
    let pool = pool();
    let mut undecided = Vec::new();
    for (name, message) in MESSAGES.iter() {
        let descriptor = pool
            .get_message_by_name(name)
            .unwrap_or_else(|| panic!("{name}"));
        for field in descriptor.fields() {
            let listed = |(_, names): &(Support, &[&str])| {
                names.iter().filter(|n| **n == field.name()).count()
            };
            let times: usize = message.fields.iter().map(listed).sum();
            if times != 1 {
                undecided.push(format!("{}.{}: {times} times", name, field.name()));
            }
        }
    }
    assert!(undecided.is_empty(), "{undecided:#?}");
}

#[test]
fn the_tables_name_only_what_envoy_has() {
    let pool = pool();
    assert_eq!(
        MESSAGES.len(),
        TABLES.iter().map(|table| table.len()).sum::<usize>(),
        "listed twice"
    );
    for (name, message) in MESSAGES.iter() {
        let descriptor = pool
            .get_message_by_name(name)
            .unwrap_or_else(|| panic!("{name}"));
        for entry in message.fields.iter().flat_map(|(_, names)| names.iter()) {
            let (field, value) = entry
                .split_once('=')
                .map_or((*entry, None), |(f, v)| (f, Some(v)));
            let field = descriptor.get_field_by_name(field);
            let field = field.unwrap_or_else(|| panic!("{name}.{entry}"));
            if let (Kind::Enum(names), Some(value)) = (field.kind(), value) {
                assert!(names.get_value_by_name(value).is_some(), "{name}.{entry}");
            }
        }
    }
    for slot in SLOTS {
        let types = slot
            .types
            .iter()
            .flat_map(|(_, types)| types.iter().copied());
        let messages = slot
            .fields
            .iter()
            .map(|field| field.rsplit_once('.').unwrap().0);
        for name in types.chain(messages) {
            assert!(pool.get_message_by_name(name).is_some(), "{name}");
        }
    }
}

/// What is acted upon is looked into, so it needs a table of its own.
#[test]
fn everything_below_a_field_that_is_acted_upon_has_a_table() {
    let pool = pool();
    let mut missing = BTreeSet::new();
    for (name, message) in MESSAGES.iter() {
        let descriptor = pool.get_message_by_name(name).expect("checked elsewhere");
        let acted = message
            .fields
            .iter()
            .filter(|(support, _)| *support == Support::Acts);
        for field in acted.flat_map(|(_, names)| names.iter()) {
            let field = descriptor
                .get_field_by_name(field.split('=').next().unwrap())
                .unwrap();
            let mut kind = field.kind();
            if let (true, Kind::Message(pair)) = (field.is_map(), &kind) {
                kind = pair.map_entry_value_field().kind();
            }
            let Kind::Message(inner) = kind else { continue };
            let full = inner.full_name();
            if full == "google.protobuf.Any" {
                let slot = format!("{name}.{}", field.name());
                assert!(
                    SLOTS.iter().any(|s| s.fields.contains(&slot.as_str())),
                    "{slot}"
                );
            } else if !full.starts_with("google.protobuf.") && !MESSAGES.contains_key(full) {
                missing.insert(full.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let types = SLOTS.iter().flat_map(|slot| slot.types);
    for name in types
        .filter(|(support, _)| *support == Support::Acts)
        .flat_map(|(_, names)| *names)
    {
        assert!(MESSAGES.contains_key(name), "{name}");
    }
}

#[test]
fn a_value_can_be_judged_apart() {
    let listener = "envoy.config.listener.v3.Listener";
    let judge = |value| field(listener, "use_original_dst", value);
    assert!(matches!(judge(Some("false")), Support::Harmless(_)));
    assert!(matches!(judge(Some("true")), Support::Refused(..)));
    assert!(matches!(judge(None), Support::Refused(..)));
    assert!(matches!(
        field(listener, "of_tomorrow", None),
        Support::Ignored(_)
    ));
    assert!(matches!(
        field("of.tomorrow.Message", "name", None),
        Support::Ignored(_)
    ));
}

#[test]
fn runtime_keys() {
    let judge = |name| {
        key(
            "envoy.config.bootstrap.v3.RuntimeLayer",
            "static_layer",
            name,
        )
    };
    assert_eq!(judge("crossdock"), Support::Acts);
    assert_eq!(judge("crossdock.codecs"), Support::Acts);
    assert!(matches!(
        judge("envoy.reloadable_features.x"),
        Support::Harmless(_)
    ));
    assert!(matches!(judge("crossdocked"), Support::Ignored(_)));
}

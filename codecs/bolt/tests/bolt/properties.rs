//! Any frame that can be made, against a model of what should come of it.

use std::borrow::Cow;

use crossdock_bolt::{Bolt, Dialect, HeaderMap};
use crossdock_framework::{
    codec::{Codec, Decoded},
    edits::{Edit, Edits, Effect},
    frame::WireId,
    out::Out,
    view::{Key, RoutingView},
};
use proptest::{collection::vec, prelude::*};

use crate::made::{Made, decode, entry, renumbered, written};

type Entries = Vec<(String, String)>;

fn name() -> impl Strategy<Value = String> {
    // Few names, so that edits meet entries and entries meet each other.
    prop_oneof!["[aAbB]", "service", "x-[a-c]{1,3}", ".{0,6}"]
}

fn entries() -> impl Strategy<Value = Entries> {
    vec((name(), ".{0,12}"), 0..8)
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::V1), Just(Dialect::V2), Just(Dialect::V2Crc)]
}

prop_compose! {
    fn made()(
        (dialect, switch, id, codec) in (dialect(), 0..4_u8, any::<u32>(), prop_oneof![Just(1), Just(11), any::<u8>()]),
        (kind, status, timeout) in (0..3_u8, 0..10_u16, any::<i32>()),
        class in prop_oneof![Just("com.alipay.sofa.rpc.core.request.SofaRequest".to_owned()), ".{0,20}"],
        content in vec(any::<u8>(), 0..4000),
        entries in entries(),
    ) -> (Made, Entries) {
        let header = entries.iter().flat_map(|(key, value)| entry(key, value)).collect();
        let command = if kind == 0 { 2 } else { 1 };
        let class = class.into_bytes();
        (Made { dialect, kind, command, id, codec, switch, timeout, status, class, header, content }, entries)
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = prop_oneof!["[ab]", "x-[a-c]{1,3}", "service"].prop_map(String::into_boxed_str);
    (name, ".{0,8}", 0..5_u8).prop_map(|(name, value, which)| {
        let value = value.into_boxed_str();
        match which {
            0 => Edit::Set(name, value),
            1 => Edit::Append(name, value),
            2 => Edit::AddIfAbsent(name, value),
            3 => Edit::OverwriteIfExists(name, value),
            _ => Edit::Remove(name),
        }
    })
}

/// The value of a header as Java sees it: the last one, here ignoring case.
fn value<'e>(entries: &'e Entries, name: &str) -> Option<&'e str> {
    let last = (entries.iter().rev()).find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(&last.1)
}

/// The entries after the edits.
fn model(mut entries: Entries, edits: &Edits) -> Entries {
    for name in edits.names() {
        let is_it = |(key, _): &(String, String)| key.eq_ignore_ascii_case(name);
        let first = entries.iter().position(is_it);
        match (edits.effect(name, value(&entries, name)), first) {
            (Effect::Keep, _) => {}
            (Effect::Remove, _) => entries.retain(|entry| !is_it(entry)),
            (Effect::Become(value), None) => entries.push((name.to_owned(), value)),
            (Effect::Become(value), Some(first)) => {
                entries[first].1 = value;
                let mut at = 0;
                entries.retain(|entry| {
                    at += 1;
                    at - 1 == first || !is_it(entry)
                });
            }
        }
    }
    entries
}

proptest! {
    #[test]
    fn a_frame_is_cut_and_renumbered((made, _) in made(), id: u64) {
        let frame = made.frame();
        prop_assert_eq!(&frame.bytes, &made.bytes());
        prop_assert_eq!(renumbered(&frame, made.id.into()), made.bytes());
        let other = Made { id: id as u32, ..made };
        prop_assert_eq!(renumbered(&frame, id), other.bytes());
    }

    #[test]
    fn a_view_shows_the_entries((made, entries) in made()) {
        let frame = made.frame();
        let view = Bolt::view(&frame);
        let mut seen = Vec::new();
        view.headers(&mut |name, value| seen.push((name.to_owned(), value.to_owned())));
        prop_assert_eq!(&seen, &entries);
        for name in ["a", "b", "x-a"] {
            let found = view.get(Key::Header(name)).map(Cow::into_owned);
            prop_assert_eq!(found.as_deref(), value(&entries, name));
        }
        if let (Some(path), Some(interface)) = (view.get(Key::Path), view.get(Key::Authority)) {
            let method = view.method().expect("a path has a method");
            prop_assert_eq!(path, format!("/{interface}/{method}"));
        }
    }

    #[test]
    fn edits_do_what_the_model_does((made, entries) in made(), list in vec(edit(), 1..6), id: u32) {
        let mut edits = Edits::none();
        list.into_iter().for_each(|edit| edits.push(edit));
        let mut out = Out::default();
        let done = Bolt.encode(&made.frame(), WireId(id.into()), &edits, &mut out);
        prop_assert!(done.is_ok());
        let header = model(entries, &edits);
        let header = header.iter().flat_map(|(key, value)| entry(key, value)).collect();
        let expected = Made { id, header, ..made };
        prop_assert_eq!(&written(&out).bytes, &expected.bytes());
    }

    #[test]
    fn any_octets_are_a_frame_or_a_wait_or_an_error(octets in vec(any::<u8>(), 0..200), proto in 1..3_u8) {
        let mut octets = octets;
        if let Some(first) = octets.first_mut() {
            *first = proto;
        }
        match decode(&octets) {
            Ok(Decoded::Frame(frame) | Decoded::Damaged { frame, .. }) => {
                prop_assert!(frame.bytes.len() <= octets.len());
                let _ = Bolt::view(&frame).get(Key::Path);
                let _ = Bolt::classify(&frame);
            }
            Ok(Decoded::Oversized { rest, .. }) => prop_assert!(rest > octets.len() as u64),
            Ok(Decoded::More(missing)) => prop_assert!(missing > 0),
            Err(_) => {}
        }
    }

    #[test]
    fn any_block_is_a_map_or_is_none(block in vec(0..6_u8, 0..64)) {
        let octets: usize = HeaderMap::new(&block).entries().flatten().map(|e| e.raw.len()).sum();
        let whole = HeaderMap::new(&block).entries().all(|entry| entry.is_ok());
        prop_assert_eq!(whole, octets == block.len());
    }
}

//! Rules see what other implementations see.

use std::collections::BTreeMap;

use crossdock_framework::{
    codec::Codec,
    frame::{Frame, Head, Kind},
    notes::Notes,
    view::{Key, RoutingView},
};

use super::{Broken, Case, Law};
use crate::vectors::{Expected, Vector};

/// The view of a vector, its id, kind and class are those that an independent reader found.
/// Vectors of which nothing is known are passed over; returns how many were compared.
///
/// # Errors
/// The first vector for which they are not.
pub fn views_agree<C: Codec>(vectors: &[Vector]) -> Result<usize, Broken> {
    let mut compared = 0;
    for case in Case::each("views_agree", vectors) {
        let Some(expected) = &case.vector.expected else {
            continue;
        };
        let frame = case.cut::<C>()?.swap_remove(0).frame;
        compared += 1;
        head::<C>(&case, &frame, expected)?;
        words(&case, &C::view(&frame), expected)?;
        // With what a look before has noted, nothing is different.
        let notes = Notes::default();
        for _ in 0..2 {
            words(&case, &C::view_noted(&frame, &notes), expected)?;
        }
    }
    Ok(compared)
}

fn head<C: Codec>(case: &Case<'_>, frame: &Frame<C::Head>, expected: &Expected) -> Law {
    let mask = u64::MAX >> (64 - C::ID_BITS.clamp(1, 64));
    let id = expected.id().map(|id| id.cast_unsigned() & mask);
    case.check(id.is_none_or(|id| id == frame.head.id().0), || {
        format!("id {} instead of {id:?}", frame.head.id().0)
    })?;
    let kind = frame.head.kind();
    let fits = match expected.field("kind") {
        Some("request") => kind == Kind::Request,
        Some("oneway") => kind == Kind::Oneway,
        Some("response") => kind == Kind::Response,
        Some("heartbeat") => kind == Kind::Heartbeat,
        Some("heartbeat-ack") => kind == Kind::HeartbeatAck,
        Some("event") => matches!(kind, Kind::GoAway | Kind::Resume | Kind::Event),
        _ => true,
    };
    case.check(fits, || format!("the kind is {kind:?}"))?;
    let class = (kind == Kind::Response).then(|| C::classify(frame).name());
    case.check(class == expected.class(), || {
        format!("class {class:?} instead of {:?}", expected.class())
    })
}

fn words(case: &Case<'_>, view: &dyn RoutingView, expected: &Expected) -> Law {
    let same = |name: &str, found: Option<&str>, wanted: Option<&str>| {
        case.check(found == wanted, || {
            format!("{name} is {found:?} instead of {wanted:?}")
        })
    };
    let service = expected.field("service");
    same("service", view.service().as_deref(), service)?;
    same("authority", view.get(Key::Authority).as_deref(), service)?;
    let method = expected
        .field("generic_method")
        .or_else(|| expected.field("method"));
    let path = service.zip(method).map(|(s, m)| format!("/{s}/{m}"));
    same("path", view.get(Key::Path).as_deref(), path.as_deref())?;
    let Some(wanted) = expected.headers() else {
        return Ok(());
    };
    let mut found = BTreeMap::new();
    view.headers(&mut |name, value| {
        found.insert(name.to_owned(), value.to_owned());
    });
    case.check(found == wanted, || {
        format!("{found:?} instead of {wanted:?}")
    })?;
    for (name, value) in &wanted {
        let name = name.to_ascii_lowercase();
        let found = view.get(Key::Header(&name));
        same(&name, found.as_deref(), Some(value))?;
    }
    Ok(())
}

//! An edit replaces only the part that it changes.

use crossdock_framework::{
    codec::Codec,
    edits::{Edit, Edits},
    frame::{Frame, Head, Kind, WireId},
    out::Out,
    view::{Key, RoutingView},
};

use super::{Broken, Case, Law, cut_one};
use crate::vectors::Vector;

/// A header that no vector has.
const NAME: &str = "x-law";

/// A frame to which a header is added, changed and removed again shows the header to rules, keeps
/// every other header, and keeps its payload bit by bit, as `payload` finds it; an edit that is
/// refused writes nothing. Returns how many frames took edits, so that a test can see that the law
/// was tried at all.
///
/// # Errors
/// The first vector for which that is not so.
pub fn edits_spare_the_payload<C: Codec>(
    vectors: &[Vector],
    payload: impl Fn(&Frame<C::Head>) -> Vec<u8>,
) -> Result<usize, Broken> {
    let mut tried = 0;
    for case in Case::each("edits_spare_the_payload", vectors) {
        for cut in case.cut::<C>()? {
            let frame = &cut.frame;
            if !matches!(
                frame.head.kind(),
                Kind::Request | Kind::Oneway | Kind::Response
            ) {
                continue;
            }
            let Some(added) = edited::<C>(&case, frame, Edit::Set(NAME.into(), "one".into()))?
            else {
                continue;
            };
            tried += 1;
            spared::<C>(&case, frame, &added, &payload, Some("one"))?;
            let append = Edit::Append(NAME.into(), "two 中😀".into());
            if let Some(joined) = edited::<C>(&case, &added, append)? {
                spared::<C>(&case, frame, &joined, &payload, Some("one,two 中😀"))?;
            }
            if let Some(gone) = edited::<C>(&case, &added, Edit::Remove(NAME.into()))? {
                spared::<C>(&case, frame, &gone, &payload, None)?;
            }
        }
    }
    Ok(tried)
}

fn spared<C: Codec>(
    case: &Case<'_>,
    before: &Frame<C::Head>,
    after: &Frame<C::Head>,
    payload: &impl Fn(&Frame<C::Head>) -> Vec<u8>,
    value: Option<&str>,
) -> Law {
    case.check(payload(before) == payload(after), || {
        "the payload changed".to_owned()
    })?;
    let view = C::view(after);
    let found = view.get(Key::Header(NAME));
    case.check(found.as_deref() == value, || {
        format!("{NAME} is {found:?}, not {value:?}")
    })?;
    case.check(words::<C>(before) == words::<C>(after), || {
        "other words changed".to_owned()
    })
}

/// Every word of a frame but the header that the law edits.
fn words<C: Codec>(frame: &Frame<C::Head>) -> Vec<(String, String)> {
    let view = C::view(frame);
    let mut words = Vec::new();
    for (name, key) in [("authority", Key::Authority), ("path", Key::Path)] {
        words.extend(view.get(key).map(|value| (name.into(), value.into_owned())));
    }
    view.headers(&mut |name, value| {
        if name != NAME {
            words.push((name.to_owned(), value.to_owned()));
        }
    });
    words
}

/// The frame with one edit, or `None` if it cannot carry it.
fn edited<C: Codec>(
    case: &Case<'_>,
    frame: &Frame<C::Head>,
    edit: Edit,
) -> Result<Option<Frame<C::Head>>, Broken> {
    let mut edits = Edits::none();
    edits.push(edit);
    let id = WireId(77);
    let mut out = Out::default();
    if C::default().encode(frame, id, &edits, &mut out).is_err() {
        case.check(out.is_empty(), || {
            "a refused edit wrote something".to_owned()
        })?;
        return Ok(None);
    }
    let edited = cut_one::<C>(&out).map_err(|what| case.broken(what))?;
    let same = edited.head.id() == id && edited.head.kind() == frame.head.kind();
    case.check(same, || "an edit changed id or kind".to_owned())?;
    Ok(Some(edited))
}

/// Edits that leave every header as it is leave the frame as it is, or are refused.
///
/// # Errors
/// The first vector for which they do not.
pub fn edits_without_effect_change_nothing<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("edits_without_effect_change_nothing", vectors) {
        for cut in case.cut::<C>()? {
            let mut edits = Edits::none();
            edits.push(Edit::Remove(NAME.into()));
            edits.push(Edit::OverwriteIfExists(NAME.into(), "x".into()));
            let mut out = Out::default();
            let id = cut.frame.head.id();
            if C::default()
                .encode(&cut.frame, id, &edits, &mut out)
                .is_ok()
            {
                case.check(out.to_vec() == cut.frame.bytes, || "other bytes".to_owned())?;
            }
        }
    }
    Ok(())
}

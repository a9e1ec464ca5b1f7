//! Compiles one level's `*_headers_to_add` and `*_headers_to_remove`.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};

use super::{Action, Change, Level, Missing, Side, Value};
use crate::problem::{Place, Problems};

/// The changes of one level for both directions; `None` where it changes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) request: Option<Arc<Level>>,
    pub(crate) response: Option<Arc<Level>>,
}

/// The [`Levels`] of a message: routes, weighted clusters, virtual hosts and tables share the four
/// fields.
macro_rules! levels {
    ($message:expr, $place:expr, $problems:expr) => {{
        let (message, place) = (&$message, $place);
        let request = $crate::changes::level(
            $crate::changes::Side::Request,
            (&message.request_headers_to_add, "request_headers_to_add"),
            (
                &message.request_headers_to_remove,
                "request_headers_to_remove",
            ),
            place,
            $problems,
        );
        let response = $crate::changes::level(
            $crate::changes::Side::Response,
            (&message.response_headers_to_add, "response_headers_to_add"),
            (
                &message.response_headers_to_remove,
                "response_headers_to_remove",
            ),
            place,
            $problems,
        );
        $crate::changes::Levels { request, response }
    }};
}
pub(crate) use levels;

/// Compiles one direction: what is added and what is removed, and the names of the two fields.
pub(crate) fn level(
    side: Side,
    (add, add_field): (&[HeaderValueOption], &'static str),
    (remove, remove_field): (&[String], &'static str),
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Arc<Level>> {
    if add.is_empty() && remove.is_empty() {
        return None;
    }
    let mut change: Vec<_> = add
        .iter()
        .enumerate()
        .filter_map(|(at, option)| {
            Change::compile(side, option, &place.item(add_field, at), problems)
        })
        .collect();
    change.sort_by_key(|change| change.action.is_added());
    let remove = remove.iter().enumerate();
    let remove = remove.map(|(at, name)| changeable(name, &place.item(remove_field, at), problems));
    Some(Arc::new(Level {
        remove: remove.collect(),
        change: change.into(),
    }))
}

impl Action {
    /// Whether Envoy applies it after all overwriting.
    fn is_added(self) -> bool {
        matches!(self, Self::Append | Self::AddIfAbsent)
    }

    #[allow(deprecated, reason = "configurations in use still have `append`")]
    fn compile(
        option: &HeaderValueOption,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let action = HeaderAppendAction::try_from(option.append_action);
        let action = action.unwrap_or_else(|unknown| {
            problems.add(
                &place.field("append_action"),
                format!("the value {unknown} is not known"),
                "use one of Envoy's four append actions",
            );
            HeaderAppendAction::AppendIfExistsOrAdd
        });
        match (&option.append, action) {
            (None, HeaderAppendAction::AppendIfExistsOrAdd) => Some(Self::Append),
            (None, HeaderAppendAction::AddIfAbsent) => Some(Self::AddIfAbsent),
            (None, HeaderAppendAction::OverwriteIfExistsOrAdd) => Some(Self::Set),
            (None, HeaderAppendAction::OverwriteIfExists) => Some(Self::OverwriteIfExists),
            (Some(append), HeaderAppendAction::AppendIfExistsOrAdd) if append.value => {
                Some(Self::Append)
            }
            (Some(_), HeaderAppendAction::AppendIfExistsOrAdd) => Some(Self::Set),
            (Some(_), _) => {
                problems.add(
                    &place.field("append"),
                    "both append and append_action are set",
                    "remove append, which is the older of the two",
                );
                None
            }
        }
    }
}

impl Change {
    fn compile(
        side: Side,
        option: &HeaderValueOption,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let action = Action::compile(option, place, problems);
        let Some(header) = &option.header else {
            problems.add(
                &place.field("header"),
                "no header is given",
                "set key and value",
            );
            return None;
        };
        let place = place.field("header");
        let name = changeable(&header.key, &place.field("key"), problems);
        let text = text(header, &place, problems)?;
        let value = Value::compile(
            side,
            text,
            Missing::Nothing,
            &place.field("value"),
            problems,
        )?;
        Some(Self {
            name,
            action: action?,
            value,
            keep_empty: option.keep_empty_value,
        })
    }
}

fn text<'h>(
    header: &'h HeaderValue,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<&'h str> {
    if header.raw_value.is_empty() {
        return Some(&header.value);
    }
    if !header.value.is_empty() {
        problems.add(
            &place.field("raw_value"),
            "both value and raw_value are set",
            "remove one of them",
        );
        return None;
    }
    let text = std::str::from_utf8(&header.raw_value);
    if text.is_err() {
        problems.add(
            &place.field("raw_value"),
            "the bytes are not UTF-8",
            "RPC headers are text: use value",
        );
    }
    text.ok()
}

/// The name in lower case, if header changes may touch it.
fn changeable(name: &str, place: &Place<'_>, problems: &mut Problems) -> Box<str> {
    let lower = name.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&byte);
    if lower.starts_with(':') || lower == "host" {
        problems.add(
            place,
            format!("`{name}` is a pseudo header, or stands for one, and may not be changed"),
            "name another header",
        );
    } else if lower.is_empty() || !lower.bytes().all(token) {
        problems.add(
            place,
            format!("`{name}` is not a header name"),
            "use letters, digits and -",
        );
    }
    lower.into()
}

//! Headers that stand more than once. RPC headers do not; HTTP's may.

use crossdock_framework::view::{Key, RoutingView};

/// Calls `each` with every value of the header `key`, whose value or joined values are `joined`.
///
/// A view joins several values with `,`. Only a value with a comma in it is worth a walk through
/// the headers, which tells several values from one.
pub(crate) fn each_value(
    request: &dyn RoutingView,
    key: Key<'_>,
    joined: &str,
    mut each: impl FnMut(&str),
) {
    let Key::Header(name) = key else {
        return each(joined);
    };
    if !joined.contains(',') {
        return each(joined);
    }
    let mut count = 0;
    request.headers(&mut |other, _| count += usize::from(other.eq_ignore_ascii_case(name)));
    if count < 2 {
        return each(joined);
    }
    request.headers(&mut |other, value| {
        if other.eq_ignore_ascii_case(name) {
            each(value);
        }
    });
}

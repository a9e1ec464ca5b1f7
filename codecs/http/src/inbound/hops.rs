//! Fields that belong to one connection and not to the message (RFC 9110 section 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What `connection` must not name: without them the next hop would read another message.
const NEEDED: [&str; 6] = [
    "host",
    "content-length",
    "content-type",
    "authorization",
    "cookie",
    "x-forwarded-for",
];

/// Takes away what belongs to the connection. Says whether the message asks for an upgrade; its
/// `upgrade` field stays then.
///
/// # Errors
///
/// When `connection` names a field that the message cannot be read without.
pub(crate) fn strip(headers: &mut HeaderMap) -> Result<bool, &'static str> {
    // Most messages have none of them, and looking is cheaper than removing what is not there.
    if !headers.keys().any(belongs_to_connection) {
        return Ok(false);
    }
    let mut upgrade = false;
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.is_empty() || token.eq_ignore_ascii_case(b"close") {
                continue;
            }
            if token.eq_ignore_ascii_case(b"upgrade") {
                upgrade = true;
                continue;
            }
            let Ok(name) = HeaderName::from_bytes(token) else {
                return Err("the Connection field is not a list of names");
            };
            if NEEDED.contains(&name.as_str()) {
                return Err("the Connection field names a field of the message itself");
            }
            named.push(name);
        }
    }
    let upgrade = upgrade
        && headers
            .get(header::UPGRADE)
            .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let trailers = headers
        .get_all(header::TE)
        .iter()
        .any(|te| wants_trailers(te.as_bytes()));
    named.iter().for_each(|name| {
        headers.remove(name);
    });
    for name in [
        &header::CONNECTION,
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &header::TRANSFER_ENCODING,
        &header::TE,
    ] {
        headers.remove(name);
    }
    if !upgrade {
        headers.remove(header::UPGRADE);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(upgrade)
}

fn belongs_to_connection(name: &HeaderName) -> bool {
    [
        &header::CONNECTION,
        &header::TRANSFER_ENCODING,
        &header::TE,
        &header::UPGRADE,
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
    ]
    .contains(&name)
}

fn wants_trailers(te: &[u8]) -> bool {
    te.split(|byte| *byte == b',')
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )
        });
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    #[test]
    fn fields_of_the_connection_go() {
        let mut headers = map(&[
            ("connection", "x-hop, Keep-Alive"),
            ("connection", "close"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-stays", "1"),
        ]);
        assert_eq!(strip(&mut headers), Ok(false));
        assert_eq!(headers, map(&[("x-stays", "1"), ("te", "trailers")]));
    }

    #[test]
    fn an_upgrade_to_websocket_keeps_its_field() {
        let mut headers = map(&[("connection", "Upgrade"), ("upgrade", "WebSocket")]);
        assert_eq!(strip(&mut headers), Ok(true));
        assert_eq!(headers, map(&[("upgrade", "WebSocket")]));
    }

    #[test]
    fn fields_of_the_message_cannot_be_named() {
        for name in NEEDED {
            assert!(strip(&mut map(&[("connection", name)])).is_err(), "{name}");
        }
        assert!(strip(&mut map(&[("connection", "a b")])).is_err());
    }
}

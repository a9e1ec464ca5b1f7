//! Targets whose form does not go with their method (RFC 9112 section 3.2), methods that nobody
//! should pass on, and lengths that are said twice.

use crossdock_framework::status::Status;
use http::{HeaderMap, Method, Version, header, request};

use super::bad;

/// Refuses targets with more than one reading: before anything of them is taken apart.
pub(super) fn judge(head: &request::Parts) -> Result<(), Status> {
    if head.method == Method::TRACE {
        // It would tell its caller what others wrote into the request on its way.
        return Err(Status {
            http: 405,
            ..bad("TRACE is not served here")
        });
    }
    if head.version == Version::HTTP_2 {
        // The guard of HTTP/1 has judged it.
        judge_length(&head.headers).map_err(bad)?;
    }
    let Some(authority) = head.uri.authority() else {
        return match head.method == Method::CONNECT {
            true => Err(bad("the target of CONNECT is not host:port")),
            false => Ok(()),
        };
    };
    let text = authority.as_str();
    if text.contains('@') {
        return Err(bad("the target has user information"));
    }
    if !has_good_port(text.as_bytes()) {
        return Err(bad("the port of the target is not a number"));
    }
    // HTTP/2 has its own checks of pseudo fields, and CONNECT with a path there (RFC 8441).
    if head.version == Version::HTTP_2 {
        return Ok(());
    }
    let path = head.uri.path_and_query().is_some();
    match (head.method == Method::CONNECT, head.uri.scheme()) {
        (true, _) if path || authority.port().is_none() => {
            Err(bad("the target of CONNECT is not host:port"))
        }
        (false, None) => Err(bad("the target is a host without a path")),
        _ => Ok(()),
    }
}

/// One length or none: a peer over HTTP/2, whose frames need none, may say several.
pub(crate) fn judge_length(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    if lengths.next().is_some() {
        return Err("several Content-Length fields");
    }
    let digits = length.as_bytes();
    match digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        true => Err("Content-Length is not a number"),
        false => Ok(()),
    }
}

/// Whether nothing, or digits, follow the colon after a host.
pub(super) fn has_good_port(authority: &[u8]) -> bool {
    let host = authority
        .iter()
        .rposition(|byte| *byte == b']')
        .map_or(0, |at| at + 1);
    let rest = authority.get(host..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b':') {
        None => host == 0 || rest.is_empty(),
        Some(at) => {
            let port = rest.get(at + 1..).unwrap_or_default();
            (host == 0 || at == 0)
                && (1..=5).contains(&port.len())
                && port.iter().all(u8::is_ascii_digit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers() {
        for good in ["h", "h:80", "[::1]", "[::1]:80", "1.2.3.4:65535"] {
            assert!(has_good_port(good.as_bytes()), "{good}");
        }
        for bad in [
            "h:",
            "h:x",
            "h:80:90",
            "::1",
            "[::1]x",
            "[::1]x:80",
            "h:+1",
            "h:123456",
        ] {
            assert!(!has_good_port(bad.as_bytes()), "{bad}");
        }
    }
}

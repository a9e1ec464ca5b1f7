//! Interim answers (1xx) as hosts of HTTP/1 write them.

use http::{HeaderName, HeaderValue, Response, response};

/// Reads a whole head that has been judged. Nothing for one that has no status: the guard lets none
/// pass.
pub(super) fn read(head: &[u8]) -> Option<response::Parts> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines.next()?.split(|byte| *byte == b' ').nth(1)?;
    let response = Response::builder().status(status).body(()).ok()?;
    let (mut head, ()) = response.into_parts();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name).ok()?;
        head.headers
            .append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_all_of_its_fields() {
        let head = read(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink:</b>\r\nx:\r\n\r\n");
        let head = head.expect("a head");
        assert_eq!(head.status, 103);
        let links: Vec<_> = head.headers.get_all("link").iter().collect();
        assert_eq!(links, ["</a>", "</b>"]);
        assert_eq!(head.headers["x"], "");
        assert_eq!(read(b"HTTP/1.1 100\r\n\r\n").expect("a head").status, 100);
        assert!(read(b"103\r\n\r\n").is_none());
        assert!(read(b"").is_none());
    }
}

//! Heads of requests and answers as they stand on the wire.

use std::mem::MaybeUninit;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request,
    response,
};
use httparse::{Header, ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::super::{USUAL_HEADERS, guard::Awaited};
use crate::view;

/// Fields that the gateway adds to an answer on its way.
const SPARE: usize = 4;

/// How the body of an answer is framed (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many more bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// It ends with the connection.
    Open,
}

/// The head of an answer, and what it says of the rest where it is the final one.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: response::Parts,
    pub(super) framing: Framing,
    /// The connection may take another call.
    pub(super) keeps: bool,
}

impl Head {
    /// Another one follows.
    pub(super) fn is_interim(&self) -> bool {
        let status = self.parts.status;
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Writes the head of a request.
pub(super) fn write(head: &request::Parts, out: &mut BytesMut) {
    out.put_slice(head.method.as_str().as_bytes());
    out.put_slice(b" ");
    let target = match head.uri.authority() {
        Some(authority) if head.method == Method::CONNECT => authority.as_str(),
        _ => match view::path(head) {
            "" => "/",
            path => path,
        },
    };
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    write_fields(&head.headers, out);
    out.put_slice(b"\r\n");
}

/// Writes fields, a line each.
pub(super) fn write_fields(fields: &HeaderMap, out: &mut BytesMut) {
    for (name, value) in fields {
        out.reserve(name.as_str().len() + value.len() + 4);
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
}

/// Takes the head of an answer off what has been read, interim or final; `None` if more has to come
/// first. It has passed the guard, which knows what two parsers could read differently.
pub(super) fn read(
    read: &mut Bytes,
    asked: Awaited,
    fields: u32,
) -> Result<Option<Head>, httparse::Error> {
    if read.is_empty() {
        return Ok(None);
    }
    let whole = read.clone();
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_HEADERS as usize];
    let mut many: Box<[_]>;
    let space = match fields > USUAL_HEADERS {
        false => &mut usual[..],
        true => {
            let space = std::iter::repeat_with(MaybeUninit::uninit);
            many = space.take(fields as usize).collect();
            &mut many[..]
        }
    };
    let parsed = parse(&whole, space, asked)?;
    Ok(parsed.map(|(length, head)| {
        read.advance(length);
        head
    }))
}

/// The trailers of an answer, which end with an empty line; `None` if that has yet to come.
pub(super) fn read_trailers(read: &mut Bytes) -> Result<Option<HeaderMap>, httparse::Error> {
    let whole = read.clone();
    let mut space = [httparse::EMPTY_HEADER; USUAL_HEADERS as usize];
    let Status::Complete((length, found)) = httparse::parse_headers(&whole, &mut space)? else {
        return Ok(None);
    };
    let mut trailers = HeaderMap::with_capacity(found.len());
    for field in found {
        let (name, value) = take(&whole, field)?;
        trailers.append(name, value);
    }
    read.advance(length);
    Ok(Some(trailers))
}

/// The head that these bytes begin with, and its length.
fn parse<'b>(
    whole: &'b Bytes,
    space: &mut [MaybeUninit<Header<'b>>],
    asked: Awaited,
) -> Result<Option<(usize, Head)>, httparse::Error> {
    let mut found = httparse::Response::new(&mut []);
    let parser = ParserConfig::default();
    let parsed = parser.parse_response_with_uninit_headers(&mut found, whole, space)?;
    let Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let (mut parts, ()) = Response::new(()).into_parts();
    let status = StatusCode::from_u16(found.code.unwrap_or_default());
    parts.status = status.map_err(|_| httparse::Error::Status)?;
    parts.version = match found.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    if let Some(reason) = found.reason.filter(|reason| !reason.is_empty())
        && Some(reason) != parts.status.canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        parts.extensions.insert(reason);
    }
    let mut said = Said::default();
    let mut headers = HeaderMap::with_capacity(found.headers.len() + SPARE);
    for field in &*found.headers {
        let (name, value) = take(whole, field)?;
        said.hear(&name, &value);
        headers.append(name, value);
    }
    parts.headers = headers;
    let keeps = !said.closes && (said.keeps || parts.version == Version::HTTP_11);
    let head = Head {
        framing: said.framing(parts.status, asked)?,
        keeps,
        parts,
    };
    Ok(Some((length, head)))
}

/// What a head says of its connection and its body.
#[derive(Default)]
struct Said {
    closes: bool,
    keeps: bool,
    chunked: bool,
    length: Option<Option<u64>>,
}

impl Said {
    fn hear(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == header::CONTENT_LENGTH {
            self.length = Some(value.to_str().ok().and_then(|length| length.parse().ok()));
        } else if *name == header::TRANSFER_ENCODING {
            self.chunked = true;
        } else if *name == header::CONNECTION {
            for token in value.as_bytes().split(|byte| *byte == b',') {
                let token = token.trim_ascii();
                self.closes |= token.eq_ignore_ascii_case(b"close");
                self.keeps |= token.eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }

    fn framing(&self, status: StatusCode, asked: Awaited) -> Result<Framing, httparse::Error> {
        let bodiless = match status {
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
                true
            }
            status => asked == Awaited::Head || asked == Awaited::Tunnel && status.is_success(),
        };
        if bodiless {
            return Ok(Framing::Length(0));
        }
        match (self.chunked, self.length) {
            (true, _) => Ok(Framing::Chunked),
            (false, None) => Ok(Framing::Open),
            (false, Some(Some(length))) => Ok(Framing::Length(length)),
            (false, Some(None)) => Err(httparse::Error::HeaderValue),
        }
    }
}

/// Name and value of a field, which lies in these bytes.
fn take(whole: &Bytes, field: &Header<'_>) -> Result<(HeaderName, HeaderValue), httparse::Error> {
    let name = HeaderName::from_bytes(field.name.as_bytes());
    let name = name.map_err(|_| httparse::Error::HeaderName)?;
    let value = HeaderValue::from_maybe_shared(whole.slice_ref(field.value));
    Ok((name, value.map_err(|_| httparse::Error::HeaderValue)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &'static [u8], asked: Awaited) -> (Head, Bytes) {
        let mut held = Bytes::from_static(bytes);
        let head = read(&mut held, asked, 3).expect("well-formed");
        (head.expect("complete"), held)
    }

    #[test]
    fn a_head_says_how_its_body_is_framed() {
        use Awaited::{Answer, Head, Tunnel};
        use Framing::{Chunked, Length, Open};
        for (bytes, asked, framing, keeps) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], Answer, Open, true),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
                Answer,
                Length(7),
                true,
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
                Head,
                Length(0),
                true,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\n", Tunnel, Length(0), true),
            (
                b"HTTP/1.1 403 No\r\nContent-Length: 7\r\n\r\n",
                Tunnel,
                Length(7),
                true,
            ),
            (
                b"HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n",
                Answer,
                Length(0),
                true,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Answer,
                Chunked,
                true,
            ),
            (
                b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n",
                Answer,
                Open,
                false,
            ),
            (b"HTTP/1.0 200 OK\r\n\r\n", Answer, Open, false),
            (
                b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
                Answer,
                Open,
                true,
            ),
        ] {
            let (head, rest) = head(bytes, asked);
            let text = bytes.escape_ascii();
            assert_eq!((head.framing, head.keeps), (framing, keeps), "{text}");
            assert!(rest.is_empty(), "{text}");
        }
    }

    #[test]
    fn interim_heads_are_told_from_final_ones() {
        let (head, mut rest) = head(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nLink:</b>\r\nx:\r\n\r\nHTTP/1.1 2",
            Awaited::Answer,
        );
        assert!(head.is_interim());
        let links: Vec<_> = head.parts.headers.get_all("link").iter().collect();
        assert_eq!(links, ["</a>", "</b>"]);
        assert_eq!(head.parts.headers["x"], "");
        assert_eq!(rest, "HTTP/1.1 2");
        let more = read(&mut rest, Awaited::Answer, 3);
        assert!(more.expect("well-formed so far").is_none());
    }

    #[test]
    fn more_fields_than_usual_are_read_where_they_are_allowed() {
        let fields: String = (0..150).map(|n| format!("x{n}: {n}\r\n")).collect();
        let mut held = Bytes::from(format!("HTTP/1.1 200 Fine\r\n{fields}\r\n"));
        assert!(read(&mut held.clone(), Awaited::Answer, 100).is_err());
        let head = read(&mut held, Awaited::Answer, 150).expect("well-formed");
        let head = head.expect("complete");
        assert_eq!(head.parts.headers.len(), 150);
        let reason = head.parts.extensions.get::<ReasonPhrase>();
        assert_eq!(reason.map(ReasonPhrase::as_bytes), Some(&b"Fine"[..]));
    }

    #[test]
    fn requests_are_written_in_origin_form_and_tunnels_in_authority_form() {
        for (method, uri, line) in [
            ("GET", "/a?b", "GET /a?b HTTP/1.1\r\n"),
            ("OPTIONS", "*", "OPTIONS * HTTP/1.1\r\n"),
            ("CONNECT", "h:1", "CONNECT h:1 HTTP/1.1\r\n"),
        ] {
            let request = http::Request::builder().method(method).uri(uri);
            let request = request.header("x", "1").body(()).expect("a request");
            let mut out = BytesMut::new();
            write(&request.into_parts().0, &mut out);
            assert_eq!(out, format!("{line}x: 1\r\n\r\n"));
        }
    }
}

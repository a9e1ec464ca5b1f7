//! HTTP/1.1 (RFC 9112) as far as this benchmark's own calls need it: heads of a few lines, bodies with
//! `content-length`, one call at a time.

use super::{Garbled, HOST, Heard, PATH, Stencil, Talk, Template, Verdict, argument, excerpt};
use memchr::memmem;
use std::collections::VecDeque;
use std::sync::Arc;

/// The largest head and body that this benchmark's own calls can have.
const MAX_HEAD: usize = 16 << 10;
const MAX_BODY: usize = 16 << 20;
/// What every answer to a good call begins with.
const OK: &[u8] = b"HTTP/1.1 200";

pub(super) fn template(payload: usize) -> Template {
    let body = argument(payload);
    let mut request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: crossdock-bench\r\naccept: */*\r\n\
         content-type: text/plain\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    let mark = request.len();
    request.extend_from_slice(&body);
    Template {
        request: Stencil::new(request, 0..0, mark),
        answer: Stencil::new(body, 0..0, 0),
    }
}

pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    let Some((head, _)) = split(bytes) else {
        return if bytes.len() > MAX_HEAD {
            Err(Garbled("an HTTP/1 head without an end"))
        } else {
            Ok(None)
        };
    };
    match field(head, b"content-length") {
        Some(value) => {
            let number = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok());
            match number {
                Some(body @ 0..=MAX_BODY) => Ok(Some(head.len() + body)),
                _ => Err(Garbled("a content-length that no call has")),
            }
        }
        None if field(head, b"transfer-encoding").is_some() => {
            Err(Garbled("a body without content-length"))
        }
        None => Ok(Some(head.len())),
    }
}

/// Echoes the body.
pub(super) fn serve(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    let (_, body) = split(frame).ok_or(Garbled("half an HTTP/1 request"))?;
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ");
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    Ok(())
}

/// A connection's calls.
pub(super) struct Caller {
    template: Arc<Template>,
    /// Marks of the calls that wait for their answers, in order.
    open: VecDeque<u64>,
}

impl Caller {
    pub(super) const fn new(template: Arc<Template>) -> Self {
        Self {
            template,
            open: VecDeque::new(),
        }
    }
}

impl Talk for Caller {
    fn call(&mut self, mark: u64, out: &mut Vec<u8>) {
        self.template.request.stamp(0, mark, out);
        self.open.push_back(mark);
    }

    fn take(&mut self, frame: &[u8], _out: &mut Vec<u8>) -> Result<Heard, Garbled> {
        let (head, body) = split(frame).ok_or(Garbled("half an HTTP/1 answer"))?;
        let Some(mark) = self.open.pop_front() else {
            return Ok(Heard::Stray(format!("unasked: {}", excerpt(head))));
        };
        let verdict = if !head.starts_with(OK) {
            Verdict::Failed(format!("{} {}", excerpt(head), excerpt(body)))
        } else if self.template.answer.equals(body, 0, mark) {
            Verdict::Right
        } else {
            Verdict::Wrong("another call's body".to_owned())
        };
        Ok(Heard::End(mark, verdict))
    }
}

/// Head, with the empty line that ends it, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const END: &[u8] = b"\r\n\r\n";
    let head = bytes.get(..bytes.len().min(MAX_HEAD))?;
    memmem::find(head, END).map(|at| bytes.split_at(at + END.len()))
}

/// The value of the field with this name.
fn field<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|octet| *octet == b'\n')
        .find(|line| {
            line.get(name.len()) == Some(&b':')
                && line
                    .get(..name.len())
                    .is_some_and(|n| n.eq_ignore_ascii_case(name))
        })
        .and_then(|line| line.get(name.len() + 1..))
        .map(<[u8]>::trim_ascii)
}

//! A request on its way to a host.

use std::{
    fmt::{self, Write as _},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use crossdock_framework::{
    stream::{Broken, Upload},
    worker::Worker,
};
use http::{HeaderMap, HeaderName, header, request};
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite as _;

use super::{super::guard::Guarded, Trouble, head};
use crate::{expect::Expected, payload::Payload};

/// Bytes of a body that wait to be written before no more are asked for.
const WAITING: usize = 64 * 1024;

/// A longer piece of a body is written from where it is; a copy of a shorter one costs less than a
/// system call.
const COPIED: usize = 16 * 1024;

/// What a trailer may not say (RFC 9110 section 6.5.1).
const NO_TRAILERS: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::HOST,
    header::MAX_FORWARDS,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// What of a request has not been written.
pub(super) struct Sending {
    worker: Worker,
    /// The rest of the body; `None` after its end.
    body: Option<Upload<Payload>>,
    /// Holds it back.
    expected: Option<Rc<Expected>>,
    framing: Framing,
    /// Framed bytes, in a buffer of the worker's.
    batch: BytesMut,
    /// A long piece that follows them.
    piece: Bytes,
    unflushed: bool,
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// How the body is framed.
#[derive(Debug)]
enum Framing {
    /// The host was told of so many more bytes.
    Length(u64),
    /// In chunks, with the trailers that were announced.
    Chunked(Vec<HeaderName>),
}

impl Sending {
    /// A request whose head says how its body is framed: by its length, or in chunks.
    pub(super) fn new(
        head: &request::Parts,
        (body, length): (Option<Upload<Payload>>, Option<u64>),
        expected: &Option<Rc<Expected>>,
        worker: &Worker,
    ) -> Self {
        let mut batch = worker.take_batch();
        head::write(head, &mut batch);
        let framing = match length {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked(announced(&head.headers)),
        };
        Self {
            worker: worker.clone(),
            body: body.filter(|body| !body.is_end_stream()),
            expected: expected.clone(),
            framing,
            batch,
            piece: Bytes::new(),
            unflushed: true,
        }
    }

    /// Writes what there is; ready when that is all. `begun` is set once a byte is on its way.
    pub(super) fn poll(
        &mut self,
        wire: &mut Guarded,
        cx: &mut Context<'_>,
        begun: &mut bool,
    ) -> Poll<Result<(), Trouble>> {
        loop {
            let gathered = self.gather(cx).map_err(Trouble::Broken)?;
            let written = self.poll_write(wire, cx, begun);
            ready!(written.map_err(Trouble::Lost))?;
            ready!(gathered);
            if self.body.is_none() {
                let mut batch = std::mem::take(&mut self.batch);
                batch.clear();
                self.worker.put_batch(batch);
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes what has come of the body, but no more than may wait; pending when more has to come.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        while let Some(body) = &mut self.body
            && self.piece.is_empty()
            && self.batch.len() < WAITING
        {
            if let Some(expected) = &self.expected
                && expected.poll_wanted(cx).is_pending()
            {
                return Ok(Poll::Pending);
            }
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(frame) => frame.transpose()?,
            };
            let over = body.is_end_stream();
            let trailers = match frame.map(Frame::into_data) {
                Some(Ok(data)) => {
                    self.add(data)?;
                    if !over && !matches!(self.framing, Framing::Length(0)) {
                        continue;
                    }
                    None
                }
                Some(Err(frame)) => frame.into_trailers().ok(),
                None => None,
            };
            self.end(trailers)?;
        }
        Ok(Poll::Ready(()))
    }

    fn add(&mut self, data: Bytes) -> Result<(), Broken> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Length(left) => {
                let Some(rest) = left.checked_sub(data.len() as u64) else {
                    let text = "it is longer than its Content-Length";
                    return Err(Broken::Protocol(text.into()));
                };
                *left = rest;
                self.put(data);
            }
            Framing::Chunked(_) => {
                // Writing to memory does not fail.
                let _ = write!(self.batch, "{:X}\r\n", data.len());
                self.put(data);
                if self.piece.is_empty() {
                    self.batch.extend_from_slice(b"\r\n");
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, data: Bytes) {
        match data.len() > COPIED {
            true => self.piece = data,
            false => self.batch.extend_from_slice(&data),
        }
    }

    /// The body has come to its end.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Broken> {
        match &self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => {
                let text = "it is shorter than its Content-Length";
                return Err(Broken::Protocol(text.into()));
            }
            // The end follows what is written from where it is.
            Framing::Chunked(_) if !self.piece.is_empty() => return Ok(()),
            Framing::Chunked(announced) => {
                self.batch.put_slice(b"0\r\n");
                let mut trailers = trailers.unwrap_or_default();
                let unwanted =
                    |name: &HeaderName| !announced.contains(name) || NO_TRAILERS.contains(name);
                let names: Vec<HeaderName> = trailers
                    .keys()
                    .filter(|name| unwanted(name))
                    .cloned()
                    .collect();
                names.iter().for_each(|name| {
                    trailers.remove(name);
                });
                head::write_fields(&trailers, &mut self.batch);
                self.batch.extend_from_slice(b"\r\n");
            }
        }
        self.body = None;
        Ok(())
    }

    fn poll_write(
        &mut self,
        wire: &mut Guarded,
        cx: &mut Context<'_>,
        begun: &mut bool,
    ) -> Poll<io::Result<()>> {
        while !self.batch.is_empty() || !self.piece.is_empty() {
            let batched = !self.batch.is_empty();
            let next = match batched {
                true => &self.batch[..],
                false => &self.piece[..],
            };
            let written = ready!(Pin::new(&mut *wire).poll_write(cx, next))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *begun = true;
            self.unflushed = true;
            match batched {
                true => self.batch.advance(written),
                false => self.piece.advance(written),
            }
            let chunk = !batched && matches!(self.framing, Framing::Chunked(_));
            if chunk && self.piece.is_empty() {
                self.batch.extend_from_slice(b"\r\n");
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut *wire).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// The length that a head gives, if it is one.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The trailers that a head announces (RFC 9110 section 6.6.2).
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::TRAILER).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

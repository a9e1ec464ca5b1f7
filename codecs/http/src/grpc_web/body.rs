//! Bodies between gRPC-Web and gRPC.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use crossdock_framework::stream::{Answer, Broken};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Web, base64};
use crate::{codec::Http, payload::Payload};

/// The flag of a frame with trailers.
const TRAILERS: u8 = 0x80;

/// The body of a request that its caller writes in base64.
#[derive(Debug)]
pub(crate) struct Text<B = Payload> {
    body: B,
    decoder: base64::Decoder,
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin> Text<B> {
    pub(crate) fn new(body: B) -> Self {
        Self {
            body,
            decoder: base64::Decoder::default(),
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
            let data = match frame.map(Frame::into_data) {
                Some(Ok(data)) => data,
                // gRPC-Web has no trailers of HTTP.
                Some(Err(_)) | None if self.decoder.is_complete() => return Poll::Ready(None),
                Some(Err(_)) | None => return Poll::Ready(Some(Err(not_base64()))),
            };
            let decoded = self.decoder.decode(&data);
            let decoded = decoded.map_err(|base64::NotBase64| not_base64())?;
            if self.body.is_end_stream() && !self.decoder.is_complete() {
                return Poll::Ready(Some(Err(not_base64())));
            }
            if !decoded.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(decoded.into()))));
            }
        }
    }
}

fn not_base64() -> Broken {
    Broken::Protocol("the body is not base64, as application/grpc-web-text has to be".into())
}

/// The body of an answer on its way to its caller.
#[derive(Debug)]
pub(crate) struct Outgoing<B = Answer<Http>> {
    /// The answer.
    pub(crate) answer: B,
    /// How its caller reads it, if that is by gRPC-Web.
    web: Option<Web>,
    /// The trailers have been written.
    over: bool,
}

impl<B> Outgoing<B> {
    pub(crate) fn new(answer: B, web: Option<Web>) -> Self {
        Self {
            answer,
            web,
            over: false,
        }
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let Some(web) = this.web else {
            return Pin::new(&mut this.answer).poll_frame(cx);
        };
        if this.over {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut this.answer).poll_frame(cx)).transpose()? else {
            this.over = true;
            return Poll::Ready(None);
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                this.over = true;
                trailers(&frame.into_trailers().unwrap_or_default())
            }
        };
        let data = match web.answer_text {
            // Each piece is padded, so that nothing of a message waits for the next.
            true => base64::encode(&data).into(),
            false => data,
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.web {
            None => self.answer.size_hint(),
            Some(_) if self.is_end_stream() => SizeHint::with_exact(0),
            Some(_) => SizeHint::default(),
        }
    }
}

/// A frame with trailers: a flag, a length, and lines as those of HTTP/1.
fn trailers(trailers: &HeaderMap) -> Bytes {
    let lines = trailers.iter();
    let length: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + 3)
        .sum();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    for (name, value) in trailers {
        frame.put_slice(name.as_str().as_bytes());
        frame.put_u8(b':');
        frame.put_slice(value.as_bytes());
        frame.put_slice(b"\r\n");
    }
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use http::HeaderValue;

    use super::*;

    /// Frames that are there.
    struct Ready(VecDeque<Frame<Bytes>>);

    impl Ready {
        fn data(pieces: &[&'static str]) -> Self {
            let frame = |piece: &&'static str| Frame::data(Bytes::from_static(piece.as_bytes()));
            Self(pieces.iter().map(frame).collect())
        }
    }

    impl Body for Ready {
        type Data = Bytes;
        type Error = Broken;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn all(
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>>,
    ) -> Result<Vec<u8>, Broken> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes = Vec::new();
        while let Poll::Ready(Some(frame)) = next(&mut cx) {
            bytes.extend(frame?.into_data().expect("data alone"));
        }
        Ok(bytes)
    }

    #[test]
    fn requests_in_base64() {
        let read = |pieces: &[&'static str]| {
            let mut text = Text::new(Ready::data(pieces));
            all(|cx| text.poll_next(cx))
        };
        assert_eq!(
            read(&["AAAA", "AAJoaQ=", "="]),
            Ok(b"\0\0\0\0\x02hi".to_vec())
        );
        assert_eq!(read(&[]), Ok(Vec::new()));
        for broken in [&["AAAA", "AA"][..], &["A*"], &["AAAA", "="]] {
            assert!(
                matches!(read(broken), Err(Broken::Protocol(_))),
                "{broken:?}"
            );
        }
    }

    fn answer(web: Option<Web>) -> Outgoing<Ready> {
        let mut frames = Ready::data(&["\0\0\0\0\x02hi"]);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-two", HeaderValue::from_static("2"));
        frames.0.push_back(Frame::trailers(trailers));
        Outgoing::new(frames, web)
    }

    #[test]
    fn trailers_are_the_last_frame() {
        let wanted = b"\0\0\0\0\x02hi\x80\0\0\0\x18grpc-status:0\r\nx-two:2\r\n";
        for answer_text in [false, true] {
            let web = Web {
                text: false,
                answer_text,
            };
            let mut body = answer(Some(web));
            let bytes = all(|cx| Pin::new(&mut body).poll_frame(cx)).expect("whole");
            let bytes = match answer_text {
                true => base64::Decoder::default().decode(&bytes).expect("base64"),
                false => bytes,
            };
            assert_eq!(bytes, wanted);
            assert!(body.is_end_stream());
        }
    }

    #[test]
    fn other_callers_get_trailers_of_http() {
        let mut body = answer(None);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_ready());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
            panic!("no trailers");
        };
        assert!(frame.is_trailers());
    }
}

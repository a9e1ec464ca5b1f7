//! Bodies: of HTTP/1 as hyper gives them, of HTTP/2 as the h2 crate does.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use ::h2::RecvStream;
use bytes::Bytes;
use crossdock_framework::{
    status::{Cause, Status},
    stream::Broken,
};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    grpc_web::{self, Web},
    h1::{
        Hush,
        client::{Reply, Upgraded},
    },
    tunnel::{Gate, Inlet},
};

/// The bytes and trailers of one direction of a call.
#[derive(Debug, Default)]
pub(crate) enum Payload {
    /// None.
    #[default]
    Empty,
    /// Of an HTTP/1 request.
    One(Stretch),
    /// Of an HTTP/1 answer.
    Reply(Reply),
    /// Of an HTTP/2 stream.
    Two(Inflow),
    /// None, because the connection speaks something else now; until it is taken.
    Upgraded(Option<Box<Upgraded>>),
    /// What the host of a tunnel sends over a connection of its own.
    Inlet(Inlet),
    /// What the client of a tunnel sends once the host has agreed to it.
    Gate(Rc<Gate>),
    /// Of a gRPC-Web request in base64.
    Text(Box<grpc_web::Text>),
}

/// The body of an HTTP/1 request.
#[derive(Debug)]
pub(crate) struct Stretch {
    body: Incoming,
    /// Whether it has been asked for a piece.
    begun: bool,
    /// The waker of the connection that it comes on.
    hush: Hush,
}

impl Stretch {
    pub(crate) fn new(body: Incoming, hush: &Hush) -> Self {
        Self {
            body,
            begun: false,
            hush: hush.clone(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = self.hush.poll_body(&mut self.body, &mut self.begun, cx);
        polled.map_err(|error| broken_h1(&error))
    }
}

/// The body of an HTTP/2 stream. Its sender gets new credit only for what has been passed on.
#[derive(Debug)]
pub(crate) struct Inflow {
    stream: RecvStream,
    /// Bytes handed out and not yet credited: they are passed on when the next are asked for.
    owed: usize,
    /// Kept for as long as the stream lasts.
    hold: Option<crate::h2::Hold>,
}

impl Inflow {
    pub(crate) fn new(stream: RecvStream, hold: Option<crate::h2::Hold>) -> Self {
        Self {
            stream,
            owed: 0,
            hold,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let owed = std::mem::take(&mut self.owed);
        if owed > 0 {
            // An error says that the stream is gone, which the next line says too.
            let _ = self.stream.flow_control().release_capacity(owed);
        }
        match ready!(self.stream.poll_data(cx)) {
            Some(Ok(data)) => {
                self.owed = data.len();
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => match error.reason() {
                // The rest is not needed, and what came is all there is.
                Some(::h2::Reason::NO_ERROR) => Poll::Ready(None),
                _ => Poll::Ready(Some(Err(broken_h2(&error)))),
            },
            None => Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
                Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                Err(error) => Some(Err(broken_h2(&error))),
            }),
        }
    }
}

impl Payload {
    /// The body of a request, which its caller may have written in base64.
    pub(crate) fn decoded(self, web: Option<Web>) -> Self {
        match web {
            Some(Web { text: true, .. }) => Self::Text(Box::new(grpc_web::Text::new(self))),
            _ => self,
        }
    }

    /// Ready when the request whose answer this is has been sent to its end. For tunnels, whose two
    /// directions end on their own.
    pub(crate) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Inlet(inlet) => inlet.poll_sent(cx),
            Self::Two(Inflow {
                hold: Some(hold), ..
            }) => hold.poll_sent(cx),
            _ => Poll::Ready(()),
        }
    }
}

/// What an error of the h2 crate means to the other side.
pub(crate) fn broken_h2(error: &::h2::Error) -> Broken {
    match error.reason() {
        Some(reason) => Broken::Reset(Some(reason.into())),
        None => Broken::Reset(None),
    }
}

/// What an error of hyper means to the other side.
pub(crate) fn broken_h1(error: &hyper::Error) -> Broken {
    let cause = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    let wrong = cause.filter(|cause| {
        let kind = cause.kind();
        matches!(
            kind,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        )
    });
    match wrong {
        Some(wrong) => Broken::Protocol(wrong.to_string().into()),
        None if error.is_parse() => Broken::Protocol(error.to_string().into()),
        None => Broken::Reset(None),
    }
}

/// What the caller is answered whose request broke off, where that was its own fault.
pub(crate) fn blame(broken: &Broken) -> Option<Status> {
    match broken {
        Broken::Protocol(what) => {
            let text = format!("the body of the request is broken: {what}");
            Some(Status::new(Cause::BadRequest, text))
        }
        _ => None,
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Empty | Self::Upgraded(_) => Poll::Ready(None),
            Self::One(stretch) => stretch.poll_frame(cx),
            Self::Reply(reply) => reply.poll_frame(cx),
            Self::Two(inflow) => inflow.poll_frame(cx),
            Self::Inlet(inlet) => inlet.poll_data(cx).map_ok(Frame::data),
            Self::Gate(gate) => gate.poll_data(cx).map_ok(Frame::data),
            Self::Text(text) => text.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upgraded(_) | Self::Inlet(_) | Self::Gate(_) => false,
            Self::One(stretch) => stretch.body.is_end_stream(),
            Self::Reply(reply) => reply.is_end_stream(),
            Self::Two(inflow) => inflow.stream.is_end_stream(),
            Self::Text(text) => text.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::One(stretch) => stretch.body.size_hint(),
            Self::Reply(reply) => reply.size_hint(),
            Self::Two(_) | Self::Upgraded(_) | Self::Inlet(_) | Self::Gate(_) | Self::Text(_) => {
                SizeHint::default()
            }
        }
    }
}

//! One direction of an HTTP/2 stream: a body pulled only as far as its reader gives credit.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use ::h2::{Reason, SendStream};
use bytes::Bytes;
use crossdock_framework::stream::Broken;
use http_body::Body;

/// Why a body did not reach its reader.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The reader wants no more of it.
    Reset,
    /// The body itself broke.
    Broken(Broken),
}

/// What is watched while bytes move: whether the work is still wanted.
pub(super) trait Watch<B> {
    /// The longest piece that a stream may begin with before its reader has given credit: h2 gives a
    /// stream none before it is open, and most bodies are over by then.
    const AT_ONCE: usize = 0;

    /// Ready when the work is to be given up.
    fn poll(&mut self, body: &mut B, cx: &mut Context<'_>) -> Poll<Broken>;

    /// Bytes have been handed over.
    fn moved(&mut self, body: &B);
}

/// Sends a body, its trailers and its end.
pub(super) async fn pump<B, W>(
    body: &mut B,
    watch: &mut W,
    stream: &mut SendStream<Bytes>,
) -> Result<(), Stopped>
where
    B: Body<Data = Bytes, Error = Broken> + Unpin,
    W: Watch<B>,
{
    let mut at_once = W::AT_ONCE;
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(broken) = watch.poll(body, cx) {
                return Poll::Ready(Err(Stopped::Broken(broken)));
            }
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(Ok(frame));
            }
            stream.poll_reset(cx).map(|_| Err(Stopped::Reset))
        })
        .await?;
        let frame = match frame {
            None => {
                let sent = stream.send_data(Bytes::new(), true);
                return sent.map_err(|_| Stopped::Reset);
            }
            Some(Err(broken)) => return Err(Stopped::Broken(broken)),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) if data.len() <= std::mem::take(&mut at_once) => {
                if hand_over(data, body, watch, stream)? {
                    return Ok(());
                }
            }
            Ok(data) => {
                if send_data(data, body, watch, stream).await? {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return stream.send_trailers(trailers).map_err(|_| Stopped::Reset);
                }
            }
        }
    }
}

/// Sends one piece as credit comes in; `true` when it was the last.
async fn send_data<B, W>(
    mut data: Bytes,
    body: &mut B,
    watch: &mut W,
    stream: &mut SendStream<Bytes>,
) -> Result<bool, Stopped>
where
    B: Body<Data = Bytes, Error = Broken> + Unpin,
    W: Watch<B>,
{
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let mut credit = stream.capacity();
        if credit == 0 {
            credit = poll_fn(|cx| {
                if let Poll::Ready(broken) = watch.poll(body, cx) {
                    return Poll::Ready(Err(Stopped::Broken(broken)));
                }
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(credit))) => Poll::Ready(Ok(credit)),
                    Poll::Ready(_) => Poll::Ready(Err(Stopped::Reset)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await?;
        }
        let piece = data.split_to(credit.min(data.len()));
        if piece.is_empty() {
            continue;
        }
        if data.is_empty() {
            return hand_over(piece, body, watch, stream);
        }
        stream.send_data(piece, false).map_err(|_| Stopped::Reset)?;
        watch.moved(body);
    }
    Ok(false)
}

/// Sends all of a piece; `true` when it was the last.
fn hand_over<B, W>(
    piece: Bytes,
    body: &B,
    watch: &mut W,
    stream: &mut SendStream<Bytes>,
) -> Result<bool, Stopped>
where
    B: Body<Data = Bytes, Error = Broken> + Unpin,
    W: Watch<B>,
{
    let last = body.is_end_stream();
    if last || !piece.is_empty() {
        stream.send_data(piece, last).map_err(|_| Stopped::Reset)?;
        watch.moved(body);
    }
    Ok(last)
}

/// The HTTP/2 error that stands for a broken body.
pub(super) fn reason(broken: &Broken) -> Reason {
    match broken {
        Broken::Reset(Some(code)) => Reason::from(*code),
        Broken::Reset(None) | Broken::Protocol(_) => Reason::INTERNAL_ERROR,
        Broken::Timeout | Broken::Idle | Broken::Draining => Reason::CANCEL,
    }
}

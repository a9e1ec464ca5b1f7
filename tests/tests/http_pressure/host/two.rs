//! HTTP/2.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Error, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{PIECE, Service, Wish, add};

pub(super) async fn serve(service: Service, socket: TcpStream) {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24);
    if let Some(streams) = service.manner.streams {
        builder.max_concurrent_streams(streams);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else {
        return;
    };
    let places = Arc::new(());
    let mut served = 0;
    while let Some(Ok((request, respond))) = connection.accept().await {
        served += 1;
        let (service, place) = (service.clone(), Arc::clone(&places));
        let open = Arc::strong_count(&places) as u64 - 1;
        service.seen.streams.fetch_max(open, Ordering::SeqCst);
        if service.manner.goaway_after == Some(served) {
            connection.graceful_shutdown();
        }
        tokio::spawn(async move {
            call(&service, request, respond).await;
            drop(place);
        });
    }
}

async fn call(service: &Service, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    add(&service.seen.calls, 1);
    let wish = Wish::of(request.uri().path());
    if answer(service, wish, request, &mut respond).await.is_err() {
        add(&service.seen.broken, 1);
    }
}

async fn answer(
    service: &Service,
    wish: Wish,
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Error> {
    let (head, mut body) = request.into_parts();
    let grpc = head.headers.get(header::CONTENT_TYPE).cloned();
    let mut response = Response::new(());
    if let Some(kind) = grpc {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    match wish {
        Wish::Plain | Wish::Sink => {
            let count = read(service, &mut body).await?;
            sleep(service.manner.pause).await;
            let mut stream = respond.send_response(response, false)?;
            stream.send_data(Bytes::from(count.to_string()), false)?;
            end(&mut stream)
        }
        Wish::Bytes(size) => {
            let mut stream = respond.send_response(response, false)?;
            send(&mut stream, size).await?;
            end(&mut stream)
        }
        Wish::Early => {
            let mut stream = respond.send_response(response, false)?;
            // The crate says by a reset without error that the rest of the request is not wanted.
            stream.send_data(Bytes::from_static(b"early"), true)
        }
        Wish::Hang => poll_fn(|cx| respond.poll_reset(cx))
            .await
            .and_then(|_| broken()),
        Wish::Endless => {
            let mut stream = respond.send_response(response, false)?;
            loop {
                send(&mut stream, 1).await?;
                tokio::select! {
                    reset = poll_fn(|cx| stream.poll_reset(cx)) => return reset.and_then(|_| broken()),
                    () = sleep(Duration::from_millis(20)) => {}
                }
            }
        }
        Wish::Reset => {
            let mut stream = respond.send_response(response, false)?;
            send(&mut stream, 1000).await?;
            sleep(Duration::from_millis(20)).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
    }
}

fn broken() -> Result<(), Error> {
    Err(Reason::CANCEL.into())
}

fn end(stream: &mut SendStream<Bytes>) -> Result<(), Error> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}

async fn read(service: &Service, body: &mut RecvStream) -> Result<usize, Error> {
    let mut count = 0;
    loop {
        service.may_read().await;
        let Some(data) = body.data().await else {
            return Ok(count);
        };
        let data = data?;
        count += data.len();
        add(&service.seen.received, data.len());
        body.flow_control().release_capacity(data.len())?;
    }
}

async fn send(stream: &mut SendStream<Bytes>, mut size: usize) -> Result<(), Error> {
    while size > 0 {
        stream.reserve_capacity(size.min(PIECE.len()));
        let credit = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let credit = credit.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
        let piece = PIECE.slice(..credit.min(size).min(PIECE.len()));
        size -= piece.len();
        stream.send_data(piece, false)?;
    }
    Ok(())
}

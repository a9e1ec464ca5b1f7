//! Sockets of the admin endpoint, within limits.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Server, endpoints, reply::Reply};

/// What one connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; further ones wait in the kernel.
    pub(super) connections: usize,
    /// How long the head of a request may take, and how long a connection may wait for one.
    pub(super) head_time: Duration,
    /// How long a connection may live before it is closed after the answer at hand.
    pub(super) life: Duration,
    /// How long it may take from then on.
    pub(super) end: Duration,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        connections: 64,
        head_time: Duration::from_secs(15),
        life: Duration::from_secs(600),
        end: Duration::from_secs(30),
    };
}

/// The most octets of the head of a request; more are answered with 431.
const HEAD_MAX: usize = 16 * 1024;

/// How long to wait when the process is out of file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Serves the admin endpoint for ever. Ends the connections when it is dropped.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    serve_within(listener, server, Limits::DEFAULT).await;
}

pub(super) async fn serve_within(listener: TcpListener, server: Arc<Server>, limits: Limits) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < limits.connections => {
                match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(connection(socket, Arc::clone(&server), limits));
                    }
                    Err(error) => {
                        tracing::warn!("the admin endpoint cannot accept: {error}");
                        tokio::time::sleep(OUT_OF_FILES).await;
                    }
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(socket: TcpStream, server: Arc<Server>, limits: Limits) {
    let service = service_fn(|request: Request<Incoming>| {
        let server = &server;
        // The body is left unread: no page takes one, and hyper closes a connection whose
        // request was not read to its end.
        async move {
            let (method, uri) = (request.method(), request.uri());
            let reply = endpoints::answer(server, method, uri, request.headers());
            Ok::<_, Infallible>(response(reply))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(HEAD_MAX)
        // `printf … | nc` ends its side before it reads.
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let ended = tokio::time::timeout(limits.life, connection.as_mut()).await;
    if ended.is_err() {
        connection.as_mut().graceful_shutdown();
        // What has not ended by then is dropped, and with it the socket.
        let _ = tokio::time::timeout(limits.end, connection).await;
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let values = [
        (header::CONTENT_TYPE, reply.content_type),
        (header::CACHE_CONTROL, "no-cache, max-age=0"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

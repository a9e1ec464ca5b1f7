//! gRPC: a sample service that sends back what it gets, and a caller.

use std::{future::poll_fn, net::SocketAddr, sync::Arc};

use ::h2::{RecvStream, client, server};
use bytes::{Bytes, BytesMut};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    header::{HeaderName, HeaderValue},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{PATIENCE, Service, Told, accept, connect, text};

/// The interface of the service, for `grpcurl`.
pub(crate) const PROTO: &str = include_str!("chat.proto");

/// Messages that the streaming call sends and gets.
pub(crate) const MESSAGES: u8 = 3;

/// What a service calls itself in the head of an answer.
const SERVED_BY: HeaderName = HeaderName::from_static("served-by");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The statuses of gRPC that a service gives by itself.
const OK: HeaderValue = HeaderValue::from_static("0");
const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// Starts a gRPC service.
pub(crate) async fn start(service: Service) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Arc::new(service);
    tokio::spawn(async move {
        while let Some(socket) = accept(&listener).await {
            let service = Arc::clone(&service);
            tokio::spawn(serve(socket, service));
        }
    });
    Ok(address)
}

async fn serve(socket: TcpStream, service: Arc<Service>) {
    let Ok(mut connection) = server::handshake(socket).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let head = Response::builder().header("content-type", "application/grpc");
        if service.fails() {
            let head = head.header(STATUS, UNAVAILABLE).body(());
            // The caller may leave when it likes, here and below.
            let _ = respond.send_response(head.expect("a valid head"), true);
            continue;
        }
        let head = head.header(SERVED_BY, service.version).body(());
        let head = head.expect("a valid head");
        tokio::spawn(async move {
            let _ = echo(head, request, respond).await;
        });
    }
}

async fn echo(
    head: Response<()>,
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
) -> Result<(), ::h2::Error> {
    let mut stream = respond.send_response(head, false)?;
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        stream.send_data(data, false)?;
    }
    stream.send_trailers(HeaderMap::from_iter([(STATUS, OK)]))
}

/// A caller with one connection.
#[derive(Debug)]
pub(crate) struct Caller {
    sender: client::SendRequest<Bytes>,
    moving: JoinHandle<()>,
}

impl Caller {
    /// Connects to the gateway.
    pub(crate) async fn connect(gateway: SocketAddr) -> Result<Self, String> {
        let socket = connect(gateway).await?;
        let (sender, connection) = client::handshake(socket).await.map_err(text)?;
        let moving = tokio::spawn(async move {
            // How it ends is seen by the calls on it.
            let _ = connection.await;
        });
        Ok(Self { sender, moving })
    }

    /// Sends a message and waits for its answer.
    pub(crate) async fn say(
        &mut self,
        host: &str,
        path: &str,
        header: Option<(&str, &str)>,
    ) -> Result<Told, String> {
        let work = async {
            let (answer, mut stream) = self.begin(host, path, header).await?;
            stream.send_data(message("hello"), true).map_err(text)?;
            end(answer.await.map_err(text)?).await
        };
        let patient = tokio::time::timeout(PATIENCE, work).await;
        patient.map_err(|_| "no answer".to_owned())?
    }

    /// Chats: sends a message, waits for it to come back, and sends the next.
    pub(crate) async fn chat(&mut self, host: &str, path: &str) -> Result<Told, String> {
        let work = async {
            let (answer, mut stream) = self.begin(host, path, None).await?;
            let message = message("hello");
            stream.send_data(message.clone(), false).map_err(text)?;
            let mut answer = answer.await.map_err(text)?;
            for sent in 1..=MESSAGES {
                expect(answer.body_mut(), &message).await?;
                match sent == MESSAGES {
                    true => stream.send_data(Bytes::new(), true).map_err(text)?,
                    false => stream.send_data(message.clone(), false).map_err(text)?,
                }
            }
            end(answer).await
        };
        let patient = tokio::time::timeout(PATIENCE, work).await;
        patient.map_err(|_| "no answer".to_owned())?
    }

    async fn begin(
        &mut self,
        host: &str,
        path: &str,
        header: Option<(&str, &str)>,
    ) -> Result<(client::ResponseFuture, ::h2::SendStream<Bytes>), String> {
        let mut sender = self.sender.clone().ready().await.map_err(text)?;
        let mut request = Request::post(format!("http://{host}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(text)?;
        sender.send_request(request, false).map_err(text)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.moving.abort();
    }
}

/// Reads an answer to its end: how the call went.
async fn end(answer: Response<RecvStream>) -> Result<Told, String> {
    let (head, mut body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Ok(Told::failed(head.status.to_string()));
    }
    while let Some(data) = body.data().await {
        let length = data.map_err(text)?.len();
        let window = body.flow_control();
        window.release_capacity(length).map_err(text)?;
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await.map_err(text)?;
    let trailers = trailers.unwrap_or_default();
    // An answer without messages says it in its head.
    let status = trailers.get(STATUS).or_else(|| head.headers.get(STATUS));
    let status = status.and_then(|status| status.to_str().ok()?.parse().ok());
    let Some(status) = status else {
        return Ok(Told::failed("no grpc-status"));
    };
    let by = head.headers.get(SERVED_BY).filter(|_| status == 0);
    Ok(Told {
        outcome: format!("grpc-status {status} {}", status_name(status)),
        by: by.map(|by| String::from_utf8_lossy(by.as_bytes()).into_owned()),
    })
}

/// Waits for one message.
async fn expect(body: &mut RecvStream, message: &Bytes) -> Result<(), String> {
    let mut got = BytesMut::new();
    while got.len() < message.len() {
        let data = body.data().await.ok_or("the chat ended")?.map_err(text)?;
        let window = body.flow_control();
        window.release_capacity(data.len()).map_err(text)?;
        got.extend_from_slice(&data);
    }
    match got == *message {
        true => Ok(()),
        false => Err("another message came back".into()),
    }
}

/// A gRPC message: `Text { text }` of `chat.proto`.
fn message(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).expect("a short text");
    let mut message = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    message.extend_from_slice(text.as_bytes());
    message.into()
}

/// The names of gRPC's status codes.
fn status_name(status: u8) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(usize::from(status)).copied().unwrap_or("unknown")
}

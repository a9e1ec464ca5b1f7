//! The quickstart's HTTP and gRPC: two web services, a chat, and their callers.

use std::{future::poll_fn, net::SocketAddr, time::Duration};

use ::h2::{RecvStream, client, server};
use bytes::{Buf as _, Bytes, BytesMut};
use crossdock_framework::status::{Class, class_of_http};
use http_body_util::{Empty, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The interface of the chat, for `grpcurl`.
pub(super) const PROTO: &str = include_str!("chat.proto");

/// The host that the quickstart's callers name.
const HOST: &str = "localhost";

/// The longest that a call of the quickstart may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages that the streaming call sends and gets.
pub(super) const MESSAGES: u8 = 3;

/// Starts a web service of HTTP/1.1 that says that it is `version`.
pub(super) async fn start_web(version: &'static str) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = move |request: Request<Incoming>| async move {
        let text = format!("{} answered by {version}\n", request.uri().path());
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(text))))
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service_fn(answer));
            tokio::spawn(serving);
        }
    });
    Ok(address)
}

/// Starts a gRPC service whose methods send back what they get.
pub(super) async fn start_chat() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = server::handshake(socket).await else {
                    return;
                };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        // The caller may leave when it likes.
                        let _ = echo(request, respond).await;
                    });
                }
            });
        }
    });
    Ok(address)
}

async fn echo(
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
) -> Result<(), ::h2::Error> {
    let head = Response::builder().header("content-type", "application/grpc");
    let head = head.body(()).expect("a valid head");
    let mut stream = respond.send_response(head, false)?;
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        stream.send_data(data, false)?;
    }
    let status = hyper::header::HeaderValue::from_static("0");
    let name = hyper::header::HeaderName::from_static("grpc-status");
    stream.send_trailers(hyper::HeaderMap::from_iter([(name, status)]))
}

/// Asks for a page, with a header or without.
pub(super) async fn get(
    gateway: SocketAddr,
    host: &str,
    header: Option<(&str, &str)>,
) -> Result<Class, String> {
    let work = async {
        let socket = TcpStream::connect(gateway).await.map_err(text)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(text)?;
        let moving = tokio::spawn(connection);
        let mut request = Request::get("/hello").header("host", host);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(text)?;
        let response = sender.send_request(request).await.map_err(text)?;
        moving.abort();
        Ok(class_of_http(response.status().as_u16()))
    };
    let patient = tokio::time::timeout(PATIENCE, work).await;
    patient.map_err(|_| "no answer".to_owned())?
}

/// Chats: sends a message, waits for it to come back, and sends the next.
pub(super) async fn chat(gateway: SocketAddr) -> Result<Class, String> {
    let patient = tokio::time::timeout(PATIENCE, converse(gateway)).await;
    patient.map_err(|_| "no answer".to_owned())?
}

async fn converse(gateway: SocketAddr) -> Result<Class, String> {
    let socket = TcpStream::connect(gateway).await.map_err(text)?;
    let (sender, connection) = client::handshake(socket).await.map_err(text)?;
    let moving = tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(text)?;
    let request = Request::post(format!("http://{HOST}/com.acme.Chat/Talk"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(text)?;
    let (answer, mut stream) = sender.send_request(request, false).map_err(text)?;
    let message = message("hello");
    stream.send_data(message.clone(), false).map_err(text)?;
    let mut body = answer.await.map_err(text)?.into_body();
    for sent in 1..=MESSAGES {
        expect(&mut body, &message).await?;
        match sent == MESSAGES {
            true => stream.send_data(Bytes::new(), true).map_err(text)?,
            false => stream.send_data(message.clone(), false).map_err(text)?,
        }
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await.map_err(text)?;
    let status = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
    drop((stream, sender));
    moving.abort();
    match status {
        Some(status) if status == "0" => Ok(Class::Ok),
        other => Err(format!("the chat ended with grpc-status {other:?}")),
    }
}

/// Waits for one message.
async fn expect(body: &mut RecvStream, message: &Bytes) -> Result<(), String> {
    let mut got = BytesMut::new();
    while got.len() < message.len() {
        let data = body.data().await.ok_or("the chat ended")?.map_err(text)?;
        body.flow_control()
            .release_capacity(data.len())
            .map_err(text)?;
        got.extend_from_slice(data.chunk());
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

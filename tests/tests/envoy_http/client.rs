//! A client of both versions: one connection for each request, so that no answer depends on another.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::{
    ask::{Ask, Field, Told, Version},
    wire::Reader,
};

/// Longer than any time limit of these tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a request and reads all of its answer.
pub(crate) async fn ask(to: SocketAddr, ask: &Ask) -> Told {
    let asked = async {
        match ask.version {
            Version::One => one(to, ask).await,
            Version::Two => two(to, ask).await,
        }
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => Told {
            broken: true,
            ..Told::default()
        },
        Err(_) => panic!("no answer in time to {ask}"),
    }
}

async fn one(to: SocketAddr, ask: &Ask) -> io::Result<Told> {
    let mut socket = TcpStream::connect(to).await?;
    let mut head = format!("{} {} {}\r\n", ask.method, ask.path, ask.protocol);
    if !ask.authority.is_empty() {
        head.push_str(&format!("host: {}\r\n", ask.authority));
    }
    for (name, value) in &ask.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !ask.body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", ask.body.len()));
    }
    head.push_str("\r\n");
    head.push_str(&ask.body);
    socket.write_all(head.as_bytes()).await?;
    let mut reader = Reader::new(socket);
    let mut told = Told::default();
    let head = loop {
        let Some(head) = reader.head().await? else {
            told.broken = true;
            return Ok(told);
        };
        let status = head.line.split(' ').nth(1).and_then(|it| it.parse().ok());
        told.status = status.unwrap_or_default();
        match told.status {
            102..=199 | 100 => told.interim.push(told.status),
            _ => break head,
        }
    };
    told.headers = head.headers.clone();
    if ask.method != "HEAD" && !matches!(told.status, 101 | 204 | 304) {
        let (body, trailers, complete) = reader.body(&head, true).await?;
        (told.body, told.trailers, told.broken) = (body, trailers, !complete);
    }
    Ok(told)
}

async fn two(to: SocketAddr, ask: &Ask) -> io::Result<Told> {
    let socket = TcpStream::connect(to).await?;
    let (sender, connection) = h2::client::handshake(socket)
        .await
        .map_err(io::Error::other)?;
    let driven = tokio::spawn(connection);
    let told = stream(sender, ask).await;
    driven.abort();
    told
}

async fn stream(sender: h2::client::SendRequest<Bytes>, ask: &Ask) -> io::Result<Told> {
    let mut sender = sender.ready().await.map_err(io::Error::other)?;
    let mut request = Request::builder()
        .method(ask.method.as_str())
        .version(http::Version::HTTP_2);
    request = match ask.method.as_str() {
        "CONNECT" => request.uri(&ask.authority),
        _ => request.uri(format!("http://{}{}", ask.authority, ask.path)),
    };
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(io::Error::other)?;
    let (response, mut body) = sender
        .send_request(request, ask.body.is_empty())
        .map_err(io::Error::other)?;
    if !ask.body.is_empty() {
        // It may have been answered, and reset, before.
        let _ = body.send_data(Bytes::from(ask.body.clone()), true);
    }
    let mut told = Told::default();
    let Ok(response) = response.await else {
        told.broken = true;
        return Ok(told);
    };
    let (head, mut body) = response.into_parts();
    told.status = head.status.as_u16();
    told.headers = fields(&head.headers);
    while let Some(data) = body.data().await {
        let Ok(data) = data else {
            told.broken = true;
            return Ok(told);
        };
        told.body.push_str(&String::from_utf8_lossy(&data));
        let _ = body.flow_control().release_capacity(data.len());
    }
    match body.trailers().await {
        Ok(trailers) => told.trailers = trailers.as_ref().map(fields).unwrap_or_default(),
        Err(_) => told.broken = true,
    }
    Ok(told)
}

/// All headers in their order.
pub(crate) fn fields(headers: &HeaderMap) -> Vec<Field> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

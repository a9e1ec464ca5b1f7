//! Clients and hosts in the hands of a test: bytes for HTTP/1, the h2 crate for HTTP/2.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use crossdock_framework::worker::spawn;
use h2::{
    RecvStream,
    client::SendRequest,
    server::{Connection, SendResponse},
};
use http::{HeaderMap, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::rig::{PATIENCE, QUIET, listener};

/// One message of HTTP/1 as it was read from the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request or status line.
    pub(crate) start: String,
    /// In order, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// The only value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let first = values.next();
        assert_eq!(values.next(), None, "several {name}: {self:?}");
        first.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// A fake host. What it does to its connections is up to the test.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Host {
    pub(crate) fn bind() -> Self {
        let listener = listener();
        let address = listener.local_addr().expect("bound");
        Self { address, listener }
    }

    /// An address where nobody listens.
    pub(crate) fn absent() -> Self {
        let mut host = Self::bind();
        host.listener = listener();
        host
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        Peer::new(accepted.expect("a connection comes").expect("accepts").0)
    }

    /// The next connection, which speaks HTTP/2.
    pub(crate) async fn accept_h2(&self) -> H2Host {
        H2Host::shake(self.accept().await, &h2::server::Builder::new()).await
    }

    /// Whether a connection waits to be accepted.
    pub(crate) async fn is_called(&self) -> bool {
        timeout(QUIET, self.listener.accept()).await.is_ok()
    }
}

/// One end of a connection, in the hands of a test.
pub(crate) struct Peer {
    pub(crate) io: TcpStream,
    buf: BytesMut,
}

impl Peer {
    pub(crate) fn new(io: TcpStream) -> Self {
        io.set_nodelay(true).expect("a TCP socket");
        let buf = BytesMut::new();
        Self { io, buf }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.expect("it listens"))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let written = timeout(PATIENCE, self.io.write_all(bytes.as_ref())).await;
        written
            .expect("the peer reads")
            .expect("the connection stands");
    }

    /// Sends no more, and goes on to read.
    pub(crate) async fn half_close(&mut self) {
        self.io.shutdown().await.expect("the connection stands");
    }

    /// Everything until the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while timeout(PATIENCE, self.more()).await.expect("an end comes") {}
        self.buf.split().to_vec()
    }

    async fn more(&mut self) -> bool {
        matches!(self.io.read_buf(&mut self.buf).await, Ok(1..))
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buf.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buf.split_to(at);
                let _ = self.buf.split_to(2);
                return String::from_utf8_lossy(&line).into_owned();
            }
            let more = timeout(PATIENCE, self.more()).await.expect("a line comes");
            assert!(more, "the connection ends within {:?}", self.buf);
        }
    }

    /// So many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buf.len() < count {
            let more = timeout(PATIENCE, self.more()).await.expect("bytes come");
            assert!(more, "the connection ends after {:?}", self.buf);
        }
        self.buf.split_to(count).to_vec()
    }

    async fn fields(&mut self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return fields;
            }
            let (name, value) = line.split_once(':').expect("a field");
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The head of the next message.
    pub(crate) async fn head(&mut self) -> Message {
        Message {
            start: self.line().await,
            fields: self.fields().await,
            ..Message::default()
        }
    }

    /// The next message, its body by its own words.
    pub(crate) async fn message(&mut self) -> Message {
        let mut message = self.head().await;
        if message.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                message.body.extend_from_slice(&chunk);
            }
            message.trailers = self.fields().await;
        } else if let Some(length) = message.field("content-length") {
            let length = length.parse().expect("a length");
            message.body = self.bytes(length).await;
        }
        message
    }

    /// The next message, or nothing when the other side has closed.
    pub(crate) async fn next_message(&mut self) -> Option<Message> {
        while self.buf.is_empty() {
            if !self.more().await {
                return None;
            }
        }
        Some(self.message().await)
    }

    /// One chunk, or nothing for the last, whose trailers follow.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().await, 16).expect("a chunk's size");
        if size == 0 {
            return None;
        }
        let chunk = self.bytes(size).await;
        assert_eq!(self.bytes(2).await, b"\r\n");
        Some(chunk)
    }

    /// A request, and its answer.
    pub(crate) async fn call(&mut self, request: &str) -> Message {
        self.send(request).await;
        self.message().await
    }

    /// Asserts that the other side closes without another byte.
    pub(crate) async fn closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }

    /// Asserts that nothing comes.
    pub(crate) async fn silent(&mut self) {
        assert!(self.buf.is_empty(), "{:?}", self.buf);
        if let Ok(more) = timeout(QUIET, self.more()).await {
            panic!("unexpected: {more} {:?}", self.buf);
        }
    }
}

/// A client that speaks HTTP/2.
pub(crate) struct H2Client {
    pub(crate) sender: SendRequest<Bytes>,
}

impl H2Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let peer = Peer::connect(address).await;
        let shaken = h2::client::handshake(peer.io).await;
        let (sender, connection) = shaken.expect("HTTP/2 begins");
        spawn(async move {
            let _ = connection.await;
        });
        Self { sender }
    }

    /// Sends a request whose body and trailers are complete.
    pub(crate) async fn call(
        &mut self,
        request: http::request::Builder,
        body: &'static str,
        trailers: Option<HeaderMap>,
    ) -> H2Answer {
        let request = request.body(()).expect("a request");
        let mut sender = self
            .sender
            .clone()
            .ready()
            .await
            .expect("the connection stands");
        let over = body.is_empty() && trailers.is_none();
        let (answer, mut stream) = sender.send_request(request, over).expect("it is sent");
        if !over {
            let last = trailers.is_none();
            stream
                .send_data(Bytes::from_static(body.as_bytes()), last)
                .expect("it is sent");
            if let Some(trailers) = trailers {
                stream.send_trailers(trailers).expect("they are sent");
            }
        }
        let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
        H2Answer::read(answer.expect("the stream stands")).await
    }

    pub(crate) async fn get(&mut self, uri: &str) -> H2Answer {
        self.call(Request::get(uri), "", None).await
    }
}

/// What came on a stream.
#[derive(Debug)]
pub(crate) struct H2Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Vec<u8>, h2::Error>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2Answer {
    pub(crate) async fn read(answer: http::Response<RecvStream>) -> Self {
        let (head, stream) = answer.into_parts();
        let (body, trailers) = drain(stream).await;
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers,
        }
    }

    pub(crate) fn text(&self) -> &str {
        let body = self.body.as_ref().expect("a whole body");
        std::str::from_utf8(body).expect("a text")
    }
}

/// All of a stream.
pub(crate) async fn drain(
    mut stream: RecvStream,
) -> (Result<Vec<u8>, h2::Error>, Option<HeaderMap>) {
    let mut body = Vec::new();
    loop {
        let data = timeout(PATIENCE, stream.data()).await.expect("data comes");
        match data {
            Some(Ok(data)) => {
                let _ = stream.flow_control().release_capacity(data.len());
                body.extend_from_slice(&data);
            }
            Some(Err(error)) => return (Err(error), None),
            None => break,
        }
    }
    match timeout(PATIENCE, stream.trailers())
        .await
        .expect("an end comes")
    {
        Ok(trailers) => (Ok(body), trailers),
        Err(error) => (Err(error), None),
    }
}

/// A host's connection that speaks HTTP/2.
pub(crate) struct H2Host {
    streams: mpsc::Receiver<(Request<RecvStream>, SendResponse<Bytes>)>,
    orders: mpsc::Sender<Order>,
}

enum Order {
    GoAway,
}

impl H2Host {
    pub(crate) async fn shake(peer: Peer, builder: &h2::server::Builder) -> Self {
        let shaken = timeout(PATIENCE, builder.handshake(peer.io)).await;
        let connection = shaken.expect("HTTP/2 begins").expect("HTTP/2");
        let (to, streams) = mpsc::channel(64);
        let (orders, from) = mpsc::channel(4);
        spawn(serve(connection, to, from));
        Self { streams, orders }
    }

    /// The next stream.
    pub(crate) async fn stream(&mut self) -> (Request<RecvStream>, SendResponse<Bytes>) {
        let next = timeout(PATIENCE, self.streams.recv()).await;
        next.expect("a stream comes")
            .expect("the connection stands")
    }

    /// The next stream, or nothing when the connection has ended.
    pub(crate) async fn next_stream(
        &mut self,
    ) -> Option<(Request<RecvStream>, SendResponse<Bytes>)> {
        self.streams.recv().await
    }

    /// Whether the connection has ended without another stream.
    pub(crate) async fn ended(&mut self) -> bool {
        matches!(timeout(PATIENCE, self.streams.recv()).await, Ok(None))
    }

    pub(crate) async fn go_away(&self) {
        self.orders.send(Order::GoAway).await.expect("it stands");
    }
}

async fn serve(
    mut connection: Connection<TcpStream, Bytes>,
    to: mpsc::Sender<(Request<RecvStream>, SendResponse<Bytes>)>,
    mut from: mpsc::Receiver<Order>,
) {
    loop {
        tokio::select! {
            order = from.recv() => match order {
                Some(Order::GoAway) => connection.graceful_shutdown(),
                None => return,
            },
            next = connection.accept() => match next {
                Some(Ok(stream)) => {
                    if to.send(stream).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

/// An answer with a body that is complete.
pub(crate) fn reply(
    respond: &mut SendResponse<Bytes>,
    status: u16,
    body: &'static str,
    trailers: Option<HeaderMap>,
) {
    let head = http::Response::builder()
        .status(status)
        .body(())
        .expect("an answer");
    let over = body.is_empty() && trailers.is_none();
    let mut stream = respond.send_response(head, over).expect("it stands");
    if over {
        return;
    }
    let last = trailers.is_none();
    stream
        .send_data(Bytes::from_static(body.as_bytes()), last)
        .expect("it stands");
    if let Some(trailers) = trailers {
        stream.send_trailers(trailers).expect("it stands");
    }
}

/// Fields of a message.
pub(crate) fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, http::HeaderValue::from_static(value));
    }
    map
}

//! Clients that read as fast as a test says.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Messages of HTTP/1.1 on a socket.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
}

/// The head of a message.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) first: String,
    /// In lower case.
    fields: Vec<String>,
}

/// What is left of a body.
#[derive(Debug)]
pub(crate) enum Body {
    Exactly(usize),
    /// What is left of the chunk at hand, with its end.
    Chunks(usize),
    UntilClosed,
    Over,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find_map(|field| Some(field.strip_prefix(name)?.strip_prefix(':')?.trim()))
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn body(&self, request: bool) -> Body {
        let length = self.field("content-length").map(str::parse);
        match (self.field("transfer-encoding"), length) {
            (Some(_), _) => Body::Chunks(0),
            (None, Some(Ok(length))) => Body::Exactly(length),
            _ if request => Body::Over,
            _ => Body::UntilClosed,
        }
    }
}

impl Wire {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self::new(socket))
    }

    /// Waits until something has been read.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<()> {
        self.buffer.reserve(4096);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// Waits until the peer is gone.
    pub(crate) async fn closed(&mut self) -> io::Error {
        loop {
            if let Err(error) = self.more().await {
                return error;
            }
        }
    }

    async fn through(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|at| at == end);
            if let Some(at) = found {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        let octets = self.through(b"\r\n\r\n").await?;
        let text = String::from_utf8_lossy(&octets).to_lowercase();
        let mut lines = text.lines().map(str::to_owned);
        Ok(Head {
            first: lines.next().unwrap_or_default(),
            fields: lines.collect(),
        })
    }

    /// Reads something of a body, and tells how much.
    pub(crate) async fn piece(&mut self, body: &mut Body) -> io::Result<Option<usize>> {
        match body {
            Body::Over | Body::Exactly(0) => Ok(None),
            Body::UntilClosed => match self.fill().await {
                Ok(()) => Ok(Some(self.take(usize::MAX))),
                Err(_) => Ok(None),
            },
            Body::Exactly(left) => {
                self.fill().await?;
                let taken = self.take(*left);
                *left -= taken;
                Ok(Some(taken))
            }
            Body::Chunks(left) => {
                if *left == 0 {
                    let line = self.through(b"\r\n").await?;
                    let text = String::from_utf8_lossy(&line);
                    let size = usize::from_str_radix(text.trim(), 16);
                    let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
                    if size == 0 {
                        // Trailers, if any, and an empty line.
                        while self.through(b"\r\n").await?.len() > 2 {}
                        *body = Body::Over;
                        return Ok(None);
                    }
                    *left = size;
                }
                self.fill().await?;
                let taken = self.take(*left);
                *left -= taken;
                if *left == 0 {
                    self.through(b"\r\n").await?;
                }
                Ok(Some(taken))
            }
        }
    }

    fn take(&mut self, most: usize) -> usize {
        let count = self.buffer.len().min(most);
        self.buffer.drain(..count);
        count
    }

    /// The length of the rest of a body.
    pub(crate) async fn rest(&mut self, body: &mut Body) -> io::Result<usize> {
        let mut count = 0;
        while let Some(piece) = self.piece(body).await? {
            count += piece;
        }
        Ok(count)
    }

    /// Sends the head of a request.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        length: Option<usize>,
    ) -> io::Result<()> {
        let body = match (length, method) {
            (Some(length), _) => format!("content-length: {length}\r\n"),
            (None, "POST" | "PUT") => "transfer-encoding: chunked\r\n".to_owned(),
            (None, _) => String::new(),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: pressure\r\n{body}\r\n");
        self.socket.write_all(head.as_bytes()).await
    }

    /// One whole call: its status and the length of its answer.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> io::Result<(u16, usize)> {
        let length = (method != "GET").then_some(body.len());
        self.ask(method, path, length).await?;
        self.socket.write_all(body).await?;
        let head = self.head().await?;
        let mut body = head.body(false);
        Ok((head.status(), self.rest(&mut body).await?))
    }
}

/// A connection of HTTP/2. It ends at once when dropped.
#[derive(Debug)]
pub(crate) struct Two {
    pub(crate) sender: SendRequest<Bytes>,
    task: JoinHandle<()>,
}

impl Drop for Two {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Two {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, h2::Error> {
        Self::with_window(address, 65_535).await
    }

    /// Every stream has this window; the connection's own is never in the way.
    pub(crate) async fn with_window(address: SocketAddr, window: u32) -> Result<Self, h2::Error> {
        let socket = Wire::connect(address).await;
        let socket = socket.map_err(|_| h2::Reason::CONNECT_ERROR)?.socket;
        let shaken = h2::client::Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size((1 << 31) - 1)
            .handshake(socket)
            .await;
        let (sender, connection) = shaken?;
        let task = tokio::spawn(async move {
            // The calls say what became of them.
            let _ = connection.await;
        });
        Ok(Self { sender, task })
    }

    /// Begins a call.
    pub(crate) async fn begin(
        &self,
        method: &str,
        path: &str,
        over: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://pressure{path}"))
            .version(Version::HTTP_2)
            .body(())
            .expect("a request");
        let mut sender = self.sender.clone().ready().await?;
        sender.send_request(request, over)
    }

    /// One whole call: its status and the length of its answer.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(u16, usize), h2::Error> {
        let (answer, mut stream) = self.begin(method, path, method == "GET").await?;
        if method != "GET" {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        let (head, mut body) = answer.await?.into_parts();
        Ok((head.status.as_u16(), rest(&mut body).await?))
    }
}

/// Reads something of a body, and tells how much.
pub(crate) async fn piece(body: &mut RecvStream) -> Result<Option<usize>, h2::Error> {
    let Some(data) = body.data().await else {
        return Ok(None);
    };
    let count = data?.len();
    body.flow_control().release_capacity(count)?;
    Ok(Some(count))
}

/// The length of the rest of a body.
pub(crate) async fn rest(body: &mut RecvStream) -> Result<usize, h2::Error> {
    let mut count = 0;
    while let Some(piece) = piece(body).await? {
        count += piece;
    }
    Ok(count)
}

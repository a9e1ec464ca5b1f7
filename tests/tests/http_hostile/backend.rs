//! A host that reads requests by the letter and remembers them, or answers what a test wants.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a host saw: a request, or what is wrong with it.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// A host in threads of its own, which end with their connections.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    seen: Seen,
}

/// What becomes of a connection.
type Serve = dyn Fn(TcpStream, &Seen) + Send + Sync;

impl Backend {
    /// Answers everything, and remembers each request as `METHOD target body`.
    pub(crate) fn recording() -> Self {
        Self::serving(record)
    }

    pub(crate) fn serving(serve: impl Fn(TcpStream, &Seen) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Seen::default();
        let serve: Arc<Serve> = Arc::new(serve);
        let all = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, seen) = (Arc::clone(&serve), Arc::clone(&all));
                thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                    serve(stream, &seen);
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was seen since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("no thread panics"))
    }
}

/// Bytes of a connection that have been read.
pub(crate) struct Reader {
    pub(crate) stream: TcpStream,
    buf: Vec<u8>,
    ended: bool,
}

impl Reader {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buf: Vec::new(),
            ended: false,
        }
    }

    /// More bytes; `false` at the end.
    fn more(&mut self) -> bool {
        let mut space = [0; 16 * 1024];
        match self.stream.read(&mut space) {
            Ok(count @ 1..) => {
                self.buf.extend_from_slice(&space[..count]);
                true
            }
            Ok(_) => {
                self.ended = true;
                false
            }
            Err(error) => {
                self.ended = error.kind() == std::io::ErrorKind::ConnectionReset;
                false
            }
        }
    }

    /// Whether the end of the connection was seen, as opposed to silence.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Everything until the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buf)
    }

    /// Up to and without the next CRLF; nothing at the end.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            let found = self.buf[searched..]
                .windows(2)
                .position(|two| two == b"\r\n");
            if let Some(at) = found {
                let end = searched + at;
                let line = self.buf[..end].to_vec();
                self.buf.drain(..end + 2);
                return Some(line);
            }
            searched = self.buf.len().saturating_sub(1);
            if !self.more() {
                return None;
            }
        }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buf.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.buf.drain(..count).collect())
    }

    /// Whether bytes are left that nobody has asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    pub(crate) fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(fields);
            }
            let line: String = line.iter().copied().map(char::from).collect();
            let (name, value) = line.split_once(':').unwrap_or((&line, "?"));
            fields.push((
                name.to_ascii_lowercase(),
                value.trim_matches(' ').to_owned(),
            ));
        }
    }

    /// A body, by what its head says; `Err` if it breaks off.
    pub(crate) fn body(&mut self, fields: &[(String, String)]) -> Result<Vec<u8>, Vec<u8>> {
        let value = |name: &str| {
            let found = fields.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        if value("transfer-encoding") == Some("chunked") {
            return self.chunks(true);
        }
        match value("content-length").map(str::parse) {
            Some(Ok(length)) => self
                .bytes(length)
                .ok_or_else(|| std::mem::take(&mut self.buf)),
            _ => Ok(Vec::new()),
        }
    }

    /// As [`Reader::body`], and nothing of trailers.
    pub(crate) fn chunked_or_counted(
        &mut self,
        fields: &[(String, String)],
    ) -> Result<Vec<u8>, Vec<u8>> {
        let chunked = ("transfer-encoding".to_owned(), "chunked".to_owned());
        match fields.contains(&chunked) {
            true => self.chunks(false),
            false => self.body(fields),
        }
    }

    fn chunks(&mut self, with_trailers: bool) -> Result<Vec<u8>, Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line().ok_or_else(|| body.clone())?;
            let size = std::str::from_utf8(&size).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let Some(size @ 1..) = size else {
                let trailers = self.fields().ok_or_else(|| body.clone())?;
                for (name, value) in trailers.iter().filter(|_| with_trailers) {
                    body.extend_from_slice(format!("|{name}={value}").as_bytes());
                }
                return Ok(body);
            };
            body.extend(self.bytes(size).ok_or_else(|| body.clone())?);
            if self.bytes(2).as_deref() != Some(b"\r\n") {
                return Err(body);
            }
        }
    }
}

fn record(stream: TcpStream, seen: &Seen) {
    let mut reader = Reader::new(stream);
    while let Some(start) = reader.line() {
        let start = String::from_utf8_lossy(&start).into_owned();
        let Some(fields) = reader.fields() else {
            seen.lock()
                .expect("no thread panics")
                .push(format!("{start} (no head)"));
            return;
        };
        let body = reader.body(&fields);
        let whole = body.is_ok();
        let body = String::from_utf8_lossy(&body.unwrap_or_else(|part| part)).into_owned();
        let method = start.strip_suffix(" HTTP/1.1").unwrap_or("?").to_owned();
        let mut told = [method, body].join(" ");
        if !whole {
            told.push_str(" (broken off)");
        }
        if let Some(wrong) = wrong(&start, &fields) {
            told.push_str(&format!(" ({wrong})"));
        }
        seen.lock().expect("no thread panics").push(told);
        if !whole {
            return;
        }
        // What a host saw of a request's fields is told back where the target asks for it.
        let text = match start.contains("/fields") {
            true => fields
                .iter()
                .map(|(name, value)| format!("{name}={value};"))
                .collect(),
            false => String::from("ok"),
        };
        let head = start.starts_with("HEAD ");
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
            text.len(),
            if head { "" } else { &text }
        );
        if reader.stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
    if !reader.is_empty() {
        seen.lock()
            .expect("no thread panics")
            .push("(bytes without an end)".to_owned());
    }
}

/// What no request of a gateway may look like.
fn wrong(start: &str, fields: &[(String, String)]) -> Option<String> {
    let count = |name: &str| fields.iter().filter(|(known, _)| known == name).count();
    if start.split(' ').count() != 3 || !start.ends_with(" HTTP/1.1") {
        return Some(format!("a bad first line: {start}"));
    }
    if count("host") != 1 {
        return Some(format!("{} host fields", count("host")));
    }
    if count("content-length") + count("transfer-encoding") > 1 {
        return Some("its length is said twice".to_owned());
    }
    let hops = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "expect",
    ];
    if let Some(hop) = hops.iter().find(|hop| count(hop) > 0) {
        return Some(format!("a field of the connection: {hop}"));
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let bad = fields.iter().find(|(name, value)| {
        name.is_empty()
            || !name.bytes().all(token)
            || value.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f')
    });
    bad.map(|(name, _)| format!("a bad field: {name:?}"))
}

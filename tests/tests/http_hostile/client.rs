//! A client that sends bytes.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::backend::Reader;

/// How long an answer or the end of a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection in the hands of a test.
pub(crate) struct Client {
    reader: Reader,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let reader = Reader::new(stream);
        Self { reader }
    }

    /// Sends bytes, as far as the other side takes them.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.reader.stream.write_all(bytes);
    }

    pub(crate) fn half_close(&mut self) {
        let _ = self.reader.stream.shutdown(Shutdown::Write);
    }

    /// The next answer, or nothing at the end of the connection.
    pub(crate) fn answer(&mut self, head: bool) -> Option<Answer> {
        let start = String::from_utf8_lossy(&self.reader.line()?).into_owned();
        let status = start
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5)?.parse().ok());
        let fields = self.reader.fields()?;
        let status = status.unwrap_or(0);
        let empty = head || (100..200).contains(&status) || matches!(status, 204 | 304);
        let body = match empty {
            true => Ok(Vec::new()),
            false => self.reader.body(&fields),
        };
        Some(Answer {
            status,
            fields,
            whole: body.is_ok(),
            body: String::from_utf8_lossy(&body.unwrap_or_else(|part| part)).into_owned(),
        })
    }

    /// Whether the end of the connection was seen, as opposed to silence.
    pub(crate) fn ended(&self) -> bool {
        self.reader.ended()
    }

    /// A request, and its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes());
        self.answer(request.starts_with("HEAD "))
            .expect("an answer comes")
    }

    /// Everything until the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.reader.rest()
    }
}

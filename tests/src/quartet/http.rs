//! HTTP/1.1, octet by octet.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

use super::{Answer, Deed, Log, PATIENCE, Protocol, SLOW, silence};

/// The longest head that is read.
const HEAD: usize = 64 * 1024;

/// A host. Ends when dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    pub(super) fn start(log: Arc<Log>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("bound");
        let (stop, streams) = (
            Arc::<AtomicBool>::default(),
            Arc::<Mutex<Vec<_>>>::default(),
        );
        let (ends, all) = (Arc::clone(&stop), Arc::clone(&streams));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let _ = stream.set_nodelay(true);
                if let Ok(stream) = stream.try_clone() {
                    all.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(stream);
                }
                let log = Arc::clone(&log);
                thread::spawn(move || serve(stream, &log));
            }
        });
        Self {
            address,
            stop,
            streams,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // So that the listener's thread looks up and ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, log: &Log) {
    let mut unread = Vec::new();
    while let Ok(Some(head)) = head(&mut stream, &mut unread) {
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".as_slice();
        let said = match log.take(|name| field(&head, name)) {
            Deed::Answer => good,
            Deed::Slow => {
                thread::sleep(SLOW);
                good
            }
            Deed::Fail => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            // Until the gateway gives it up.
            Deed::Hang => b"",
            Deed::Cut | Deed::Reset => break,
            Deed::Babble => {
                let _ = stream.write_all(b"no answer begins like this\r\n\r\n");
                break;
            }
        };
        if stream.write_all(said).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// The next head, in lower case; nothing at the end of the connection.
fn head(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        let end = unread.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head: Vec<u8> = unread.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8_lossy(&head).to_lowercase()));
        }
        let mut block = [0; 4096];
        match stream.read(&mut block)? {
            0 => return Ok(None),
            _ if unread.len() > HEAD => return Err(io::ErrorKind::InvalidData.into()),
            size => unread.extend(&block[..size]),
        }
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(found, value)| (found == name).then_some(value.trim()))
}

/// A caller with one connection, and a fresh one after that has ended.
#[derive(Debug)]
pub(super) struct Caller {
    gateway: SocketAddr,
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Caller {
    pub(super) fn connect(gateway: SocketAddr) -> Self {
        Self {
            gateway,
            stream: open(gateway),
            unread: Vec::new(),
        }
    }

    fn send(&mut self, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut request = format!(
            "GET /echo HTTP/1.1\r\nhost: {}\r\n",
            Protocol::Http.service()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.stream.write_all(request.as_bytes())
    }

    pub(super) fn call(&mut self, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let answered = match self.send(headers) {
            Ok(()) => self.answer()?,
            Err(_) => Answer::Gone,
        };
        if answered == Answer::Gone {
            self.stream = open(self.gateway);
            self.unread.clear();
        }
        Ok(answered)
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let head = match head(&mut self.stream, &mut self.unread) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Answer::Gone),
            Err(error) if waited(&error) => return Err(silence()),
            Err(_) => return Ok(Answer::Gone),
        };
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let length = field(&head, "content-length").and_then(|length| length.parse().ok());
        if !self.body(length.unwrap_or(0))? {
            return Ok(Answer::Gone);
        }
        if field(&head, "connection") == Some("close") {
            self.stream = open(self.gateway);
            self.unread.clear();
        }
        Ok(match status {
            Some(200) => Answer::Good,
            status => Answer::Failed(status.unwrap_or(0)),
        })
    }

    /// Reads a body; `false` when it breaks off.
    fn body(&mut self, length: usize) -> io::Result<bool> {
        while self.unread.len() < length {
            let mut block = [0; 4096];
            match self.stream.read(&mut block) {
                Ok(0) => return Ok(false),
                Ok(size) => self.unread.extend(&block[..size]),
                Err(error) if waited(&error) => return Err(silence()),
                Err(_) => return Ok(false),
            }
        }
        self.unread.drain(..length);
        Ok(true)
    }

    pub(super) fn leave(mut self, headers: &[(&str, &str)]) {
        let _ = self.send(headers);
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    pub(super) fn babble(mut self) -> Answer {
        let _ = self
            .stream
            .write_all(b"no request begins like this\r\n\r\n");
        self.answer().unwrap_or(Answer::Good)
    }
}

fn waited(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn open(gateway: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(gateway).unwrap_or_else(|error| panic!("{error}"));
    stream.set_nodelay(true).expect("a TCP socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

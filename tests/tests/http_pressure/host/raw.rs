//! An HTTP/2 host that takes back some of the streams it has accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const PREFACE: usize = 24;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// HPACK's static field `:status 200`.
const OK: [u8; 1] = [0x88];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// How long it takes all streams after it has taken some back: nobody is meant to be unlucky three times.
const PEACE: Duration = Duration::from_millis(400);

/// Collects streams, then says GOAWAY with a last stream below some of them and answers the others.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    goaways: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Host {
    /// Collects `streams` on one connection whose requests are complete, and answers `answered` of them. Where
    /// fewer come, it answers them after a while.
    pub(crate) async fn start(streams: usize, answered: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let goaways = Arc::new(AtomicU64::new(0));
        let service = Service {
            streams,
            answered,
            goaways: Arc::clone(&goaways),
            last: Arc::new(Mutex::new(Instant::now())),
        };
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    // The other side says what became of its calls.
                    let _ = service.serve(socket).await;
                });
            }
        });
        Self {
            address,
            goaways,
            task,
        }
    }

    pub(crate) fn said_goaway(&self) -> u64 {
        self.goaways.load(Ordering::SeqCst)
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

async fn read(socket: &mut TcpStream) -> io::Result<Frame> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, s @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    socket.read_exact(&mut payload).await?;
    Ok(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(s) & (u32::MAX >> 1),
        payload,
    })
}

fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a small frame");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

fn answer(out: &mut Vec<u8>, stream: u32) {
    write(out, HEADERS, END_HEADERS | END_STREAM, stream, &OK);
}

#[derive(Clone)]
struct Service {
    streams: usize,
    answered: usize,
    goaways: Arc<AtomicU64>,
    last: Arc<Mutex<Instant>>,
}

impl Service {
    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.read_exact(&mut [0; PREFACE]).await?;
        let mut out = Vec::new();
        write(&mut out, SETTINGS, 0, 0, &[]);
        socket.write_all(&out).await?;
        let mut complete = self.collect(&mut socket).await?;
        complete.sort_unstable();
        let last = complete.get(self.answered - 1).copied().unwrap_or_default();
        let mut out = Vec::new();
        write(
            &mut out,
            GOAWAY,
            0,
            0,
            &[last.to_be_bytes(), [0; 4]].concat(),
        );
        let answered = complete.iter().take(self.answered);
        answered.for_each(|stream| answer(&mut out, *stream));
        socket.write_all(&out).await?;
        self.goaways.fetch_add(1, Ordering::SeqCst);
        // Until the other side has understood.
        loop {
            let frame = read(&mut socket).await?;
            if frame.ends() && frame.stream <= last {
                let mut out = Vec::new();
                answer(&mut out, frame.stream);
                socket.write_all(&out).await?;
            }
        }
    }

    /// Answers until there are as many streams at once as are wanted and there has been peace for a while.
    async fn collect(&self, socket: &mut TcpStream) -> io::Result<Vec<u32>> {
        let mut complete = Vec::new();
        loop {
            let mut out = Vec::new();
            // Frames are small and come at once: none is cut off in its middle by the time.
            let peeked = timeout(Duration::from_millis(20), socket.peek(&mut [0])).await;
            let enough = complete.len() >= self.streams;
            if enough && self.is_time() {
                return Ok(complete);
            }
            if enough || peeked.is_err() {
                complete
                    .drain(..)
                    .for_each(|stream| answer(&mut out, stream));
            }
            if matches!(peeked, Ok(Ok(1))) {
                let frame = read(socket).await?;
                if frame.ends() {
                    complete.push(frame.stream);
                }
                frame.acknowledge(&mut out);
            } else if peeked.is_ok() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            socket.write_all(&out).await?;
        }
    }

    fn is_time(&self) -> bool {
        let mut last = self.last.lock().expect("nobody panics");
        let is = last.elapsed() > PEACE;
        if is {
            *last = Instant::now();
        }
        is
    }
}

impl Frame {
    /// Whether the request is complete.
    fn ends(&self) -> bool {
        matches!(self.kind, HEADERS | DATA) && self.flags & END_STREAM != 0
    }

    fn acknowledge(&self, out: &mut Vec<u8>) {
        match self.kind {
            SETTINGS if self.flags & 1 == 0 => write(out, SETTINGS, 1, 0, &[]),
            PING if self.flags & 1 == 0 => write(out, PING, 1, 0, &self.payload),
            DATA if !self.payload.is_empty() => {
                let credit = u32::try_from(self.payload.len()).expect("a small frame");
                write(out, WINDOW_UPDATE, 0, 0, &credit.to_be_bytes());
            }
            _ => {}
        }
    }
}

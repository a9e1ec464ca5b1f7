//! A host that answers every call with its label, or fails as it is told.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use bytes::Bytes;
use crossdock_tests::fake::{Frame, Host, Kind, Wire};
use http::{HeaderMap, HeaderValue, Response};
use tokio::runtime::Builder;

use crate::Speech;

/// How a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Manner {
    /// With its label.
    Well = 0,
    /// With an error of its server.
    Failing = 1,
    /// By saying that it has no thread left.
    Busy = 2,
    /// With an error within an answer whose status says success.
    Concealing = 3,
}

/// A host in the test's own process.
#[derive(Debug)]
pub(crate) struct Replica {
    address: SocketAddr,
    state: Arc<State>,
    /// Ends its connections when dropped.
    _frames: Option<Host>,
}

#[derive(Debug)]
struct State {
    label: &'static str,
    manner: AtomicU8,
    calls: AtomicU32,
}

impl Replica {
    pub(crate) fn start(speech: Speech, label: &'static str) -> Self {
        let state = Arc::new(State {
            label,
            manner: AtomicU8::new(Manner::Well as u8),
            calls: AtomicU32::new(0),
        });
        let theirs = Arc::clone(&state);
        let (address, frames) = match speech {
            Speech::Dubbo | Speech::Bolt => {
                let host = frames(theirs);
                (host.address(), Some(host))
            }
            Speech::Http => (plain(theirs), None),
            Speech::Grpc => (grpc(theirs), None),
        };
        Self {
            address,
            state,
            _frames: frames,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it answers in this manner.
    pub(crate) fn turn(&self, manner: Manner) {
        self.state.manner.store(manner as u8, SeqCst);
    }

    /// Calls that it got.
    pub(crate) fn calls(&self) -> u32 {
        self.state.calls.load(SeqCst)
    }
}

impl State {
    fn next(&self) -> Manner {
        self.calls.fetch_add(1, SeqCst);
        match self.manner.load(SeqCst) {
            0 => Manner::Well,
            1 => Manner::Failing,
            2 => Manner::Busy,
            _ => Manner::Concealing,
        }
    }
}

/// Dubbo and Bolt.
fn frames(state: Arc<State>) -> Host {
    Host::start(move |mut link| {
        while let Some(frame) = link.take() {
            let answered = match frame.kind {
                Kind::Request => link.send(&framed(&frame, &state)),
                _ => link.answer(&frame),
            };
            if !answered {
                return;
            }
        }
    })
}

/// Dubbo's SERVER_ERROR and SERVER_THREADPOOL_EXHAUSTED, Bolt's ERROR and SERVER_THREADPOOL_BUSY.
fn framed(frame: &Frame, state: &State) -> Vec<u8> {
    let (wire, id) = (frame.wire, frame.id);
    let status = |dubbo, bolt| match wire {
        Wire::Dubbo => wire.status(id, dubbo),
        _ => wire.status(id, bolt),
    };
    match state.next() {
        Manner::Well => wire.response(id, &format!("<<{}>>", state.label)),
        Manner::Failing => status(80, 1),
        Manner::Busy => status(100, 4),
        Manner::Concealing => concealed(wire, id),
    }
}

/// An `RpcException` (timeout) in a Dubbo answer of status 20; an error of SOFARPC itself in a Bolt answer of
/// status 0, as SOFARPC 5 writes it.
fn concealed(wire: Wire, id: u64) -> Vec<u8> {
    if wire == Wire::Dubbo {
        let class = b"org.apache.dubbo.rpc.RpcException";
        let mut body = vec![0x90, b'C', 0x30, class.len() as u8];
        body.extend(class);
        body.extend([0x91, 4]);
        body.extend(b"code");
        body.extend([0x60, 0x92]);
        let mut frame = vec![0xda, 0xbb, 0x02, 20];
        frame.extend(id.to_be_bytes());
        frame.extend((body.len() as u32).to_be_bytes());
        frame.extend(body);
        return frame;
    }
    let hex = include_str!("../../../conformance/vectors/j_sofa4_sofa_bolt1_res_rpcerr.hex");
    let lines = hex.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = lines.flat_map(str::bytes).collect();
    let octet = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("two digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    let mut frame: Vec<u8> = digits.chunks(2).map(octet).collect();
    frame[5..9].copy_from_slice(&(id as u32).to_be_bytes());
    // Another error than that the service is not there, which is the caller's.
    let code = frame.windows(9).position(|octets| octets == b"010060013");
    let code = code.expect("SOFARPC's number for that");
    frame[code..code + 9].copy_from_slice(b"010060099");
    frame
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// HTTP/1.1; ends with the test program.
fn plain(state: Arc<State>) -> SocketAddr {
    let (listener, address) = listen();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            thread::spawn(move || serve_plain(stream, &state));
        }
    });
    address
}

fn serve_plain(mut stream: TcpStream, state: &State) {
    let mut unread = Vec::new();
    loop {
        while !unread.ends_with(b"\r\n\r\n") {
            let mut block = [0; 4096];
            match stream.read(&mut block) {
                Ok(0) | Err(_) => return,
                Ok(size) => unread.extend(&block[..size]),
            }
        }
        unread.clear();
        let (status, body) = match state.next() {
            Manner::Well => ("200 OK", state.label),
            Manner::Failing => ("500 Internal Server Error", ""),
            Manner::Busy => ("503 Service Unavailable", ""),
            Manner::Concealing => panic!("HTTP conceals nothing"),
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// gRPC: the status in trailers, behind a message. Ends with the test program.
fn grpc(state: Arc<State>) -> SocketAddr {
    let (listener, address) = listen();
    listener.set_nonblocking(true).expect("a socket");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve_grpc(socket, Arc::clone(&state)));
            }
        });
    });
    address
}

async fn serve_grpc(socket: tokio::net::TcpStream, state: Arc<State>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else {
        return;
    };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let (body, status) = match state.next() {
            Manner::Well => (state.label, "0"),
            Manner::Failing => ("", "13"),
            Manner::Busy => ("", "14"),
            // A Triple provider's own failure beside `grpc-status: 0`.
            Manner::Concealing => ("", "0"),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(status));
        if state.manner.load(SeqCst) == Manner::Concealing as u8 {
            trailers.insert("tri-exception-code", HeaderValue::from_static("14"));
        }
        let head = Response::builder().header("content-type", "application/grpc");
        let head = head.body(()).expect("a response");
        let mut message = vec![0, 0, 0, 0, body.len() as u8];
        message.extend(body.as_bytes());
        // The gateway may have left.
        if let Ok(mut stream) = respond.send_response(head, false) {
            let _ = stream.send_data(Bytes::from(message), false);
            let _ = stream.send_trailers(trailers);
        }
    }
}

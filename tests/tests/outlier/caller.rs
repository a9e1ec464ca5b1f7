//! A caller of each protocol, one call after another over one connection.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use crossdock_tests::fake::{Client, Wire};
use http::Request;
use tokio::runtime::{Builder, Runtime};

use crate::Speech;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a call came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The number of the host that answered.
    Label(usize),
    /// An error, of a host or of the gateway.
    Failed,
}

pub(crate) enum Caller {
    Frames(Client, u64),
    Http(TcpStream),
    Grpc(Runtime, h2::client::SendRequest<Bytes>),
}

impl Caller {
    pub(crate) fn connect(speech: Speech, address: SocketAddr) -> Self {
        match speech {
            Speech::Dubbo => Self::Frames(Client::connect(address, Wire::Dubbo), 0),
            Speech::Bolt => Self::Frames(Client::connect(address, Wire::Bolt1), 0),
            Speech::Http => {
                let stream = TcpStream::connect(address).expect("the gateway listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
                Self::Http(stream)
            }
            Speech::Grpc => {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime");
                let sender = runtime.block_on(async {
                    let socket = tokio::net::TcpStream::connect(address).await;
                    let socket = socket.expect("the gateway listens");
                    let (sender, connection) =
                        h2::client::handshake(socket).await.expect("a handshake");
                    tokio::spawn(connection);
                    sender
                });
                Self::Grpc(runtime, sender)
            }
        }
    }

    pub(crate) fn call(&mut self) -> Said {
        match self {
            Self::Frames(client, id) => {
                *id += 1;
                client.write(&client.wire().request(*id, "<<call>>"));
                let answer = client.recv();
                assert_eq!(answer.id, *id);
                match answer.is_good() {
                    true => label(answer.token().expect("the host's label")),
                    false => Said::Failed,
                }
            }
            Self::Http(stream) => http(stream),
            Self::Grpc(runtime, sender) => {
                let call = async { tokio::time::timeout(PATIENCE, grpc(sender)).await };
                runtime.block_on(call).expect("an answer in time")
            }
        }
    }
}

fn label(text: &str) -> Said {
    Said::Label(text.parse().expect("the number of a host"))
}

fn http(stream: &mut TcpStream) -> Said {
    let request = b"GET /who HTTP/1.1\r\nhost: peer.api.Echo\r\n\r\n";
    stream.write_all(request).expect("the gateway reads");
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
            if body.len() == length {
                return match head.starts_with("HTTP/1.1 200 ") {
                    true => label(body),
                    false => Said::Failed,
                };
            }
        }
        let mut block = [0; 4096];
        let size = stream.read(&mut block).expect("an answer in time");
        assert!(size > 0, "the gateway closed the connection");
        answer.extend(&block[..size]);
    }
}

async fn grpc(sender: &mut h2::client::SendRequest<Bytes>) -> Said {
    let request = Request::post("http://peer.api.Echo/peer.api.Echo/echo");
    let request = request
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let mut sender = sender.clone().ready().await.expect("the connection stays");
    let (answer, mut body) = sender.send_request(request, false).expect("it is sent");
    body.send_data(Bytes::from_static(&[0; 5]), true)
        .expect("it is sent");
    let (head, mut body) = answer.await.expect("an answer").into_parts();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("a message");
        let _ = body.flow_control().release_capacity(data.len());
        message.extend(data);
    }
    let trailers = body.trailers().await.expect("trailers");
    let trailers = trailers.unwrap_or(head.headers);
    let well = trailers.get("grpc-status").is_some_and(|code| code == "0");
    match (well, message.get(5..)) {
        (true, Some([octet])) => Said::Label(usize::from(octet - b'0')),
        _ => Said::Failed,
    }
}

//! Streams that are tunnels, from either end.

use std::net::SocketAddr;

use bytes::Bytes;
use crossdock_framework::worker::spawn;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::timeout;

use crate::{
    peer::{H2Host, Host, Peer},
    rig::{PATIENCE, eventually},
};

/// Both directions of a tunnel.
pub(crate) struct Tunnel {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) to: SendStream<Bytes>,
    pub(crate) from: RecvStream,
}

impl Tunnel {
    pub(crate) fn send(&mut self, bytes: &'static str) {
        let sent = self
            .to
            .send_data(Bytes::from_static(bytes.as_bytes()), false);
        sent.expect("the stream stands");
    }

    pub(crate) fn end(&mut self) {
        let sent = self.to.send_data(Bytes::new(), true);
        sent.expect("the stream stands");
    }

    /// The next bytes, or nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, h2::Error>> {
        loop {
            let next = timeout(PATIENCE, self.from.data()).await;
            let next = next.expect("something comes");
            if let Some(Ok(data)) = &next {
                let _ = self.from.flow_control().release_capacity(data.len());
                // A frame that only says that it is the last.
                if data.is_empty() {
                    continue;
                }
            }
            return next;
        }
    }

    pub(crate) async fn bytes(&mut self) -> Bytes {
        let next = self.next().await.expect("no end yet");
        next.expect("the stream stands")
    }
}

/// A client that has heard of extended CONNECT.
pub(crate) async fn client(address: SocketAddr) -> SendRequest<Bytes> {
    let peer = Peer::connect(address).await;
    let shaken = h2::client::handshake(peer.io).await;
    let (sender, connection) = shaken.expect("HTTP/2 begins");
    spawn(async move {
        let _ = connection.await;
    });
    eventually("extended CONNECT is offered", || {
        sender.is_extended_connect_protocol_enabled()
    })
    .await;
    sender
}

/// The request of a WebSocket.
pub(crate) fn web_socket() -> Request<()> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://h/chat?room=1")
        .header("sec-websocket-version", "13")
        .body(())
        .expect("a request");
    let protocol = Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);
    request
}

/// The request of a tunnel.
pub(crate) fn connect() -> Request<()> {
    Request::connect("far:443").body(()).expect("a request")
}

/// Asks for a tunnel.
pub(crate) async fn open(sender: &SendRequest<Bytes>, request: Request<()>) -> Tunnel {
    let mut sender = sender.clone().ready().await.expect("it stands");
    let (answer, to) = sender.send_request(request, false).expect("it is sent");
    let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
    let (head, from) = answer.expect("the stream stands").into_parts();
    Tunnel {
        status: head.status.as_u16(),
        headers: head.headers,
        to,
        from,
    }
}

/// The next connection of a host that takes extended CONNECT.
pub(crate) async fn accept(host: &Host) -> H2Host {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    H2Host::shake(host.accept().await, &builder).await
}

/// Agrees to the next tunnel.
pub(crate) async fn agree(host: &mut H2Host) -> (http::request::Parts, Tunnel) {
    let (request, mut respond) = host.stream().await;
    let (head, from) = request.into_parts();
    let answer = Response::builder().status(StatusCode::OK);
    let answer = answer.header("x-host", "two").body(()).expect("an answer");
    let to = respond.send_response(answer, false).expect("it stands");
    let tunnel = Tunnel {
        status: 200,
        headers: HeaderMap::new(),
        to,
        from,
    };
    (head, tunnel)
}

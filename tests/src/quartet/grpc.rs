//! gRPC.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream, client, server};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answer, Deed, Log, PATIENCE, Protocol, SLOW, silence};

/// An empty message.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had")
}

/// A host. Ends when dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _end: oneshot::Sender<()>,
}

impl Server {
    pub(super) fn start(log: Arc<Log>) -> Self {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let (end, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::from_std(listener).expect("within a runtime");
                let serving = async {
                    while let Ok((socket, _)) = listener.accept().await {
                        tokio::spawn(serve(socket, Arc::clone(&log)));
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, _end: end }
    }
}

async fn serve(socket: TcpStream, log: Arc<Log>) {
    let _ = socket.set_nodelay(true);
    let Ok(mut connection) = server::handshake(socket).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        match log.take(|name| request.headers().get(name)?.to_str().ok()) {
            Deed::Cut => return,
            Deed::Babble => connection.abrupt_shutdown(Reason::PROTOCOL_ERROR),
            deed => drop(tokio::spawn(answer(deed, request, respond))),
        }
    }
}

async fn answer(
    deed: Deed,
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    match deed {
        Deed::Slow => tokio::time::sleep(SLOW).await,
        Deed::Hang => {
            // Until the gateway gives it up.
            std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
            return Ok(());
        }
        Deed::Reset => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        }
        _ => {}
    }
    drop(request);
    let head = Response::builder().header("content-type", "application/grpc");
    if deed == Deed::Fail {
        // Of an answer that is a failure from the beginning, servers send the trailers alone.
        let head = head.header("grpc-status", "14").body(());
        respond.send_response(head.expect("a valid head"), true)?;
        return Ok(());
    }
    let head = head.body(()).expect("a valid head");
    let mut stream = respond.send_response(head, false)?;
    stream.send_data(Bytes::from_static(MESSAGE), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}

/// A caller with one connection, and a fresh one after that has ended.
#[derive(Debug)]
pub(super) struct Caller {
    gateway: SocketAddr,
    runtime: Runtime,
    sender: Option<SendRequest<Bytes>>,
}

impl Caller {
    pub(super) fn connect(gateway: SocketAddr) -> Self {
        Self {
            gateway,
            runtime: runtime(),
            sender: None,
        }
    }

    pub(super) fn call(&mut self, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let (gateway, sender) = (self.gateway, self.sender.take());
        let (answer, sender) = self.runtime.block_on(async {
            let calling = call(gateway, sender, headers);
            timeout(PATIENCE, calling).await.map_err(|_| silence())
        })?;
        self.sender = sender;
        Ok(answer)
    }

    pub(super) fn leave(self, headers: &[(&str, &str)]) {
        let Self {
            gateway,
            runtime,
            sender,
        } = self;
        let left = runtime.block_on(async {
            timeout(PATIENCE, async {
                let (mut sender, connection) = connected(gateway, sender).await.ok()?;
                let sent = send(&mut sender, headers)?;
                // Until the request has gone out.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                drop((sent, sender));
                if let Some(connection) = connection {
                    connection.abort();
                }
                Some(())
            })
            .await
        });
        drop((left, runtime));
    }
}

/// A connection that takes calls, and what moves its octets if it is a fresh one.
async fn connected(
    gateway: SocketAddr,
    sender: Option<SendRequest<Bytes>>,
) -> Result<(SendRequest<Bytes>, Option<tokio::task::JoinHandle<()>>), h2::Error> {
    if let Some(sender) = sender
        && let Ok(sender) = sender.ready().await
    {
        return Ok((sender, None));
    }
    let socket = TcpStream::connect(gateway).await;
    let socket = socket.unwrap_or_else(|error| panic!("{error}"));
    let _ = socket.set_nodelay(true);
    let (sender, connection) = client::handshake(socket).await?;
    let moving = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok((sender.ready().await?, Some(moving)))
}

fn send(
    sender: &mut SendRequest<Bytes>,
    headers: &[(&str, &str)],
) -> Option<(client::ResponseFuture, SendStream<Bytes>)> {
    let uri = format!("http://{}/acme.Echo/Say", Protocol::Grpc.service());
    let mut request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a valid head");
    let (answer, mut stream) = sender.send_request(request, false).ok()?;
    stream.send_data(Bytes::from_static(MESSAGE), true).ok()?;
    Some((answer, stream))
}

async fn call(
    gateway: SocketAddr,
    sender: Option<SendRequest<Bytes>>,
    headers: &[(&str, &str)],
) -> (Answer, Option<SendRequest<Bytes>>) {
    let Ok((mut sender, _)) = connected(gateway, sender).await else {
        return (Answer::Gone, None);
    };
    let Some((answer, _stream)) = send(&mut sender, headers) else {
        return (Answer::Gone, None);
    };
    match status(answer).await {
        Some(0) => (Answer::Good, Some(sender)),
        Some(status) => (Answer::Failed(status), Some(sender)),
        None => (Answer::Gone, None),
    }
}

/// gRPC's status, from the trailers or, where there are no others, from the head.
async fn status(answer: client::ResponseFuture) -> Option<u16> {
    let (head, mut body) = answer.await.ok()?.into_parts();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
    }
    let trailers = body.trailers().await.ok()?;
    let fields = trailers.as_ref().unwrap_or(&head.headers);
    let said = fields
        .get("grpc-status")
        .or_else(|| head.headers.get("grpc-status"));
    said?.to_str().ok()?.parse().ok()
}

//! HTTP/1.1: a sample service and a caller.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::{
    Request, Response, StatusCode, body::Incoming, client::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{PATIENCE, Service, Told, accept, connect, text};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1024 * 1024;

/// Starts a web service of HTTP/1.1.
pub(crate) async fn start(service: Service) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Arc::new(service);
    tokio::spawn(async move {
        while let Some(socket) = accept(&listener).await {
            let service = Arc::clone(&service);
            let answer = service_fn(move |request| {
                let answer = answer(&service, &request);
                async { Ok::<_, std::convert::Infallible>(answer) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer);
            tokio::spawn(serving);
        }
    });
    Ok(address)
}

fn answer(service: &Service, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, text) = match service.fails() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "not this time\n".into()),
        false => {
            let what = format!("{} answered", request.uri().path());
            (StatusCode::OK, service.done(&what) + "\n")
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

/// A caller with one connection at a time.
#[derive(Debug)]
pub(crate) struct Caller {
    gateway: SocketAddr,
    sender: http1::SendRequest<Empty<Bytes>>,
    moving: JoinHandle<()>,
}

impl Caller {
    /// Connects to the gateway.
    pub(crate) async fn connect(gateway: SocketAddr) -> Result<Self, String> {
        let socket = connect(gateway).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(text)?;
        let moving = tokio::spawn(async move {
            // How it ends is seen by the sender.
            let _ = connection.await;
        });
        Ok(Self {
            gateway,
            sender,
            moving,
        })
    }

    /// Asks for a page, with a header or without.
    pub(crate) async fn get(
        &mut self,
        host: &str,
        path: &str,
        header: Option<(&str, &str)>,
    ) -> Result<Told, String> {
        let mut request = Request::get(path).header("host", host);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).map_err(text)?;
        let (status, body) = self.ask(request).await?;
        Ok(match status.is_success() {
            true => Told::done(status.to_string(), &body),
            false => Told::failed(status.to_string()),
        })
    }

    async fn ask(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<(StatusCode, String), String> {
        let answered = tokio::time::timeout(PATIENCE, self.send(request));
        answered.await.map_err(|_| "no answer".to_owned())?
    }

    async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<(StatusCode, String), String> {
        // A connection may end after an answer, as the gateway likes.
        if self.sender.ready().await.is_err() {
            *self = Self::connect(self.gateway).await?;
        }
        let response = self.sender.send_request(request).await.map_err(text)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST);
        let body = body.collect().await.map_err(text)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.moving.abort();
    }
}

/// The text of a page, such as one of an admin endpoint.
pub(crate) async fn page(at: SocketAddr, path: &str) -> Result<String, String> {
    let request = Request::get(path).header("host", at.to_string());
    let request = request.body(Empty::new()).map_err(text)?;
    let (status, body) = Caller::connect(at).await?.ask(request).await?;
    match status.is_success() {
        true => Ok(body),
        false => Err(format!("http://{at}{path} answers {status}")),
    }
}

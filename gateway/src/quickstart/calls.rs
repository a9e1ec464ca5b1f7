//! The quickstart's calls through the gateway, and what is seen of them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use crossdock_framework::{
    codec::{Codec, Decoded, FrameLimits},
    frame::{Frame, Head as _, WireId},
    log::{AccessLog, Record},
    status::Class,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The longest that a call of the quickstart may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the gateway says of one call.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) protocol: &'static str,
    pub(super) path: String,
    pub(super) route: String,
    pub(super) cluster: String,
    pub(super) endpoint: String,
    pub(super) outcome: Class,
    pub(super) local: bool,
    pub(super) time: Duration,
}

/// An access log that keeps what it sees, for the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness(Arc<Mutex<Vec<Seen>>>);

/// Calls that are kept at most.
const KEPT: usize = 1000;

impl AccessLog for Witness {
    fn log(&self, record: &Record<'_>) {
        use crossdock_framework::view::Key;
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() == KEPT {
            return;
        }
        seen.push(Seen {
            protocol: record.request.protocol(),
            path: text(record.request.get(Key::Path).as_deref()),
            route: text(record.route.map(|route| route.name.as_ref())),
            cluster: text(record.cluster.map(|cluster| cluster.name.as_ref())),
            endpoint: record
                .host
                .map_or_else(|| "-".into(), |host| host.address.to_string()),
            outcome: record.class,
            local: record.cause.is_some(),
            time: record.duration,
        });
    }
}

impl Witness {
    /// Takes everything that was seen since the last time.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A caller with one connection.
#[derive(Debug)]
pub(super) struct Caller<C> {
    socket: TcpStream,
    buf: BytesMut,
    codec: C,
    last: u64,
}

impl<C: Codec> Caller<C> {
    /// Connects to the gateway.
    pub(super) async fn connect(gateway: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect(gateway).await?;
        Ok(Self {
            socket,
            buf: BytesMut::new(),
            codec: C::default(),
            last: 0,
        })
    }

    /// Makes a call and waits for its answer: the outcome that the caller sees, or what went
    /// wrong.
    pub(super) async fn call(
        &mut self,
        request: impl FnOnce(WireId) -> Vec<u8>,
    ) -> Result<Class, String> {
        self.last += 1;
        let id = WireId(self.last);
        let answered = tokio::time::timeout(PATIENCE, async {
            self.socket
                .write_all(&request(id))
                .await
                .map_err(|error| error.to_string())?;
            self.answer().await
        });
        let frame = answered.await.map_err(|_| "no answer".to_owned())??;
        match frame.head.id() == id {
            true => Ok(C::classify(&frame)),
            false => Err("an answer to another call".into()),
        }
    }

    async fn answer(&mut self) -> Result<Frame<C::Head>, String> {
        loop {
            match self.codec.decode(&mut self.buf, &FrameLimits::default()) {
                Ok(Decoded::Frame(frame)) => return Ok(frame),
                Ok(Decoded::More(_)) => {}
                Ok(_) => return Err("a damaged answer".into()),
                Err(error) => return Err(error.to_string()),
            }
            match self.socket.read_buf(&mut self.buf).await {
                Ok(0) => return Err("the gateway closed the connection".into()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

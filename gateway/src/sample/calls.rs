//! A caller of a framed protocol.

use std::net::SocketAddr;

use bytes::BytesMut;
use crossdock_framework::{
    codec::{Decoded, FrameLimits},
    frame::{Frame, Head as _, WireId},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    PATIENCE, Told, connect, text,
    wire::{Call, Wire},
};

/// A caller with one connection.
#[derive(Debug)]
pub(crate) struct Caller<C> {
    socket: TcpStream,
    buf: BytesMut,
    codec: C,
    last: u64,
}

impl<C: Wire> Caller<C> {
    /// Connects to the gateway.
    pub(crate) async fn connect(gateway: SocketAddr) -> Result<Self, String> {
        Ok(Self {
            socket: connect(gateway).await?,
            buf: BytesMut::new(),
            codec: C::default(),
            last: 0,
        })
    }

    /// Makes a call and waits for its answer: what the caller is told, or why there is no answer.
    pub(crate) async fn call(&mut self, call: &Call<'_>) -> Result<Told, String> {
        self.last += 1;
        let id = WireId(self.last);
        let answered = tokio::time::timeout(PATIENCE, async {
            let request = C::request(id, call);
            self.socket.write_all(&request).await.map_err(text)?;
            self.answer().await
        });
        let frame = answered.await.map_err(|_| "no answer".to_owned())??;
        match frame.head.id() == id {
            true => Ok(C::told(&frame)),
            false => Err("an answer to another call".into()),
        }
    }

    async fn answer(&mut self) -> Result<Frame<C::Head>, String> {
        loop {
            match self.codec.decode(&mut self.buf, &FrameLimits::default()) {
                Ok(Decoded::Frame(frame)) => return Ok(frame),
                Ok(Decoded::More(_)) => {}
                Ok(_) => return Err("a damaged answer".into()),
                Err(error) => return Err(text(error)),
            }
            let read = self.socket.read_buf(&mut self.buf).await;
            if read.map_err(text)? == 0 {
                return Err("the gateway closed the connection".into());
            }
        }
    }
}

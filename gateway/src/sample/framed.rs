//! Sample services of framed protocols.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use crossdock_framework::{
    codec::{Decoded, FrameLimits},
    frame::{Frame, Head as _, Kind},
    out::Out,
    view::RoutingView as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Service, accept, wire::Wire};

/// Starts a service that speaks `C`.
pub(crate) async fn start<C: Wire>(service: Service) -> io::Result<SocketAddr>
where
    C::Head: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Arc::new(service);
    tokio::spawn(async move {
        while let Some(socket) = accept(&listener).await {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                // The gateway closes its connections when it likes.
                let _ = serve::<C>(socket, &service).await;
            });
        }
    });
    Ok(address)
}

async fn serve<C: Wire>(mut socket: TcpStream, service: &Service) -> io::Result<()>
where
    C::Head: Send,
{
    let mut codec = C::default();
    let mut buf = BytesMut::new();
    while socket.read_buf(&mut buf).await? > 0 {
        let mut answers = Vec::new();
        while let Ok(Decoded::Frame(frame)) = codec.decode(&mut buf, &FrameLimits::default()) {
            answers.extend(reply::<C>(&mut codec, &frame, service));
        }
        socket.write_all(&answers).await?;
    }
    Ok(())
}

fn reply<C: Wire>(codec: &mut C, frame: &Frame<C::Head>, service: &Service) -> Vec<u8> {
    let id = frame.head.id();
    match frame.head.kind() {
        Kind::Request if service.fails() => C::failure(id, "not this time"),
        Kind::Request => {
            let view = C::view(frame);
            let method = view.method().unwrap_or_default();
            C::response(id, &service.done(&format!("{method} done")))
        }
        Kind::Heartbeat => {
            let mut out = Out::default();
            codec.heartbeat_ack(frame, &mut out);
            out.to_vec()
        }
        _ => Vec::new(),
    }
}

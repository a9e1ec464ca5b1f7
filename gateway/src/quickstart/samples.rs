//! The quickstart's services: each answers every call with its version.

use std::{io, net::SocketAddr};

use bytes::BytesMut;
use crossdock_framework::{
    codec::{Codec, Decoded, FrameLimits},
    frame::{Frame, Head as _, Kind, WireId},
    out::Out,
    view::RoutingView as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Writes the answer to a call in its protocol.
type Answer = fn(WireId, &str) -> Vec<u8>;

/// Starts a service that speaks `C` and says that it is `version`.
pub(super) async fn start<C: Codec + Send>(
    version: &'static str,
    answer: Answer,
) -> io::Result<SocketAddr>
where
    C::Head: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The gateway closes its connections when it likes.
                let _ = serve::<C>(socket, version, answer).await;
            });
        }
    });
    Ok(address)
}

async fn serve<C: Codec + Send>(
    mut socket: TcpStream,
    version: &'static str,
    answer: Answer,
) -> io::Result<()>
where
    C::Head: Send,
{
    let mut codec = C::default();
    let mut buf = BytesMut::new();
    while socket.read_buf(&mut buf).await? > 0 {
        let mut answers = Vec::new();
        while let Ok(Decoded::Frame(frame)) = codec.decode(&mut buf, &FrameLimits::default()) {
            answers.extend(reply::<C>(&mut codec, &frame, version, answer));
        }
        socket.write_all(&answers).await?;
    }
    Ok(())
}

fn reply<C: Codec>(
    codec: &mut C,
    frame: &Frame<C::Head>,
    version: &str,
    answer: Answer,
) -> Vec<u8> {
    match frame.head.kind() {
        Kind::Request => {
            let view = C::view(frame);
            let method = view.method().unwrap_or_default().into_owned();
            answer(frame.head.id(), &format!("{method} done by {version}"))
        }
        Kind::Heartbeat => {
            let mut out = Out::default();
            codec.heartbeat_ack(frame, &mut out);
            out.to_vec()
        }
        _ => Vec::new(),
    }
}

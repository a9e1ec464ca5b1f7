//! HTTP/1.1.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{PIECE, Service, Wish, add};
use crate::client::{Head, Wire};

/// For ever, as far as a test is concerned.
const EVER: Duration = Duration::from_secs(3600);

pub(super) async fn serve(service: &Service, socket: TcpStream) {
    let mut wire = Wire::new(socket);
    let rest = service.manner.keep_alive.unwrap_or(EVER);
    while let Ok(Ok(())) = timeout(rest, wire.fill()).await {
        let Ok(head) = wire.head().await else { return };
        add(&service.seen.calls, 1);
        match answer(service, &head, &mut wire).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                add(&service.seen.broken, 1);
                return;
            }
        }
    }
}

/// Whether the connection takes another call.
async fn answer(service: &Service, head: &Head, wire: &mut Wire) -> io::Result<bool> {
    let path = head.first.split(' ').nth(1).unwrap_or_default();
    match Wish::of(path) {
        Wish::Plain | Wish::Sink => {
            let mut count = 0;
            let mut body = head.body(true);
            loop {
                service.may_read().await;
                let Some(piece) = wire.piece(&mut body).await? else {
                    break;
                };
                count += piece;
                add(&service.seen.received, piece);
            }
            sleep(service.manner.pause).await;
            let text = count.to_string();
            reply(wire, text.len()).await?;
            wire.socket.write_all(text.as_bytes()).await?;
        }
        Wish::Bytes(size) => {
            reply(wire, size).await?;
            let mut left = size;
            while left > 0 {
                let piece = PIECE.slice(..left.min(PIECE.len()));
                wire.socket.write_all(&piece).await?;
                left -= piece.len();
            }
        }
        Wish::Early => {
            reply(wire, 5).await?;
            wire.socket.write_all(b"early").await?;
            // Until the caller closes, as one that answers early has to (RFC 9112 section 9.6).
            while wire.fill().await.is_ok() {
                wire.clear();
            }
            return Ok(false);
        }
        Wish::Hang => return Err(wire.closed().await),
        Wish::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            wire.socket.write_all(head).await?;
            loop {
                wire.socket.write_all(b"1\r\nx\r\n").await?;
                tokio::select! {
                    error = wire.closed() => return Err(error),
                    () = sleep(Duration::from_millis(20)) => {}
                }
            }
        }
        Wish::Reset => {
            reply(wire, 1_000_000).await?;
            wire.socket.write_all(&PIECE[..1000]).await?;
            sleep(Duration::from_millis(20)).await;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn reply(wire: &mut Wire, size: usize) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
    wire.socket.write_all(head.as_bytes()).await
}

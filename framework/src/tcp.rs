//! Plain bytes between two sockets: `tcp_proxy`, and the fall-back for unknown protocols.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep},
};

use crate::{metrics, time::Moment, worker::Worker};

metrics! {
    /// Metrics of plain TCP, `tcp.<stat_prefix>.…`, named as Envoy does.
    pub enum TcpMetric {
        /// Connections accepted.
        counter CxTotal = "downstream_cx_total",
        /// Connections open.
        gauge CxActive = "downstream_cx_active",
        /// Connections without a host to go to.
        counter CxNoRoute = "downstream_cx_no_route",
        /// Connections closed for being idle.
        counter IdleTimeout = "idle_timeout",
        /// Bytes from clients.
        counter Rx = "downstream_cx_rx_bytes_total",
        /// Bytes to clients.
        counter Tx = "downstream_cx_tx_bytes_total",
    }
}

/// How a pair of sockets ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both sides closed.
    Closed,
    /// No byte either way for the idle time.
    Idle,
    /// One side broke.
    Broken,
}

/// Bytes moved between two sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the client to the host.
    pub received: u64,
    /// From the host to the client.
    pub sent: u64,
}

/// One direction. Holds a buffer only while bytes are in it.
#[derive(Debug, Default)]
struct Half {
    buf: BytesMut,
    ended: bool,
    shut: bool,
    moved: u64,
}

/// Bytes of one direction that are read before they are written.
const WINDOW: usize = 64 * 1024;

impl Half {
    /// Moves what can be moved. Ready when the direction is closed.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        worker: &Worker,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.shut {
            while !self.buf.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.buf))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buf.advance(written);
                self.moved += written as u64;
            }
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.shut = true;
                break;
            }
            let mut block = worker.take_block(4096);
            let read = tokio_util::io::poll_read_buf(Pin::new(&mut *from), cx, &mut block);
            match read {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(_)) => self.buf = block.split(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    worker.put_block(block);
                    return Poll::Pending;
                }
            }
            worker.put_block(block);
            debug_assert!(
                self.buf.len() <= WINDOW,
                "one read block at most is buffered"
            );
        }
        Poll::Ready(Ok(()))
    }
}

/// Relays bytes both ways until both sides have closed, one broke, or nothing moved for `idle`.
/// A side that closes its sending half can still receive.
pub async fn relay<D, U>(
    mut down: D,
    mut up: U,
    prefix: BytesMut,
    idle: Duration,
    worker: &Worker,
) -> (Moved, Ended)
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut there = Half {
        buf: prefix,
        ..Half::default()
    };
    let mut back = Half::default();
    let mut last = worker.now();
    let mut timer = Box::pin(sleep(idle));
    let ended = std::future::poll_fn(|cx| {
        let now = worker.tick();
        let before = there.moved + back.moved;
        let one = there.poll(cx, &mut down, &mut up, worker);
        let other = back.poll(cx, &mut up, &mut down, worker);
        if there.moved + back.moved != before {
            last = now;
        }
        match (one, other) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => {
                return Poll::Ready(Ended::Broken);
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ended::Closed),
            _ => {}
        }
        while timer.as_mut().poll(cx).is_ready() {
            match left(idle, last, now) {
                Duration::ZERO => return Poll::Ready(Ended::Idle),
                left => timer.as_mut().reset(Instant::now() + left),
            }
        }
        Poll::Pending
    })
    .await;
    (
        Moved {
            received: there.moved,
            sent: back.moved,
        },
        ended,
    )
}

/// What is left of the idle time.
fn left(idle: Duration, last: Moment, now: Moment) -> Duration {
    idle.saturating_sub(now.since(last))
}

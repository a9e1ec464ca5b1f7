use std::{future::poll_fn, sync::Arc, task::Waker};

use crossdock_framework::{
    protocol::Io,
    snapshot::Live,
    stats::{Registry, Shard},
};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::wire::Meter;

/// A connection whose socket takes `room` bytes, and the other end of it.
fn rig(room: usize) -> (Bulk, DuplexStream) {
    let registry = Arc::new(Registry::new(1));
    let worker = Worker::new(Shard(1), Arc::new(Live::default()), registry, 64 << 20);
    let (here, there) = duplex(room);
    let io = Io::Other(Box::new(here));
    let wire = Wire::new(io, BytesMut::new(), &Meter::new(&worker));
    (Bulk::new(wire, &worker), there)
}

/// Writes until no more is taken; says how much was.
fn fill(bulk: &mut Bulk, piece: &[u8]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    for at in 0.. {
        let first = [at as u8];
        let bufs = [io::IoSlice::new(&first), io::IoSlice::new(piece)];
        match Pin::new(&mut *bulk).poll_write_vectored(&mut cx, &bufs) {
            Poll::Ready(written) => taken += written.expect("the socket is open"),
            Poll::Pending => break,
        }
        assert!(taken <= 1 << 20, "there is an end to it");
    }
    taken
}

#[tokio::test]
async fn what_is_written_waits_to_be_sent_and_has_a_limit() {
    let (mut bulk, mut there) = rig(1000);
    let taken = fill(&mut bulk, &[7; 4099]);
    // The limit, and what the socket took when it was reached.
    assert!((WAITING..=WAITING + 1000).contains(&taken), "{taken}");
    let mut arrived = Vec::new();
    while arrived.len() < taken {
        let more = poll_fn(|cx| {
            assert!(!bulk.send(cx), "the socket is open");
            pin!(there.read_buf(&mut arrived)).poll(cx)
        });
        assert!(more.await.expect("open") > 0);
    }
    assert_eq!(arrived.len(), taken);
    for (at, piece) in arrived.chunks(4100).enumerate() {
        assert_eq!(piece.first(), Some(&(at as u8)));
        assert!(piece.iter().skip(1).all(|byte| *byte == 7), "{at}");
    }
    let held = bulk.0.borrow().written.capacity();
    assert_eq!(held, 0, "an idle connection holds no buffer");
}

#[tokio::test]
async fn what_is_read_comes_in_pieces_and_in_order() {
    let (mut bulk, mut there) = rig(200_000);
    let sent: Vec<u8> = (0..150_000_u32).map(|at| (at % 251) as u8).collect();
    there.write_all(&sent).await.expect("open");
    drop(there);
    let mut arrived = Vec::new();
    for turn in 1.. {
        let mut piece = vec![0; 1 + turn * 37 % 9000];
        let count = bulk.read(&mut piece).await.expect("open");
        if count == 0 {
            break;
        }
        arrived.extend_from_slice(piece.get(..count).expect("not more than asked for"));
    }
    assert_eq!(arrived, sent);
    let held = bulk.0.borrow().read.capacity();
    assert_eq!(held, 0, "an idle connection holds no buffer");
}

#[tokio::test]
async fn a_socket_that_fails_is_told_once_and_then_to_every_writer() {
    let (mut bulk, there) = rig(1000);
    drop(there);
    let mut cx = Context::from_waker(Waker::noop());
    let written = Pin::new(&mut bulk).poll_write(&mut cx, b"lost");
    assert!(matches!(written, Poll::Ready(Ok(4))));
    assert!(bulk.send(&mut cx));
    assert!(!bulk.send(&mut cx));
    assert!(bulk.flush().await.is_err());
    assert!(bulk.write(b"more").await.is_err());
}

#[tokio::test]
async fn the_end_comes_after_what_was_written() {
    let (mut bulk, mut there) = rig(1000);
    let mut cx = Context::from_waker(Waker::noop());
    let written = Pin::new(&mut bulk).poll_write(&mut cx, b"last words");
    assert!(matches!(written, Poll::Ready(Ok(10))));
    bulk.shutdown().await.expect("open");
    let mut arrived = Vec::new();
    there.read_to_end(&mut arrived).await.expect("an end");
    assert_eq!(arrived, b"last words");
}

//! A connection that has become a tunnel, where its other end is a stream: its bytes as the body of a
//! message, and a body as its bytes.
//!
//! Each direction is read only when what was read before has been taken, so that a slow reader on
//! either side stops the sender on the other.

use std::{
    cell::{Cell, RefCell},
    future::{Future as _, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use ::h2::Reason;
use bytes::{Buf as _, BufMut as _, Bytes};
use crossdock_framework::{
    stream::{Answer, Broken},
    tcp,
    worker::{Memory, READ_BLOCK, Worker, spawn},
};
use http_body::Body;
use tokio::io::{AsyncReadExt as _, AsyncWrite};

use crate::{codec::Http, stop::Stop, wire::Wire};

/// Free room that a read asks for.
const ROOM: usize = READ_BLOCK / 4;

/// What is read at once while the worker's memory is scarce.
const SCARCE_READ: usize = 4 * 1024;

/// Up to this length bytes are copied out of the block that they were read into, so that readers who
/// are slow with little pin no blocks.
const COPY_OUT: usize = READ_BLOCK / 4;

/// A connection whose two directions are moved by two tasks of its worker.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Gone when it has been reset.
    wire: RefCell<Option<Wire>>,
    worker: Worker,
}

impl Socket {
    pub(crate) fn new(wire: Wire, worker: &Worker) -> Rc<Self> {
        Rc::new(Self {
            wire: RefCell::new(Some(wire)),
            worker: worker.clone(),
        })
    }

    /// The next bytes, or nothing at their end.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut wire = self.wire.borrow_mut();
        let Some(wire) = &mut *wire else {
            return Poll::Ready(Some(Err(broken())));
        };
        let worker = &self.worker;
        let most = match worker.memory(0) {
            Memory::Enough => READ_BLOCK,
            Memory::Scarce | Memory::Exhausted => SCARCE_READ,
        };
        let mut block = worker.take_block(ROOM);
        let mut room = (&mut block).limit(most);
        let read = pin!(wire.read_buf(&mut room)).poll(cx);
        let data = match &read {
            Poll::Ready(Ok(1..COPY_OUT)) => {
                let data = Bytes::copy_from_slice(&block);
                block.clear();
                data
            }
            _ => block.split().freeze(),
        };
        worker.put_block(block);
        Poll::Ready(match ready!(read) {
            Ok(0) => None,
            Ok(_) => Some(Ok(data)),
            // A peer may close a TLS connection without a word; Envoy takes that for an end too.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(_) => Some(Err(broken())),
        })
    }

    /// Writes all of `data`; what has been written is taken off it.
    fn poll_write(&self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), Broken>> {
        let mut wire = self.wire.borrow_mut();
        let Some(wire) = &mut *wire else {
            return Poll::Ready(Err(broken()));
        };
        while !data.is_empty() {
            match ready!(Pin::new(&mut *wire).poll_write(cx, data)) {
                Ok(written @ 1..) => data.advance(written),
                _ => return Poll::Ready(Err(broken())),
            }
        }
        Pin::new(wire).poll_flush(cx).map_err(|_| broken())
    }

    /// Says that no more bytes follow.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.wire.borrow_mut() {
            // A peer that is gone needs not be told.
            Some(wire) => Pin::new(wire).poll_shutdown(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Closes the connection so that its peer does not take what it got for everything.
    pub(crate) fn reset(&self) {
        if let Some(wire) = self.wire.borrow_mut().take() {
            tcp::reset(wire.into_parts().0);
        }
    }
}

/// The connection behind a tunnel broke (RFC 9113 section 8.5).
fn broken() -> Broken {
    Broken::Reset(Some(Reason::CONNECT_ERROR.into()))
}

/// Writes a body to a connection, and its end, unless `given_up` says why not.
async fn deliver<B>(
    body: &mut B,
    socket: &Socket,
    mut given_up: impl FnMut(&mut B, &mut Context<'_>) -> Poll<Broken>,
) -> Result<(), Broken>
where
    B: Body<Data = Bytes, Error = Broken> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(broken) = given_up(body, cx) {
                return Poll::Ready(Some(Err(broken)));
            }
            Pin::new(&mut *body).poll_frame(cx)
        });
        let frame = frame.await.transpose()?;
        // Trailers mean nothing to a connection: they are the end too.
        let Some(Ok(mut data)) = frame.map(http_body::Frame::into_data) else {
            poll_fn(|cx| match given_up(body, cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => socket.poll_end(cx),
            })
            .await;
            return Ok(());
        };
        poll_fn(|cx| match given_up(body, cx) {
            Poll::Ready(broken) => Poll::Ready(Err(broken)),
            Poll::Pending => socket.poll_write(cx, &mut data),
        })
        .await?;
    }
}

/// Moves what the host of a tunnel sends to its client, and waits for what the client sends to have
/// reached the host.
pub(crate) async fn serve(answer: &mut Answer<Http>, socket: &Socket) -> Result<(), Broken> {
    deliver(answer, socket, Answer::poll_expired).await?;
    finish(answer).await
}

/// Waits until what the client of a tunnel sends has reached the host, whose own end has come.
pub(crate) async fn finish(answer: &mut Answer<Http>) -> Result<(), Broken> {
    poll_fn(|cx| {
        if let Poll::Ready(broken) = answer.poll_expired(cx) {
            return Poll::Ready(Err(broken));
        }
        match answer.body_mut() {
            Some(payload) => payload.poll_sent(cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    })
    .await
}

/// What a host sends over a connection that it agreed to make a tunnel: the body of its answer.
/// Dropped before both directions have ended, it breaks the connection off.
#[derive(Debug)]
pub(crate) struct Inlet {
    socket: Rc<Socket>,
    /// Tells the task that sends the other direction, and is told by it.
    stop: Rc<Stop>,
    ended: bool,
}

impl Inlet {
    /// Begins to send `upload`.
    pub(crate) fn begin<B>(socket: Rc<Socket>, mut upload: B) -> Self
    where
        B: Body<Data = Bytes, Error = Broken> + Unpin + 'static,
    {
        let stop = Rc::<Stop>::default();
        let (to, told) = (Rc::clone(&socket), Rc::clone(&stop));
        spawn(async move {
            let stopped =
                |_: &mut B, cx: &mut Context<'_>| told.poll_stopped(cx).map(|()| broken());
            let sent = deliver(&mut upload, &to, stopped);
            if let Err(broken) = sent.await {
                told.break_off(broken);
            }
            told.finish();
        });
        Self {
            socket,
            stop,
            ended: false,
        }
    }

    /// The next bytes.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        let read = ready!(self.socket.poll_read(cx));
        self.ended = read.is_none();
        Poll::Ready(read)
    }

    /// Ready when the other direction has ended.
    pub(crate) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stop.poll_finished(cx)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        if !self.ended || !self.stop.is_clean() {
            self.socket.reset();
        }
        self.stop.stop();
    }
}

/// What an HTTP/1 client sends over its connection once that is a tunnel: the body of its request.
/// Nothing comes before.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    socket: RefCell<Option<Rc<Socket>>>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Gate {
    /// The next bytes.
    pub(crate) fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if let Some(socket) = &*self.socket.borrow() {
            return socket.poll_read(cx);
        }
        if self.closed.get() {
            return Poll::Ready(None);
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Opens a gate; closes it when dropped.
#[derive(Debug, Default)]
pub(crate) struct Opener(Rc<Gate>);

impl Opener {
    /// The gate.
    pub(crate) fn gate(&self) -> Rc<Gate> {
        Rc::clone(&self.0)
    }

    /// Lets the bytes of the connection through.
    pub(crate) fn open(self, socket: &Rc<Socket>) {
        *self.0.socket.borrow_mut() = Some(Rc::clone(socket));
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.closed.set(true);
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

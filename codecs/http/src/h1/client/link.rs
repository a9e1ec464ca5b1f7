//! The bytes of a connection to a host. Whoever waits for them moves them, without a task between:
//! the call that has the connection, and its keeper while none has, or while a request outlasts the
//! head of its answer.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::{BufMut as _, Bytes};
use crossdock_framework::{
    stats::Shard,
    worker::{READ_BLOCK, Worker},
};
use http::response;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{
    Trouble, Upgraded,
    head::{self, Head},
    sending::Sending,
};
use crate::h1::guard::{Awaited, Guarded};

/// A shorter read is copied out of the block that it came into, which takes the next one; a longer
/// one keeps it until its pieces have gone.
const COPIED: usize = READ_BLOCK / 4;

/// A connection to a host.
#[derive(Debug)]
pub(super) struct Link {
    worker: Worker,
    /// Gone when the connection has become something else, or is given up.
    wire: RefCell<Option<Guarded>>,
    /// What has been read and not been taken.
    read: RefCell<Bytes>,
    /// The request, until all of it is written.
    sending: RefCell<Option<Sending>>,
    /// Some of it is written.
    begun: Cell<bool>,
    /// The keeper sends the rest.
    handed: Cell<bool>,
    /// The connection has come to its end.
    over: Cell<bool>,
    keeper: RefCell<Option<Keeper>>,
    /// Who waits for the answer while the keeper sends.
    reader: RefCell<Option<Waker>>,
}

/// The task that watches over the connection, and the waker that tells it what comes while no call
/// has it.
#[derive(Debug)]
struct Keeper {
    watch: Arc<Watch>,
    waker: Waker,
}

/// Wakes the keeper, and tells the next call, which may come first, that something has happened.
#[derive(Debug)]
struct Watch {
    task: Waker,
    told: AtomicBool,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.told.store(true, Relaxed);
        self.task.wake_by_ref();
    }
}

impl Link {
    pub(super) fn new(wire: Guarded, worker: &Worker) -> Self {
        Self {
            worker: worker.clone(),
            wire: RefCell::new(Some(wire)),
            read: RefCell::default(),
            sending: RefCell::default(),
            begun: Cell::new(false),
            handed: Cell::new(false),
            over: Cell::new(false),
            keeper: RefCell::default(),
            reader: RefCell::default(),
        }
    }

    /// Whose metrics the connection is counted in.
    pub(super) fn shard(&self) -> Shard {
        self.worker.shard()
    }

    /// Takes a request, to be sent by whoever waits for its answer.
    pub(super) fn begin(&self, sending: Sending) {
        self.begun.set(false);
        *self.sending.borrow_mut() = Some(sending);
    }

    /// Whether nothing of the request has been sent.
    pub(super) fn is_unsent(&self) -> bool {
        !self.begun.get()
    }

    /// Whether the request has been sent and nothing is left of its answer.
    pub(super) fn is_clean(&self) -> bool {
        self.sending.borrow().is_none() && self.read.borrow().is_empty()
    }

    /// Whether the connection has come to its end, and not by the gateway's doing.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Notes that the connection ends with what has come.
    pub(super) fn end(&self) {
        self.over.set(true);
    }

    /// Sends the request and waits for the head of its answer, which may come before the end of the
    /// request; the keeper sends the rest then. `hear` is told of interim answers.
    pub(super) fn poll_answer(
        &self,
        cx: &mut Context<'_>,
        (asked, fields): (Awaited, u32),
        hear: &mut dyn FnMut(response::Parts),
    ) -> Poll<Result<Head, Trouble>> {
        let failed = match self.poll_send(cx) {
            Poll::Ready(Err(Trouble::Lost(error))) => Some(error),
            Poll::Ready(Err(trouble)) => return Poll::Ready(Err(trouble)),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        match (self.poll_head(cx, (asked, fields), hear), failed) {
            (Poll::Ready(Ok(head)), _) => {
                if self.sending.borrow().is_some() {
                    self.handed.set(true);
                    if let Some(keeper) = &*self.keeper.borrow() {
                        keeper.watch.task.wake_by_ref();
                    }
                }
                Poll::Ready(Ok(head))
            }
            // A host that reads no further may have said why.
            (Poll::Pending | Poll::Ready(Err(Trouble::Lost(_))), Some(failed)) => {
                self.over.set(true);
                Poll::Ready(Err(Trouble::Lost(failed)))
            }
            (polled, _) => polled,
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        let mut place = self.sending.borrow_mut();
        let mut wire = self.wire.borrow_mut();
        let (Some(sending), Some(wire)) = (&mut *place, &mut *wire) else {
            return Poll::Ready(Ok(()));
        };
        let mut begun = self.begun.get();
        let sent = sending.poll(wire, cx, &mut begun);
        self.begun.set(begun);
        ready!(sent)?;
        *place = None;
        Poll::Ready(Ok(()))
    }

    fn poll_head(
        &self,
        cx: &mut Context<'_>,
        (asked, fields): (Awaited, u32),
        hear: &mut dyn FnMut(response::Parts),
    ) -> Poll<Result<Head, Trouble>> {
        loop {
            let read = head::read(&mut self.read.borrow_mut(), asked, fields);
            match read.map_err(Trouble::Wrong)? {
                Some(head) if head.is_interim() => {
                    hear(head.parts);
                    continue;
                }
                Some(head) => return Poll::Ready(Ok(head)),
                None => {}
            }
            if !ready!(self.poll_fill(cx)).map_err(Trouble::Lost)? {
                let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Poll::Ready(Err(Trouble::Lost(error)));
            }
        }
    }

    /// Takes from what has been read.
    pub(super) fn take<R>(&self, take: impl FnOnce(&mut Bytes) -> R) -> R {
        take(&mut self.read.borrow_mut())
    }

    /// Reads more; `false` at the end of the connection.
    pub(super) fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut wire = self.wire.borrow_mut();
        let Some(wire) = &mut *wire else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        let mut block = self.worker.take_block(READ_BLOCK);
        let polled = {
            let mut room = (&mut block).limit(READ_BLOCK);
            poll_read_buf(Pin::new(wire), cx, &mut room)
        };
        let fresh = match block.len() {
            0 => Bytes::new(),
            1..COPIED => {
                let copy = Bytes::copy_from_slice(&block);
                block.clear();
                copy
            }
            _ => block.split().freeze(),
        };
        self.worker.put_block(block);
        if polled.is_pending() && self.handed.get() {
            *self.reader.borrow_mut() = Some(cx.waker().clone());
        }
        let count = ready!(polled).inspect_err(|_| self.over.set(true))?;
        if count == 0 {
            self.over.set(true);
            return Poll::Ready(Ok(false));
        }
        let mut read = self.read.borrow_mut();
        *read = match read.is_empty() {
            true => fresh,
            false => [&read[..], &fresh[..]].concat().into(),
        };
        Poll::Ready(Ok(true))
    }

    /// Whether a connection that waits for a call is still of use.
    pub(super) fn is_good(&self) -> bool {
        let told = match &*self.keeper.borrow() {
            Some(keeper) => keeper.watch.told.swap(false, Relaxed),
            None => true,
        };
        !told || self.watch().is_pending()
    }

    /// Lets the keeper watch over the connection until the next call. Ready when that is of no use
    /// any more: it has been closed, or something came that nobody asked for. Costs no system call
    /// while nothing has happened.
    pub(super) fn watch(&self) -> Poll<()> {
        let keeper = self.keeper.borrow();
        let waker = match &*keeper {
            Some(keeper) => &keeper.waker,
            None => Waker::noop(),
        };
        let mut wire = self.wire.borrow_mut();
        if let Some(wire) = &mut *wire {
            let (mut cx, mut space) = (Context::from_waker(waker), [0]);
            // Whatever it is, nobody waits for it.
            let _ = ready!(Pin::new(wire).poll_read(&mut cx, &mut ReadBuf::new(&mut space)));
        }
        self.over.set(true);
        Poll::Ready(())
    }

    /// Does what is the keeper's to do; ready when the connection has come to its end.
    pub(super) fn poll_keep(&self, cx: &mut Context<'_>, busy: bool) -> Poll<()> {
        self.know(cx.waker());
        match (busy, self.handed.get()) {
            (false, _) => self.watch(),
            (true, false) => Poll::Pending,
            (true, true) => {
                match ready!(self.poll_send(cx)) {
                    // What a host still says that reads no further is passed on.
                    Ok(()) | Err(Trouble::Lost(_)) => self.handed.set(false),
                    Err(_) => self.break_off(),
                }
                Poll::Pending
            }
        }
    }

    fn know(&self, task: &Waker) {
        let mut keeper = self.keeper.borrow_mut();
        let known = keeper.as_ref();
        if known.is_none_or(|known| !known.watch.task.will_wake(task)) {
            let watch = Arc::new(Watch {
                task: task.clone(),
                told: AtomicBool::new(false),
            });
            let waker = Waker::from(Arc::clone(&watch));
            *keeper = Some(Keeper { watch, waker });
        }
    }

    /// Closes the connection under whoever reads from it.
    fn break_off(&self) {
        *self.wire.borrow_mut() = None;
        self.handed.set(false);
        let reader = self.reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The socket, for something else than HTTP.
    pub(super) fn take_over(&self) -> Option<Upgraded> {
        let mut wire = self.wire.borrow_mut().take()?;
        wire.put_back(&self.read.take());
        self.over.set(true);
        Some(wire.into_parts())
    }
}

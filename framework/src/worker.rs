//! A worker: one thread, one `current_thread` runtime, and everything that its connections share
//! without a lock.

use std::{
    any::{Any, TypeId},
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::Future,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{sync::Notify, task::AbortHandle};

pub use crate::drain::{ChainDrain, Drain, DrainScope};
use crate::{
    drain::Draining,
    metrics,
    snapshot::{Live, Pinned},
    stats::{Group, Registry, Shard},
    time::{Clock, Moment},
    wheel::{TimerId, Wheel},
};

/// What a fresh read buffer holds. Connections take turns with it; an idle one holds no buffer.
pub const READ_BLOCK: usize = 64 * 1024;

/// Read blocks kept for reuse. While a block's frames wait for their answers another one is read
/// into.
const SPARE_BLOCKS: usize = 16;

/// Blocks that are asked whether their frames have gone, before a new one is made.
const LOOKED_AT: usize = 4;

/// Batch buffers kept for reuse. More are freed; the number follows the sockets that are written
/// to within one turn of the loop.
const SPARE_BATCHES: usize = 64;

/// A batch buffer that has grown beyond this is freed instead of kept.
const SPARE_BATCH_MAX: usize = 64 * 1024;

/// A handle to the worker that runs the current task. Cheap to clone; never leaves its thread.
#[derive(Clone)]
pub struct Worker(Rc<Inner>);

/// What is called with the ids of hosts that are no longer configured.
pub type Retired = Rc<dyn Fn(&[u64])>;

struct Inner {
    shard: Shard,
    clock: Clock,
    live: Arc<Live>,
    registry: Arc<Registry>,
    pinned: RefCell<(u64, Pinned)>,
    random: RefCell<fastrand::Rng>,
    timers: Timers,
    blocks: RefCell<VecDeque<BytesMut>>,
    held: Cell<usize>,
    batches: RefCell<Vec<BytesMut>>,
    buffered: Buffered,
    draining: Draining,
    parts: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
    retired: RefCell<Vec<Retired>>,
}

struct Timers {
    wheel: RefCell<Wheel<(u8, u64)>>,
    targets: RefCell<Vec<Rc<dyn Expire>>>,
    armed_for: Cell<u64>,
    earlier: Notify,
}

/// Bytes that the worker's connections buffer, against the worker's share of the process limit.
#[derive(Debug)]
struct Buffered {
    used: Cell<usize>,
    limit: usize,
    /// `used` for the eyes of others.
    shown: Arc<Group>,
}

metrics! {
    /// Metrics of the workers, `crossdock.…`.
    pub enum WorkerMetric {
        /// Bytes that connections buffer now, of which `crossdock.buffer_bytes` is the limit.
        gauge Buffered = "buffered_bytes",
    }
}

/// How much of its share a worker has left to buffer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Some.
    Enough,
    /// None but the reserve: a quarter more, for short frames.
    Scarce,
    /// Not even that.
    Exhausted,
}

/// Gets the keys of timers that expired.
pub trait Expire {
    /// The timer armed with `key` is due.
    fn expire(&self, key: u64);
}

/// Which [`Expire`] a timer belongs to.
#[derive(Clone, Copy, Debug)]
pub struct TimerTarget(u8);

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("shard", &self.0.shard)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that writes the cells of `shard` and may buffer `memory_limit` bytes.
    pub fn new(
        shard: Shard,
        live: Arc<Live>,
        registry: Arc<Registry>,
        memory_limit: usize,
    ) -> Self {
        let buffered = registry.group::<WorkerMetric>("crossdock", "");
        let pinned = RefCell::new((live.version(), Pinned::new(live.load())));
        let worker = Self(Rc::new(Inner {
            shard,
            clock: Clock::default(),
            live,
            registry,
            pinned,
            random: RefCell::new(fastrand::Rng::new()),
            timers: Timers {
                wheel: RefCell::default(),
                targets: RefCell::default(),
                armed_for: Cell::new(u64::MAX),
                earlier: Notify::new(),
            },
            blocks: RefCell::default(),
            held: Cell::new(0),
            batches: RefCell::default(),
            buffered: Buffered {
                used: Cell::new(0),
                limit: memory_limit,
                shown: buffered,
            },
            draining: Draining::default(),
            parts: RefCell::default(),
            retired: RefCell::default(),
        }));
        worker.tick();
        worker
    }

    /// Whose metric cells the worker writes.
    pub fn shard(&self) -> Shard {
        self.0.shard
    }

    /// The registry of all metrics.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Reads the time; called at the start of a task's turn.
    pub fn tick(&self) -> Moment {
        self.0.clock.tick()
    }

    /// The time of the current turn.
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.0.random.borrow_mut().u64(..)
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Pinned {
        let mut pinned = self.0.pinned.borrow_mut();
        let version = self.0.live.version();
        if pinned.0 != version {
            *pinned = (version, Pinned::new(self.0.live.load()));
        }
        pinned.1.clone()
    }

    /// The worker's only value of type `T`, made on first use: a protocol keeps its pools and
    /// calls here.
    pub fn part<T: 'static>(&self, make: impl FnOnce() -> Rc<T>) -> Rc<T> {
        let id = TypeId::of::<T>();
        let found = self
            .0
            .parts
            .borrow()
            .iter()
            .find(|part| part.0 == id)
            .map(|part| {
                Rc::clone(&part.1)
                    .downcast::<T>()
                    .expect("parts are found by the id of their type")
            });
        found.unwrap_or_else(|| {
            let part = make();
            self.0
                .parts
                .borrow_mut()
                .push((id, part.clone() as Rc<dyn Any>));
            part
        })
    }
}

/// Timers.
impl Worker {
    /// Registers what is told of expired timers.
    pub fn timer_target(&self, target: Rc<dyn Expire>) -> TimerTarget {
        let mut targets = self.0.timers.targets.borrow_mut();
        targets.push(target);
        TimerTarget(u8::try_from(targets.len() - 1).expect("a worker serves few protocols"))
    }

    /// Arms a timer.
    #[inline]
    pub fn arm(&self, at: Moment, target: TimerTarget, key: u64) -> TimerId {
        let timers = &self.0.timers;
        let id = timers.wheel.borrow_mut().arm(at.ms(), (target.0, key));
        if at.ms() < timers.armed_for.get() {
            timers.armed_for.set(at.ms());
            timers.earlier.notify_one();
        }
        id
    }

    /// Cancels a timer.
    #[inline]
    pub fn disarm(&self, id: TimerId) {
        self.0.timers.wheel.borrow_mut().cancel(id);
    }

    /// Expires timers for ever; run beside the worker's connections.
    pub async fn run_timers(&self) {
        let timers = &self.0.timers;
        let mut due = Vec::new();
        loop {
            let now = self.tick().ms();
            timers.wheel.borrow_mut().expire(now, &mut due);
            for (target, key) in due.drain(..) {
                let target = timers.targets.borrow().get(usize::from(target)).cloned();
                if let Some(target) = target {
                    target.expire(key);
                }
            }
            let next = timers.wheel.borrow().next_ms();
            timers.armed_for.set(next.unwrap_or(u64::MAX));
            let wait = next.map_or(Duration::from_secs(3600), |next| {
                Duration::from_millis(next.saturating_sub(now).max(1))
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = timers.earlier.notified() => {}
            }
        }
    }
}

/// Buffers and their accounting.
impl Worker {
    /// A read block with room for at least `room` more bytes: one whose frames have all gone, if
    /// there is one, so that a steady flow of calls allocates nothing.
    pub fn take_block(&self, room: usize) -> BytesMut {
        let mut blocks = self.0.blocks.borrow_mut();
        for _ in 0..blocks.len().min(LOOKED_AT) {
            let Some(mut block) = blocks.pop_front() else {
                break;
            };
            if block.try_reclaim(room) {
                return block;
            }
            blocks.push_back(block);
        }
        BytesMut::with_capacity(READ_BLOCK.max(room))
    }

    /// Gives an empty read block back. Frames cut off it may still be in use.
    pub fn put_block(&self, block: BytesMut) {
        debug_assert!(block.is_empty(), "a block comes back empty");
        let mut blocks = self.0.blocks.borrow_mut();
        blocks.push_front(block);
        blocks.truncate(SPARE_BLOCKS);
    }

    /// Counts a connection that begins or ceases to keep a read buffer between its turns.
    pub fn count_held(&self, held: bool) {
        let count = &self.0.held;
        count.set(match held {
            true => count.get() + 1,
            false => count.get().saturating_sub(1),
        });
    }

    /// Connections that keep a read buffer between their turns.
    #[inline]
    pub fn held_blocks(&self) -> usize {
        self.0.held.get()
    }

    /// A buffer to batch writes in.
    pub fn take_batch(&self) -> BytesMut {
        self.0
            .batches
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| BytesMut::with_capacity(4096))
    }

    /// Gives a drained batch buffer back.
    pub fn put_batch(&self, batch: BytesMut) {
        let mut batches = self.0.batches.borrow_mut();
        if batches.len() < SPARE_BATCHES && (1..=SPARE_BATCH_MAX).contains(&batch.capacity()) {
            batches.push(batch);
        }
    }

    /// Counts bytes that are buffered from now on.
    #[inline]
    pub fn charge(&self, bytes: usize) {
        let Buffered { used, shown, .. } = &self.0.buffered;
        used.set(used.get().saturating_add(bytes));
        shown.add(self.0.shard, WorkerMetric::Buffered, bytes as u64);
    }

    /// Counts bytes that are no longer buffered.
    #[inline]
    pub fn refund(&self, bytes: usize) {
        let Buffered { used, shown, .. } = &self.0.buffered;
        let bytes = bytes.min(used.get());
        used.set(used.get() - bytes);
        let less = (bytes as u64).wrapping_neg();
        shown.add(self.0.shard, WorkerMetric::Buffered, less);
    }

    /// Bytes that the worker's connections buffer now.
    pub fn buffered(&self) -> usize {
        self.0.buffered.used.get()
    }

    /// What is left of the worker's share of the process limit, with `more` bytes that are not
    /// counted yet.
    #[inline]
    pub fn memory(&self, more: usize) -> Memory {
        let Buffered { used, limit, .. } = &self.0.buffered;
        let used = used.get().saturating_add(more);
        if used < *limit {
            Memory::Enough
        } else if used < limit.saturating_add(limit / 4) {
            Memory::Scarce
        } else {
            Memory::Exhausted
        }
    }
}

/// Configuration that goes.
impl Worker {
    /// Lets go of what was configured before: the snapshot that no call holds any more, and the
    /// connections to these hosts ([`HostState::id`](crate::cluster::HostState::id)), which are no
    /// longer configured, once their calls have ended.
    pub fn retire(&self, hosts: &[u64]) {
        self.tick();
        drop(self.snapshot());
        let hooks = self.0.retired.borrow().clone();
        hooks.iter().for_each(|hook| hook(hosts));
    }

    /// Registers what is called with the hosts that are no longer configured.
    pub fn on_retire(&self, hook: Retired) {
        self.0.retired.borrow_mut().push(hook);
    }

    pub(crate) fn draining(&self) -> &Draining {
        &self.0.draining
    }
}

/// Runs a task on the current worker for as long as it needs.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(spawn_abortable(task));
}

/// Runs a task on the current worker until it is done or given up.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tasks of a worker start"
)]
pub(crate) fn spawn_abortable(task: impl Future<Output = ()> + 'static) -> AbortHandle {
    tokio::task::spawn_local(task).abort_handle()
}

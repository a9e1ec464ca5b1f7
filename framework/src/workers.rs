//! The worker threads, and how sockets come to them.

use std::{
    fmt,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    protocol::LocalFuture,
    snapshot::{Ends, Live},
    stats::{Registry, Shard},
    worker::{DrainScope, Worker, spawn},
};

/// Accepted sockets that may wait for one worker. More wait in the kernel's backlog.
const QUEUE: usize = 1024;

/// Serves the connections of one listener.
pub trait Serve: Send + Sync + 'static {
    /// Serves a connection to its end, on the worker that it was given to.
    fn serve(self: Arc<Self>, accepted: Accepted, worker: Worker) -> LocalFuture;
}

/// A socket fresh from `accept`.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, in non-blocking mode.
    pub socket: TcpStream,
    /// Its two ends.
    pub ends: Ends,
}

enum Order {
    Accept(Accepted, Arc<dyn Serve>),
    Drain(Duration, DrainScope),
    TellDrains,
    Retire(Arc<[u64]>),
    Stop,
}

/// One thread.
struct Thread {
    orders: mpsc::Sender<Order>,
    connections: Arc<AtomicUsize>,
    handle: Option<JoinHandle<()>>,
}

/// All worker threads.
pub struct Workers {
    threads: Vec<Thread>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.threads.len())
            .finish()
    }
}

impl Workers {
    /// Starts `count` threads that together may buffer `memory` bytes.
    ///
    /// # Errors
    ///
    /// When the system has no thread or no event queue to give.
    pub fn start(
        count: usize,
        live: &Arc<Live>,
        registry: &Arc<Registry>,
        memory: usize,
    ) -> std::io::Result<Self> {
        Self::start_with(QUEUE, (count, memory), live, registry)
    }

    /// As [`Workers::start`], with room for `queue` orders that a worker has not taken yet.
    fn start_with(
        queue: usize,
        (count, memory): (usize, usize),
        live: &Arc<Live>,
        registry: &Arc<Registry>,
    ) -> std::io::Result<Self> {
        let mut workers = Self {
            threads: Vec::new(),
        };
        for number in 1..=count {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (orders, inbox) = mpsc::channel(queue);
            let connections = Arc::new(AtomicUsize::new(0));
            let (live, registry) = (Arc::clone(live), Arc::clone(registry));
            let counted = Arc::clone(&connections);
            let handle = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    Shard(number).enter();
                    let worker = Worker::new(Shard(number), live, registry, memory / count.max(1));
                    let local = tokio::task::LocalSet::new();
                    local.block_on(&runtime, run(worker, inbox, counted));
                })?;
            workers.threads.push(Thread {
                orders,
                connections,
                handle: Some(handle),
            });
        }
        Ok(workers)
    }

    /// Gives a socket to the worker with the fewest connections.
    pub async fn give(&self, accepted: Accepted, listener: Arc<dyn Serve>) {
        let least = self
            .threads
            .iter()
            .min_by_key(|thread| thread.connections.load(Relaxed));
        if let Some(thread) = least {
            thread.connections.fetch_add(1, Relaxed);
            if thread
                .orders
                .send(Order::Accept(accepted, listener))
                .await
                .is_err()
            {
                thread.connections.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Connections of all workers.
    pub fn connections(&self) -> usize {
        self.threads
            .iter()
            .map(|thread| thread.connections.load(Relaxed))
            .sum()
    }

    /// Lets every worker drain within `time`.
    pub async fn drain(&self, time: Duration, scope: DrainScope) {
        for thread in &self.threads {
            // A thread that has ended has nothing to drain.
            let _ = thread.orders.send(Order::Drain(time, scope)).await;
        }
    }

    /// Tells every worker that filter chains drain
    /// ([`ChainDrain::begin`](crate::drain::ChainDrain::begin)).
    pub async fn tell_drains(&self) {
        for thread in &self.threads {
            let _ = thread.orders.send(Order::TellDrains).await;
        }
    }

    /// Tells every worker of a snapshot that has been published, and of the hosts
    /// ([`HostState::id`](crate::cluster::HostState::id)) that it has no more.
    pub async fn retire(&self, hosts: Arc<[u64]>) {
        for thread in &self.threads {
            let _ = thread.orders.send(Order::Retire(Arc::clone(&hosts))).await;
        }
    }

    /// Ends every worker with what it has in hand.
    pub async fn stop(&mut self) {
        for thread in &mut self.threads {
            let _ = thread.orders.send(Order::Stop).await;
        }
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                let joined = tokio::task::spawn_blocking(move || handle.join()).await;
                if !matches!(joined, Ok(Ok(()))) {
                    tracing::error!("a worker thread ended by a panic");
                }
            }
        }
    }
}

async fn run(worker: Worker, mut inbox: mpsc::Receiver<Order>, connections: Arc<AtomicUsize>) {
    let timers = worker.clone();
    spawn(async move { timers.run_timers().await });
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Accept(accepted, listener) => {
                let connections = Arc::clone(&connections);
                let served = listener.serve(accepted, worker.clone());
                spawn(async move {
                    served.await;
                    connections.fetch_sub(1, Relaxed);
                });
            }
            Order::Drain(time, scope) => worker.begin_drain(time, scope),
            Order::TellDrains => worker.tell_drains(),
            Order::Retire(hosts) => worker.retire(&hosts),
            Order::Stop => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        sync::{
            Mutex,
            mpsc::{Receiver, channel},
        },
    };

    use super::*;
    use crate::protocol::LocalFuture;

    /// Keeps its worker busy until it is told to go on.
    #[derive(Debug)]
    struct Busy(Mutex<Receiver<()>>);

    impl Serve for Busy {
        fn serve(self: Arc<Self>, _: Accepted, _: Worker) -> LocalFuture {
            let told = self.0.lock().expect("nobody panics with it");
            // An error means that everybody may go on.
            let _ = told.recv();
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn sockets_wait_in_a_queue_with_an_end() {
        const ROOM: usize = 4;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let accepted = || Accepted {
            socket: TcpStream::connect(address).expect("it listens"),
            ends: crate::snapshot::Ends::of(address, address),
        };
        let (live, registry) = (Arc::new(Live::default()), Arc::new(Registry::new(1)));
        let mut workers =
            Workers::start_with(ROOM, (1, 1 << 20), &live, &registry).expect("a thread");
        let (go_on, told) = channel();
        let busy: Arc<dyn Serve> = Arc::new(Busy(Mutex::new(told)));
        workers.give(accepted(), Arc::clone(&busy)).await;
        let mut waiting = 0;
        let short = Duration::from_millis(300);
        // One is in the worker's hands; it may be taken before or after the queue is full.
        while waiting <= ROOM + 1 {
            let giving = workers.give(accepted(), Arc::clone(&busy));
            if tokio::time::timeout(short, giving).await.is_err() {
                break;
            }
            waiting += 1;
        }
        assert_eq!(waiting, ROOM, "sockets that wait for a busy worker");
        drop(go_on);
        workers.stop().await;
        assert_eq!(QUEUE, 1024, "as docs/limits.md says");
    }
}

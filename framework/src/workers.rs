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
        let mut workers = Self {
            threads: Vec::new(),
        };
        for number in 1..=count {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (orders, inbox) = mpsc::channel(QUEUE);
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
            Order::Stop => return,
        }
    }
}

//! Files that lines are written to, without ever making a worker wait.
//!
//! A line goes into a lane: a buffer that one worker fills and that the file's own thread empties,
//! every [`Flush::interval`] or when [`Flush::size`] octets wait. A full lane drops lines and
//! counts them. Lines of one worker stay in order; those of different workers are written lane by
//! lane.

use std::{
    cell::Cell,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    mem,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, Thread},
    time::Duration,
};

use crossdock_framework::{
    metrics,
    stats::{Group, Registry, Shard},
};

/// The most octets that wait in one lane.
pub(super) const LANE_MAX: usize = 1024 * 1024;

/// A lane's buffer that has grown beyond this is made smaller after it was written.
const LANE_KEPT: usize = 128 * 1024;

/// The most files: each has a thread.
const MAX_FILES: usize = 64;

metrics! {
    /// Metrics of access log files, `access_log_file.…`; counted when a file is flushed.
    pub(crate) enum FileMetric {
        /// Lines taken from workers.
        counter Buffered = "write_buffered",
        /// Lines dropped because the file could not be written as fast as they came.
        counter Dropped = "write_dropped",
        /// Writes to a file.
        counter Completed = "write_completed",
        /// Writes that failed; their lines are lost.
        counter Failed = "write_failed",
    }
}

/// When lines are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flush {
    /// At the latest after this time. Default 1 s; Envoy's `--file-flush-interval-msec`.
    pub(crate) interval: Duration,
    /// When a lane holds this many octets. Default 64 KiB; Envoy's `--file-flush-min-size-kb`.
    pub(crate) size: usize,
}

impl Default for Flush {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            size: 64 * 1024,
        }
    }
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
    Path(PathBuf),
}

impl Target {
    /// The target of a `path`. The two device names stand for the streams themselves: opening
    /// them anew fails where a stream is a socket or belongs to another user.
    pub(super) fn of_path(path: &str) -> Self {
        match path {
            "/dev/stdout" => Self::Stdout,
            "/dev/stderr" => Self::Stderr,
            path => Self::Path(Path::new(path).to_owned()),
        }
    }

    /// Whether lines could be written.
    fn check(&self) -> io::Result<()> {
        match self {
            Self::Stdout | Self::Stderr => Ok(()),
            Self::Path(path) => can_write(path),
        }
    }

    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
            Self::Path(path) => Box::new(append(path)?),
        })
    }
}

/// Whether a file can be written. Leaves no trace: one that there is not is created and removed
/// again.
///
/// # Errors
///
/// When it cannot.
pub(crate) fn can_write(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).create_new(true).open(path) {
        Ok(_) => fs::remove_file(path),
        // A pipe waits for its reader to open it.
        Err(_) if fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => append(path).map(drop),
        Err(error) => Err(error),
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The access log files of the process: logs with the same target share one.
#[derive(Debug)]
pub(crate) struct Files {
    flush: Flush,
    lanes: usize,
    stats: Option<Arc<Counters>>,
    open: Mutex<Vec<(Target, Weak<Output>)>>,
}

/// The metrics of all files. Cells have one writer: here it is whoever holds the lock.
#[derive(Debug)]
pub(super) struct Counters(Mutex<Arc<Group>>);

impl Counters {
    pub(super) fn new(group: Arc<Group>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(group)))
    }
}

impl Files {
    /// Files that are written by `workers` workers.
    pub(crate) fn new(registry: &Registry, workers: usize, flush: Flush) -> Self {
        let group = registry.group::<FileMetric>("access_log_file", "");
        let stats = Some(Counters::new(group));
        Self {
            flush,
            lanes: workers.max(1),
            stats,
            open: Mutex::default(),
        }
    }

    /// Files that nothing is written to, to find out whether a configuration is right: each is
    /// looked at, and left as it is.
    pub(crate) fn unopened() -> Self {
        Self {
            flush: Flush::default(),
            lanes: 1,
            stats: None,
            open: Mutex::default(),
        }
    }

    /// The file, opened for appending now unless it is open already.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or there are too many.
    pub(super) fn open(&self, target: Target) -> io::Result<Arc<Output>> {
        let mut open = lock(&self.open);
        open.retain(|(_, output)| output.strong_count() > 0);
        let found = open.iter().find(|(known, _)| *known == target);
        if let Some(output) = found.and_then(|(_, output)| output.upgrade()) {
            return Ok(output);
        }
        if open.len() >= MAX_FILES {
            return Err(io::Error::other(format!(
                "there are {MAX_FILES} access log files"
            )));
        }
        let output = Arc::new(match &self.stats {
            None => {
                target.check()?;
                Output::unopened()
            }
            Some(stats) => {
                Output::start(target.open()?, self.lanes, self.flush, Arc::clone(stats))?
            }
        });
        open.push((target, Arc::downgrade(&output)));
        Ok(output)
    }

    /// Takes a file that is open already.
    #[cfg(test)]
    pub(super) fn adopt(&self, target: Target, output: Output) -> Arc<Output> {
        let output = Arc::new(output);
        lock(&self.open).push((target, Arc::downgrade(&output)));
        output
    }

    /// Writes what waits, for at most `time`; lines that come later are lost. For the end of the
    /// process.
    pub(crate) fn close(&self, time: Duration) {
        let outputs: Vec<_> = lock(&self.open)
            .iter()
            .filter_map(|open| open.1.upgrade())
            .collect();
        outputs.iter().for_each(|output| output.stop());
        let share = time / u32::try_from(outputs.len().max(1)).unwrap_or(u32::MAX);
        for output in outputs {
            let done = lock(&output.done);
            // The thread never sends: it hangs up when it ends.
            if done.recv_timeout(share) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("an access log file takes no more octets; lines are lost");
            }
        }
    }
}

/// One file, being written. Its thread ends when the last log that writes to it is gone.
#[derive(Debug)]
pub(super) struct Output {
    lanes: Arc<Lanes>,
    /// [`Flush::size`].
    size: usize,
    writer: Option<Thread>,
    done: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Lanes {
    lanes: Box<[Mutex<Lane>]>,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: Vec<u8>,
    lines: u64,
    dropped: u64,
}

impl Output {
    fn unopened() -> Self {
        let lanes = Lanes {
            lanes: Box::default(),
            stopping: AtomicBool::new(true),
        };
        Self {
            lanes: Arc::new(lanes),
            size: 0,
            writer: None,
            done: Mutex::new(mpsc::channel().1),
        }
    }

    /// Starts the thread that writes to `file`.
    ///
    /// # Errors
    ///
    /// When there can be no more threads.
    pub(super) fn start(
        file: Box<dyn Write + Send>,
        lanes: usize,
        flush: Flush,
        stats: Arc<Counters>,
    ) -> io::Result<Self> {
        let lanes = Arc::new(Lanes {
            lanes: (0..lanes).map(|_| Mutex::default()).collect(),
            stopping: AtomicBool::new(false),
        });
        let (alive, done) = mpsc::sync_channel::<()>(0);
        let mut writer = Writer {
            lanes: Arc::clone(&lanes),
            file,
            stats,
            spare: Vec::new(),
            failing: false,
        };
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer.run(flush.interval);
                drop(alive);
            })?;
        let writer = Some(thread.thread().clone());
        Ok(Self {
            lanes,
            size: flush.size,
            writer,
            done: Mutex::new(done),
        })
    }

    /// Takes a line, or drops and counts it.
    pub(super) fn push(&self, line: &[u8]) {
        let lanes = &self.lanes.lanes;
        let Some(lane) = my_lane()
            .checked_rem(lanes.len())
            .and_then(|at| lanes.get(at))
        else {
            return;
        };
        let mut lane = lock(lane);
        let before = lane.waiting.len();
        if before + line.len() > LANE_MAX {
            lane.dropped += 1;
            return;
        }
        lane.waiting.extend_from_slice(line);
        lane.lines += 1;
        let after = lane.waiting.len();
        drop(lane);
        if before < self.size && after >= self.size {
            self.wake();
        }
    }

    /// Octets that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lanes
            .lanes
            .iter()
            .map(|lane| lock(lane).waiting.len())
            .sum()
    }

    /// Whether lines that are pushed now will be written.
    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        !self.lanes.stopping.load(Relaxed)
    }

    fn stop(&self) {
        self.lanes.stopping.store(true, Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(writer) = &self.writer {
            writer.unpark();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The number of the calling thread among those that write logs.
fn my_lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed));
    }
    MINE.get()
}

/// The thread of one file.
struct Writer {
    lanes: Arc<Lanes>,
    file: Box<dyn Write + Send>,
    stats: Arc<Counters>,
    /// Changes places with the buffer of the lane that is written.
    spare: Vec<u8>,
    failing: bool,
}

impl Writer {
    fn run(&mut self, interval: Duration) {
        // What was pushed before the end is written after it is seen.
        let mut last = false;
        while !mem::replace(&mut last, self.lanes.stopping.load(Relaxed)) {
            if !last {
                thread::park_timeout(interval);
            }
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let lanes = Arc::clone(&self.lanes);
        for lane in &lanes.lanes {
            let mut lane = lock(lane);
            mem::swap(&mut lane.waiting, &mut self.spare);
            let (lines, dropped) = (mem::take(&mut lane.lines), mem::take(&mut lane.dropped));
            drop(lane);
            if lines + dropped == 0 {
                continue;
            }
            let written = self
                .file
                .write_all(&self.spare)
                .and_then(|()| self.file.flush());
            self.note(&written);
            self.spare.clear();
            self.spare.shrink_to(LANE_KEPT);
            let stats = lock(&self.stats.0);
            stats.add(Shard(0), FileMetric::Buffered, lines);
            stats.add(Shard(0), FileMetric::Dropped, dropped);
            match written {
                Ok(()) => stats.inc(Shard(0), FileMetric::Completed),
                Err(_) => stats.inc(Shard(0), FileMetric::Failed),
            }
        }
    }

    /// Tells the operator of the first of several failures.
    fn note(&mut self, written: &io::Result<()>) {
        if let Err(error) = written
            && !self.failing
        {
            tracing::warn!("an access log cannot be written: {error}");
        }
        self.failing = written.is_err();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A child process that cannot outlive its test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::eventually;

/// Lines of a child that nobody has read yet; more, and the child waits.
const LINES: usize = 1024;

/// A running program: its lines, its end, its log. Killed by its id when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(i32),
    /// By a signal.
    Signal,
    /// Not within the time given.
    StillRunning,
}

impl Process {
    /// Starts a command; its errors go to a file below `logs` that stays only when the test fails.
    ///
    /// # Errors
    /// When the program cannot be started or its log not be written.
    pub fn start(name: &str, command: &mut Command, logs: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(logs)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = logs.join(format!("{name}-{}-{number}.log", std::process::id()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let (send, lines) = sync_channel(LINES);
        thread::spawn(move || forward(BufReader::new(stdout), &send));
        let stdin = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin,
            lines,
            log,
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to its standard input.
    pub fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        let written = stdin
            .write_all(line.as_bytes())
            .and_then(|()| stdin.write_all(b"\n"));
        if let Err(error) = written.and_then(|()| stdin.flush()) {
            panic!("{} does not read: {error}; {}", self.name, self.log_tail());
        }
    }

    /// The next line of its standard output, if one comes in time.
    pub fn line(&mut self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// Asks it to end (SIGTERM) and returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it without asking (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it from running at all (SIGSTOP): its sockets stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it run again (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> End {
        let ended = eventually(patience, || self.child.try_wait().ok().flatten());
        match ended {
            Some(status) => status.code().map_or(End::Signal, End::Code),
            None => End::StillRunning,
        }
    }

    /// Resident memory in KiB, from the kernel's account of the process.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// The end of what it wrote to its error stream, for a failure's message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(3000);
        let tail = String::from_utf8_lossy(text.get(from..).unwrap_or_default());
        format!(
            "the log of {} ({}) ends:\n{tail}",
            self.name,
            self.log.display()
        )
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a child has an id");
        // It may have ended by itself; then there is nothing to end.
        let _ = kill_process(id, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        } else {
            let _ = fs::remove_file(&self.log);
        }
    }
}

/// Ends when the child closes its output, or when nobody wants lines any more.
fn forward(stdout: impl BufRead, send: &SyncSender<String>) {
    for line in stdout.lines().map_while(Result::ok) {
        if send.send(line).is_err() {
            return;
        }
    }
}

/// The folder of a program on `PATH`, or nothing.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(OsStr::new(program)))
        .find(|file| file.is_file())
}

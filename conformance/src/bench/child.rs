//! Processes of a benchmark: how they are started, pinned, spoken to and ended.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// The core of the proxy under measurement.
pub(crate) const PROXY_CORE: usize = 0;
/// The core of load and backends.
pub(crate) const LOAD_CORE: usize = 1;
/// Lines that a child may be ahead of its reader.
const LINES: usize = 64;

/// The runtime of a child: one thread, as every contender has.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
}

/// Tells the parent a line.
pub(super) fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("the parent is gone")
}

/// Waits for the parent's next line; false when it has no more.
pub(super) fn told() -> anyhow::Result<bool> {
    let mut line = String::new();
    Ok(std::io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read standard input")?
        > 0)
}

/// Runs `work` until it ends or the parent closes this child's standard input.
pub(super) async fn while_wanted<T>(work: impl Future<Output = T>) -> Option<T> {
    let (gone, orphaned) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever comes is ignored; the end of it, in any way, is what counts.
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = gone.send(());
    });
    tokio::select! {
        done = work => Some(done),
        _ = orphaned => None,
    }
}

/// A running child; dropping it ends it.
pub(crate) struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

/// How to start a child.
pub(crate) struct Start<'a> {
    /// Its name in messages and of its log.
    pub(crate) name: &'a str,
    /// The core to run on.
    pub(crate) core: usize,
    /// Where its log goes: what it writes to standard error.
    pub(crate) logs: &'a Path,
}

impl Process {
    /// Starts `program` on one core (if `taskset` and a second core exist) with as many open files
    /// as the system allows.
    pub(crate) fn start<A: AsRef<OsStr>>(
        how: &Start<'_>,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        let log = how.logs.join(format!("{}.log", how.name));
        let errors = std::fs::File::create(&log)
            .with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n $(ulimit -Hn); exec \"$@\"", "sh"]);
        if can_pin() {
            command.args(["taskset", "-c", &how.core.to_string()]);
        }
        let mut child = command
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("no standard output")?;
        let (send, lines) = sync_channel(LINES);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A contender may be chatty and nobody reads: what does not fit is dropped.
                let _ = send.try_send(line);
            }
        });
        Ok(Self {
            name: how.name.to_owned(),
            child,
            input,
            lines,
            log,
        })
    }

    /// Starts this very program in one of its hidden roles.
    pub(crate) fn role<A: AsRef<OsStr>>(
        how: &Start<'_>,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("cannot find this program")?;
        let child = [OsStr::new("child").to_owned()];
        let rest = arguments.into_iter().map(|a| a.as_ref().to_owned());
        Self::start(how, &this, child.into_iter().chain(rest))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's next line.
    pub(crate) fn line(&mut self, within: Duration) -> anyhow::Result<String> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!(
                    "{} said nothing for {within:?}{}",
                    self.name,
                    self.last_words()
                )
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.ending();
                bail!("{} ended ({status}){}", self.name, self.last_words())
            }
        }
    }

    /// Sends the child a line.
    pub(crate) fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("no standard input")?;
        writeln!(input, "{line}").with_context(|| format!("{} does not listen", self.name))
    }

    /// How the child ended, if it did by itself.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child
            .try_wait()
            .ok()
            .flatten()
            .map(|status| status.to_string())
    }

    fn ending(&mut self) -> String {
        self.child
            .wait()
            .map_or_else(|e| e.to_string(), |status| status.to_string())
    }

    /// The end of the child's log, for a message.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines
            .into_iter()
            .rev()
            .fold(String::new(), |text, line| text + "\n    " + line)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end and its status is collected.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether children can be bound to cores of their own.
pub(crate) fn can_pin() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > LOAD_CORE)
        && find_program("taskset").is_some()
}

/// The path of a program named in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

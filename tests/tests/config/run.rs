//! One run of the program to its end, and addresses that it must not listen at.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossdock_tests::{Gateway, eventually};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for one run, removed with its files.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

/// A port that nobody else is given. The gateway could take it, because both ask to reuse addresses and this
/// side does not listen.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _socket: OwnedFd,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("config-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    /// A folder with one file in it.
    pub(crate) fn with(name: &str, text: &str) -> Self {
        let folder = Self::fresh();
        fs::write(folder.path(name), text).expect("the target folder can be written");
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs the program here to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_beside(args, &[])
    }

    /// Runs the program here to its end, and sees to it that it never listens at any of these ports.
    pub(crate) fn run_beside(&self, args: &[&str], ports: &[&Port]) -> Ran {
        let file = |name| File::create(self.path(name)).expect("the target folder can be written");
        let child = Command::new(Gateway::program())
            .args(args)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn();
        let mut child = Guard(child.expect("the program starts"));
        let ended = eventually(PATIENCE, || {
            ports.iter().for_each(|port| port.assert_closed());
            child.0.try_wait().ok().flatten()
        });
        let text = |name| fs::read_to_string(self.path(name)).expect("it was created");
        let ran = Ran {
            code: ended.and_then(|status| status.code()),
            stdout: text("stdout"),
            stderr: text("stderr"),
        };
        assert!(ended.is_some(), "the program does not end: {ran:?}");
        ran
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a TCP socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("a TCP socket");
        let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        bind(&socket, &any).expect("loopback has a free port");
        let address = getsockname(&socket)
            .ok()
            .and_then(|at| SocketAddr::try_from(at).ok());
        Self {
            address: address.expect("a bound socket has an address"),
            _socket: socket,
        }
    }

    /// Its number.
    pub(crate) fn number(&self) -> String {
        self.address.port().to_string()
    }

    fn assert_closed(&self) {
        let connected = TcpStream::connect(self.address);
        assert!(connected.is_err(), "somebody listens at {}", self.address);
    }
}

impl Ran {
    /// What stands after `error: ` in these lines.
    pub(crate) fn errors(text: &str) -> Vec<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix("error: "))
            .collect()
    }

    /// Asserts that the program refused to serve, with these messages and no others.
    #[track_caller]
    pub(crate) fn assert_refused(&self, expected: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(Self::errors(&self.stderr), expected);
        assert_eq!(self.stdout, "", "the reasons go to the error stream");
    }
}

/// Ends the program if it has not ended.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! The binary `crossdock` as a value.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::admin::get;
use crate::build::{profile_folder, target};
use crate::deadline::eventually;
use crate::{End, Process};

const READY: Duration = Duration::from_secs(20);
/// The admin port is chosen before the gateway takes it, so another process may be quicker.
const ATTEMPTS: usize = 5;

/// A running gateway. Killed by its id when dropped.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    admin: SocketAddr,
    file: PathBuf,
}

impl Gateway {
    /// Starts the gateway with a bootstrap file in Envoy's format, in which `@ADMIN@` stands for the port of
    /// the admin endpoint and listeners have port 0; waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    #[must_use]
    pub fn start(bootstrap: &str, args: &[&str]) -> Self {
        for _ in 0..ATTEMPTS {
            let mut gateway = Self::launch(bootstrap, args);
            let ready = eventually(READY, || {
                let ended = gateway.process.wait(Duration::ZERO) != End::StillRunning;
                let answers =
                    get(gateway.admin, "GET", "/ready").is_ok_and(|(status, _)| status == 200);
                (ended || answers).then_some(answers)
            });
            match ready {
                Some(true) => return gateway,
                Some(false) if gateway.process.log_tail().contains("in use") => {}
                _ => panic!(
                    "the gateway does not become ready; {}",
                    gateway.process.log_tail()
                ),
            }
        }
        panic!("no port for the admin endpoint in {ATTEMPTS} attempts");
    }

    fn launch(bootstrap: &str, args: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let admin = free_port();
        let scratch = target().join("peers").join("run");
        fs::create_dir_all(&scratch).expect("the target folder can be written");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = scratch.join(format!("gateway-{}-{number}.yaml", std::process::id()));
        let text = bootstrap.replace("@ADMIN@", &admin.port().to_string());
        fs::write(&file, text).expect("the target folder can be written");
        let mut command = Command::new(binary());
        command.arg("-c").arg(&file).args(args);
        let process = Process::start("gateway", &mut command, &scratch).expect("the binary starts");
        Self {
            process,
            admin,
            file,
        }
    }

    /// Where the listener of that name is bound.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let (_, body) = self.admin("GET", "/listeners?format=json");
        let page: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let statuses = page["listener_statuses"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let status = statuses.iter().find(|status| status["name"] == name);
        let port = status
            .and_then(|status| status["local_address"]["socket_address"]["port_value"].as_u64());
        let port = port.and_then(|port| u16::try_from(port).ok());
        (
            Ipv4Addr::LOCALHOST,
            port.unwrap_or_else(|| panic!("no listener {name} in {body}")),
        )
            .into()
    }

    /// Asks the admin endpoint.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn admin(&self, method: &str, path: &str) -> (u16, String) {
        get(self.admin, method, path)
            .unwrap_or_else(|error| panic!("admin {path}: {error}; {}", self.process.log_tail()))
    }

    /// One counter or gauge by its full name; 0 where there is none yet.
    #[must_use]
    pub fn stat(&self, name: &str) -> u64 {
        let (_, body) = self.admin("GET", "/stats");
        let value = body
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_default()
    }

    /// Resident memory in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.process.resident_kib().unwrap_or_default()
    }

    /// Asks it to drain and end, and waits for that.
    pub fn stop(&mut self, patience: Duration) -> End {
        self.process.terminate();
        self.process.wait(patience)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn free_port() -> SocketAddr {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    probe.local_addr().expect("a listener has an address")
}

/// The program beside this test program, built once per run. `CROSSDOCK_BIN` names another one.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("CROSSDOCK_BIN").map_or_else(build, PathBuf::from))
}

/// Cargo tells a test where the programs of its own package lie, and only these.
fn build() -> PathBuf {
    let folder = profile_folder();
    let profile = folder
        .file_name()
        .map(OsString::from)
        .expect("<target>/<profile>");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "build",
            "--quiet",
            "--package",
            "crossdock-gateway",
            "--target-dir",
        ])
        .arg(target());
    if profile != "debug" {
        command.arg("--profile").arg(&profile);
    }
    let status = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "crossdock-gateway does not build"
    );
    folder.join("crossdock")
}

//! The binary `crossdock` as a value.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::admin::get;
use crate::build::{profile_folder, target};
use crate::deadline::eventually;
use crate::fake::Host;
use crate::{Bootstrap, End, Process};

const READY: Duration = Duration::from_secs(20);
/// For what happens within milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway. Killed by its id when dropped.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    admin: SocketAddr,
    folder: PathBuf,
}

impl Gateway {
    /// Starts the gateway and waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    #[must_use]
    pub fn start(bootstrap: &Bootstrap, args: &[&str]) -> Self {
        Self::start_text(&bootstrap.text(), args)
    }

    /// Starts a gateway with one worker before these hosts, with these of Crossdock's own settings, named without
    /// their prefix.
    ///
    /// # Panics
    /// As [`Gateway::start`].
    #[must_use]
    pub fn before(hosts: &[&Host], settings: &[(&str, Value)]) -> Self {
        let addresses: Vec<SocketAddr> = hosts.iter().map(|host| host.address()).collect();
        let bootstrap = Bootstrap::to(&addresses).settings(settings);
        Self::start(&bootstrap, &["--concurrency", "1"])
    }

    /// Starts the gateway with this configuration, JSON or YAML, and waits until it is ready. `FOLDER` in the
    /// text becomes the folder that the file lies in, which lasts as long as the gateway.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    #[must_use]
    pub fn start_text(text: &str, args: &[&str]) -> Self {
        Self::start_with(|folder| {
            let json = text.trim_start().starts_with('{');
            let file = folder.join(if json {
                "bootstrap.json"
            } else {
                "bootstrap.yaml"
            });
            let text = text.replace("FOLDER", &folder.display().to_string());
            fs::write(&file, text).expect("the target folder can be written");
            let given = args.iter().map(OsString::from);
            ["-c".into(), file.into()]
                .into_iter()
                .chain(given)
                .collect()
        })
    }

    /// Starts the gateway with the arguments that `prepare` gives for a fresh folder, and waits until it is
    /// ready. The configuration needs an admin endpoint.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    #[must_use]
    pub fn start_with(prepare: impl FnOnce(&Path) -> Vec<OsString>) -> Self {
        Self::start_program("gateway", Self::program(), prepare)
    }

    /// The same for another program with the arguments of Envoy: Envoy itself. `name` is what its files are called.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_program(
        name: &str,
        program: &Path,
        prepare: impl FnOnce(&Path) -> Vec<OsString>,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = target()
            .join("peers")
            .join("run")
            .join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let admin = folder.join("admin");
        let mut command = Command::new(program);
        command
            .args(prepare(&folder))
            .arg("--admin-address-path")
            .arg(&admin);
        let logs = target().join("peers").join("run");
        let mut process = Process::start(name, &mut command, &logs).expect("the binary starts");
        let ready = eventually(READY, || {
            let ended = process.wait(Duration::ZERO) != End::StillRunning;
            let address = fs::read_to_string(&admin)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            let ready = address.filter(|address| {
                get(*address, "GET", "/ready").is_ok_and(|(status, _)| status == 200)
            });
            (ended || ready.is_some()).then_some(ready)
        });
        let Some(Some(admin)) = ready else {
            panic!("{name} does not become ready; {}", process.log_tail());
        };
        Self {
            process,
            admin,
            folder,
        }
    }

    /// The program, built once per run. `CROSSDOCK_BIN` names another one.
    #[must_use]
    pub fn program() -> &'static Path {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        PROGRAM.get_or_init(|| env::var_os("CROSSDOCK_BIN").map_or_else(build, PathBuf::from))
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its listener `rpc` is bound.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address_of("rpc")
    }

    /// Where the listener of this name is bound.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        let (_, body) = self.admin("GET", "/listeners?format=json");
        let page: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let statuses = page["listener_statuses"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let status = statuses.iter().find(|status| status["name"] == listener);
        let port = status
            .and_then(|status| status["local_address"]["socket_address"]["port_value"].as_u64());
        let port = port.and_then(|port| u16::try_from(port).ok());
        (
            Ipv4Addr::LOCALHOST,
            port.unwrap_or_else(|| panic!("no listener in {body}")),
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

    /// Waits until a counter or gauge is as it should be.
    ///
    /// # Panics
    /// When it is not within half a minute.
    #[track_caller]
    pub fn until(&self, name: &str, holds: impl Fn(u64) -> bool) {
        let reached = eventually(PATIENCE, || holds(self.stat(name)).then_some(()));
        assert!(reached.is_some(), "{name} is {}", self.stat(name));
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
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Builds the program beside this test program. Cargo tells a test where the programs of its own package lie,
/// and only these.
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

//! Real peers as values.

mod certificates;
mod h2spec;
mod interop;
mod tool;

use std::env;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::build::{self, target};
use crate::launch::{Role, command};
use crate::{Answer, End, Kind, Process};

pub use certificates::Certificates;
pub use h2spec::Report;
pub use interop::{CASES, InteropServer};
pub use tool::Tool;

/// A virtual machine on a busy machine needs seconds.
const START: Duration = Duration::from_secs(60);
/// Longer than any command may take by itself.
const ANSWER: Duration = Duration::from_secs(120);

/// A kind of peer that is built and can be run.
#[derive(Clone, Debug)]
pub struct Peers {
    kind: Kind,
    folder: PathBuf,
}

impl Peers {
    /// Builds the peers of a kind unless that was done. `None` when this machine lacks a tool or a registry:
    /// then what does not run is printed by name.
    ///
    /// # Panics
    /// When something is missing and `CROSSDOCK_REQUIRE_PEERS=1` demands every peer; when the sources do not
    /// build.
    #[must_use]
    pub fn prepare(kind: Kind) -> Option<Self> {
        match build::build(kind) {
            Ok(folder) => Some(Self { kind, folder }),
            Err(missing) => {
                skipped(kind.name(), &missing);
                None
            }
        }
    }

    /// Envoy's program.
    ///
    /// # Panics
    /// For another kind of peer.
    #[must_use]
    pub fn envoy(&self) -> PathBuf {
        assert_eq!(self.kind, Kind::Envoy, "another kind has no such program");
        self.folder.join("program/envoy/_bin/envoy")
    }

    fn start(&self, role: Role, settings: &[&str], options: &[&str]) -> (Process, u16) {
        let scratch = target().join("peers").join("run");
        let mut command = command(self.kind, role, &self.folder, &scratch, settings);
        command.args(options);
        let name = format!("{}-{role:?}", self.kind.name()).to_lowercase();
        let mut process = Process::start(&name, &mut command, &scratch)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let line = process.line(START);
        let port = line
            .as_deref()
            .and_then(|line| line.strip_prefix("READY "))
            .and_then(|port| port.parse().ok());
        let port = port
            .unwrap_or_else(|| panic!("{name} does not start ({line:?}); {}", process.log_tail()));
        (process, port)
    }
}

/// Says that something does not run here.
///
/// # Panics
/// When `CROSSDOCK_REQUIRE_PEERS=1` demands that everything does.
fn skipped(name: &str, missing: &str) {
    let required = env::var_os("CROSSDOCK_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(
        !required,
        "{name}: {missing}, and CROSSDOCK_REQUIRE_PEERS=1"
    );
    // Not `eprintln!`: what that says in a test that passes is never shown.
    let _ = writeln!(io::stderr(), "SKIPPED {name}: {missing}");
}

/// A running provider of `peer.api.Echo`.
#[derive(Debug)]
pub struct Provider {
    /// Its process: to be killed, frozen or asked to end.
    pub process: Process,
    port: u16,
}

impl Provider {
    /// Starts one that answers `who` with the label. `options` are pairs such as `"--group", "blue"`.
    #[must_use]
    pub fn start(peers: &Peers, label: &str, options: &[&str]) -> Self {
        Self::start_with(peers, label, options, &[])
    }

    /// The same with `settings`, which are system properties of a Java peer.
    #[must_use]
    pub fn start_with(peers: &Peers, label: &str, options: &[&str], settings: &[&str]) -> Self {
        let mut all = vec!["--label", label];
        all.extend(options);
        let (process, port) = peers.start(Role::Provider, settings, &all);
        Self { process, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Asks it to end and waits for that.
    pub fn stop(&mut self, patience: Duration) -> End {
        self.process.terminate();
        self.process.wait(patience)
    }
}

/// A running consumer of `peer.api.Echo`.
#[derive(Debug)]
pub struct Consumer {
    /// Its process.
    pub process: Process,
}

impl Consumer {
    /// Starts one. `settings` are system properties of a Java peer.
    #[must_use]
    pub fn start(peers: &Peers, settings: &[&str]) -> Self {
        let (process, _) = peers.start(Role::Consumer, settings, &[]);
        Self { process }
    }

    /// Makes a way to an address and names it `default`; `more` are further keys of the command.
    #[track_caller]
    pub fn refer(&mut self, address: SocketAddr, more: Value) {
        self.refer_as("default", address, more);
    }

    /// Makes a way to an address under a name.
    #[track_caller]
    pub fn refer_as(&mut self, name: &str, address: SocketAddr, more: Value) {
        let mut command = json!({"op": "refer", "ref": name, "address": address.to_string()});
        merge(&mut command, more);
        let _ = self.ask(command).value();
    }

    /// One call by the way named `default`.
    #[track_caller]
    pub fn call(&mut self, method: &str, args: Value) -> Answer {
        self.ask(json!({"method": method, "args": args}))
    }

    /// One call with further keys: `mode`, `attachments`, `timeout`, `ref`.
    #[track_caller]
    pub fn call_with(&mut self, method: &str, args: Value, more: Value) -> Answer {
        let mut command = json!({"method": method, "args": args});
        merge(&mut command, more);
        self.ask(command)
    }

    /// Any command and its answer.
    #[track_caller]
    pub fn ask(&mut self, command: Value) -> Answer {
        self.begin(command);
        self.finish()
    }

    /// Gives a command without waiting; [`Self::finish`] has to follow.
    pub fn begin(&mut self, command: Value) {
        self.process.write(&command.to_string());
    }

    /// The answer of the command that was begun.
    #[track_caller]
    pub fn finish(&mut self) -> Answer {
        match self.process.line(ANSWER) {
            Some(line) => Answer::read(&line),
            None => panic!("no answer; {}", self.process.log_tail()),
        }
    }
}

fn merge(command: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (command, more) {
        all.extend(more);
    }
}

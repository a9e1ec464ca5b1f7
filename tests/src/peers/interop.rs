//! gRPC's interoperability programs: a server, and a client that tries one case and ends.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::{Peers, START};
use crate::build::target;
use crate::launch::JAVA;
use crate::{End, Kind, Process, eventually};

/// Longer than any case waits by itself, with a virtual machine's start on a busy machine.
const CASE: Duration = Duration::from_secs(60);
/// Between two tries another process may take the port.
const ATTEMPTS: usize = 5;

/// The cases that need no credentials, in the words of gRPC's own description of them; every client and every
/// server here knows them.
pub const CASES: &[&str] = &[
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];

/// A running server of the cases.
#[derive(Debug)]
pub struct InteropServer {
    /// Its process.
    pub process: Process,
    port: u16,
}

impl InteropServer {
    /// Starts the server of a kind that has one: [`Kind::Go`], [`Kind::JavaGrpc`], [`Kind::PythonGrpc`].
    /// Without further options it serves without TLS.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(peers: &Peers, more: &[String]) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::try_start(peers, free_port(), more) {
                return server;
            }
        }
        panic!("{} does not serve", peers.kind.name());
    }

    /// None of these programs says when it is ready in the same way, but all of them take connections then.
    fn try_start(peers: &Peers, port: u16, more: &[String]) -> Option<Self> {
        let mut command = peers.interop("server");
        command.arg(format!("--port={port}")).args(more);
        let mut process = peers.run("server", &mut command);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let served = eventually(START, || {
            let ended = process.wait(Duration::ZERO) != End::StillRunning;
            let served = TcpStream::connect(address).is_ok();
            (ended || served).then_some(served && !ended)
        });
        (served == Some(true)).then_some(Self { process, port })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Peers {
    /// Tries one case against the server at an address; `more` are further options of the client.
    ///
    /// # Errors
    /// The end of what the client said when the case does not hold or does not end.
    pub fn case(&self, case: &str, address: SocketAddr, more: &[String]) -> Result<(), String> {
        let mut command = self.interop("client");
        command
            .arg(format!("--server_host={}", address.ip()))
            .arg(format!("--server_port={}", address.port()))
            .arg(format!("--test_case={case}"))
            .args(more);
        let mut process = self.run("client", &mut command);
        match process.wait(CASE) {
            End::Code(0) => Ok(()),
            end => Err(format!("{end:?}; {}", process.log_tail())),
        }
    }

    /// The program of that role, without options but those that turn security off.
    fn interop(&self, role: &str) -> Command {
        let mut command = match self.kind {
            Kind::Go => Command::new(format!("bin/{role}")),
            Kind::PythonGrpc => {
                let mut command = Command::new("venv/bin/python");
                command.arg(format!("{role}.py"));
                command
            }
            Kind::JavaGrpc => {
                let class = if role == "server" {
                    "TestServiceServer"
                } else {
                    "TestServiceClient"
                };
                let mut command = Command::new("java");
                command
                    .args(JAVA)
                    .args(["-cp", "target/lib/*"])
                    .arg(format!("io.grpc.testing.integration.{class}"))
                    .arg("--use_tls=false");
                command
            }
            other => panic!("{} takes no part in gRPC", other.name()),
        };
        command.current_dir(&self.folder);
        command
    }

    pub(super) fn run(&self, role: &str, command: &mut Command) -> Process {
        let name = format!("{}-{role}", self.kind.name());
        let logs = target().join("peers").join("run");
        Process::start(&name, command, &logs).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

//! How a contender is started.

use super::child::{PROXY_CORE, Process, Start};
use super::clock::now;
use super::contender::{Contender, Kind, Programs, Variant};
use super::wire::Wire;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a proxy may take until it accepts connections; under callgrind it is slow.
const START: Duration = Duration::from_secs(60);

/// A proxy that accepts connections.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// What a proxy is started for.
pub(crate) struct Setting<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) wire: Wire,
    /// Ports of the backends.
    pub(crate) backends: &'a [u16],
    /// Ports of the backends that want mutual TLS.
    pub(crate) tls_backends: &'a [u16],
    /// Folder for configuration, keys and logs.
    pub(crate) folder: &'a Path,
}

impl Setting<'_> {
    /// Ports of the backends that a contender calls.
    pub(crate) const fn backends_of(&self, contender: Contender) -> &[u16] {
        match contender.variant {
            Variant::Mtls => self.tls_backends,
            Variant::Plain | Variant::Attachment | Variant::Policies => self.backends,
        }
    }

    /// Starts a contender and waits until it accepts.
    pub(crate) fn start(&self, contender: Contender) -> anyhow::Result<Running> {
        let how = Start {
            name: &contender.name(),
            core: PROXY_CORE,
            logs: self.folder,
        };
        if contender.kind == Kind::Relay {
            let upstreams = self.backends.iter().map(|port| local(*port).to_string());
            let words = std::iter::once("relay".to_owned()).chain(upstreams);
            let mut process = Process::role(&how, words)?;
            let port = process
                .line(START)?
                .parse()
                .context("the relay tells no port")?;
            return Ok(Running {
                process,
                address: local(port),
            });
        }
        let (program, arguments, address) = self.command(contender)?;
        let mut process = Process::start(&how, &program, arguments)?;
        wait_until_open(address, &mut process)?;
        Ok(Running { process, address })
    }

    /// Program, arguments and address of a contender that is configured by a file, which is written.
    pub(crate) fn command(
        &self,
        contender: Contender,
    ) -> anyhow::Result<(PathBuf, Vec<OsString>, SocketAddr)> {
        let program = self
            .programs
            .of(contender.kind)
            .context("program not found")?;
        let port = free_port()?;
        let file = self.folder.join(format!("{}.conf.yaml", contender.name()));
        std::fs::write(&file, self.configuration(contender, port, free_port()?))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let words: &[&str] = match contender.kind {
            Kind::Haproxy => &["-db", "-f"],
            Kind::Nginx => &["-e", "stderr", "-c"],
            Kind::Envoy | Kind::EnvoyBound => &[
                "--concurrency",
                "1",
                "--use-dynamic-base-id",
                "-l",
                "error",
                "-c",
            ],
            Kind::Relay | Kind::Crossdock | Kind::Baseline => &["--concurrency", "1", "-c"],
        };
        let mut arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        arguments.push(file.into());
        Ok((program.to_owned(), arguments, local(port)))
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A port that is free now; a program that cannot tell the port it was given must be told one.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(local(0))
        .context("no free port")?
        .local_addr()?
        .port())
}

/// Waits until somebody accepts connections at `address`.
pub(crate) fn wait_until_open(address: SocketAddr, process: &mut Process) -> anyhow::Result<()> {
    let begin = now();
    while begin.elapsed() < START {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        if let Some(status) = process.ended() {
            bail!("it ended at once ({status}){}", process.last_words());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("it does not listen on {address}{}", process.last_words())
}

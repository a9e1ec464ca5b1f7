//! What became of a connection.

use std::{net::SocketAddr, sync::Arc};

use crossdock_framework::{
    cluster::{Cluster, Host, HostIx},
    flags::{Flag, Flags},
    tcp::Flow,
};

/// What became of a connection, as far as it is known at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// The cluster that was chosen.
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// The host of it that was tried last.
    pub(crate) host: Option<HostIx>,
    /// The gateway's own end of the upstream connection.
    pub(crate) upstream_local: Option<SocketAddr>,
    /// Attempts to connect.
    pub(crate) attempts: u32,
    /// Why the last attempt failed.
    pub(crate) failure: Option<Box<str>>,
    /// Why the gateway closed the connection, in Envoy's words.
    pub(crate) reason: Option<&'static str>,
    /// Bytes from the client.
    pub(crate) received: u64,
    /// Bytes to the client.
    pub(crate) sent: u64,
    /// Bytes from the host.
    pub(crate) upstream_received: u64,
    /// Bytes to the host.
    pub(crate) upstream_sent: u64,
    /// What happened to it.
    pub(crate) flags: Flags,
}

impl Outcome {
    /// Sets a flag.
    pub(super) fn flag(&mut self, flag: Flag) {
        self.flags.set(flag);
    }

    /// Notes why there is no connection to a host.
    pub(super) fn refuse<T>(&mut self, flag: Flag, reason: &'static str) -> Option<T> {
        self.flag(flag);
        self.reason = Some(reason);
        None
    }

    /// The host that was tried last.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.cluster.as_ref()?.hosts.get(self.host?)
    }

    /// Takes over how much has moved.
    pub(super) fn count(&mut self, flow: &Flow) {
        self.received = flow.received.get();
        self.sent = flow.sent.get();
        self.upstream_received = flow.upstream_received.get();
        self.upstream_sent = flow.upstream_sent.get();
    }
}

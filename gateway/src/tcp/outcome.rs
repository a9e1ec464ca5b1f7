//! What became of a connection.

use std::{net::SocketAddr, sync::Arc};

use crossdock_framework::{
    cluster::{Cluster, Host, HostIx},
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
    flags: u8,
}

/// Envoy's response flags that a connection can have, in the order in which Envoy writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// `UH`
    NoHealthyUpstream,
    /// `UR`
    UpstreamRemoteReset,
    /// `UF`
    UpstreamConnectionFailure,
    /// `UO`
    UpstreamOverflow,
    /// `URX`
    UpstreamRetryLimitExceeded,
    /// `DT`
    DurationTimeout,
    /// `NC`
    NoClusterFound,
    /// `OM`
    OverloadManager,
}

/// Every flag with its short and long name.
const FLAGS: [(Flag, &str, &str); 8] = [
    (Flag::NoHealthyUpstream, "UH", "NoHealthyUpstream"),
    (Flag::UpstreamRemoteReset, "UR", "UpstreamRemoteReset"),
    (
        Flag::UpstreamConnectionFailure,
        "UF",
        "UpstreamConnectionFailure",
    ),
    (Flag::UpstreamOverflow, "UO", "UpstreamOverflow"),
    (
        Flag::UpstreamRetryLimitExceeded,
        "URX",
        "UpstreamRetryLimitExceeded",
    ),
    (Flag::DurationTimeout, "DT", "DurationTimeout"),
    (Flag::NoClusterFound, "NC", "NoClusterFound"),
    (Flag::OverloadManager, "OM", "OverloadManagerTerminated"),
];

impl Outcome {
    /// Sets a flag.
    pub(super) fn flag(&mut self, flag: Flag) {
        self.flags |= 1 << flag as u8;
    }

    /// Notes why there is no connection to a host.
    pub(super) fn refuse<T>(&mut self, flag: Flag, reason: &'static str) -> Option<T> {
        self.flag(flag);
        self.reason = Some(reason);
        None
    }

    /// The flags that are set, by their short or long names.
    pub(crate) fn flags(&self, long: bool) -> impl Iterator<Item = &'static str> {
        let flags = self.flags;
        let set = FLAGS
            .iter()
            .filter(move |(flag, ..)| flags & (1 << *flag as u8) != 0);
        set.map(move |(_, short, name)| if long { *name } else { *short })
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

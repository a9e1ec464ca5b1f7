//! How one attempt at a host ended: what retries, outlier detection and counters are told, whichever
//! relay made the attempt and whatever the protocol.

use std::fmt;

use crate::{
    cluster::{Cluster, HostIx},
    outlier::At,
    status::{Cause, Class},
    worker::Worker,
};

/// How one attempt at a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host answered.
    Answered {
        /// What the answer says, in the words of all protocols; for gRPC its status, trailers
        /// included.
        class: Class,
        /// The HTTP status of the answer; of an RPC, the one that stands for its class.
        http: u16,
        /// Whether the answer's own status says success, and the failure was found within it: an
        /// `RpcException` in a Dubbo answer of status 20, an error in a SOFARPC answer of status 0.
        concealed: bool,
    },
    /// The host gave no answer that could be passed on (Envoy's "local origin" failures).
    Failed(Failure),
    /// Nothing was learnt of the host: the caller left, a limit of the gateway stepped in, or the
    /// call waits for no answer.
    Unknown,
}

/// Why a host gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection to it could be opened, in time or at all.
    Connect,
    /// It did not act upon the call: a connection that it had closed already, HTTP/2
    /// `REFUSED_STREAM`, a GOAWAY below the stream. Says little of its health.
    Refused,
    /// The connection or stream broke after the call went out, or after the answer had begun.
    Lost,
    /// It took longer than one attempt may take (`per_try_timeout`).
    TryTimeout,
    /// The call's time was over before its answer.
    Timeout,
    /// Its answer breaks the protocol or a limit.
    Damaged,
}

impl Failure {
    /// The failure behind an attempt that ended with the gateway's own `cause`.
    pub(crate) fn of(cause: Cause) -> Option<Self> {
        match cause {
            Cause::ConnectFailed => Some(Self::Connect),
            Cause::ConnectionLost => Some(Self::Lost),
            Cause::Timeout => Some(Self::Timeout),
            Cause::BadResponse | Cause::ResponseTooLarge => Some(Self::Damaged),
            _ => None,
        }
    }
}

/// Is told how each attempt at the hosts of a cluster ended.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// An attempt at `host` ended. Called once for each attempt, on the worker that made it.
    fn concluded(&self, cluster: &Cluster, host: HostIx, outcome: &Outcome, worker: &Worker);
}

/// Tells who wants to know how an attempt at a host ended: once for each attempt that was aimed at
/// one, whoever made it.
#[inline]
pub fn conclude(cluster: &Cluster, host: HostIx, outcome: &Outcome, worker: &Worker) {
    if let Some(observer) = &cluster.observer {
        observer.concluded(cluster, host, outcome, worker);
    }
    if let Some(detector) = &cluster.outlier
        && let Some(told) = detector.told(outcome)
        && let Some(host) = cluster.hosts.get(host)
    {
        detector.note(&cluster.hosts, host, told, &|| At {
            now_ms: worker.now().ms(),
            random: worker.random(),
            shard: worker.shard(),
        });
    }
}

//! What is known of a cause beyond the answer that it gets.

use super::Cause;
use crate::flags::Flag;

/// What is known of a [`Cause`] beyond the answer that it gets: what access logs and counters tell
/// apart and callers are not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Nothing more.
    #[default]
    Plain,
    /// [`Cause::Timeout`]: one attempt took too long (`per_try_timeout`).
    TryTimeout,
    /// [`Cause::Timeout`]: no byte moved for too long (`stream_idle_timeout`).
    StreamIdle,
    /// [`Cause::Timeout`]: the call lasted as long as a call may (`max_stream_duration`).
    MaxDuration,
    /// [`Cause::Timeout`]: the host took as long as a call may at its cluster (the cluster's own
    /// `max_stream_duration`).
    HostDuration,
    /// [`Cause::Timeout`]: the request did not come to its end (`request_timeout`).
    RequestTimeout,
    /// [`Cause::ConnectFailed`]: no connection within `connect_timeout`.
    ConnectTimeout,
    /// [`Cause::ConnectionLost`]: the host broke the stream off, not the connection.
    RemoteReset,
    /// [`Cause::ConnectionLost`]: the host refused the stream (`REFUSED_STREAM`).
    RefusedStream,
    /// [`Cause::ConnectionLost`]: what the host sent is none of its protocol.
    Protocol,
    /// [`Cause::ConnectionLost`]: the caller left, and gets no answer.
    CallerGone,
    /// [`Cause::Denied`]: an upgrade that is not configured.
    Upgrade,
    /// [`Cause::BadRequest`]: what came cannot be read, for a reason of this name.
    Unreadable(&'static str),
    /// A request that is not taken, for a reason of this name.
    Refused(&'static str),
}

impl Detail {
    /// Envoy's response flag for a cause of this kind (`%RESPONSE_FLAGS%`), where it has one.
    pub fn flag(self, cause: Cause) -> Option<Flag> {
        match self {
            Self::Plain | Self::TryTimeout | Self::ConnectTimeout | Self::Unreadable(_) => {
                cause.flag()
            }
            Self::HostDuration => Some(Flag::UpstreamMaxStreamDurationReached),
            Self::StreamIdle => Some(Flag::StreamIdleTimeout),
            Self::RemoteReset | Self::RefusedStream => Some(Flag::UpstreamRemoteReset),
            Self::Protocol => Some(Flag::UpstreamProtocolError),
            Self::CallerGone => Some(Flag::DownstreamConnectionTermination),
            Self::MaxDuration | Self::RequestTimeout | Self::Upgrade | Self::Refused(_) => None,
        }
    }
}

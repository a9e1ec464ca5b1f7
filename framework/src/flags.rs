//! Response flags: what happened to a call, in the short words of Envoy's access log.

/// One thing that happened to a call or a connection (`StreamInfo::CoreResponseFlag` of Envoy).
///
/// Only those are here that can happen in Crossdock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flag {
    /// `UH`: no host could take the call.
    NoHealthyUpstream = 1,
    /// `UT`: the host did not answer in time.
    UpstreamRequestTimeout,
    /// `UR`: the host reset the stream.
    UpstreamRemoteReset,
    /// `UF`: no connection to the host could be opened.
    UpstreamConnectionFailure,
    /// `UC`: the connection to the host ended with the call on it.
    UpstreamConnectionTermination,
    /// `UO`: a circuit breaker or another limit was reached.
    UpstreamOverflow,
    /// `NR`: no route, or no filter chain.
    NoRouteFound,
    /// `DI`: a fault delayed the call.
    DelayInjected,
    /// `FI`: a fault ended the call.
    FaultInjected,
    /// `RL`: a rate limit refused the call.
    RateLimited,
    /// `DC`: the caller left.
    DownstreamConnectionTermination,
    /// `URX`: there was no further retry or connection attempt.
    UpstreamRetryLimitExceeded,
    /// `SI`: the stream stood still for too long.
    StreamIdleTimeout,
    /// `DPE`: what the caller sent breaks its protocol.
    DownstreamProtocolError,
    /// `UMSDR`: the host took longer than a call may last at its cluster.
    UpstreamMaxStreamDurationReached,
    /// `DT`: the connection or the call lasted as long as it may.
    DurationTimeout,
    /// `UPE`: what the host sent breaks its protocol.
    UpstreamProtocolError,
    /// `NC`: the cluster does not exist.
    NoClusterFound,
    /// `OM`: the gateway is short of memory.
    OverloadManager,
}

impl Flag {
    /// Every flag, in the order of its number.
    pub const ALL: [Self; 19] = [
        Self::NoHealthyUpstream,
        Self::UpstreamRequestTimeout,
        Self::UpstreamRemoteReset,
        Self::UpstreamConnectionFailure,
        Self::UpstreamConnectionTermination,
        Self::UpstreamOverflow,
        Self::NoRouteFound,
        Self::DelayInjected,
        Self::FaultInjected,
        Self::RateLimited,
        Self::DownstreamConnectionTermination,
        Self::UpstreamRetryLimitExceeded,
        Self::StreamIdleTimeout,
        Self::DownstreamProtocolError,
        Self::UpstreamMaxStreamDurationReached,
        Self::DurationTimeout,
        Self::UpstreamProtocolError,
        Self::NoClusterFound,
        Self::OverloadManager,
    ];

    /// The name that `%RESPONSE_FLAGS%` writes, such as `UH`.
    pub fn short(self) -> &'static str {
        self.names().0
    }

    /// The name that `%RESPONSE_FLAGS_LONG%` writes, such as `NoHealthyUpstream`.
    pub fn long(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::NoHealthyUpstream => ("UH", "NoHealthyUpstream"),
            Self::UpstreamRequestTimeout => ("UT", "UpstreamRequestTimeout"),
            Self::UpstreamRemoteReset => ("UR", "UpstreamRemoteReset"),
            Self::UpstreamConnectionFailure => ("UF", "UpstreamConnectionFailure"),
            Self::UpstreamConnectionTermination => ("UC", "UpstreamConnectionTermination"),
            Self::UpstreamOverflow => ("UO", "UpstreamOverflow"),
            Self::NoRouteFound => ("NR", "NoRouteFound"),
            Self::DelayInjected => ("DI", "DelayInjected"),
            Self::FaultInjected => ("FI", "FaultInjected"),
            Self::RateLimited => ("RL", "RateLimited"),
            Self::DownstreamConnectionTermination => ("DC", "DownstreamConnectionTermination"),
            Self::UpstreamRetryLimitExceeded => ("URX", "UpstreamRetryLimitExceeded"),
            Self::StreamIdleTimeout => ("SI", "StreamIdleTimeout"),
            Self::DownstreamProtocolError => ("DPE", "DownstreamProtocolError"),
            Self::UpstreamMaxStreamDurationReached => ("UMSDR", "UpstreamMaxStreamDurationReached"),
            Self::DurationTimeout => ("DT", "DurationTimeout"),
            Self::UpstreamProtocolError => ("UPE", "UpstreamProtocolError"),
            Self::NoClusterFound => ("NC", "NoClusterFound"),
            Self::OverloadManager => ("OM", "OverloadManagerTerminated"),
        }
    }
}

/// The flags of one call or connection, in the order in which they were set: Envoy writes them so
/// (`URX,UF`, `DI,FI`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u64);

/// The most flags of one call; further ones are dropped.
const MOST: u32 = 8;

impl Flags {
    /// Sets a flag, if it is not set already.
    pub fn set(&mut self, flag: Flag) {
        let count = (u64::BITS - self.0.leading_zeros()).div_ceil(u8::BITS);
        if count < MOST && !self.has(flag) {
            self.0 |= u64::from(flag as u8) << (count * u8::BITS);
        }
    }

    /// Whether a flag is set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 != 0 && self.iter().any(|set| set == flag)
    }

    /// Whether none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags that are set, first to last.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        let set = self.0.to_le_bytes().into_iter();
        set.map_while(|number| Flag::ALL.get(usize::from(number).checked_sub(1)?).copied())
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut all = Self::default();
        flags.into_iter().for_each(|flag| all.set(flag));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_keep_their_order() {
        let mut flags = Flags::default();
        assert!(flags.is_empty() && !flags.has(Flag::FaultInjected));
        for flag in [
            Flag::UpstreamRetryLimitExceeded,
            Flag::UpstreamConnectionFailure,
            Flag::UpstreamRetryLimitExceeded,
        ] {
            flags.set(flag);
        }
        let names: Vec<_> = flags.iter().map(Flag::short).collect();
        assert_eq!(names, ["URX", "UF"]);
        assert!(flags.has(Flag::UpstreamConnectionFailure));
    }

    #[test]
    fn there_are_as_many_as_fit() {
        let flags: Flags = Flag::ALL.into_iter().collect();
        let kept: Vec<_> = flags.iter().collect();
        assert_eq!(kept, Flag::ALL[..MOST as usize]);
    }

    #[test]
    fn numbers_are_places() {
        for (at, flag) in Flag::ALL.into_iter().enumerate() {
            assert_eq!(flag as usize, at + 1);
            assert_eq!(Flags::from_iter([flag]).iter().collect::<Vec<_>>(), [flag]);
        }
    }
}

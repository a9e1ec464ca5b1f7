//! Time limits of a route, and which of them hold for a request.

use std::time::Duration;

use crate::view::{Key, RoutingView};

/// A time limit that may be left to a more general level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// The listener's limit holds.
    #[default]
    Inherited,
    /// There is none.
    Unlimited,
    /// This one.
    After(Duration),
}

/// The time limits that a route is configured with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The longest time from the request's last byte to the answer's (`timeout`); `None` for no
    /// limit but the worker's own. Envoy's default is 15 s.
    pub timeout: Option<Duration>,
    /// The longest time in which no byte moves (`idle_timeout`).
    pub idle: Limit,
    /// What `max_stream_duration` says. Where it stands, even empty, `timeout` and
    /// `max_grpc_timeout` are not looked at.
    pub stream: Option<StreamTimes>,
    /// `max_grpc_timeout`: gRPC requests are under the caller's `grpc-timeout` instead of
    /// [`Times::timeout`], and that under this limit, where `Some(None)` is none at all.
    pub grpc_max: Option<Option<Duration>>,
    /// Taken off the caller's `grpc-timeout` unless nothing would be left (`grpc_timeout_offset`).
    pub grpc_offset: Duration,
    /// The longest time from the choice of a host, or the request's last byte if that is later, to
    /// the head of its answer (`per_try_timeout`, or `per_try_idle_timeout` if that is shorter: no
    /// byte comes before the head). Not looked at where [`Times::timeout`] is not longer.
    pub per_try: Option<Duration>,
}

/// The parts of `max_stream_duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamTimes {
    /// The longest time from the request's first byte to the end of the call.
    pub max: Limit,
    /// Where set, the caller's `grpc-timeout` is the limit instead, whatever the content type,
    /// but for at most this long, where `Some(None)` is no limit at all.
    pub grpc_max: Option<Option<Duration>>,
    /// Taken off the caller's `grpc-timeout` (`grpc_timeout_header_offset`).
    pub grpc_offset: Duration,
}

/// The limits of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// From the request's last byte to the answer's; `None` for no limit.
    pub timeout: Option<Duration>,
    /// From the request's first byte to the end of the call.
    pub duration: Limit,
    /// In which no byte moves.
    pub idle: Limit,
    /// Of one attempt, to the head of the answer.
    pub per_try: Option<Duration>,
}

impl TimeLimits {
    /// The limit of a call that comes and goes in one piece, `longest` if there is none.
    pub fn whole(&self, longest: Duration) -> Duration {
        let timeout = self.timeout.unwrap_or(longest).min(longest);
        match self.duration {
            Limit::After(duration) => timeout.min(duration),
            Limit::Inherited | Limit::Unlimited => timeout,
        }
    }
}

impl Times {
    /// The limits of a request, as Envoy derives them.
    pub fn of(&self, request: &dyn RoutingView) -> TimeLimits {
        let (timeout, duration) = match (&self.stream, self.grpc_max) {
            (Some(stream), _) => (None, stream.of(request)),
            (None, Some(max)) if is_grpc(request) => {
                let caller = grpc_timeout(request).filter(|caller| !caller.is_zero());
                // An offset that would leave nothing is not applied: zero means no limit.
                let less = |caller: Duration| match caller > self.grpc_offset {
                    true => caller - self.grpc_offset,
                    false => caller,
                };
                (shorter(caller.map(less), max), Limit::Inherited)
            }
            (None, _) => (self.timeout, Limit::Inherited),
        };
        let shorter = |each: &Duration| timeout.is_none_or(|timeout| *each < timeout);
        TimeLimits {
            timeout,
            duration,
            idle: self.idle,
            per_try: self.per_try.filter(shorter),
        }
    }
}

impl StreamTimes {
    fn of(&self, request: &dyn RoutingView) -> Limit {
        let caller = self.grpc_max.and_then(|_| grpc_timeout(request));
        let (Some(max), Some(caller)) = (self.grpc_max, caller) else {
            return self.max;
        };
        let caller = max.map_or(caller, |max| caller.min(max));
        Limit::After(caller.saturating_sub(self.grpc_offset))
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether the content type is `application/grpc`, alone or with a `+` behind it.
pub fn is_grpc(request: &dyn RoutingView) -> bool {
    let content_type = request.get(Key::Header("content-type"));
    content_type.is_some_and(|kind| is_grpc_type(kind.as_bytes()))
}

/// Whether a content type is `application/grpc`, alone or with a `+` behind it.
pub fn is_grpc_type(kind: &[u8]) -> bool {
    kind.strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// The caller's deadline in the header `grpc-timeout`: at most 8 digits and a unit (gRPC over
/// HTTP/2, "Timeout").
pub fn grpc_timeout(request: &dyn RoutingView) -> Option<Duration> {
    parse_grpc_timeout(&request.get(Key::Header("grpc-timeout"))?)
}

/// What a value of `grpc-timeout` says; `None` for one that is not valid.
pub fn parse_grpc_timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    struct Asked {
        grpc: bool,
        timeout: Option<&'static str>,
    }

    impl RoutingView for Asked {
        fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
            match key {
                Key::Header("content-type") if self.grpc => Some("application/grpc+proto".into()),
                Key::Header("grpc-timeout") => self.timeout.map(Cow::Borrowed),
                _ => None,
            }
        }

        fn protocol(&self) -> &'static str {
            "test"
        }
    }

    const PLAIN: Asked = Asked {
        grpc: false,
        timeout: None,
    };

    fn grpc(timeout: &'static str) -> Asked {
        Asked {
            grpc: true,
            timeout: (!timeout.is_empty()).then_some(timeout),
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_route_has_its_timeout() {
        let times = Times {
            timeout: Some(secs(1)),
            ..Times::default()
        };
        for request in [PLAIN, grpc(""), grpc("5S")] {
            assert_eq!(times.of(&request).timeout, Some(secs(1)));
            assert_eq!(times.of(&request).duration, Limit::Inherited);
        }
    }

    #[test]
    fn an_attempt_has_a_limit_that_is_shorter_than_the_calls() {
        let mut times = Times {
            timeout: Some(secs(3)),
            ..Times::default()
        };
        for (per_try, limit) in [(1, Some(1)), (2, Some(2)), (3, None), (4, None)] {
            times.per_try = Some(secs(per_try));
            assert_eq!(times.of(&PLAIN).per_try, limit.map(secs));
        }
        times.timeout = None;
        assert_eq!(times.of(&PLAIN).per_try, Some(secs(4)));
    }

    #[test]
    fn the_older_grpc_limit_is_for_grpc_alone() {
        let mut times = Times {
            timeout: Some(secs(1)),
            grpc_max: Some(Some(secs(10))),
            grpc_offset: secs(2),
            ..Times::default()
        };
        let plain = Asked {
            grpc: false,
            timeout: Some("5S"),
        };
        assert_eq!(times.of(&plain).timeout, Some(secs(1)));
        for (timeout, limit) in [("", 10), ("5S", 3), ("2S", 2), ("1M", 10), ("0S", 10)] {
            let limits = times.of(&grpc(timeout));
            assert_eq!(limits.timeout, Some(secs(limit)), "{timeout}");
        }
        times.grpc_max = Some(None);
        assert_eq!(times.of(&grpc("")).timeout, None);
        assert_eq!(times.of(&grpc("1H")).timeout, Some(secs(3598)));
    }

    #[test]
    fn a_stream_duration_takes_the_place_of_the_timeout() {
        let mut times = Times {
            timeout: Some(secs(1)),
            grpc_max: Some(Some(secs(1))),
            stream: Some(StreamTimes {
                max: Limit::After(secs(7)),
                ..StreamTimes::default()
            }),
            ..Times::default()
        };
        assert_eq!(times.of(&grpc("5S")).timeout, None);
        assert_eq!(times.of(&grpc("5S")).duration, Limit::After(secs(7)));
        times.stream = Some(StreamTimes {
            max: Limit::Unlimited,
            grpc_max: Some(Some(secs(4))),
            grpc_offset: secs(1),
        });
        assert_eq!(times.of(&PLAIN).duration, Limit::Unlimited);
        assert_eq!(times.of(&grpc("3S")).duration, Limit::After(secs(2)));
        assert_eq!(times.of(&grpc("9S")).duration, Limit::After(secs(3)));
        assert_eq!(times.of(&grpc("1S")).duration, Limit::After(Duration::ZERO));
    }

    #[test]
    fn a_call_in_one_piece_has_the_shortest_limit() {
        let mut limits = TimeLimits {
            timeout: Some(secs(3)),
            ..TimeLimits::default()
        };
        assert_eq!(limits.whole(secs(9)), secs(3));
        assert_eq!(limits.whole(secs(1)), secs(1));
        limits.duration = Limit::After(secs(2));
        assert_eq!(limits.whole(secs(9)), secs(2));
    }

    #[test]
    fn grpc_timeouts_are_read_by_the_book() {
        for (text, timeout) in [
            ("1H", Some(secs(3600))),
            ("2M", Some(secs(120))),
            ("99999999S", Some(secs(99_999_999))),
            ("5m", Some(Duration::from_millis(5))),
            ("5u", Some(Duration::from_micros(5))),
            ("5n", Some(Duration::from_nanos(5))),
            ("100000000S", None),
            ("5", None),
            ("S", None),
            ("", None),
            ("-5S", None),
            ("5s", None),
            ("5\u{e9}", None),
        ] {
            let request = Asked {
                grpc: true,
                timeout: Some(text),
            };
            assert_eq!(grpc_timeout(&request), timeout, "{text}");
        }
    }
}

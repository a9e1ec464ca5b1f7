//! What stands between percent signs in header changes and rewrites.

use std::{
    fmt::{Display, Write as _},
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use crossdock_framework::{
    protocol::{PeerCertificate, Tls},
    time::now_us,
};

use super::{Side, Sight};
use crate::{
    format::{self, Operator, TimeFormat},
    rules::{path, query},
};

/// A piece of a formatted value.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text that stays as it is.
    Text(Box<str>),
    /// Something that depends on the call, and the most bytes that it may have.
    Ask(Ask, Option<usize>),
}

/// What a piece asks of a call.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The first value of a header, or of the other one.
    Header(Side, Box<str>, Option<Box<str>>),
    /// The path of the request: of which header, and whether with its query.
    Path(PathSource, bool),
    /// The first value of a query parameter.
    Query(Box<str>),
    /// When the call began.
    Start(TimeFormat),
    /// Anything else that the call knows.
    Fact(Fact),
}

/// Writes what is known, or nothing.
type Fact = fn(&Sight<'_>, &mut String);

/// Which path: before rewrites, after them, or the earlier one if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathSource {
    Original,
    Current,
    OriginalOrCurrent,
}

const ORIGINAL_PATH: &str = "x-envoy-original-path";

const KNOWN: &str = "use REQ, RESP, PATH, QUERY_PARAM, PROTOCOL, START_TIME, ROUTE_NAME, \
                     UPSTREAM_CLUSTER, HOSTNAME, ENVIRONMENT, REQUESTED_SERVER_NAME or one of the \
                     DOWNSTREAM_ operators for addresses, TLS and the peer's certificate";

type Refusal = (String, &'static str);

impl Piece {
    /// The piece of an operator, for values that change the message of `side`.
    ///
    /// # Errors
    ///
    /// The reason and the cure.
    pub(super) fn compile(side: Side, operator: &Operator) -> Result<Self, Refusal> {
        let (name, args) = (&*operator.name, operator.args.as_deref());
        let ask = match name {
            "REQ" => header(Side::Request, name, args)?,
            "RESP" => header(Side::Response, name, args)?,
            "PATH" => path_of(args.unwrap_or_default())?,
            "QUERY_PARAM" => Ask::Query(argument(name, args)?.into()),
            "START_TIME" => Ask::Start(time_format(args.unwrap_or_default())?),
            "ENVIRONMENT" => {
                let value = std::env::var(argument(name, args)?);
                let value = value.unwrap_or_else(|_| "-".to_owned());
                return Ok(Self::Text(format::cut(&value, operator.max_len).into()));
            }
            "HOSTNAME" => {
                let value = hostname();
                return Ok(Self::Text(format::cut(&value, operator.max_len).into()));
            }
            _ => Ask::Fact(fact(side, name)?),
        };
        Ok(Self::Ask(ask, operator.max_len))
    }

    /// Writes it for the call at hand.
    pub(super) fn write(&self, sight: &Sight<'_>, out: &mut String) {
        let (ask, max_len) = match self {
            Self::Text(text) => return out.push_str(text),
            Self::Ask(ask, max_len) => (ask, *max_len),
        };
        let start = out.len();
        ask.write(sight, out);
        if max_len.is_some() {
            let kept = format::cut(&out[start..], max_len).len();
            out.truncate(start + kept);
        }
    }
}

impl Ask {
    fn write(&self, sight: &Sight<'_>, out: &mut String) {
        match self {
            Self::Header(side, name, otherwise) => {
                let other = || sight.first(*side, otherwise.as_deref()?);
                let value = sight.first(*side, name).or_else(other);
                out.push_str(value.as_deref().unwrap_or_default());
            }
            Self::Path(source, query) => {
                let first = |name| sight.first(Side::Request, name);
                let path = match source {
                    PathSource::Original => first(ORIGINAL_PATH),
                    PathSource::Current => first(":path"),
                    PathSource::OriginalOrCurrent => {
                        first(ORIGINAL_PATH).or_else(|| first(":path"))
                    }
                };
                let path = path.as_deref().unwrap_or_default();
                out.push_str(if *query { path } else { path::bare(path) });
            }
            Self::Query(name) => {
                let path = sight.first(Side::Request, ":path");
                let value = path.as_deref().and_then(|path| query::first(path, name));
                out.push_str(value.unwrap_or_default());
            }
            Self::Start(format) => {
                let ago = now_us().saturating_sub(sight.scene.facts.began.0);
                let start = SystemTime::now().checked_sub(Duration::from_micros(ago));
                let mut text = Vec::new();
                format.write(start.unwrap_or(SystemTime::UNIX_EPOCH), &mut text);
                out.push_str(&String::from_utf8_lossy(&text));
            }
            Self::Fact(write) => write(sight, out),
        }
    }
}

fn header(side: Side, name: &str, args: Option<&str>) -> Result<Ask, Refusal> {
    let names = args.and_then(format::header_names);
    let (first, second) = names.ok_or_else(|| {
        let reason = format!("{name} does not name a header");
        (reason, "write %REQ(NAME)% or %REQ(NAME?ALTERNATIVE)%")
    })?;
    let word = |name: Box<str>| match &*name {
        "host" => ":authority".into(),
        _ => name,
    };
    Ok(Ask::Header(side, word(first), second.map(word)))
}

fn argument<'a>(name: &str, args: Option<&'a str>) -> Result<&'a str, Refusal> {
    args.filter(|args| !args.is_empty()).ok_or_else(|| {
        let reason = format!("{name} needs a name in parentheses");
        (
            reason,
            "write it as %ENVIRONMENT(NAME)% or %QUERY_PARAM(NAME)%",
        )
    })
}

fn path_of(args: &str) -> Result<Ask, Refusal> {
    let (query, source) = args.split_once(':').unwrap_or((args, ""));
    let query = match query {
        "" | "WQ" => Some(true),
        "NQ" => Some(false),
        _ => None,
    };
    let source = match source {
        "" | "ORIG_OR_PATH" => Some(PathSource::OriginalOrCurrent),
        "PATH" => Some(PathSource::Current),
        "ORIG" => Some(PathSource::Original),
        _ => None,
    };
    let both = source.zip(query);
    let both = both.map(|(source, query)| Ask::Path(source, query));
    both.ok_or_else(|| {
        let reason = format!("PATH knows no ({args})");
        let cure = "write WQ or NQ, and behind a colon PATH, ORIG or ORIG_OR_PATH";
        (reason, cure)
    })
}

fn time_format(args: &str) -> Result<TimeFormat, Refusal> {
    match args {
        "" => Ok(TimeFormat::iso_8601()),
        format => TimeFormat::parse(format)
            .map_err(|reason| (format!("START_TIME: {reason}"), "use strftime conversions")),
    }
}

/// The name of the machine; `-` if it has none.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.map(|name| name.trim_ascii().to_owned());
    name.unwrap_or_else(|_| "-".to_owned())
}

fn fact(side: Side, name: &str) -> Result<Fact, Refusal> {
    if let Some(fact) = of_call(name).or_else(|| of_peer(name)) {
        return Ok(fact);
    }
    match (of_host(name), side) {
        (Some(fact), Side::Response) => Ok(fact),
        (Some(_), Side::Request) => Err((
            format!("{name} is not known yet when requests are changed"),
            "use it in response_headers_to_add",
        )),
        (None, _) => Err((
            format!("the operator {name} is not known to header changes"),
            KNOWN,
        )),
    }
}

/// What is known from the beginning.
fn of_call(name: &str) -> Option<Fact> {
    Some(match name {
        "PROTOCOL" => |sight, out| out.push_str(sight.scene.request.protocol()),
        "ROUTE_NAME" => |sight, out| out.push_str(&sight.scene.route.name),
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => {
            |sight, out| out.push_str(sight.scene.cluster.unwrap_or_default())
        }
        "DOWNSTREAM_REMOTE_ADDRESS" => |sight, out| put(sight.scene.facts.source, out),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            |sight, out| put(sight.scene.facts.source.map(|it| it.ip()), out)
        }
        "DOWNSTREAM_REMOTE_PORT" => {
            |sight, out| put(sight.scene.facts.source.map(|it| it.port()), out)
        }
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => |sight, out| put(Some(peer(sight)), out),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            |sight, out| put(Some(peer(sight).ip()), out)
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => |sight, out| put(Some(peer(sight).port()), out),
        "DOWNSTREAM_LOCAL_ADDRESS" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => {
            |sight, out| put(Some(local(sight)), out)
        }
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"
        | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => {
            |sight, out| put(Some(local(sight).ip()), out)
        }
        "DOWNSTREAM_LOCAL_PORT" | "DOWNSTREAM_DIRECT_LOCAL_PORT" => {
            |sight, out| put(Some(local(sight).port()), out)
        }
        _ => return None,
    })
}

/// What TLS told.
fn of_peer(name: &str) -> Option<Fact> {
    Some(match name {
        "REQUESTED_SERVER_NAME" => {
            |sight, out| put(tls(sight).and_then(|tls| tls.server_name.as_deref()), out)
        }
        "DOWNSTREAM_TLS_VERSION" => |sight, out| put(tls(sight).map(|tls| tls.version), out),
        "DOWNSTREAM_TLS_CIPHER" => |sight, out| put(tls(sight).map(|tls| tls.cipher), out),
        "DOWNSTREAM_PEER_SUBJECT" => {
            |sight, out| put(certificate(sight).map(|it| &it.subject), out)
        }
        "DOWNSTREAM_PEER_ISSUER" => |sight, out| put(certificate(sight).map(|it| &it.issuer), out),
        "DOWNSTREAM_PEER_SERIAL" => |sight, out| put(certificate(sight).map(|it| &it.serial), out),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => {
            |sight, out| put(certificate(sight).map(|it| &it.fingerprint), out)
        }
        "DOWNSTREAM_PEER_URI_SAN" => {
            |sight, out| put(certificate(sight).map(|it| it.uris.join(",")), out)
        }
        "DOWNSTREAM_PEER_DNS_SAN" => {
            |sight, out| put(certificate(sight).map(|it| it.dns.join(",")), out)
        }
        "DOWNSTREAM_PEER_CERT" => {
            |sight, out| put(certificate(sight).map(PeerCertificate::pem), out)
        }
        _ => return None,
    })
}

/// What is known once a host has answered.
fn of_host(name: &str) -> Option<Fact> {
    Some(match name {
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => |sight, out| put(sight.scene.host, out),
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            |sight, out| put(sight.scene.host.map(|host| host.ip()), out)
        }
        "UPSTREAM_REMOTE_PORT" => |sight, out| put(sight.scene.host.map(|host| host.port()), out),
        _ => return None,
    })
}

fn put(value: Option<impl Display>, out: &mut String) {
    if let Some(value) = value {
        let _ = write!(out, "{value}");
    }
}

fn peer(sight: &Sight<'_>) -> SocketAddr {
    sight.scene.facts.ends.direct_peer
}

fn local(sight: &Sight<'_>) -> SocketAddr {
    sight.scene.facts.ends.local
}

fn tls<'s>(sight: &Sight<'s>) -> Option<&'s Tls> {
    sight.scene.facts.tls.as_deref()
}

fn certificate<'s>(sight: &Sight<'s>) -> Option<&'s PeerCertificate> {
    tls(sight)?.peer.as_ref()
}

//! What the name of an operator asks for.

use std::time::Duration;

use crossdock_routers::format;

use super::{Header, Instant, Name, Original, Point, Source, What, answered_after, millis};
use crate::access_log::time::TimeFormat;

/// What is asked by this name.
///
/// # Errors
///
/// The reason and the cure.
pub(super) fn meaning(name: &str, args: Option<&str>) -> Result<What, (String, String)> {
    if let Some(what) = with_arguments(name, args)? {
        return Ok(what);
    }
    let what = without_arguments(name).ok_or_else(|| unknown(name))?;
    let takes = matches!(what, What::Fixed(None));
    if args.is_some_and(|args| !args.is_empty()) && !takes {
        return Err((
            format!("%{name}% takes no argument"),
            format!("write %{name}%"),
        ));
    }
    Ok(what)
}

/// Operators that mean nothing without an argument, or something else.
fn with_arguments(name: &str, args: Option<&str>) -> Result<Option<What>, (String, String)> {
    let source = match name {
        "REQ" => Source::Request,
        "REQ_WITHOUT_QUERY" => Source::RequestWithoutQuery,
        "RESP" => Source::Response,
        "TRAILER" => Source::Trailers,
        "ENVIRONMENT" => {
            let value = args.filter(|name| !name.is_empty()).map(std::env::var_os);
            let value = value.ok_or_else(|| needs(name, "the name of a variable"))?;
            let value = value.map(|value| value.to_string_lossy().into());
            return Ok(Some(What::Fixed(value)));
        }
        "START_TIME" | "EMIT_TIME" => {
            let format = match args.unwrap_or_default() {
                "" => TimeFormat::iso_8601(),
                format => TimeFormat::parse(format).map_err(|reason| {
                    let cure = "use the conversions of strftime, %s, %3f, %6f or %9f";
                    (format!("%{name}%: {reason}"), cure.to_owned())
                })?,
            };
            let instant = if name == "START_TIME" {
                Instant::Start
            } else {
                Instant::Emit
            };
            return Ok(Some(What::Time(instant, format)));
        }
        "PATH" => return path_of(args.unwrap_or_default()).map(Some),
        "QUERY_PARAM" => {
            let parameter = args.filter(|name| !name.is_empty());
            let parameter = parameter.ok_or_else(|| needs(name, "the name of a parameter"))?;
            return Ok(Some(What::Query(parameter.into())));
        }
        "COMMON_DURATION" => return between(args.unwrap_or_default()).map(Some),
        _ => return Ok(None),
    };
    let names = args.and_then(format::header_names);
    let (name, alternative) =
        names.ok_or_else(|| needs(name, "the name of a header, as in %REQ(:PATH)%"))?;
    let header = Header {
        service_time: &*name == "x-envoy-upstream-service-time",
        name: Name::new(name),
        alternative: alternative.map(Name::new),
    };
    Ok(Some(What::Header(source, header)))
}

/// `%PATH(WQ:ORIG_OR_PATH)%`.
fn path_of(args: &str) -> Result<What, (String, String)> {
    let (query, source) = args.split_once(':').unwrap_or((args, ""));
    let query = match query {
        "" | "WQ" => Some(true),
        "NQ" => Some(false),
        _ => None,
    };
    let original = match source {
        "" | "ORIG_OR_PATH" => Some(Original::IfThere),
        "PATH" => Some(Original::Never),
        "ORIG" => Some(Original::Only),
        _ => None,
    };
    let both = query.zip(original);
    let what = both.map(|(query, original)| What::Path { query, original });
    what.ok_or_else(|| {
        let reason = format!("%PATH% knows no ({args})");
        let cure = "write WQ or NQ, and behind a colon PATH, ORIG or ORIG_OR_PATH";
        (reason, cure.to_owned())
    })
}

/// `%COMMON_DURATION(FROM:TO:PRECISION)%`.
fn between(args: &str) -> Result<What, (String, String)> {
    let mut parts = args.split(':');
    let (from, to) = (
        parts.next().and_then(Point::of),
        parts.next().and_then(Point::of),
    );
    let precision = match parts.next() {
        None | Some("ms") => Some(1_000),
        Some("us") => Some(1_000_000),
        Some("ns") => Some(1_000_000_000),
        Some(_) => None,
    };
    match (from, to, precision, parts.next()) {
        (Some(from), Some(to), Some(precision), None) => Ok(What::Between(from, to, precision)),
        _ => Err((
            format!("%COMMON_DURATION% knows no ({args})"),
            "give two of DS_RX_BEG, DS_RX_END, US_TX_BEG, US_TX_END, US_RX_BEG, US_RX_END, \
             DS_TX_BEG and DS_TX_END, and ms, us or ns, with colons between"
                .to_owned(),
        )),
    }
}

fn without_arguments(name: &str) -> Option<What> {
    Some(match name {
        "PROTOCOL" => What::Text(|line| {
            let call = line.connection.is_none();
            call.then(|| line.record.request.protocol())
        }),
        "RESPONSE_CODE" => What::Number(|line| Some(line.record.http.into())),
        "RESPONSE_CODE_DETAILS" => What::Details,
        "LOCAL_REPLY_BODY" => What::Reply,
        "RESPONSE_FLAGS" => What::Flags { long: false },
        "RESPONSE_FLAGS_LONG" => What::Flags { long: true },
        "GRPC_STATUS" => What::GrpcStatus { number: false },
        "GRPC_STATUS_NUMBER" => What::GrpcStatus { number: true },
        "BYTES_RECEIVED" | "DOWNSTREAM_WIRE_BYTES_RECEIVED" => {
            What::Number(|line| Some(line.record.received as u64))
        }
        "BYTES_SENT" | "DOWNSTREAM_WIRE_BYTES_SENT" => {
            What::Number(|line| Some(line.record.sent as u64))
        }
        "DURATION" => What::Number(|line| Some(millis(line.record.duration))),
        // The clock of a call starts when its request is complete.
        "REQUEST_DURATION" => What::Number(|line| line.of_call(Some(Duration::ZERO))),
        "REQUEST_TX_DURATION" => What::Number(|line| line.record.sent_after.map(millis)),
        "RESPONSE_DURATION" => What::Number(|line| answered_after(line.record).map(millis)),
        "RESPONSE_TX_DURATION" => What::Number(|line| {
            let answered = answered_after(line.record)?;
            Some(millis(line.record.duration - answered))
        }),
        "VIRTUAL_CLUSTER_NAME" => What::VirtualCluster,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => What::Number(|line| Some(line.record.attempts.into())),
        "ROUTE_NAME" => What::Text(|line| Some(&line.record.route?.name)),
        "ACCESS_LOG_TYPE" => What::Text(|line| Some(line.moment().as_str_name())),
        "HOSTNAME" => What::Fixed(hostname()),
        _ => {
            return addresses(name)
                .or_else(|| of_connection(name))
                .or_else(|| of_tls(name))
                .or_else(|| absent(name));
        }
    })
}

fn addresses(name: &str) -> Option<What> {
    Some(match name {
        // By its name in metrics (`alt_stat_name`), as in Envoy.
        "UPSTREAM_CLUSTER" => What::Text(|line| Some(line.record.cluster?.stats.scope().label())),
        "UPSTREAM_CLUSTER_RAW" => What::Text(|line| Some(&line.record.cluster?.name)),
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => {
            What::Address(|line| Some(line.record.host?.address))
        }
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            What::Ip(|line| Some(line.record.host?.address.ip()))
        }
        "UPSTREAM_REMOTE_PORT" => {
            What::Number(|line| Some(line.record.host?.address.port().into()))
        }
        "UPSTREAM_HOST_NAME" | "UPSTREAM_HOST_NAME_WITHOUT_PORT" => {
            What::Text(|line| line.record.host?.hostname.as_deref())
        }
        "UPSTREAM_LOCAL_ADDRESS" => What::Address(|line| line.record.upstream_local),
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => {
            What::Ip(|line| Some(line.record.upstream_local?.ip()))
        }
        "UPSTREAM_LOCAL_PORT" => {
            What::Number(|line| Some(line.record.upstream_local?.port().into()))
        }
        "DOWNSTREAM_REMOTE_ADDRESS" => What::Address(|line| Some(line.source())),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => What::Ip(|line| Some(line.source().ip())),
        "DOWNSTREAM_REMOTE_PORT" => What::Number(|line| Some(line.source().port().into())),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => {
            What::Address(|line| Some(line.record.ends.direct_peer))
        }
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            What::Ip(|line| Some(line.record.ends.direct_peer.ip()))
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => {
            What::Number(|line| Some(line.record.ends.direct_peer.port().into()))
        }
        "DOWNSTREAM_LOCAL_ADDRESS" => What::Address(|line| Some(line.record.ends.local)),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => {
            What::Ip(|line| Some(line.record.ends.local.ip()))
        }
        "DOWNSTREAM_LOCAL_PORT" => What::Number(|line| Some(line.record.ends.local.port().into())),
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => {
            What::Address(|line| Some(line.record.ends.direct_local))
        }
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => {
            What::Ip(|line| Some(line.record.ends.direct_local.ip()))
        }
        "DOWNSTREAM_DIRECT_LOCAL_PORT" => {
            What::Number(|line| Some(line.record.ends.direct_local.port().into()))
        }
        _ => return None,
    })
}

/// Operators whose value only a connection has.
fn of_connection(name: &str) -> Option<What> {
    Some(match name {
        "UPSTREAM_WIRE_BYTES_RECEIVED" => {
            What::Number(|line| line.outcome().map(|outcome| outcome.upstream_received))
        }
        "UPSTREAM_WIRE_BYTES_SENT" => {
            What::Number(|line| line.outcome().map(|outcome| outcome.upstream_sent))
        }
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => What::Text(|line| line.record.transport_failure),
        "DOWNSTREAM_LOCAL_CLOSE_REASON" => What::Text(|line| line.outcome()?.reason),
        _ => return None,
    })
}

/// What the downstream connection's TLS handshake told.
fn of_tls(name: &str) -> Option<What> {
    Some(match name {
        "REQUESTED_SERVER_NAME" => What::Text(|line| line.tls()?.server_name.as_deref()),
        "DOWNSTREAM_TLS_VERSION" => What::Text(|line| Some(line.tls()?.version)),
        "DOWNSTREAM_TLS_CIPHER" => What::Text(|line| Some(line.tls()?.cipher)),
        "DOWNSTREAM_LOCAL_SUBJECT" => What::Text(|line| line.tls()?.local_subject.as_deref()),
        "DOWNSTREAM_LOCAL_URI_SAN" => What::List(|line| Some(&line.tls()?.local_uris)),
        "DOWNSTREAM_PEER_SUBJECT" => What::Text(|line| Some(&line.peer()?.subject)),
        "DOWNSTREAM_PEER_ISSUER" => What::Text(|line| Some(&line.peer()?.issuer)),
        "DOWNSTREAM_PEER_SERIAL" => What::Text(|line| Some(&line.peer()?.serial)),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => What::Text(|line| Some(&line.peer()?.fingerprint)),
        "DOWNSTREAM_PEER_CERT" => What::Made(|line| Some(line.peer()?.pem())),
        "DOWNSTREAM_PEER_URI_SAN" => What::List(|line| Some(&line.peer()?.uris)),
        "DOWNSTREAM_PEER_DNS_SAN" => What::List(|line| Some(&line.peer()?.dns)),
        _ => return None,
    })
}

/// Operators whose value is truly missing here: no filter sets metadata or filter state, no call is
/// traced, and of TLS no more is known than [`of_tls`] tells.
fn absent(name: &str) -> Option<What> {
    const NAMES: [&str; 7] = [
        "DYNAMIC_METADATA",
        "FILTER_STATE",
        "UPSTREAM_FILTER_STATE",
        "CONNECTION_TERMINATION_DETAILS",
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "TRACE_ID",
        "SPAN_ID",
    ];
    let tls = [
        "DOWNSTREAM_TLS_",
        "DOWNSTREAM_PEER_",
        "UPSTREAM_TLS_",
        "UPSTREAM_PEER_",
    ];
    let tls = tls.iter().any(|prefix| name.starts_with(prefix))
        || matches!(name, "DOWNSTREAM_LOCAL_SUBJECT" | "UPSTREAM_LOCAL_SUBJECT")
        || name.starts_with("DOWNSTREAM_LOCAL_") && name.ends_with("_SAN")
        || name.starts_with("UPSTREAM_LOCAL_") && name.ends_with("_SAN");
    (tls || NAMES.contains(&name)).then_some(What::Fixed(None))
}

fn unknown(name: &str) -> (String, String) {
    (
        format!("the operator %{name}% is not supported"),
        "remove it from the format".to_owned(),
    )
}

fn needs(name: &str, what: &str) -> (String, String) {
    (
        format!("%{name}% does not say which"),
        format!("give {what} in parentheses"),
    )
}

/// The name of this machine as the kernel has it.
fn hostname() -> Option<Box<str>> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim())
        .filter(|name| !name.is_empty())
        .map(Into::into)
}

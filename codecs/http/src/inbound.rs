//! A request before any rule looks at it: one reading of it, nothing of the connection that it came
//! on, and what the gateway says of its caller.

mod hops;
mod path;
mod target;

use std::{fmt::Write as _, net::SocketAddr};

use crossdock_framework::{
    status::{Cause, Detail, Status},
    stream::{Caller, Door, HttpPolicy, StripPort, Underscores},
    xfcc,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};

pub(crate) use hops::strip as strip_hops;
pub(crate) use target::judge_length;

use crate::{edits, grpc_web::Web, tunnel, view};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// Says that the caller is internal.
pub(crate) const INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");

/// What only an internal caller may say (Envoy's HTTP header sanitising).
const INTERNAL_WORDS: [HeaderName; 13] = [
    INTERNAL,
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-ip-tags"),
    HeaderName::from_static("x-envoy-max-retries"),
    HeaderName::from_static("x-envoy-original-url"),
    HeaderName::from_static("x-envoy-retriable-header-names"),
    HeaderName::from_static("x-envoy-retriable-status-codes"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-upstream-alt-stat-name"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
];

/// What a proxy in front may say and a stranger may not: taken away at the edge too.
const PROXY_WORDS: [HeaderName; 5] = [
    HeaderName::from_static("x-envoy-decorator-operation"),
    HeaderName::from_static("x-envoy-downstream-service-cluster"),
    HeaderName::from_static("x-envoy-downstream-service-node"),
    HeaderName::from_static("x-envoy-force-trace"),
    HeaderName::from_static("x-envoy-original-path"),
];

/// What a request wants besides an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    Answer,
    /// To speak another protocol on this connection afterwards: WebSocket.
    Upgrade,
    /// A tunnel.
    Tunnel,
}

/// Makes a request fit for rules.
///
/// # Errors
///
/// What the caller is answered, when the request has no single reading or wants what is not
/// configured.
pub(crate) fn receive(
    head: &mut request::Parts,
    door: &Door,
    policy: &HttpPolicy,
) -> Result<Wish, Status> {
    if head.version == Version::HTTP_10 && !policy.http_10 {
        return Err(Status {
            http: 426,
            ..bad("HTTP/1.0 is not served here (accept_http_10)")
                .because(Detail::Unreadable("low_version"))
        });
    }
    if head.version == Version::HTTP_10 && !head.headers.contains_key(header::HOST) {
        name_host(head, policy);
    }
    if head.headers.len() > policy.headers as usize {
        return Err(Status {
            http: 431,
            ..bad("the request has too many fields")
        });
    }
    target::judge(head)?;
    let wish = match head.version {
        Version::HTTP_2 => http2(head)?,
        _ => http1(head)?,
    };
    if wish != Wish::Tunnel {
        path::check(head)?;
        path::normalise(head, policy)?;
    }
    Web::receive(head, policy);
    judge_underscores(head, policy)?;
    strip_authority(head, door, policy)?;
    say_who(head, door, policy);
    if policy.request_id {
        give_id(head, door, policy);
    }
    Ok(wish)
}

/// HTTP/1.0 does not ask for a host; rules do.
fn name_host(head: &mut request::Parts, policy: &HttpPolicy) {
    if let Ok(host) = HeaderValue::from_str(&policy.http_10_host)
        && !host.is_empty()
    {
        head.headers.insert(header::HOST, host);
    }
}

/// Whether a client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
/// hyper sees to that for HTTP/1.
pub(crate) fn expects(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|expects| expects.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The target and `host` of an HTTP/1 request become one authority; fields of the connection go.
fn http1(head: &mut request::Parts) -> Result<Wish, Status> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("the request has several Host fields"));
    }
    match host {
        Some(host) if !is_authority(host.as_bytes()) => {
            return Err(bad("the Host field is not a host"));
        }
        None if head.version == Version::HTTP_11 => {
            return Err(bad("the request has no Host field")
                .because(Detail::Refused("missing_host_header")));
        }
        _ => {}
    }
    if head.method == Method::CONNECT {
        hops::strip(&mut head.headers).map_err(bad)?;
        return Ok(Wish::Tunnel);
    }
    if let Some(authority) = head.uri.authority() {
        // RFC 9112 section 3.2.2: an absolute target replaces the Host field.
        let host = HeaderValue::from_str(authority.as_str());
        let host = host.map_err(|_| bad("the target has no host"))?;
        head.headers.insert(header::HOST, host);
        let path = match view::path(head) {
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        head.uri = http::Uri::default();
        edits::set_path(head, &path).map_err(|_| bad("the target has no path"))?;
    }
    let upgrade = hops::strip(&mut head.headers).map_err(bad)?;
    Ok(match upgrade {
        true => Wish::Upgrade,
        false => Wish::Answer,
    })
}

/// The h2 crate has checked the pseudo fields; `host` must not say anything else than they do.
fn http2(head: &mut request::Parts) -> Result<Wish, Status> {
    if head.uri.authority().is_none() {
        let host = head.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok().map(str::to_owned));
        let Some(host) = host.filter(|host| is_authority(host.as_bytes())) else {
            return Err(bad("the request names no authority"));
        };
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        parts.authority = host.parse().ok();
        parts.scheme = parts.scheme.or(Some(http::uri::Scheme::HTTP));
        head.uri =
            http::Uri::from_parts(parts).map_err(|_| bad("the request names no authority"))?;
    }
    head.headers.remove(header::HOST);
    if head.method != Method::CONNECT {
        return Ok(Wish::Answer);
    }
    Ok(match tunnel::receive(head).map_err(bad)? {
        true => Wish::Upgrade,
        false => Wish::Tunnel,
    })
}

/// Letters, digits and what else stands in `host:port` and `[v6]:port`.
fn is_authority(host: &[u8]) -> bool {
    const MAY_STAND: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < 256 {
            table[at] = (at as u8).is_ascii_alphanumeric();
            at += 1;
        }
        let others = b"-._~:[]%!$&'()*+,;=";
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        table
    };
    !host.is_empty()
        && host.iter().all(|byte| MAY_STAND[*byte as usize])
        && target::has_good_port(host)
}

/// Takes off `:authority` what rules are not to see.
fn strip_authority(
    head: &mut request::Parts,
    door: &Door,
    policy: &HttpPolicy,
) -> Result<(), Status> {
    if policy.strip_port == StripPort::Never && !policy.strip_dot {
        return Ok(());
    }
    let Some(authority) = view::authority(head) else {
        return Ok(());
    };
    let after_bracket = authority.rfind(']').unwrap_or(0);
    let colon = authority.rfind(':').filter(|at| *at > after_bracket);
    let (mut host, mut port) = authority.split_at(colon.unwrap_or(authority.len()));
    let own = port.get(1..).and_then(|port| port.parse().ok()) == Some(door.ends.local.port());
    if policy.strip_port == StripPort::Any || (policy.strip_port == StripPort::Matching && own) {
        port = "";
    }
    if policy.strip_dot {
        host = host.strip_suffix('.').unwrap_or(host);
    }
    if host.len() + port.len() == authority.len() {
        return Ok(());
    }
    let stripped = format!("{host}{port}");
    edits::set_authority(head, &stripped).map_err(bad)
}

/// Header names with underscores, which some hosts read as dashes.
fn judge_underscores(head: &mut request::Parts, policy: &HttpPolicy) -> Result<(), Status> {
    let has = |name: &HeaderName| name.as_str().contains('_');
    if policy.underscores == Underscores::Allow || !head.headers.keys().any(has) {
        return Ok(());
    }
    if policy.underscores == Underscores::Reject {
        let text = "a header name has an underscore (headers_with_underscores_action)";
        return Err(bad(text));
    }
    let names: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| has(name))
        .cloned()
        .collect();
    names.iter().for_each(|name| {
        head.headers.remove(name);
    });
    Ok(())
}

/// What the gateway tells of its caller.
fn say_who(head: &mut request::Parts, door: &Door, policy: &HttpPolicy) {
    let scheme = match door.tls {
        Some(_) => HeaderValue::from_static("https"),
        None => HeaderValue::from_static("http"),
    };
    let forced = policy.scheme.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(forced)) = forced {
        force_scheme(head, forced);
    }
    let caller = told_caller(head, policy);
    if let Some(caller) = caller {
        head.extensions.insert(Caller(caller));
    }
    let internal = is_internal(head, caller, door.ends.peer, policy);
    let said = Said::of(&head.headers);
    if said.expects && !policy.proxy_continue {
        // Met here, when the body is first asked for.
        head.headers.remove(header::EXPECT);
    }
    if said.envoy {
        sanitise(head, internal, policy.edge);
    }
    if internal {
        head.headers
            .insert(INTERNAL, HeaderValue::from_static("true"));
    }
    tell_certificate(head, door, policy, said.certificate);
    if !policy.via.is_empty()
        && let Ok(via) = HeaderValue::from_str(&policy.via)
    {
        head.headers.append(header::VIA, via);
    }
    if policy.forwarded_port {
        let port = HeaderValue::from(door.ends.local.port());
        head.headers.insert(FORWARDED_PORT, port);
    }
    if !policy.edge {
        let headers = &mut head.headers;
        headers.entry(FORWARDED_PROTO).or_insert(scheme);
        return;
    }
    if policy.scheme.is_none() && policy.trusted_hops == 0
        || !head.headers.contains_key(FORWARDED_PROTO)
    {
        head.headers.insert(FORWARDED_PROTO, scheme);
    }
    let address = door.ends.peer.ip().to_canonical();
    let external = caller.map_or(address, |caller| caller.ip());
    if !internal && let Ok(external) = HeaderValue::try_from(external.to_string()) {
        head.headers.insert(EXTERNAL_ADDRESS, external);
    }
    if policy.skip_xff_append {
        return;
    }
    let mut chain = String::new();
    for value in head.headers.get_all(FORWARDED_FOR) {
        if let Ok(value) = value.to_str() {
            chain.push_str(value);
            chain.push(',');
        }
    }
    let _ = write!(chain, "{address}");
    if let Ok(value) = HeaderValue::try_from(chain) {
        head.headers.insert(FORWARDED_FOR, value);
    }
}

/// Whether a request is from one's own network: its one and only caller is (Envoy's documentation of
/// `x-envoy-internal`).
fn is_internal(
    head: &request::Parts,
    caller: Option<SocketAddr>,
    peer: SocketAddr,
    policy: &HttpPolicy,
) -> bool {
    if policy.internal.is_empty() {
        return false;
    }
    let mut told = head.headers.get_all(FORWARDED_FOR).iter();
    let (told, more) = (told.next(), told.next().is_some());
    let (address, alone) = match policy.edge {
        true => (Some(caller.unwrap_or(peer)), told.is_none()),
        false => {
            let one = told.is_some_and(|told| !told.as_bytes().contains(&b','));
            (caller, one && !more)
        }
    };
    let own = |address: SocketAddr| {
        let address = address.ip().to_canonical();
        policy.internal.iter().any(|own| own.holds(address))
    };
    alone && address.is_some_and(own)
}

/// Fields that are taken away where they stand. Most requests have none of them, and one look at all
/// names is cheaper than a search for each.
#[derive(Default)]
struct Said {
    expects: bool,
    certificate: bool,
    /// Something that only Envoy says.
    envoy: bool,
}

impl Said {
    fn of(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |said, name| Self {
            expects: said.expects || *name == header::EXPECT,
            certificate: said.certificate || *name == FORWARDED_CLIENT_CERT,
            envoy: said.envoy || name.as_str().starts_with("x-envoy-"),
        })
    }
}

/// Takes away what a caller may not say.
fn sanitise(head: &mut request::Parts, internal: bool, edge: bool) {
    if internal {
        return;
    }
    for name in &INTERNAL_WORDS {
        head.headers.remove(name);
    }
    for name in PROXY_WORDS.iter().filter(|_| edge) {
        head.headers.remove(name);
    }
}

/// Gives a request the scheme that is configured, wherever it stands.
fn force_scheme(head: &mut request::Parts, scheme: HeaderValue) {
    if head.uri.scheme().is_some()
        && let Ok(scheme) = http::uri::Scheme::try_from(scheme.as_bytes())
    {
        let mut parts = head.uri.clone().into_parts();
        parts.scheme = Some(scheme);
        // It had a scheme before, so all else that goes with one is there.
        head.uri = http::Uri::from_parts(parts).unwrap_or_default();
    }
    head.headers.insert(FORWARDED_PROTO, scheme);
}

/// Where a request came from by the word of the proxies in front, if any is trusted: behind the edge
/// the one that speaks last, at the edge those that are counted (Envoy's `getLastAddressFromXFF`).
fn told_caller(head: &request::Parts, policy: &HttpPolicy) -> Option<SocketAddr> {
    let hops = match policy.edge {
        true => policy.trusted_hops.checked_sub(1)?,
        false => policy.trusted_hops,
    };
    let values = head.headers.get_all(FORWARDED_FOR).iter().rev();
    let told = values
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','))
        .nth(hops as usize)?;
    let told = std::str::from_utf8(told.trim_ascii()).ok()?;
    Some(SocketAddr::new(told.parse().ok()?, 0))
}

/// What is told of the caller's certificate.
fn tell_certificate(head: &mut request::Parts, door: &Door, policy: &HttpPolicy, said: bool) {
    let came = match said {
        true => head.headers.remove(FORWARDED_CLIENT_CERT),
        false => None,
    };
    let came = came.as_ref().and_then(|came| came.to_str().ok());
    let told = xfcc::forwarded(
        policy.client_cert,
        policy.client_cert_parts,
        came,
        door.tls.as_deref(),
    );
    if let Some(Ok(told)) = told.map(HeaderValue::try_from) {
        head.headers.insert(FORWARDED_CLIENT_CERT, told);
    }
}

/// A UUID of version 4, which traces and logs of all hops share.
fn give_id(head: &mut request::Parts, door: &Door, policy: &HttpPolicy) {
    let keep = !policy.edge || policy.keep_request_id;
    if keep && head.headers.contains_key(REQUEST_ID) {
        return;
    }
    let (high, low) = (door.worker.random(), door.worker.random());
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let mut id = String::with_capacity(36);
    let _ = write!(
        id,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    );
    head.headers.insert(
        REQUEST_ID,
        HeaderValue::try_from(id).expect("hexadecimal digits and dashes"),
    );
}

pub(crate) fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> Status {
    Status::new(Cause::BadRequest, text)
}

#[cfg(test)]
mod tests {
    use crossdock_framework::network::Network;

    use super::*;

    fn asked(uri: &str, fields: &[(&'static str, &'static str)]) -> request::Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn callers_are_told_by_the_proxies_that_are_trusted() {
        let chain = [
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
            ("x-forwarded-for", "10.0.0.3"),
        ];
        for (edge, trusted_hops, wanted) in [
            (false, 0, Some("10.0.0.3")),
            (false, 1, Some("10.0.0.2")),
            (false, 2, Some("10.0.0.1")),
            (false, 3, None),
            (true, 0, None),
            (true, 1, Some("10.0.0.3")),
        ] {
            let policy = HttpPolicy {
                edge,
                trusted_hops,
                ..HttpPolicy::default()
            };
            let told = told_caller(&asked("/", &chain), &policy);
            let wanted = wanted.map(|ip| SocketAddr::new(ip.parse().expect("an address"), 0));
            assert_eq!(told, wanted, "{edge} {trusted_hops}");
        }
        for other in ["", "rubbish", "10.0.0.1:80", "10.0.0.1,"] {
            let told = told_caller(
                &asked("/", &[("x-forwarded-for", other)]),
                &HttpPolicy::default(),
            );
            assert_eq!(told, None, "{other}");
        }
    }

    #[test]
    fn what_callers_may_not_say_goes() {
        let said = [
            ("x-envoy-internal", "true"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-envoy-original-path", "/a"),
            ("x-envoy-of-somebody", "1"),
        ];
        let left = |edge| {
            let mut head = asked("/", &said);
            sanitise(&mut head, false, edge);
            let mut names: Vec<String> = head.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(
            left(false),
            ["x-envoy-of-somebody", "x-envoy-original-path"]
        );
        assert_eq!(left(true), ["x-envoy-of-somebody"]);
    }

    #[test]
    fn a_single_caller_of_ones_own_network_is_internal() {
        let own = Network::new("10.0.0.0".parse().expect("an address"), 8);
        let policy = |edge| HttpPolicy {
            edge,
            internal: own.into_iter().collect(),
            ..HttpPolicy::default()
        };
        let near: SocketAddr = "10.1.1.1:5".parse().expect("an address");
        let far: SocketAddr = "192.0.2.1:5".parse().expect("an address");
        for (edge, chain, peer, wanted) in [
            (false, &["10.9.9.9"][..], far, true),
            (false, &["1.2.3.4"], near, false),
            (false, &["10.9.9.9, 10.9.9.8"], far, false),
            (false, &["10.9.9.9", "10.9.9.8"], far, false),
            (false, &[], near, false),
            (true, &[], near, true),
            (true, &[], far, false),
            (true, &["10.9.9.9"], near, false),
        ] {
            let chain: Vec<_> = chain.iter().map(|to| ("x-forwarded-for", *to)).collect();
            let (head, policy) = (asked("/", &chain), policy(edge));
            let caller = told_caller(&head, &policy);
            let internal = is_internal(&head, caller, peer, &policy);
            assert_eq!(internal, wanted, "{edge} {chain:?} {peer}");
        }
    }

    #[test]
    fn a_scheme_is_forced_wherever_it_stands() {
        for (uri, wanted) in [
            ("/a?b", "/a?b"),
            ("http://x.test/a?b", "https://x.test/a?b"),
        ] {
            let mut head = asked(uri, &[("x-forwarded-proto", "http")]);
            force_scheme(&mut head, HeaderValue::from_static("https"));
            assert_eq!(head.uri, wanted);
            assert_eq!(head.headers["x-forwarded-proto"], "https");
        }
    }
}

//! Listener filters: what is looked at before a filter chain is chosen.

use std::time::Duration;

use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::core::v3::proxy_protocol_config::Version as ProxyVersion,
        config::listener::v3::{
            Listener, ListenerFilter, ListenerFilterChainMatchPredicate,
            listener_filter::ConfigType, listener_filter_chain_match_predicate::Rule,
        },
        extensions::filters::listener::{
            proxy_protocol::v3::ProxyProtocol, tls_inspector::v3::TlsInspector,
        },
    },
    google::protobuf::Any,
};

use crate::{
    chains::{Chains, Predicate},
    compile::{duration, listeners::DETECT_TIMEOUT, listeners::ListenerCompiler},
    settings::Settings,
    tls::MAX_HELLO,
};

const TLS_INSPECTOR: &str = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const PROXY_PROTOCOL: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
const HTTP_INSPECTOR: &str = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";

/// What is looked at before a filter chain is chosen.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// Whether a proxy in front says who calls.
    pub(crate) proxied: Option<Proxied>,
    /// Whether the connection begins with a ClientHello.
    pub(crate) hello: Option<ListenFor>,
    /// Which protocol a connection in plain text speaks.
    pub(crate) protocol: Option<ListenFor>,
    /// How long that may take, from the first byte (`listener_filters_timeout`).
    pub(crate) timeout: Duration,
    /// Choose a chain by what is known when the time is up, instead of closing.
    pub(crate) go_on: bool,
    /// How long a first byte is awaited.
    pub(crate) silence: Duration,
}

/// What one inspector does.
#[derive(Clone, Debug)]
pub(crate) struct ListenFor {
    /// Connections that it leaves alone.
    disabled: Option<Predicate>,
    /// The most octets of a ClientHello.
    pub(crate) limit: usize,
    /// Close a connection whose ClientHello cannot be read.
    pub(crate) strict: bool,
}

/// The PROXY protocol, as one listener takes it.
#[derive(Clone, Debug)]
pub(crate) struct Proxied {
    /// Connections that it leaves alone.
    disabled: Option<Predicate>,
    /// Connections without a header are served too.
    pub(crate) optional: bool,
    /// Whether a header of version 1 is taken.
    pub(crate) one: bool,
    /// Whether a header of version 2 is taken.
    pub(crate) two: bool,
}

impl Proxied {
    #[cfg(test)]
    pub(crate) const fn taking(optional: bool, one: bool, two: bool) -> Self {
        Self {
            disabled: None,
            optional,
            one,
            two,
        }
    }

    /// Whether connections to this port have a header.
    pub(crate) fn concerns(&self, port: u16) -> bool {
        !self.disabled.as_ref().is_some_and(|it| it.holds(port))
    }
}

impl Default for ListenFor {
    fn default() -> Self {
        Self {
            disabled: None,
            limit: MAX_HELLO,
            strict: false,
        }
    }
}

impl ListenFor {
    /// Whether connections to this port are looked at.
    pub(crate) fn concerns(&self, port: u16) -> bool {
        !self
            .disabled
            .as_ref()
            .is_some_and(|disabled| disabled.holds(port))
    }
}

impl ListenerCompiler<'_, '_> {
    /// Compiles the listener filters of the listener at `path`.
    pub(in crate::compile) fn inspection(
        &mut self,
        listener: &Listener,
        chains: &Chains,
        settings: &Settings,
        path: &str,
    ) -> Inspection {
        let (mut hello, mut protocol, mut proxied) = (None, None, None);
        for (ix, filter) in listener.listener_filters.iter().enumerate() {
            let path = format!("{path}.listener_filters[{ix}]");
            let any = match &filter.config_type {
                Some(ConfigType::TypedConfig(any)) => any,
                _ => &Any::default(),
            };
            match any.type_url.rsplit('/').next().unwrap_or_default() {
                TLS_INSPECTOR => hello = Some(self.tls_inspector(filter, any, &path)),
                HTTP_INSPECTOR => {
                    protocol = Some(ListenFor {
                        disabled: disabled(filter),
                        ..ListenFor::default()
                    });
                }
                PROXY_PROTOCOL => proxied = Some(self.proxied(filter, any, &path)),
                // Judged by the type alone.
                _ => {}
            }
        }
        if hello.is_none() && chains.need_hello() {
            // As Envoy, which adds the filter and says so.
            tracing::info!("{path}: filter chains ask for TLS: connections are looked at");
            hello = Some(ListenFor::default());
        }
        let given = listener.listener_filters_timeout.as_ref();
        let given = given.and_then(duration).filter(|time| !time.is_zero());
        let timeout = settings.detect_timeout().or(given);
        let timeout = timeout.unwrap_or(DETECT_TIMEOUT);
        let go_on = listener.continue_on_listener_filters_timeout;
        Inspection {
            proxied,
            hello,
            protocol: protocol.filter(|_| chains.need_protocol()),
            timeout,
            go_on,
            // Callers connect long before their first call. Who is to be served when the time is
            // up may be waiting for the server's first word.
            silence: match go_on || settings.tcp_fallback().is_some() {
                true => timeout,
                false => settings.downstream(Default::default()).idle_timeout,
            },
        }
    }

    fn proxied(&mut self, filter: &ListenerFilter, any: &Any, path: &str) -> Proxied {
        let config = self.decode::<ProxyProtocol>(any, &format!("{path}.typed_config"));
        let config = config.unwrap_or_default();
        let refused = |version| config.disallowed_versions().any(|other| other == version);
        Proxied {
            disabled: disabled(filter),
            optional: config.allow_requests_without_proxy_protocol,
            one: !refused(ProxyVersion::V1),
            two: !refused(ProxyVersion::V2),
        }
    }

    fn tls_inspector(&mut self, filter: &ListenerFilter, any: &Any, path: &str) -> ListenFor {
        let config = self.decode::<TlsInspector>(any, &format!("{path}.typed_config"));
        let config = config.unwrap_or_default();
        let limit = config.max_client_hello_size.map(|size| size.value as usize);
        ListenFor {
            disabled: disabled(filter),
            limit: limit.map_or(MAX_HELLO, |limit| limit.min(MAX_HELLO)),
            strict: config.close_connection_on_client_hello_parsing_errors,
        }
    }
}

fn disabled(filter: &ListenerFilter) -> Option<Predicate> {
    filter.filter_disabled.as_ref().map(predicate)
}

/// As deep as protobuf's readers allow messages within each other: below 100.
fn predicate(given: &ListenerFilterChainMatchPredicate) -> Predicate {
    match &given.rule {
        Some(Rule::OrMatch(set)) => Predicate::Or(set.rules.iter().map(predicate).collect()),
        Some(Rule::AndMatch(set)) => Predicate::And(set.rules.iter().map(predicate).collect()),
        Some(Rule::NotMatch(rule)) => Predicate::Not(Box::new(predicate(rule))),
        Some(Rule::DestinationPortRange(range)) => {
            Predicate::Ports(range.start.into(), range.end.into())
        }
        Some(Rule::AnyMatch(_)) => Predicate::Always,
        // Envoy requires a rule; without one nothing is left out.
        None => Predicate::Not(Box::new(Predicate::Always)),
    }
}

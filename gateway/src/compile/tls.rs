//! TLS: what transport sockets say, and where their secrets are.

mod material;
mod params;
mod secrets;
mod validation;

use std::sync::Arc;

use crossdock_framework::{stats::Group, transport::Secure};
use crossdock_xds::{
    Positions,
    envoy_types::pb::{
        envoy::{
            config::core::v3::{TransportSocket, transport_socket::ConfigType},
            extensions::transport_sockets::tls::v3::{
                CommonTlsContext, DownstreamTlsContext, Secret, UpstreamTlsContext,
            },
        },
        google::protobuf::Any,
    },
};
use rustls::pki_types::DnsName;

use super::Problems;
use crate::tls::{Asked, ClientSource, ClientTls, Contexts, ServerSource, ServerTls};

const RAW: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const DOWNSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// A protocol of Istio's proxies that begins with a preamble. It is never agreed upon: the peer
/// would send what the application would have to read.
const PEER_EXCHANGE: &str = "istio-peer-exchange";

/// Server names whose sessions are remembered for a cluster that says nothing.
const SESSIONS: u32 = 256;

/// What transport sockets are compiled with.
#[derive(Clone, Copy)]
pub(super) struct TlsCompiler<'c> {
    /// `static_resources.secrets`.
    pub(super) secrets: &'c Arc<[Secret]>,
    /// Where contexts are watched.
    pub(super) contexts: &'c Arc<Contexts>,
    /// Where the fields of the bootstrap stand.
    pub(super) positions: &'c Arc<Positions>,
}

/// A problem was found; it has been noted.
pub(super) struct Wrong;

impl TlsCompiler<'_> {
    /// TLS for the clients of a filter chain; `None` for plain text.
    pub(super) fn downstream(
        self,
        socket: Option<&TransportSocket>,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<Option<Arc<ServerTls>>, Wrong> {
        let path = format!("{path}.transport_socket.typed_config");
        let Some(any) = config(socket, DOWNSTREAM, &path, problems)? else {
            return Ok(None);
        };
        let context: DownstreamTlsContext = decode(any, &path, problems)?;
        let source = self.server(&context, &path, problems)?;
        let (common, at) = (context.common_tls_context.clone(), path.clone());
        let recipe = self.recipe(common.as_ref(), move |compiler, problems| {
            compiler.server(&context, &at, problems)
        });
        let context = ServerTls::new(source, recipe).map(Arc::new);
        let context = context.map_err(|reason| unusable(&path, reason, problems))?;
        self.contexts.add(&(Arc::clone(&context) as _));
        Ok(Some(context))
    }

    fn server(
        self,
        context: &DownstreamTlsContext,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<ServerSource, Wrong> {
        use crossdock_xds::envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::SessionTicketKeysType as Tickets;
        let common_path = format!("{path}.common_tls_context");
        let common = common(context.common_tls_context.as_ref(), &common_path, problems)?;
        let identities = self.identities(common, &common_path, problems);
        let params = params::compile(common.tls_params.as_ref(), &common_path, problems);
        let clients = self.validation(common, &common_path, problems);
        let required = context
            .require_client_certificate
            .is_some_and(|required| required.value);
        let (identities, params, clients) = (identities?, params?, clients?);
        if identities.is_empty() {
            problems.add(
                format!("{common_path}.tls_certificates"),
                "a listener with TLS needs a certificate",
                "give one with certificate_chain and private_key",
            );
            return Err(Wrong);
        }
        let judges = clients.as_ref().is_some_and(|clients| {
            clients.authorities.is_some() || !clients.hashes.is_empty() || !clients.keys.is_empty()
        });
        if required && !judges {
            problems.add(
                format!("{path}.require_client_certificate"),
                "nothing says which certificates of clients are good",
                "give validation_context a trusted_ca",
            );
            return Err(Wrong);
        }
        let stateless = context.session_ticket_keys_type.as_ref();
        Ok(ServerSource {
            identities,
            clients: clients.filter(|_| judges),
            clients_required: required,
            params,
            alpn: alpn(common),
            name_required: context.require_sni.is_some_and(|required| required.value),
            tickets: !matches!(
                stateless,
                Some(Tickets::DisableStatelessSessionResumption(true))
            ),
            sessions: !context.disable_stateful_session_resumption,
            client_order: context.prefer_client_ciphers,
        })
    }

    /// TLS for the hosts of a cluster; `None` for plain text.
    pub(super) fn upstream(
        self,
        socket: Option<&TransportSocket>,
        path: &str,
        stats: impl FnOnce() -> Arc<Group>,
        problems: &mut Problems<'_>,
    ) -> Result<Option<Arc<dyn Secure>>, Wrong> {
        let path = format!("{path}.transport_socket.typed_config");
        let Some(any) = config(socket, UPSTREAM, &path, problems)? else {
            return Ok(None);
        };
        let context: UpstreamTlsContext = decode(any, &path, problems)?;
        let source = self.client(&context, &path, problems)?;
        if source.hosts.is_none() {
            tracing::warn!("{path}: no validation_context: any certificate of a host is taken");
        }
        let (common, at) = (context.common_tls_context.clone(), path.clone());
        let recipe = self.recipe(common.as_ref(), move |compiler, problems| {
            compiler.client(&context, &at, problems)
        });
        let context = ClientTls::new(source, recipe, stats()).map(Arc::new);
        let context = context.map_err(|reason| unusable(&path, reason, problems))?;
        self.contexts.add(&(Arc::clone(&context) as _));
        Ok(Some(context))
    }

    fn client(
        self,
        context: &UpstreamTlsContext,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<ClientSource, Wrong> {
        let common_path = format!("{path}.common_tls_context");
        let common = common(context.common_tls_context.as_ref(), &common_path, problems)?;
        let identities = self.identities(common, &common_path, problems);
        let params = params::compile(common.tls_params.as_ref(), &common_path, problems);
        let hosts = self.validation(common, &common_path, problems);
        let asked = asked(context, path, problems);
        let (mut identities, params, hosts) = (identities?.into_iter(), params?, hosts?);
        let identity = identities.next();
        if identities.next().is_some() {
            problems.add(
                format!("{common_path}.tls_certificates[1]"),
                "a cluster has one certificate",
                "leave only one",
            );
            return Err(Wrong);
        }
        let server_name = asked?;
        if context.auto_sni_san_validation
            && hosts
                .as_ref()
                .is_none_or(|hosts| hosts.authorities.is_none())
        {
            problems.add(
                format!("{path}.auto_sni_san_validation"),
                "a name says nothing in a certificate that nobody vouches for",
                "give validation_context a trusted_ca",
            );
            return Err(Wrong);
        }
        let sessions = context.max_session_keys.map_or(SESSIONS, |keys| keys.value);
        Ok(ClientSource {
            identity,
            hosts,
            params,
            alpn: alpn(common),
            server_name,
            match_name: context.auto_sni_san_validation,
            // Each remembered session is some kilobytes.
            sessions: sessions.min(65_536) as usize,
        })
    }
}

/// The configuration of a transport socket of the wanted type; `None` for plain text.
fn config<'s>(
    socket: Option<&'s TransportSocket>,
    wanted: &str,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Option<&'s Any>, Wrong> {
    let Some(socket) = socket else {
        return Ok(None);
    };
    let Some(ConfigType::TypedConfig(any)) = &socket.config_type else {
        // Envoy's raw_buffer needs no configuration, and it is the only one.
        return match socket.name.as_str() {
            "envoy.transport_sockets.raw_buffer" => Ok(None),
            _ => {
                let reason = "the transport socket has no configuration";
                problems.add(path, reason, "give a typed_config");
                Err(Wrong)
            }
        };
    };
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    match name {
        RAW => Ok(None),
        name if name == wanted => Ok(Some(any)),
        other => {
            let reason = format!("the transport socket {other} does not belong here");
            problems.add(path, reason, format!("use {wanted}"));
            Err(Wrong)
        }
    }
}

fn decode<M: prost::Message + Default>(
    any: &Any,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<M, Wrong> {
    M::decode(any.value.as_slice()).map_err(|error| {
        problems.add(path, format!("not a message of its type: {error}"), "");
        Wrong
    })
}

fn common<'c>(
    common: Option<&'c CommonTlsContext>,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<&'c CommonTlsContext, Wrong> {
    static NOTHING: std::sync::LazyLock<CommonTlsContext> =
        std::sync::LazyLock::new(CommonTlsContext::default);
    let common: &'c CommonTlsContext = common.unwrap_or(&NOTHING);
    let bad = |name: &&String| name.is_empty() || name.len() > 255;
    if common.alpn_protocols.iter().any(|name| bad(&name)) {
        let reason = "the name of a protocol has from 1 to 255 octets";
        problems.add(format!("{path}.alpn_protocols"), reason, "correct it");
        return Err(Wrong);
    }
    Ok(common)
}

fn alpn(common: &CommonTlsContext) -> Vec<Vec<u8>> {
    let names = common.alpn_protocols.iter();
    let names = names.filter(|name| name.as_str() != PEER_EXCHANGE);
    names.map(|name| name.as_bytes().to_vec()).collect()
}

fn asked(
    context: &UpstreamTlsContext,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Asked, Wrong> {
    let name = match context.sni.as_str() {
        "" => None,
        name => match DnsName::try_from(name.to_owned()) {
            Ok(name) => Some(name),
            Err(_) => {
                let reason = format!("'{name}' is no DNS name");
                problems.add(format!("{path}.sni"), reason, "a server name is a DNS name");
                return Err(Wrong);
            }
        },
    };
    let host = context.auto_host_sni;
    Ok(Asked { name, host })
}

fn unusable(path: &str, reason: String, problems: &mut Problems<'_>) -> Wrong {
    problems.add(
        format!("{path}.common_tls_context"),
        reason,
        "correct the file, or name another",
    );
    Wrong
}

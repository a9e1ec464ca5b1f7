//! The side of TLS that hosts see: `UpstreamTlsContext`.

use std::{future::Future, io, path::PathBuf, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use crossdock_framework::{
    cluster::Host,
    protocol::{Io, Tls},
    stats::{Group, Shard},
    transport::{Named, Opened, Secure},
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind,
    client::Resumption,
    pki_types::{DnsName, ServerName},
};
use tokio::net::TcpStream;

use super::{
    identity::IdentitySource,
    params::{Params, suite_name, version_name},
    reload::{Reload, Shown},
    source::{Recipe, files, renew},
    stats::{self, TlsMetric},
    stream::{Failure, TlsStream},
    trust::TrustSource,
    verifier::Servers,
};

/// What a cluster says of TLS.
#[derive(Clone, Debug)]
pub(crate) struct ClientSource {
    /// What hosts are shown when they ask.
    pub(crate) identity: Option<IdentitySource>,
    /// What hosts have to show; `None` to take anything.
    pub(crate) hosts: Option<TrustSource>,
    pub(crate) params: Params,
    /// Protocols to offer; where empty, those that the caller speaks.
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) server_name: Asked,
    /// The host's certificate has to be for the server name that was asked for.
    pub(crate) match_name: bool,
    /// Server names whose sessions are remembered.
    pub(crate) sessions: usize,
}

/// Which server name a host is asked for (SNI); none where neither field gives one.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The same for every host.
    pub(crate) name: Option<DnsName<'static>>,
    /// The host's own name goes before, where it has one.
    pub(crate) host: bool,
}

/// TLS for the hosts of a cluster. What is read from files is swapped when they change.
#[derive(Debug)]
pub(crate) struct ClientTls {
    source: ArcSwap<ClientSource>,
    recipe: Option<Recipe<ClientSource>>,
    state: ArcSwap<State>,
    stats: Arc<Group>,
}

/// What one reading of the files gave.
#[derive(Debug)]
struct State {
    /// Asks for a server name.
    asking: Arc<ClientConfig>,
    /// Asks for none.
    silent: Arc<ClientConfig>,
    /// The same two, for calls that want the certificate to be for the name that they say; none
    /// where nobody vouches for certificates.
    matching: Option<[Arc<ClientConfig>; 2]>,
    shown: Vec<Shown>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What an operator reads.
    pub(crate) fn new(
        source: ClientSource,
        recipe: Option<Recipe<ClientSource>>,
        stats: Arc<Group>,
    ) -> Result<Self, String> {
        let state = State::load(&source)?;
        Ok(Self {
            source: ArcSwap::from_pointee(source),
            recipe,
            state: ArcSwap::from_pointee(state),
            stats,
        })
    }

    /// The server name that `host` is asked for.
    fn asked(&self, host: &Host) -> Option<DnsName<'static>> {
        let source = self.source.load();
        let asked = &source.server_name;
        let own = host.hostname.as_deref().filter(|_| asked.host);
        let own = own.and_then(|name| DnsName::try_from(name.to_owned()).ok());
        own.or_else(|| asked.name.clone())
    }

    async fn shake_hands(
        &self,
        host: &Host,
        alpn: &[&[u8]],
        named: Named<'_>,
        socket: TcpStream,
    ) -> Result<(TlsStream<ClientConnection>, Tls), Failure> {
        let state = self.state.load_full();
        let [asking, silent] = match &state.matching {
            _ if !named.matched => [&state.asking, &state.silent],
            Some([asking, silent]) => [asking, silent],
            None => {
                let text = "nobody vouches for the host's name (auto_san_validation)";
                return Err(Failure::Tls(rustls::Error::General(text.into())));
            }
        };
        let own = named.name.map(|name| ServerName::try_from(name.to_owned()));
        let (config, name) = match own {
            Some(Ok(name @ ServerName::DnsName(_))) => (asking, name),
            Some(Ok(address)) if named.matched => (silent, address),
            Some(Err(_)) if named.matched => {
                let text = "the call's authority is no name (auto_san_validation)";
                return Err(Failure::Tls(rustls::Error::General(text.into())));
            }
            _ => match self.asked(host) {
                Some(name) => (asking, ServerName::DnsName(name)),
                // No name is sent; the address only tells sessions of different hosts apart.
                None => (silent, ServerName::IpAddress(host.address.ip().into())),
            },
        };
        let ours = self.source.load().alpn.clone();
        let offered = match ours.is_empty() {
            true => alpn.iter().map(|protocol| protocol.to_vec()).collect(),
            false => ours,
        };
        let session = ClientConnection::new_with_alpn(Arc::clone(config), name, offered)
            .map_err(Failure::Tls)?;
        let mut stream = TlsStream::new(socket, session, &[]);
        stream.handshake().await?;
        let session = stream.session();
        let suite = session.negotiated_cipher_suite();
        let tls = Tls {
            alpn: session.alpn_protocol().map(Into::into),
            version: version_name(session.protocol_version()),
            cipher: suite.map_or("unknown", |suite| suite_name(suite.suite())),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            ..Tls::default()
        };
        Ok((stream, tls))
    }
}

impl Secure for ClientTls {
    fn secure<'s>(
        &'s self,
        host: &'s Host,
        alpn: &'s [&'s [u8]],
        named: Named<'s>,
        socket: TcpStream,
    ) -> Pin<Box<dyn Future<Output = io::Result<Opened>> + 's>> {
        Box::pin(async move {
            let shard = Shard::current();
            match self.shake_hands(host, alpn, named, socket).await {
                Ok((stream, tls)) => {
                    stats::completed_with_server(&self.stats, shard, &tls);
                    Ok(Opened {
                        io: Io::Other(Box::new(stream)),
                        alpn: tls.alpn,
                        local: None,
                    })
                }
                Err(failure) => {
                    stats::failed(&self.stats, shard, &failure);
                    Err(io::Error::other(format!("TLS handshake: {failure}")))
                }
            }
        })
    }
}

impl State {
    fn load(source: &ClientSource) -> Result<Self, String> {
        let provider = source.params.provider();
        let mut shown = Vec::new();
        let trust = match &source.hosts {
            None => None,
            Some(hosts) => {
                let trust = Arc::new(hosts.load()?);
                shown.extend(Shown::authorities(&trust, hosts));
                Some(trust)
            }
        };
        let vouched = source
            .hosts
            .as_ref()
            .is_some_and(|it| it.authorities.is_some());
        let verifier = |match_name| {
            Arc::new(Servers {
                trust: trust.clone(),
                algorithms: provider.signature_verification_algorithms,
                match_name,
            })
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(source.params.versions())
            .map_err(|error| format!("versions and cipher suites do not fit: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier(source.match_name));
        let mut asking = match &source.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let identity = identity.load(provider)?;
                shown.push(Shown::identity(&identity));
                let key = rustls::sign::SingleCertAndKey::from(Arc::clone(&identity.key));
                config.with_client_cert_resolver(Arc::new(key))
            }
        };
        // Fresh for every reading: which hosts may resume a session is judged by the rules of today.
        let sessions = || match source.sessions {
            0 => Resumption::disabled(),
            sessions => Resumption::in_memory_sessions(sessions),
        };
        asking.resumption = sessions();
        let matching = vouched.then(|| {
            let mut matching = asking.clone();
            matching.resumption = sessions();
            let mut strict = matching.dangerous();
            strict.set_certificate_verifier(verifier(true));
            both(matching)
        });
        let [asking, silent] = both(asking);
        Ok(Self {
            asking,
            silent,
            matching,
            shown,
        })
    }
}

/// The configuration that asks for a server name, and the same that asks for none.
fn both(asking: ClientConfig) -> [Arc<ClientConfig>; 2] {
    let mut silent = asking.clone();
    silent.enable_sni = false;
    [Arc::new(asking), Arc::new(silent)]
}

impl Reload for ClientTls {
    fn files(&self) -> Vec<PathBuf> {
        let source = self.source.load();
        let ours = source.identity.iter().flat_map(IdentitySource::sources);
        let theirs = source.hosts.iter().flat_map(TrustSource::sources);
        files(self.recipe.as_ref(), ours.chain(theirs))
    }

    fn reload(&self) -> Result<(), String> {
        let recipe = self.recipe.as_ref();
        let loaded = renew(recipe, &self.source, &self.state, State::load);
        let metric = match &loaded {
            Ok(()) => TlsMetric::Reloaded,
            Err(_) => TlsMetric::NotReloaded,
        };
        self.stats.inc(Shard(0), metric);
        loaded
    }

    fn shown(&self) -> Vec<Shown> {
        self.state.load().shown.clone()
    }
}

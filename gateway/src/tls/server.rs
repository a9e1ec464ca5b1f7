//! The side of TLS that clients see: `DownstreamTlsContext`.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use crossdock_framework::{
    protocol::{Io, Tls},
    stats::{Group, Shard},
};
use rustls::{
    HandshakeKind, ServerConfig, ServerConnection,
    crypto::ring::Ticketer,
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
        WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use tokio::net::TcpStream;

use super::{
    certificate,
    hello::{Heard, Hello},
    identity::{Identity, IdentitySource},
    params::{Params, suite_name, version_name},
    reload::{Reload, Shown},
    source::{Recipe, files, renew},
    stats::{self, TlsMetric},
    stream::{Failure, TlsStream, Trying},
    trust::TrustSource,
    verifier::Clients,
};

/// Sessions that a listener remembers for clients that cannot keep a ticket.
const SESSIONS: usize = 4096;

/// What a filter chain says of TLS.
#[derive(Clone, Debug)]
pub(crate) struct ServerSource {
    /// The certificates to choose from; not empty.
    pub(crate) identities: Vec<IdentitySource>,
    /// What clients have to show; `None` to ask for nothing.
    pub(crate) clients: Option<TrustSource>,
    /// A client without a certificate is refused.
    pub(crate) clients_required: bool,
    pub(crate) params: Params,
    /// Protocols to agree upon, most wanted first.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// A client that asks for no server name is refused.
    pub(crate) name_required: bool,
    /// Give clients tickets, by which they resume their session.
    pub(crate) tickets: bool,
    /// Remember sessions for clients without tickets.
    pub(crate) sessions: bool,
    /// Follow the client's order of cipher suites.
    pub(crate) client_order: bool,
}

/// TLS for the clients of a filter chain. What is read from files is swapped when they change.
#[derive(Debug)]
pub(crate) struct ServerTls {
    source: ArcSwap<ServerSource>,
    recipe: Option<Recipe<ServerSource>>,
    state: ArcSwap<State>,
    stats: OnceLock<Arc<Group>>,
}

/// What one reading of the files gave.
#[derive(Debug)]
struct State {
    identities: Arc<Identities>,
    /// For clients that offer a protocol that is served.
    agreeing: Arc<ServerConfig>,
    /// For the others, which go on without an agreement, as with Envoy.
    silent: Arc<ServerConfig>,
    shown: Vec<Shown>,
}

/// The certificates to choose from.
#[derive(Debug)]
struct Identities(Vec<Identity>);

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What an operator reads.
    pub(crate) fn new(
        source: ServerSource,
        recipe: Option<Recipe<ServerSource>>,
    ) -> Result<Self, String> {
        let state = State::load(&source)?;
        Ok(Self {
            source: ArcSwap::from_pointee(source),
            recipe,
            state: ArcSwap::from_pointee(state),
            stats: OnceLock::new(),
        })
    }

    /// Counts in these cells from now on.
    pub(crate) fn count_in(&self, stats: &Arc<Group>) {
        let _ = self.stats.set(Arc::clone(stats));
    }

    /// Shakes hands with a client. `all` is what came from it so far, its ClientHello at the front.
    /// `None` when one side refuses the other, which has been counted.
    pub(crate) async fn accept(
        &self,
        hello: Hello,
        all: &[u8],
        socket: TcpStream,
        shard: Shard,
    ) -> Option<(Io, Arc<Tls>)> {
        match self.shake_hands(hello, all, socket).await {
            Ok((stream, tls)) => {
                if let Some(stats) = self.stats.get() {
                    stats::completed(stats, shard, &tls);
                }
                Some((Io::Other(Box::new(stream)), Arc::new(tls)))
            }
            Err(failure) => {
                tracing::debug!("a client's TLS handshake failed: {failure}");
                if let Some(stats) = self.stats.get() {
                    stats::failed(stats, shard, &failure);
                }
                None
            }
        }
    }

    /// Refuses a client that begins with something else than a ClientHello.
    pub(crate) fn refuse(&self, heard: Heard, socket: &TcpStream, shard: Shard) {
        if let Heard::Broken(error, mut alert) = heard {
            tracing::debug!("a client's TLS handshake failed: {error}");
            // The peer may be gone; then nobody needs to know.
            let _ = alert.write_all(&mut Trying(socket));
        }
        self.count(shard, TlsMetric::Error);
    }

    fn count(&self, shard: Shard, metric: TlsMetric) {
        if let Some(stats) = self.stats.get() {
            stats.inc(shard, metric);
        }
    }

    async fn shake_hands(
        &self,
        hello: Hello,
        all: &[u8],
        socket: TcpStream,
    ) -> Result<(TlsStream<ServerConnection>, Tls), Failure> {
        let state = self.state.load_full();
        let source = self.source.load();
        let Hello { accepted, fed } = hello;
        let chosen = {
            let said = accepted.client_hello();
            if source.name_required && said.server_name().is_none() {
                let error = rustls::Error::General("the client asks for no server name".into());
                return Err(Failure::Tls(error));
            }
            state.choose(&said)
        };
        let agrees = {
            let said = accepted.client_hello();
            let served = |offered: &[u8]| source.alpn.iter().any(|ours| ours == offered);
            said.alpn().is_some_and(|mut offered| offered.any(served))
        };
        let config = if agrees {
            &state.agreeing
        } else {
            &state.silent
        };
        let session = match accepted.into_connection(Arc::clone(config)) {
            Ok(session) => session,
            Err((error, mut alert)) => {
                // The peer may be gone; then nobody needs to know.
                let _ = alert.write_all(&mut Trying(&socket));
                return Err(Failure::Tls(error));
            }
        };
        let rest = all.get(fed..).unwrap_or_default();
        let mut stream = TlsStream::new(socket, session, rest);
        stream.handshake().await?;
        let tls = tell(stream.session(), chosen);
        Ok((stream, tls))
    }
}

/// What the handshake told.
fn tell(session: &ServerConnection, ours: Option<&Identity>) -> Tls {
    let peer = session.peer_certificates().and_then(<[_]>::first);
    let suite = session.negotiated_cipher_suite();
    Tls {
        server_name: session
            .server_name()
            .map(|name| name.to_ascii_lowercase().into()),
        alpn: session.alpn_protocol().map(Into::into),
        version: version_name(session.protocol_version()),
        cipher: suite.map_or("unknown", |suite| suite_name(suite.suite())),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        local_subject: ours.map(|identity| Arc::clone(&identity.subject)),
        local_uris: ours.map_or_else(Arc::default, |identity| Arc::clone(&identity.uris)),
        peer: peer.and_then(|der| certificate::describe(der)),
    }
}

impl State {
    fn load(source: &ServerSource) -> Result<Self, String> {
        let provider = source.params.provider();
        let identities = source.identities.iter().map(|source| source.load(provider));
        let identities = Arc::new(Identities(identities.collect::<Result<_, _>>()?));
        let mut shown: Vec<_> = identities.0.iter().map(Shown::identity).collect();
        let verifier: Arc<dyn ClientCertVerifier> = match &source.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(clients) => {
                let trust = Arc::new(clients.load()?);
                shown.extend(Shown::authorities(&trust, clients));
                Arc::new(Clients {
                    trust,
                    algorithms: provider.signature_verification_algorithms,
                    required: source.clients_required,
                })
            }
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(source.params.versions())
            .map_err(|error| format!("versions and cipher suites do not fit: {error}"))?;
        let mut silent = config
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&identities) as Arc<dyn ResolvesServerCert>);
        silent.ignore_client_order = !source.client_order;
        // Fresh keys for every reading: who may resume a session is judged by the rules of today.
        silent.session_storage = match source.sessions {
            true => ServerSessionMemoryCache::new(SESSIONS),
            false => Arc::new(NoServerSessionStorage {}),
        };
        if source.tickets {
            silent.ticketer =
                Ticketer::new().map_err(|error| format!("no keys for tickets: {error}"))?;
        }
        let mut agreeing = silent.clone();
        agreeing.alpn_protocols.clone_from(&source.alpn);
        Ok(Self {
            identities,
            agreeing: Arc::new(agreeing),
            silent: Arc::new(silent),
            shown,
        })
    }

    fn choose(&self, hello: &ClientHello<'_>) -> Option<&Identity> {
        self.identities.choose(hello)
    }
}

impl Identities {
    /// The certificate that fits the server name best; the first one where none does, as in Envoy.
    /// Among equals one of elliptic curves, which is faster, if the client can verify it.
    fn choose(&self, hello: &ClientHello<'_>) -> Option<&Identity> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let schemes = hello.signature_schemes();
        let rank = |identity: &Identity| {
            let fits = name.as_deref().map_or(0, |name| identity.fits(name));
            (identity.signs(schemes), fits, identity.is_elliptic())
        };
        let mut best: Option<(&Identity, (bool, u8, bool))> = None;
        for identity in &self.0 {
            let rank = rank(identity);
            if best.is_none_or(|(_, than)| rank > than) {
                best = Some((identity, rank));
            }
        }
        best.map(|(identity, _)| identity)
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(&hello)
            .map(|identity| Arc::clone(&identity.key))
    }
}

impl Reload for ServerTls {
    fn files(&self) -> Vec<PathBuf> {
        let source = self.source.load();
        let identities = source.identities.iter();
        let ours = identities.flat_map(IdentitySource::sources);
        let theirs = source.clients.iter().flat_map(TrustSource::sources);
        files(self.recipe.as_ref(), ours.chain(theirs))
    }

    fn reload(&self) -> Result<(), String> {
        let recipe = self.recipe.as_ref();
        let loaded = renew(recipe, &self.source, &self.state, State::load);
        let metric = match &loaded {
            Ok(()) => TlsMetric::Reloaded,
            Err(_) => TlsMetric::NotReloaded,
        };
        self.count(Shard(0), metric);
        loaded
    }

    fn shown(&self) -> Vec<Shown> {
        self.state.load().shown.clone()
    }
}

//! Clients and hosts that speak TLS, each on the thread of its test or on one of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Frame, Kind, Wire};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use crate::authority::{Authority, Identity};

/// How long is waited for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a client shakes hands.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) config: ClientConfig,
    pub(crate) name: &'static str,
}

/// A connection over TLS to the gateway.
#[derive(Debug)]
pub(crate) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    unread: Vec<u8>,
}

impl Caller {
    /// A client without a certificate that takes any of the server's, and asks for `name`.
    pub(crate) fn new(name: &'static str) -> Self {
        Self::with(name, rustls::ALL_VERSIONS, None)
    }

    /// A client with a certificate.
    pub(crate) fn as_(identity: &Identity) -> Self {
        Self::with("localhost", rustls::ALL_VERSIONS, Some(identity))
    }

    pub(crate) fn with(
        name: &'static str,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("the provider has suites for them")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)));
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => config
                .with_client_auth_cert(vec![identity.der.clone()], identity.key_der())
                .expect("they belong together"),
        };
        Self { config, name }
    }

    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        self.config.alpn_protocols = protocols.collect();
        self
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When the gateway refuses, which with TLS 1.3 may only show when the client reads.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Client> {
        let name = ServerName::try_from(self.name).expect("a test's own name");
        let config = Arc::new(self.config.clone());
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Client {
            stream: StreamOwned::new(session, socket),
            unread: Vec::new(),
        })
    }

    /// Connects, shakes hands and makes a call.
    #[track_caller]
    pub(crate) fn call(&self, address: SocketAddr, wire: Wire) -> Client {
        let mut client = self.connect(address).expect("the gateway shakes hands");
        client.call(wire, 1, "hello");
        client
    }

    /// Asserts that the gateway refuses to shake hands, or tells so right after.
    #[track_caller]
    pub(crate) fn refused(&self, address: SocketAddr) -> String {
        match self.connect(address) {
            Err(error) => error.to_string(),
            Ok(mut client) => {
                let mut octet = [0];
                match client.stream.read(&mut octet) {
                    Ok(read) => panic!("no refusal, but {read} octets"),
                    Err(error) => error.to_string(),
                }
            }
        }
    }
}

impl Client {
    /// A call that has to come back as it is.
    #[track_caller]
    pub(crate) fn call(&mut self, wire: Wire, id: u64, text: &str) {
        let request = wire.request(id, &format!("<<{text}>>"));
        self.write(&request);
        let answer = self.recv().expect("an answer");
        assert!(answer.is_good(), "{answer:?}");
        assert_eq!((answer.id, answer.token()), (id, Some(text)));
    }

    #[track_caller]
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the gateway reads");
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the connection ends, or nothing comes in time.
    pub(crate) fn recv(&mut self) -> io::Result<Frame> {
        recv(&mut self.stream, &mut self.unread)
    }

    /// Everything until the end.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.stream.read_to_end(&mut all).map(|_| all)
    }

    /// Says that nothing more comes, and goes on reading.
    pub(crate) fn leave(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().expect("the gateway reads");
    }

    /// The session.
    pub(crate) fn session(&self) -> &ClientConnection {
        &self.stream.conn
    }

    pub(crate) fn resumed(&self) -> bool {
        self.session().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The certificate that the gateway has shown.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        let chain = self.session().peer_certificates();
        chain
            .and_then(<[_]>::first)
            .expect("a server shows one")
            .clone()
    }
}

fn recv(stream: &mut impl Read, unread: &mut Vec<u8>) -> io::Result<Frame> {
    loop {
        if let Some(frame) = Frame::cut(unread) {
            unread.drain(..frame.octets.len());
            return Ok(frame);
        }
        let mut block = [0; 64 * 1024];
        match stream.read(&mut block)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            size => unread.extend(&block[..size]),
        }
    }
}

/// Takes every certificate, if its owner has the key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A host that speaks TLS and answers every call with its token.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

/// What a host has learnt of its clients.
#[derive(Debug, Default)]
struct Seen {
    handshakes: AtomicUsize,
    resumed: AtomicUsize,
    asked: Mutex<Vec<Option<String>>>,
    agreed: Mutex<Vec<Option<String>>>,
    shown: Mutex<Vec<Option<CertificateDer<'static>>>>,
}

impl Host {
    /// Asks for no certificates.
    pub(crate) fn start(identity: &Identity) -> Self {
        Self::with(identity, None, &[], rustls::ALL_VERSIONS)
    }

    /// Wants certificates of this authority, if there is one.
    pub(crate) fn with(
        identity: &Identity,
        clients: Option<&Authority>,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = match clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der.clone()).expect("a certificate");
                WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                    .build()
                    .expect("there is a root")
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider has suites for them")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![identity.der.clone()], identity.key_der())
            .expect("they belong together");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config.ticketer = ring::Ticketer::new().expect("the system has randomness");
        Self::serve(Arc::new(config))
    }

    fn serve(config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let theirs = Arc::clone(&seen);
        // Ends with the process of the test.
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&theirs));
                thread::spawn(move || {
                    let _ = seen.serve(config, socket);
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn handshakes(&self) -> usize {
        self.seen.handshakes.load(Ordering::SeqCst)
    }

    pub(crate) fn resumed(&self) -> usize {
        self.seen.resumed.load(Ordering::SeqCst)
    }

    /// The server names that clients asked for.
    pub(crate) fn asked(&self) -> Vec<Option<String>> {
        lock(&self.seen.asked).clone()
    }

    /// The protocols agreed upon.
    pub(crate) fn agreed(&self) -> Vec<Option<String>> {
        lock(&self.seen.agreed).clone()
    }

    /// The certificates that clients have shown.
    pub(crate) fn shown(&self) -> Vec<Option<CertificateDer<'static>>> {
        lock(&self.seen.shown).clone()
    }
}

impl Seen {
    fn serve(&self, config: Arc<ServerConfig>, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        lock(&self.asked).push(session.server_name().map(str::to_owned));
        lock(&self.agreed).push(session.alpn_protocol().map(text));
        let first = session.peer_certificates().and_then(<[_]>::first);
        lock(&self.shown).push(first.cloned());
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.resumed.fetch_add(1, Ordering::SeqCst);
        }
        self.handshakes.fetch_add(1, Ordering::SeqCst);
        let mut stream = StreamOwned::new(session, socket);
        let mut unread = Vec::new();
        loop {
            let frame = recv(&mut stream, &mut unread)?;
            match frame.kind {
                Kind::Request => stream.write_all(&frame.echo())?,
                Kind::Heartbeat => stream.write_all(&frame.wire.heartbeat_ack(frame.id))?,
                _ => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

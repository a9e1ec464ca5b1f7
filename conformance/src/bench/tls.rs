//! Mutual TLS: keys that are made for one run, and both ends that use them.

use super::link::Link;
use super::wire::Wire;
use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Files of the folder with keys: who is trusted, and who everybody is.
pub(super) const AUTHORITY: &str = "ca.pem";
pub(super) const CERTIFICATE: &str = "cert.pem";
pub(super) const KEY: &str = "key.pem";
/// The name in the one certificate that proxies, callers and backends share.
pub(super) const NAME: &str = "echo.example";

/// Makes an authority and a certificate that it vouches for (ECDSA P-256), and writes them.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Issuer and subject of the other certificate must differ: it would count as its own issuer.
    params
        .distinguished_name
        .push(DnType::CommonName, "authority of a benchmark");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &authority)?;
    for (name, text) in [
        (AUTHORITY, authority.pem()),
        (CERTIFICATE, leaf.pem()),
        (KEY, key.serialize_pem()),
    ] {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// One end's configuration.
pub(super) enum Keys {
    /// For a caller.
    Client(TlsConnector),
    /// For a backend.
    Server(TlsAcceptor),
}

impl Keys {
    /// The caller's: it shows the certificate and trusts the authority alone.
    pub(super) fn client(folder: &Path, wire: Wire) -> anyhow::Result<Self> {
        let (chain, key) = identity(folder)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted(folder)?)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = match wire {
            Wire::Http1 => vec![b"http/1.1".to_vec()],
            Wire::Grpc => vec![b"h2".to_vec()],
            Wire::Dubbo | Wire::Bolt => Vec::new(),
        };
        Ok(Self::Client(Arc::new(config).into()))
    }

    /// The backend's: it wants a certificate of the authority.
    pub(super) fn server(folder: &Path) -> anyhow::Result<Self> {
        let (chain, key) = identity(folder)?;
        let provider = Arc::new(ring::default_provider());
        let trusted = Arc::new(trusted(folder)?);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(trusted, Arc::clone(&provider)).build()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self::Server(Arc::new(config).into()))
    }

    /// Shakes hands as a caller.
    pub(super) async fn connect(&self, stream: TcpStream) -> std::io::Result<Link> {
        stream.set_nodelay(true)?;
        let Self::Client(connector) = self else {
            return Err(std::io::Error::other("a backend's keys"));
        };
        let name = ServerName::try_from(NAME).map_err(std::io::Error::other)?;
        let stream = connector.connect(name, stream).await?;
        Ok(Link::secure(stream.into()))
    }

    /// Shakes hands as a backend.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<Link> {
        stream.set_nodelay(true)?;
        let Self::Server(acceptor) = self else {
            return Err(std::io::Error::other("a caller's keys"));
        };
        Ok(Link::secure(acceptor.accept(stream).await?.into()))
    }
}

fn identity(
    folder: &Path,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_file_iter(folder.join(CERTIFICATE))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
    Ok((chain.collect::<Result<_, _>>()?, key))
}

fn trusted(folder: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join(AUTHORITY))?)?;
    Ok(roots)
}

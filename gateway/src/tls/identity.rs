//! A certificate chain with its private key.

use std::sync::Arc;

use crossdock_framework::protocol::PeerCertificate;
use rustls::{
    SignatureScheme,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::{certificate, source::Source};

/// Certificates of one chain.
const MAX_CHAIN: usize = 16;

/// Where a chain and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentitySource {
    /// PEM: the certificate, then those of intermediate authorities.
    pub(crate) chain: Source,
    /// PEM, PKCS #1, PKCS #8 or SEC 1, without a password.
    pub(crate) key: Source,
}

/// A chain with its key, ready for handshakes.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// What the certificate says.
    pub(super) says: Arc<PeerCertificate>,
    pub(super) subject: Arc<str>,
    pub(super) uris: Arc<[Box<str>]>,
    /// Names of servers that it is for, in lower case; `*.` for every first label.
    pub(super) servers: Vec<String>,
    /// Where the certificate came from.
    pub(super) file: String,
}

impl IdentitySource {
    /// Reads both parts.
    ///
    /// # Errors
    ///
    /// What an operator reads: what cannot be read, or does not belong together.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Identity, String> {
        let chain = certificates(&self.chain)?;
        let [first, ..] = chain.as_slice() else {
            return Err(format!("{:?} holds no certificate", self.chain));
        };
        if chain.len() > MAX_CHAIN {
            return Err(format!(
                "{:?} holds over {MAX_CHAIN} certificates",
                self.chain
            ));
        }
        let says = certificate::describe(first)
            .ok_or_else(|| format!("the first certificate of {:?} cannot be read", self.chain))?;
        let mut servers: Vec<_> = says.dns.iter().map(|name| name.to_lowercase()).collect();
        if servers.is_empty() {
            // As Envoy: the common name counts where there is no DNS name.
            servers.extend(certificate::common_name(first).map(|name| name.to_lowercase()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key.read()?)
            .map_err(|error| format!("{:?} holds no private key: {error}", self.key))?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("{:?} is not the key of {:?}", self.key, self.chain)
            }
            error => format!("the key {:?} cannot be used: {error}", self.key),
        })?;
        Ok(Identity {
            key: Arc::new(key),
            subject: says.subject.as_ref().into(),
            uris: says.uris.as_ref().into(),
            says: Arc::new(says),
            servers,
            file: self.chain.name(),
        })
    }

    /// The sources, for whoever watches them.
    pub(super) fn sources(&self) -> [&Source; 2] {
        [&self.chain, &self.key]
    }
}

impl Identity {
    /// Whether a peer that verifies these signatures can be shown the certificate.
    pub(super) fn signs(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }

    /// Whether its key is one of elliptic curves.
    pub(super) fn is_elliptic(&self) -> bool {
        self.key.key.algorithm() != rustls::SignatureAlgorithm::RSA
    }

    /// How well it fits a server name: 2 for the name itself, 1 for a wildcard, 0 for not at all.
    pub(super) fn fits(&self, name: &str) -> u8 {
        let wild = |pattern: &str| {
            let parent = pattern.strip_prefix("*.");
            parent.is_some() && parent == name.split_once('.').map(|(_, parent)| parent)
        };
        if self.servers.iter().any(|server| server == name) {
            2
        } else {
            u8::from(self.servers.iter().any(|server| wild(server)))
        }
    }
}

/// Every certificate of a PEM file.
///
/// # Errors
///
/// When the file cannot be read, or is broken.
pub(super) fn certificates(source: &Source) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(&source.read()?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{source:?} is no PEM: {error}"))
}

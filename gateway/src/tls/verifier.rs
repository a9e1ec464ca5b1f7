//! [`Trust`] in the words of rustls.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::KeyUsage;

use super::trust::{Chain, Trust};

/// Judges the certificates of clients.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) trust: Arc<Trust>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// A client without a certificate is refused.
    pub(super) required: bool,
}

/// Judges the certificates of servers.
#[derive(Debug)]
pub(super) struct Servers {
    /// `None` to take any certificate.
    pub(super) trust: Option<Arc<Trust>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// The certificate has to be for the server name that was asked for.
    pub(super) match_name: bool,
}

/// Whether the peer has the private key of the certificate that it shows. Nothing of this depends
/// on who is trusted.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.trust.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = Chain {
            certificate: end_entity,
            intermediates,
            now,
        };
        let usage = KeyUsage::client_auth();
        self.trust.verify(chain, &self.algorithms, usage, None)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let chain = Chain {
            certificate: end_entity,
            intermediates,
            now,
        };
        let name = self.match_name.then(|| server_name.to_str());
        let usage = KeyUsage::server_auth();
        trust.verify(chain, &self.algorithms, usage, name.as_deref())?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

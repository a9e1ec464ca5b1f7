//! What is counted of handshakes, named as Envoy does.

use crossdock_framework::{
    metrics,
    protocol::Tls,
    stats::{Group, Shard},
};
use rustls::{CertificateError, Error};

use super::{stream::Failure, trust::Refusal};

metrics! {
    /// Metrics of TLS, `listener.<address>.…` or `cluster.<name>.…`.
    pub(crate) enum TlsMetric {
        /// Handshakes that were completed.
        counter Handshake = "ssl.handshake",
        /// Those that took up an earlier session.
        counter Reused = "ssl.session_reused",
        /// Those in which the peer showed no certificate.
        counter NoCertificate = "ssl.no_certificate",
        /// Those of TLS 1.2.
        counter Tls12 = "ssl.versions.TLSv1.2",
        /// Those of TLS 1.3.
        counter Tls13 = "ssl.versions.TLSv1.3",
        /// Handshakes that failed for another reason than the peer's certificate.
        counter Error = "ssl.connection_error",
        /// Peers that had to show a certificate and did not.
        counter VerifyNone = "ssl.fail_verify_no_cert",
        /// Certificates that no trusted authority vouches for, that are not valid now, or revoked.
        counter VerifyChain = "ssl.fail_verify_error",
        /// Certificates of trusted authorities for none of the names that are wanted.
        counter VerifyNames = "ssl.fail_verify_san",
        /// Certificates that are none of those that are wanted.
        counter VerifyDigest = "ssl.fail_verify_cert_hash",
        /// Changed files that are in use.
        counter Reloaded = "ssl.context_update_success",
        /// Changed files that could not be used; the earlier ones stay.
        counter NotReloaded = "ssl.context_update_failure",
    }
}

/// Counts a handshake with a client that was completed.
pub(super) fn completed(stats: &Group, shard: Shard, tls: &Tls) {
    completed_with_server(stats, shard, tls);
    if tls.peer.is_none() {
        stats.inc(shard, TlsMetric::NoCertificate);
    }
}

/// Counts a handshake with a server that was completed.
pub(super) fn completed_with_server(stats: &Group, shard: Shard, tls: &Tls) {
    stats.inc(shard, TlsMetric::Handshake);
    let version = match tls.version {
        "TLSv1.2" => TlsMetric::Tls12,
        _ => TlsMetric::Tls13,
    };
    stats.inc(shard, version);
    if tls.resumed {
        stats.inc(shard, TlsMetric::Reused);
    }
}

/// Counts a handshake that failed.
pub(super) fn failed(stats: &Group, shard: Shard, failure: &Failure) {
    let metric = match failure {
        Failure::Tls(error) => kind(error),
        Failure::Io(_) => TlsMetric::Error,
    };
    stats.inc(shard, metric);
}

fn kind(error: &Error) -> TlsMetric {
    match error {
        Error::NoCertificatesPresented => TlsMetric::VerifyNone,
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<Refusal>() {
                Some(Refusal::Names) => TlsMetric::VerifyNames,
                Some(Refusal::Digest) => TlsMetric::VerifyDigest,
                Some(Refusal::Chain) | None => TlsMetric::VerifyChain,
            }
        }
        Error::InvalidCertificate(_) => TlsMetric::VerifyChain,
        _ => TlsMetric::Error,
    }
}

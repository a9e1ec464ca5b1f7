//! Which certificates of peers are good: `CertificateValidationContext`.

use std::{fmt, sync::Arc};

use crossdock_routers::TextRule;
use rustls::{
    CertificateError, DistinguishedName, Error, OtherError,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject as _,
    },
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, anchor_from_trusted_cert,
};

use super::{
    certificate::{self, Names},
    identity::certificates,
    source::Source,
};

/// What peers have to show.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustSource {
    /// PEM: the authorities.
    pub(crate) authorities: Option<Source>,
    /// PEM: lists of revoked certificates, one for every authority of a chain.
    pub(crate) revoked: Option<Source>,
    /// Look only for the peer's own certificate in them.
    pub(crate) revoked_leaf_only: bool,
    /// One of the peer's names has to be as one of these says; empty for any name.
    pub(crate) names: Arc<[NameRule]>,
    /// SHA-256 of certificates, one of which it has to be; with `keys` either is enough.
    pub(crate) hashes: Arc<[[u8; 32]]>,
    /// SHA-256 of public keys.
    pub(crate) keys: Arc<[[u8; 32]]>,
    /// Do not tell clients which authorities are trusted.
    pub(crate) silent: bool,
}

/// A rule about one kind of name.
#[derive(Debug)]
pub(crate) struct NameRule {
    pub(crate) kind: NameKind,
    pub(crate) rule: TextRule,
    /// The text that `rule` wants exactly: for a DNS name, a wildcard of the certificate fits too.
    pub(crate) exact: Option<Box<str>>,
}

/// Kinds of subject alternative names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// Any kind, as in the deprecated `match_subject_alt_names`.
    Any,
    Dns,
    Uri,
    Email,
    Ip,
}

/// What peers have to show, ready for handshakes.
#[derive(Debug)]
pub(super) struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    /// The names of the authorities.
    pub(super) subjects: Vec<DistinguishedName>,
    revoked: Vec<CertRevocationList<'static>>,
    rules: TrustSource,
    /// The certificates of the authorities, for the admin endpoint.
    pub(super) shown: Vec<CertificateDer<'static>>,
}

/// Why a chain that is good is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// None of the names is wanted.
    Names,
    /// It is none of the certificates or keys that are wanted.
    Digest,
    /// It is no chain of trust, for a reason that has no name of its own.
    Chain,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Names => "no name of the certificate is one that is wanted",
            Self::Digest => "the certificate is none of those that are wanted",
            Self::Chain => "the certificate chain is not valid",
        })
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

impl TrustSource {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What an operator reads.
    pub(super) fn load(&self) -> Result<Trust, String> {
        let shown = match &self.authorities {
            Some(source) => certificates(source)?,
            None => Vec::new(),
        };
        if let Some(source) = self.authorities.as_ref().filter(|_| shown.is_empty()) {
            return Err(format!("{source:?} holds no certificate"));
        }
        let anchors = shown.iter().map(|certificate| {
            anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned())
        });
        let anchors = anchors.collect::<Result<Vec<_>, _>>().map_err(|error| {
            format!(
                "{:?} holds a certificate that cannot be used: {error}",
                self.authorities
            )
        })?;
        let subjects = match self.silent {
            true => Vec::new(),
            false => anchors
                .iter()
                .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
                .collect(),
        };
        let revoked = self.revoked.as_ref().map(lists).transpose()?;
        Ok(Trust {
            anchors,
            subjects,
            revoked: revoked.unwrap_or_default(),
            rules: self.clone(),
            shown,
        })
    }

    /// The sources, for whoever watches them.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.authorities.iter().chain(&self.revoked)
    }
}

fn lists(source: &Source) -> Result<Vec<CertRevocationList<'static>>, String> {
    let octets = source.read()?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&octets).map(|list| {
        let list = list.map_err(|error| format!("{source:?} is no PEM: {error}"))?;
        OwnedCertRevocationList::from_der(&list)
            .map(CertRevocationList::from)
            .map_err(|error| format!("{source:?} holds a list that cannot be used: {error}"))
    });
    let lists: Vec<_> = lists.collect::<Result<_, _>>()?;
    match lists.is_empty() {
        true => Err(format!("{source:?} holds no revocation list")),
        false => Ok(lists),
    }
}

impl Trust {
    /// Judges the chain that a peer shows. `server` is the name that its certificate has to bear
    /// besides.
    ///
    /// # Errors
    ///
    /// Why it is not trusted; alerts and counters are made of it.
    pub(super) fn verify(
        &self,
        chain: Chain<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
        usage: KeyUsage,
        server: Option<&str>,
    ) -> Result<(), Error> {
        if self.rules.authorities.is_some() {
            self.verify_path(chain, algorithms, usage)?;
        }
        self.verify_names(chain.certificate, server)?;
        if self.rules.hashes.is_empty() && self.rules.keys.is_empty() {
            return Ok(());
        }
        let (certificate, key) = certificate::digests(chain.certificate).ok_or(Refusal::Digest)?;
        match self.rules.hashes.contains(&certificate) || self.rules.keys.contains(&key) {
            true => Ok(()),
            false => Err(Refusal::Digest.into()),
        }
    }

    fn verify_path(
        &self,
        chain: Chain<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let lists: Vec<_> = self.revoked.iter().collect();
        let depth = match self.rules.revoked_leaf_only {
            true => RevocationCheckDepth::EndEntity,
            false => RevocationCheckDepth::Chain,
        };
        // Without a list there is nothing to look into; with one, a chain that no list speaks of
        // is refused.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(depth)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        EndEntityCert::try_from(chain.certificate)
            .and_then(|certificate| {
                certificate
                    .verify_for_usage(
                        algorithms.all,
                        &self.anchors,
                        chain.intermediates,
                        chain.now,
                        usage,
                        revocation,
                        None,
                    )
                    .map(|_| ())
            })
            .map_err(|error| Error::InvalidCertificate(reason(error)))
    }

    fn verify_names(
        &self,
        certificate: &CertificateDer<'_>,
        server: Option<&str>,
    ) -> Result<(), Error> {
        let rules = &self.rules.names;
        if rules.is_empty() && server.is_none() {
            return Ok(());
        }
        let names = certificate::names(certificate).ok_or(Refusal::Names)?;
        let wanted = rules.is_empty() || rules.iter().any(|rule| rule.fits(&names));
        let serves = server.is_none_or(|server| {
            names.dns.iter().any(|name| dns_fits(name, server))
                || server.parse().is_ok_and(|ip| names.ips.contains(&ip))
        });
        match wanted && serves {
            true => Ok(()),
            false => Err(Refusal::Names.into()),
        }
    }
}

/// The certificates that a peer shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain<'c> {
    pub(super) certificate: &'c CertificateDer<'c>,
    pub(super) intermediates: &'c [CertificateDer<'c>],
    pub(super) now: UnixTime,
}

impl NameRule {
    fn fits(&self, names: &Names) -> bool {
        let is = |kind| self.kind == kind || self.kind == NameKind::Any;
        let plain = |list: &[String]| list.iter().any(|name| self.rule.matches(name));
        let dns = |name: &String| match &self.exact {
            Some(exact) if self.kind == NameKind::Dns => dns_fits(name, exact),
            _ => self.rule.matches(name),
        };
        is(NameKind::Dns) && names.dns.iter().any(dns)
            || is(NameKind::Uri) && plain(&names.uris)
            || is(NameKind::Email) && plain(&names.emails)
            || is(NameKind::Ip)
                && names
                    .ips
                    .iter()
                    .any(|ip| self.rule.matches(&ip.to_string()))
    }
}

/// Whether the DNS name of a certificate, perhaps with a wildcard for its first label (RFC 6125),
/// is for this host.
fn dns_fits(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(parent), Some((first, rest))) => {
            !first.is_empty() && !parent.is_empty() && parent.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

/// What the peer is told by its alert.
fn reason(error: webpki::Error) -> CertificateError {
    use webpki::Error as Webpki;
    match error {
        Webpki::BadDer | Webpki::BadDerTime | Webpki::TrailingData(_) => {
            CertificateError::BadEncoding
        }
        Webpki::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        Webpki::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Webpki::CertRevoked => CertificateError::Revoked,
        Webpki::CrlExpired { time, next_update } => {
            CertificateError::ExpiredRevocationListContext { time, next_update }
        }
        Webpki::InvalidSignatureForPublicKey | Webpki::InvalidCrlSignatureForPublicKey => {
            CertificateError::BadSignature
        }
        Webpki::UnknownIssuer => CertificateError::UnknownIssuer,
        Webpki::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        other => {
            tracing::debug!("a certificate chain is refused: {other}");
            CertificateError::Other(OtherError(Arc::new(Refusal::Chain)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::dns_fits;

    #[test]
    fn a_wildcard_stands_for_one_whole_label() {
        for (pattern, host, fits) in [
            ("a.example", "A.example", true),
            ("*.example", "a.example", true),
            ("*.EXAMPLE", "a.example", true),
            ("*.example", "b.a.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*", "a", false),
            ("*.", "a.", false),
            ("a*.example", "ab.example", false),
        ] {
            assert_eq!(dns_fits(pattern, host), fits, "{pattern} {host}");
        }
    }
}

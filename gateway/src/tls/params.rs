//! Versions, cipher suites and groups: `TlsParameters`.

use std::sync::Arc;

use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};

/// Which versions and algorithms a side offers.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

/// Cipher suites of TLS 1.2 by their OpenSSL names, which Envoy's configuration and logs use.
const TLS12_SUITES: [(&str, CipherSuite); 6] = [
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Suites that Envoy knows, and that are left out here: no forward secrecy, or CBC. Fewer suites
/// than asked for are never less safe.
const WEAK: [&str; 11] = [
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "AES128-SHA256",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA256",
];

/// Groups by the names that Envoy's configuration uses.
const GROUPS: [(&str, NamedGroup); 3] = [
    ("X25519", NamedGroup::X25519),
    ("P-256", NamedGroup::secp256r1),
    ("P-384", NamedGroup::secp384r1),
];

impl Default for Params {
    fn default() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            versions: vec![&TLS13, &TLS12],
        }
    }
}

impl Params {
    /// The algorithms.
    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The versions.
    pub(super) fn versions(&self) -> &[&'static SupportedProtocolVersion] {
        &self.versions
    }

    /// Keeps only versions from `oldest` to `newest`.
    ///
    /// # Errors
    ///
    /// When none is left.
    pub(crate) fn limit_versions(
        &mut self,
        oldest: Version,
        newest: Version,
    ) -> Result<(), &'static str> {
        self.versions.retain(|version| {
            let version = match version.version {
                ProtocolVersion::TLSv1_3 => Version::Tls13,
                _ => Version::Tls12,
            };
            (oldest..=newest).contains(&version)
        });
        match self.versions.is_empty() {
            true => Err("no version that is served lies between the two"),
            false => Ok(()),
        }
    }

    /// Offers only these suites of TLS 1.2, in this order. Those of TLS 1.3 stay.
    ///
    /// # Errors
    ///
    /// What cannot be offered.
    pub(crate) fn limit_suites(&mut self, names: &[String]) -> Result<(), String> {
        let mut wanted = Vec::new();
        // `[A|B]` gives two suites the same rank, of which the client's favourite is taken.
        let names = names.iter().flat_map(|name| {
            let inner = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'));
            inner.unwrap_or(name).split('|')
        });
        for name in names {
            if let Some((_, suite)) = TLS12_SUITES.iter().find(|(known, _)| *known == name) {
                wanted.push(*suite);
            } else if !WEAK.contains(&name) {
                return Err(format!(
                    "'{name}' is no cipher suite of TLS 1.2 that is known here"
                ));
            }
        }
        let all = &self.provider.cipher_suites;
        let tls13 = all.iter().filter(|suite| suite.tls13().is_some());
        let tls12 = wanted
            .iter()
            .filter_map(|wanted| all.iter().find(|suite| suite.suite() == *wanted));
        let kept: Vec<SupportedCipherSuite> = tls13.chain(tls12).copied().collect();
        if wanted.is_empty() && self.versions.contains(&&TLS12) {
            return Err("all of them are weak ones, which are not offered here".to_owned());
        }
        self.change(|provider| provider.cipher_suites = kept);
        Ok(())
    }

    /// Offers only these groups, in this order.
    ///
    /// # Errors
    ///
    /// What cannot be offered.
    pub(crate) fn limit_groups(&mut self, names: &[String]) -> Result<(), String> {
        let mut kept = Vec::new();
        for name in names {
            let known = GROUPS.iter().find(|(known, _)| known == name);
            let group = known.and_then(|(_, wanted)| {
                let all = &self.provider.kx_groups;
                all.iter().find(|group| group.name() == *wanted).copied()
            });
            kept.push(group.ok_or_else(|| format!("'{name}' is no group that is known here"))?);
        }
        self.change(|provider| provider.kx_groups = kept);
        Ok(())
    }

    fn change(&mut self, change: impl FnOnce(&mut CryptoProvider)) {
        let mut provider = CryptoProvider::clone(&self.provider);
        change(&mut provider);
        self.provider = Arc::new(provider);
    }
}

/// Versions of TLS, as configuration names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// 1.0 or 1.1, which are never served.
    Older,
    Tls12,
    Tls13,
}

/// A suite by its OpenSSL name, as Envoy logs it.
pub(super) fn suite_name(suite: CipherSuite) -> &'static str {
    let known = TLS12_SUITES.iter().find(|(_, known)| *known == suite);
    match (known, suite) {
        (Some((name, _)), _) => name,
        (None, CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        (None, CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        (None, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        (None, _) => "unknown",
    }
}

/// A version as Envoy logs it.
pub(super) fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(params: &Params) -> Vec<&'static str> {
        let suites = params.provider.cipher_suites.iter();
        suites.map(|suite| suite_name(suite.suite())).collect()
    }

    fn limited(names: &[&str]) -> Result<Params, String> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = Params::default();
        params.limit_suites(&names).map(|()| params)
    }

    #[test]
    fn every_suite_has_the_name_that_configuration_gives_it() {
        assert!(!names(&Params::default()).contains(&"unknown"));
        assert_eq!(names(&Params::default()).len(), 9);
    }

    #[test]
    fn suites_are_offered_in_the_order_given_and_weak_ones_left_out() {
        let istio = [
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "AES256-GCM-SHA384",
        ];
        let offered = names(&limited(&istio).expect("known"));
        assert_eq!(offered.get(3..), Some(&istio[..2]));
        let group = limited(&["[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]"]);
        assert_eq!(names(&group.expect("known")).len(), 5);
        assert!(limited(&["AES128-SHA"]).is_err(), "nothing is left");
        assert!(limited(&["TLS_AES_128_GCM_SHA256"]).is_err());
        assert!(limited(&["rot13"]).is_err());
    }

    #[test]
    fn versions_and_groups_are_limited() {
        let mut params = Params::default();
        assert!(
            params
                .limit_versions(Version::Older, Version::Tls12)
                .is_ok()
        );
        assert_eq!(params.versions(), [&TLS12]);
        assert!(
            params
                .limit_versions(Version::Older, Version::Older)
                .is_err()
        );
        let mut params = Params::default();
        assert!(
            params
                .limit_groups(&["P-384".into(), "X25519".into()])
                .is_ok()
        );
        let groups = params.provider().kx_groups.iter().map(|group| group.name());
        let wanted = [NamedGroup::secp384r1, NamedGroup::X25519];
        assert_eq!(groups.collect::<Vec<_>>(), wanted);
        assert!(params.limit_groups(&["P-521".into()]).is_err());
    }
}

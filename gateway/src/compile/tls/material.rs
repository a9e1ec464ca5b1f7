//! Certificates and keys: where they are.

use std::{borrow::Cow, path::PathBuf};

use crossdock_xds::envoy_types::pb::envoy::{
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{
        CommonTlsContext, SdsSecretConfig, Secret, TlsCertificate, secret::Type as SecretType,
    },
};

use super::{Problems, TlsCompiler, Wrong};
use crate::tls::{IdentitySource, Source};

/// Certificates of one context.
const MAX_IDENTITIES: usize = 1024;

impl<'c> TlsCompiler<'c> {
    /// The certificates of a context.
    pub(super) fn identities(
        self,
        common: &CommonTlsContext,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<Vec<IdentitySource>, Wrong> {
        let mut identities = Vec::new();
        let mut good = true;
        for (ix, given) in common.tls_certificates.iter().enumerate() {
            let path = format!("{path}.tls_certificates[{ix}]");
            match identity(given, &path, problems) {
                Ok(identity) => identities.push(identity),
                Err(Wrong) => good = false,
            }
        }
        for (ix, config) in common.tls_certificate_sds_secret_configs.iter().enumerate() {
            let path = format!("{path}.tls_certificate_sds_secret_configs[{ix}]");
            let found = self.secret(config, &path, problems);
            let found = found.and_then(|secret| match &secret.r#type {
                Some(SecretType::TlsCertificate(given)) => identity(given, &path, problems),
                _ => Err(not_the_kind(config, "tls_certificate", &path, problems)),
            });
            match found {
                Ok(identity) => identities.push(identity),
                Err(Wrong) => good = false,
            }
        }
        if identities.len() > MAX_IDENTITIES {
            let reason = format!("there are over {MAX_IDENTITIES} certificates");
            let cure = "use certificates with several names, or several listeners";
            problems.add(format!("{path}.tls_certificates"), reason, cure);
            good = false;
        }
        match good {
            true => Ok(identities),
            false => Err(Wrong),
        }
    }

    /// The secret that an SDS configuration names: out of its file, or a static one where it names
    /// no source.
    pub(super) fn secret(
        self,
        config: &SdsSecretConfig,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<Cow<'c, Secret>, Wrong> {
        if config.sds_config.is_some() {
            return self.discovered(config, path, problems).map(Cow::Owned);
        }
        let found = self
            .secrets
            .iter()
            .find(|secret| secret.name == config.name);
        found.map(Cow::Borrowed).ok_or_else(|| {
            problems.add(
                format!("{path}.name"),
                format!("the secret '{}' is not configured", config.name),
                "add it to static_resources.secrets, or correct the name",
            );
            Wrong
        })
    }
}

pub(super) fn not_the_kind(
    config: &SdsSecretConfig,
    wanted: &str,
    path: &str,
    problems: &mut Problems<'_>,
) -> Wrong {
    let reason = format!("the secret '{}' is no {wanted}", config.name);
    problems.add(format!("{path}.name"), reason, "name one of that kind");
    Wrong
}

fn identity(
    given: &TlsCertificate,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<IdentitySource, Wrong> {
    let chain = needed(
        given.certificate_chain.as_ref(),
        "certificate_chain",
        path,
        problems,
    );
    let key = needed(given.private_key.as_ref(), "private_key", path, problems);
    Ok(IdentitySource {
        chain: chain?,
        key: key?,
    })
}

fn needed(
    given: Option<&DataSource>,
    field: &str,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Source, Wrong> {
    match source(given, &format!("{path}.{field}"), problems)? {
        Some(source) => Ok(source),
        None => {
            problems.add(
                format!("{path}.{field}"),
                "it is missing",
                "give a filename",
            );
            Err(Wrong)
        }
    }
}

/// Where a data source has its octets; `None` where there is none.
pub(super) fn source(
    given: Option<&DataSource>,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Option<Source>, Wrong> {
    let Some(given) = given else {
        return Ok(None);
    };
    match &given.specifier {
        None => Ok(None),
        Some(Specifier::Filename(name)) => Ok(Some(Source::File(PathBuf::from(name)))),
        Some(Specifier::InlineBytes(octets)) => Ok(Some(Source::Inline(octets.as_slice().into()))),
        Some(Specifier::InlineString(text)) => Ok(Some(Source::Inline(text.as_bytes().into()))),
        Some(Specifier::EnvironmentVariable(name)) => match std::env::var(name) {
            Ok(text) => Ok(Some(Source::Inline(text.as_bytes().into()))),
            Err(_) => {
                problems.add(
                    format!("{path}.environment_variable"),
                    format!("the variable {name} is not set to a text"),
                    "set it, or name a file",
                );
                Err(Wrong)
            }
        },
    }
}

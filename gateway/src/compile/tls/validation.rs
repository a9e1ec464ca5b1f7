//! Which certificates of peers are good.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use crossdock_routers::TextRule;
use crossdock_xds::envoy_types::pb::envoy::{
    extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, CommonTlsContext, SdsSecretConfig, SubjectAltNameMatcher,
        common_tls_context::ValidationContextType, secret::Type as SecretType,
        subject_alt_name_matcher::SanType,
    },
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};

use super::{
    Problems, TlsCompiler, Wrong,
    material::{not_the_kind, source},
};
use crate::tls::{NameKind, NameRule, TrustSource};

impl TlsCompiler<'_> {
    /// What peers have to show; `None` where nothing is said about it.
    pub(super) fn validation(
        self,
        common: &CommonTlsContext,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<Option<TrustSource>, Wrong> {
        use ValidationContextType as Given;
        match &common.validation_context_type {
            None => Ok(None),
            Some(Given::ValidationContext(context)) => {
                compile(context, &format!("{path}.validation_context"), problems).map(Some)
            }
            Some(Given::ValidationContextSdsSecretConfig(config)) => {
                let path = format!("{path}.validation_context_sds_secret_config");
                let context = self.shared(config, &path, problems)?;
                compile(&context, &path, problems).map(Some)
            }
            Some(Given::CombinedValidationContext(combined)) => {
                let path = format!("{path}.combined_validation_context");
                let config = combined.validation_context_sds_secret_config.clone();
                let field = format!("{path}.validation_context_sds_secret_config");
                let over = self.shared(&config.unwrap_or_default(), &field, problems)?;
                let base = combined.default_validation_context.clone();
                let merged = merge(base.unwrap_or_default(), over);
                let path = format!("{path}.default_validation_context");
                compile(&merged, &path, problems).map(Some)
            }
            Some(_) => {
                problems.add(
                    path,
                    "certificate providers are not in this version",
                    "use validation_context",
                );
                Err(Wrong)
            }
        }
    }

    fn shared(
        self,
        config: &SdsSecretConfig,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<CertificateValidationContext, Wrong> {
        let secret = self.secret(config, path, problems)?;
        match &secret.r#type {
            Some(SecretType::ValidationContext(context)) => Ok(context.clone()),
            _ => Err(not_the_kind(config, "validation_context", path, problems)),
        }
    }
}

/// Merges as Envoy: single fields replace, lists are appended.
fn merge(
    mut base: CertificateValidationContext,
    over: CertificateValidationContext,
) -> CertificateValidationContext {
    base.trusted_ca = over.trusted_ca.or(base.trusted_ca);
    base.crl = over.crl.or(base.crl);
    base.verify_certificate_hash
        .extend(over.verify_certificate_hash);
    base.verify_certificate_spki
        .extend(over.verify_certificate_spki);
    base.match_typed_subject_alt_names
        .extend(over.match_typed_subject_alt_names);
    #[expect(deprecated, reason = "Envoy's users still set it")]
    base.match_subject_alt_names
        .extend(over.match_subject_alt_names);
    base.only_verify_leaf_cert_crl |= over.only_verify_leaf_cert_crl;
    base.suppress_client_ca_list |= over.suppress_client_ca_list;
    base
}

fn compile(
    context: &CertificateValidationContext,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<TrustSource, Wrong> {
    let authorities = source(
        context.trusted_ca.as_ref(),
        &format!("{path}.trusted_ca"),
        problems,
    );
    let revoked = source(context.crl.as_ref(), &format!("{path}.crl"), problems);
    let names = names(context, path, problems);
    let hashes = list(
        &context.verify_certificate_hash,
        &format!("{path}.verify_certificate_hash"),
        ("a SHA-256 in hexadecimal", from_hex),
        problems,
    );
    let keys = list(
        &context.verify_certificate_spki,
        &format!("{path}.verify_certificate_spki"),
        ("a SHA-256 in base64", from_base64),
        problems,
    );
    let trust = TrustSource {
        authorities: authorities?,
        revoked: revoked?,
        revoked_leaf_only: context.only_verify_leaf_cert_crl,
        names: names?.into(),
        hashes: hashes?.into(),
        keys: keys?.into(),
        silent: context.suppress_client_ca_list,
    };
    let needs = match (&trust.authorities, &trust.revoked) {
        (Some(_), _) => None,
        (None, Some(_)) => Some("crl"),
        (None, None) if !trust.names.is_empty() => Some("match_typed_subject_alt_names"),
        (None, None) => None,
    };
    if let Some(field) = needs {
        problems.add(
            format!("{path}.{field}"),
            "it says nothing about a certificate that nobody vouches for",
            "give a trusted_ca",
        );
        return Err(Wrong);
    }
    Ok(trust)
}

fn names(
    context: &CertificateValidationContext,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Vec<NameRule>, Wrong> {
    let mut rules = Vec::new();
    let mut good = true;
    for (ix, given) in context.match_typed_subject_alt_names.iter().enumerate() {
        let path = format!("{path}.match_typed_subject_alt_names[{ix}]");
        match typed(given, &path, problems) {
            Ok(rule) => rules.push(rule),
            Err(Wrong) => good = false,
        }
    }
    #[expect(deprecated, reason = "Envoy's users still set it")]
    for (ix, given) in context.match_subject_alt_names.iter().enumerate() {
        let path = format!("{path}.match_subject_alt_names[{ix}]");
        match rule(NameKind::Any, given, &path, problems) {
            Ok(rule) => rules.push(rule),
            Err(Wrong) => good = false,
        }
    }
    match good {
        true => Ok(rules),
        false => Err(Wrong),
    }
}

fn typed(
    given: &SubjectAltNameMatcher,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<NameRule, Wrong> {
    let kind = match given.san_type() {
        SanType::Dns => NameKind::Dns,
        SanType::Uri => NameKind::Uri,
        SanType::Email => NameKind::Email,
        SanType::IpAddress => NameKind::Ip,
        SanType::OtherName | SanType::Unspecified => {
            problems.add(
                format!("{path}.san_type"),
                format!("{} is not in this version", given.san_type().as_str_name()),
                "use DNS, URI, EMAIL or IP_ADDRESS",
            );
            return Err(Wrong);
        }
    };
    let matcher = given.matcher.clone().unwrap_or_default();
    rule(kind, &matcher, &format!("{path}.matcher"), problems)
}

fn rule(
    kind: NameKind,
    matcher: &StringMatcher,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<NameRule, Wrong> {
    let exact = match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => Some(text.as_str().into()),
        _ => None,
    };
    match TextRule::of(matcher) {
        Ok(rule) => Ok(NameRule { kind, rule, exact }),
        Err(inner) => {
            problems.within(path, inner);
            Err(Wrong)
        }
    }
}

/// What a text is, and how it is read.
type Form = (&'static str, fn(&str) -> Option<[u8; 32]>);

fn list(
    given: &[String],
    path: &str,
    (what, read): Form,
    problems: &mut Problems<'_>,
) -> Result<Vec<[u8; 32]>, Wrong> {
    let mut digests = Vec::with_capacity(given.len());
    for (ix, text) in given.iter().enumerate() {
        match read(text) {
            Some(digest) => digests.push(digest),
            None => {
                let reason = format!("'{text}' is not {what}");
                problems.add(format!("{path}[{ix}]"), reason, "correct it");
            }
        }
    }
    match digests.len() == given.len() {
        true => Ok(digests),
        false => Err(Wrong),
    }
}

/// 64 digits, with or without colons between the octets.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.chars().filter(|c| *c != ':');
    let digits: Option<Vec<u8>> = digits.map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let octets = digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>();
    octets?.try_into().ok()
}

fn from_base64(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{from_base64, from_hex};

    #[test]
    fn digests_have_two_forms() {
        let plain = "0f".repeat(32);
        let octets: Vec<_> = (0..32).map(|_| "0F").collect();
        assert_eq!(from_hex(&plain), Some([15; 32]));
        assert_eq!(from_hex(&octets.join(":")), Some([15; 32]));
        assert_eq!(from_hex("0f"), None);
        assert_eq!(from_hex(&"+f".repeat(32)), None, "no sign is a digit");
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert_eq!(from_base64(key), Some([0; 32]));
        assert_eq!(from_base64("AAAA"), None);
    }
}

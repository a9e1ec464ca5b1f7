//! TLS: certificates, who is trusted, versions and sessions.

use super::{
    Message, REMOVE,
    Support::{Acts, Harmless, Ignored, Refused},
};

const PROVIDERS: &str = "providers of certificates are not in this version";
const WATCHED: &str = "the files of certificates are watched themselves";
const OWN_KEYS: &str = "tickets are made with keys that this process alone has";
const LESS_CHECKED: &str = "certificates are always checked in full";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        fields: &[
            (
                Acts,
                &[
                    "common_tls_context",
                    "require_client_certificate",
                    "require_sni",
                    "disable_stateless_session_resumption",
                    "disable_stateful_session_resumption",
                    "prefer_client_ciphers",
                ],
            ),
            (
                Ignored(OWN_KEYS),
                &[
                    "session_ticket_keys",
                    "session_ticket_keys_sds_secret_config",
                ],
            ),
            (
                Ignored("a session can be resumed for 12 hours at most"),
                &["session_timeout"],
            ),
            (
                Harmless("no OCSP response is stapled"),
                &["ocsp_staple_policy=LENIENT_STAPLING"],
            ),
            (
                Refused("OCSP responses are not in this version", REMOVE),
                &["ocsp_staple_policy"],
            ),
            (
                Harmless("every certificate is looked at for every client"),
                &["full_scan_certs_on_sni_mismatch"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        fields: &[
            (
                Acts,
                &[
                    "common_tls_context",
                    "sni",
                    "auto_host_sni",
                    "auto_sni_san_validation",
                    "max_session_keys",
                ],
            ),
            (
                Harmless("TLS sessions are never renegotiated"),
                &["allow_renegotiation=false"],
            ),
            (
                Ignored("TLS sessions are never renegotiated"),
                &["allow_renegotiation"],
            ),
            (
                Ignored("of the purposes of a key only the extended ones are looked at"),
                &["enforce_rsa_key_usage"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
        fields: &[
            (
                Acts,
                &[
                    "tls_params",
                    "tls_certificates",
                    "tls_certificate_sds_secret_configs",
                    "validation_context",
                    "validation_context_sds_secret_config",
                    "combined_validation_context",
                    "alpn_protocols",
                ],
            ),
            (
                Refused(PROVIDERS, "use tls_certificates and validation_context"),
                &[
                    "tls_certificate_provider_instance",
                    "tls_certificate_certificate_provider",
                    "tls_certificate_certificate_provider_instance",
                    "validation_context_certificate_provider",
                    "validation_context_certificate_provider_instance",
                ],
            ),
            (
                Refused("extensions of TLS are not in this version", REMOVE),
                &["custom_tls_certificate_selector", "custom_handshaker"],
            ),
            (Ignored("keys are never written down"), &["key_log"]),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
        fields: &[
            (
                Acts,
                &[
                    "default_validation_context",
                    "validation_context_sds_secret_config",
                ],
            ),
            (
                Refused(PROVIDERS, "use a secret"),
                &[
                    "validation_context_certificate_provider",
                    "validation_context_certificate_provider_instance",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
        fields: &[
            (
                Acts,
                &[
                    "tls_minimum_protocol_version",
                    "tls_maximum_protocol_version",
                    "cipher_suites",
                    "ecdh_curves",
                ],
            ),
            (
                Refused(
                    "which signatures are verified cannot be chosen in this version",
                    REMOVE,
                ),
                &["signature_algorithms", "compliance_policies"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        fields: &[
            (Acts, &["certificate_chain", "private_key"]),
            (
                Refused(
                    "keys are read from PEM without a password",
                    "use certificate_chain and private_key",
                ),
                &["pkcs12", "password", "private_key_provider"],
            ),
            (
                Refused(
                    "versions and suites are not chosen by certificate",
                    "use tls_params of the context",
                ),
                &["tls_params"],
            ),
            (Harmless(WATCHED), &["watched_directory"]),
            (
                Ignored("clients are given no such proof in this version"),
                &["ocsp_staple", "signed_certificate_timestamp"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
        fields: &[
            (
                Acts,
                &[
                    "trusted_ca",
                    "verify_certificate_spki",
                    "verify_certificate_hash",
                    "match_typed_subject_alt_names",
                    "match_subject_alt_names",
                    "crl",
                    "only_verify_leaf_cert_crl",
                    "suppress_client_ca_list",
                    "trust_chain_verification=VERIFY_TRUST_CHAIN",
                ],
            ),
            (Harmless(WATCHED), &["watched_directory"]),
            (Harmless(LESS_CHECKED), &["allow_expired_certificate=false"]),
            (
                Refused(LESS_CHECKED, REMOVE),
                &["trust_chain_verification", "allow_expired_certificate"],
            ),
            (
                Refused("a chain has at most 6 intermediate certificates", REMOVE),
                &["max_verify_depth"],
            ),
            (
                Refused(PROVIDERS, "name a file in trusted_ca"),
                &["ca_certificate_provider_instance", "system_root_certs"],
            ),
            (
                Refused("this check of certificates is not in this version", REMOVE),
                &[
                    "require_signed_certificate_timestamp",
                    "custom_validator_config",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
        fields: &[
            (Acts, &["san_type", "matcher"]),
            (
                Refused("names of other kinds are not in this version", REMOVE),
                &["oid"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
        fields: &[(Acts, &["name", "sds_config"])],
    },
    Message {
        name: "envoy.extensions.transport_sockets.tls.v3.Secret",
        fields: &[
            (Acts, &["name", "tls_certificate", "validation_context"]),
            (Ignored(OWN_KEYS), &["session_ticket_keys"]),
            (Ignored("nothing uses such secrets"), &["generic_secret"]),
        ],
    },
];

//! Versions, cipher suites and groups.

use crossdock_xds::envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    TlsParameters, tls_parameters::TlsProtocol,
};

use super::{Problems, Wrong};
use crate::tls::{Params, Version};

/// Compiles `tls_params` of the context at `path`.
pub(super) fn compile(
    given: Option<&TlsParameters>,
    path: &str,
    problems: &mut Problems<'_>,
) -> Result<Params, Wrong> {
    let mut params = Params::default();
    let Some(given) = given else {
        return Ok(params);
    };
    let path = format!("{path}.tls_params");
    let version = |given: TlsProtocol, automatic| match given {
        TlsProtocol::TlsAuto => automatic,
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 => Version::Older,
        TlsProtocol::TlSv12 => Version::Tls12,
        TlsProtocol::TlSv13 => Version::Tls13,
    };
    let oldest = version(given.tls_minimum_protocol_version(), Version::Tls12);
    let newest = version(given.tls_maximum_protocol_version(), Version::Tls13);
    let mut good = true;
    let mut wrong = |field: &str, reason: String, cure: &str| {
        problems.add(format!("{path}.{field}"), reason, cure);
        good = false;
    };
    if let Err(reason) = params.limit_versions(oldest, newest) {
        let cure = "TLSv1_2 and TLSv1_3 are served";
        wrong("tls_maximum_protocol_version", reason.to_owned(), cure);
    }
    if !given.cipher_suites.is_empty()
        && let Err(reason) = params.limit_suites(&given.cipher_suites)
    {
        let cure = "use ECDHE with AES-GCM or CHACHA20-POLY1305; suites of TLS 1.3 are not chosen";
        wrong("cipher_suites", reason, cure);
    }
    if !given.ecdh_curves.is_empty()
        && let Err(reason) = params.limit_groups(&given.ecdh_curves)
    {
        wrong("ecdh_curves", reason, "use X25519, P-256 or P-384");
    }
    match good {
        true => Ok(params),
        false => Err(Wrong),
    }
}

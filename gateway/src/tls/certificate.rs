//! What a certificate says of its owner.

use std::net::IpAddr;

use crossdock_framework::protocol::PeerCertificate;
use ring::digest::{SHA256, digest};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
    x509::X509Name,
};

use super::distinguished::rfc2253;

/// The names of a certificate's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) uris: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) ips: Vec<IpAddr>,
}

/// What rules, logs and the admin endpoint say of a certificate; `None` when it cannot be read.
pub(super) fn describe(der: &[u8]) -> Option<PeerCertificate> {
    let certificate = parse(der)?;
    let names = names_of(&certificate);
    let boxed = |names: Vec<String>| names.into_iter().map(String::into_boxed_str).collect();
    Some(PeerCertificate {
        subject: rfc2253(certificate.subject()).into(),
        issuer: rfc2253(certificate.issuer()).into(),
        serial: serial(certificate.raw_serial()).into(),
        fingerprint: hex(digest(&SHA256, der).as_ref()).into(),
        uris: boxed(names.uris),
        dns: boxed(names.dns),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        der: der.into(),
    })
}

/// The names of a certificate's owner; `None` when it cannot be read.
pub(super) fn names(der: &[u8]) -> Option<Names> {
    parse(der).map(|certificate| names_of(&certificate))
}

/// The common name of a certificate's owner.
pub(super) fn common_name(der: &[u8]) -> Option<String> {
    let certificate = parse(der)?;
    let subject: &X509Name<'_> = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

/// SHA-256 of a certificate, and of its public key (`SubjectPublicKeyInfo`).
pub(super) fn digests(der: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let sha256 =
        |octets: &[u8]| -> Option<[u8; 32]> { digest(&SHA256, octets).as_ref().try_into().ok() };
    let certificate = parse(der)?;
    Some((sha256(der)?, sha256(certificate.public_key().raw)?))
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate)
}

fn names_of(certificate: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    // Two such extensions, or one that cannot be read, name nobody.
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return names;
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
            GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
            GeneralName::RFC822Name(email) => names.emails.push((*email).to_owned()),
            GeneralName::IPAddress(octets) => names.ips.extend(address(octets)),
            _ => {}
        }
    }
    names
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| sixteen()).ok()
}

/// A serial number as Envoy writes it: hexadecimal, without the zero that only keeps it positive.
fn serial(octets: &[u8]) -> String {
    match octets {
        [0, rest @ ..] if !rest.is_empty() => hex(rest),
        all => hex(all),
    }
}

/// Hexadecimal, in lower case.
pub(super) fn hex(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    octets
        .iter()
        .flat_map(|octet| [digit(octet >> 4), digit(*octet)])
        .collect()
}

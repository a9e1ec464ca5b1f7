//! `x-forwarded-client-cert`: what a proxy tells of the certificate that its caller showed.

use std::fmt::Write as _;

use crate::protocol::Tls;

/// What becomes of the header in a request (Envoy's `forward_client_cert_details`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forward {
    /// Remove it. The default: nobody outside may say who he is.
    #[default]
    Sanitize,
    /// Pass it on as it came, where the caller showed a certificate; remove it elsewhere.
    ForwardOnly,
    /// Append an element about the caller's certificate to what came, where he showed one; remove
    /// it elsewhere.
    AppendForward,
    /// Replace it by an element about the caller's certificate, or remove it.
    SanitizeSet,
    /// Pass it on as it came, whoever says it.
    AlwaysForwardOnly,
}

/// What an element says besides `By` and `Hash` (`set_current_client_cert_details`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The certificate itself.
    pub cert: bool,
    /// Its subject.
    pub subject: bool,
    /// Its URIs.
    pub uri: bool,
    /// Its DNS names.
    pub dns: bool,
}

/// The value of the header in a request that goes on, from the one that came and what TLS tells of
/// the connection; `None` to remove the header.
pub fn forwarded(
    mode: Forward,
    details: Details,
    came: Option<&str>,
    tls: Option<&Tls>,
) -> Option<String> {
    // Envoy counts a caller as known when his certificate has been verified.
    let known = tls.is_some_and(|tls| tls.peer.is_some());
    let came = came.filter(|came| !came.is_empty());
    match mode {
        Forward::AlwaysForwardOnly => came.map(str::to_owned),
        Forward::ForwardOnly if known => came.map(str::to_owned),
        Forward::SanitizeSet if known => tls.and_then(|tls| element(tls, details)),
        Forward::AppendForward if known => {
            let own = tls.and_then(|tls| element(tls, details));
            match (came, own) {
                (Some(came), Some(own)) => Some(format!("{came},{own}")),
                (came, own) => own.or_else(|| came.map(str::to_owned)),
            }
        }
        _ => None,
    }
}

/// One element of the header, in Envoy's order: `By=…;Hash=…;Cert="…";Subject="…";URI=…;DNS=…`.
/// `None` where the caller showed no certificate.
pub fn element(tls: &Tls, details: Details) -> Option<String> {
    let peer = tls.peer.as_ref()?;
    let mut text = String::with_capacity(256);
    let mut part = |key: &str, value: &str, quoted: bool| {
        let between = if text.is_empty() { "" } else { ";" };
        // Writing to memory cannot fail.
        let _ = match quoted {
            // Quotation marks of a subject are escaped by its own form, RFC 2253.
            true => write!(text, "{between}{key}=\"{value}\""),
            false => write!(text, "{between}{key}={}", value_of(value)),
        };
    };
    for uri in tls.local_uris.iter() {
        part("By", uri, false);
    }
    part("Hash", &peer.fingerprint, false);
    if details.cert {
        part("Cert", &peer.pem(), true);
    }
    if details.subject {
        part("Subject", &peer.subject, true);
    }
    if details.uri {
        peer.uris.iter().for_each(|uri| part("URI", uri, false));
    }
    if details.dns {
        peer.dns.iter().for_each(|name| part("DNS", name, false));
    }
    Some(text)
}

/// A value that cannot be taken for the end of its part. What a certificate says is its owner's own
/// text: with `,` and `;` it could speak for others.
fn value_of(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b',' | b';' | b'"' | b'\\' => {}
            plain if plain.is_ascii_graphic() => {
                text.push(char::from(plain));
                continue;
            }
            _ => {}
        }
        // Writing to memory cannot fail.
        let _ = write!(text, "%{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PeerCertificate;

    fn tls() -> Tls {
        Tls {
            local_uris: ["spiffe://td/me".into()].into(),
            peer: Some(PeerCertificate {
                subject: "CN=a \\\"b\\\",O=c".into(),
                fingerprint: "ab12".into(),
                uris: ["spiffe://td/ns/x/sa/y".into()].into(),
                dns: ["a.example".into(), "b.example".into()].into(),
                der: [0, 1, 2, 253].into(),
                ..PeerCertificate::default()
            }),
            ..Tls::default()
        }
    }

    const ALL: Details = Details {
        cert: true,
        subject: true,
        uri: true,
        dns: true,
    };

    #[test]
    fn an_element_says_what_is_asked_for_in_envoys_order() {
        let little = element(&tls(), Details::default()).expect("a certificate");
        assert_eq!(little, "By=spiffe://td/me;Hash=ab12");
        let all = element(&tls(), ALL).expect("a certificate");
        assert_eq!(
            all,
            "By=spiffe://td/me;Hash=ab12;\
             Cert=\"-----BEGIN%20CERTIFICATE-----%0AAAEC%2FQ%3D%3D%0A\
             -----END%20CERTIFICATE-----%0A\";\
             Subject=\"CN=a \\\"b\\\",O=c\";URI=spiffe://td/ns/x/sa/y;DNS=a.example;DNS=b.example"
        );
        assert_eq!(element(&Tls::default(), ALL), None);
    }

    #[test]
    fn a_name_cannot_speak_for_another() {
        let mut tls = tls();
        if let Some(peer) = &mut tls.peer {
            peer.uris = ["spiffe://x,By=spiffe://admin;URI=\"y\"".into()].into();
        }
        let details = Details {
            uri: true,
            ..Details::default()
        };
        let text = element(&tls, details).expect("a certificate");
        assert_eq!(
            text,
            "By=spiffe://td/me;Hash=ab12;URI=spiffe://x%2CBy=spiffe://admin%3BURI=%22y%22"
        );
    }

    #[test]
    fn each_mode_keeps_replaces_or_removes() {
        let (tls, none) = (tls(), Details::default());
        let of = |mode, tls: Option<&Tls>| forwarded(mode, none, Some("Hash=1"), tls);
        let own = Some("By=spiffe://td/me;Hash=ab12".to_owned());
        let came = Some("Hash=1".to_owned());
        let both = Some("Hash=1,By=spiffe://td/me;Hash=ab12".to_owned());
        for (mode, known, unknown) in [
            (Forward::Sanitize, None, None),
            (Forward::ForwardOnly, came.clone(), None),
            (Forward::AppendForward, both, None),
            (Forward::SanitizeSet, own.clone(), None),
            (Forward::AlwaysForwardOnly, came.clone(), came),
        ] {
            assert_eq!(of(mode, Some(&tls)), known, "{mode:?}");
            assert_eq!(of(mode, None), unknown, "{mode:?}");
            assert_eq!(of(mode, Some(&Tls::default())), unknown, "{mode:?}");
        }
        let first = forwarded(Forward::AppendForward, none, None, Some(&tls));
        assert_eq!(first, own);
    }
}

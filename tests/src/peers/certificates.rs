//! Certificates that the interoperability programs of every language bring with them: one authority, one server.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Peers;
use crate::Kind;

/// A name that the certificate of the server holds for.
const NAME: &str = "foo.test.google.fr";

/// The files, and what they stand for in a configuration and in options.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Those that came with [`Kind::JavaGrpc`].
    ///
    /// # Panics
    /// When the peers are of another kind.
    #[must_use]
    pub fn of(peers: &Peers) -> Self {
        assert_eq!(peers.kind, Kind::JavaGrpc, "another kind has none");
        Self {
            folder: peers.folder.join("certs"),
        }
    }

    /// The `transport_socket` of a filter chain that offers HTTP/2 and HTTP/1.1.
    #[must_use]
    pub fn downstream(&self) -> Value {
        transport_socket(
            "DownstreamTlsContext",
            json!({
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{
                        "certificate_chain": {"filename": self.file("server1.pem")},
                        "private_key": {"filename": self.file("server1.key")},
                    }],
                },
            }),
        )
    }

    /// The `transport_socket` of a cluster whose hosts have the certificate and speak HTTP/2.
    #[must_use]
    pub fn upstream(&self) -> Value {
        let names = json!([{"san_type": "DNS", "matcher": {"exact": "*.test.google.fr"}}]);
        transport_socket(
            "UpstreamTlsContext",
            json!({
                "sni": NAME,
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "validation_context": {
                        "trusted_ca": {"filename": self.file("ca.pem")},
                        "match_typed_subject_alt_names": names,
                    },
                },
            }),
        )
    }

    /// Options with which an interoperability client asks for TLS.
    #[must_use]
    pub fn client(&self, kind: Kind) -> Vec<String> {
        let name = format!("--server_host_override={NAME}");
        match kind {
            Kind::PythonGrpc => vec![format!("--ca_file={}", self.file("ca.pem")), name],
            _ => vec!["--use_tls=true".into(), "--use_test_ca=true".into(), name],
        }
    }

    /// Options with which an interoperability server serves TLS.
    #[must_use]
    pub fn server(&self, kind: Kind) -> Vec<String> {
        let (certificate, key) = (self.file("server1.pem"), self.file("server1.key"));
        match kind {
            Kind::PythonGrpc => vec![format!("--cert={certificate}"), format!("--key={key}")],
            Kind::Go => vec![
                "--use_tls=true".into(),
                format!("--tls_cert_file={certificate}"),
                format!("--tls_key_file={key}"),
            ],
            _ => vec!["--use_tls=true".into()],
        }
    }

    /// One of the files: `ca.pem`, `server1.pem`, `server1.key`, `client.pem`, `client.key`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

fn transport_socket(context: &str, mut config: Value) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{context}");
    config["@type"] = Value::from(kind);
    json!({"name": "envoy.transport_sockets.tls", "typed_config": config})
}

//! Server names that calls of HTTP choose: `auto_sni` and `auto_san_validation`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crossdock_tests::Gateway;
use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::authority::{Authority, Identity};
use crate::file::{File, merged, trusts};
use crate::peer::PATIENCE;

/// A host of HTTP/1 behind TLS that answers with the server name it was asked for, and how many
/// requests the connection has had.
fn host(identity: &Identity) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for them")
        .with_no_client_auth()
        .with_single_cert(vec![identity.der.clone()], identity.key_der())
        .expect("they belong together");
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    // Ends with the process of the test.
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || serve(config, socket));
        }
    });
    address
}

fn serve(config: Arc<ServerConfig>, socket: TcpStream) -> io::Result<()> {
    let session = ServerConnection::new(config).expect("a good configuration");
    let mut stream = StreamOwned::new(session, socket);
    for request in 1.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet)?;
            head.push(octet[0]);
        }
        let body = format!("{} {request}", stream.conn.server_name().unwrap_or("-"));
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        stream.flush()?;
    }
    Ok(())
}

fn gateway(host: SocketAddr, context: Value, names: Value) -> Gateway {
    let mut file = File::upstream(context, &[host]);
    file.clusters[0]["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "upstream_http_protocol_options": names,
        },
    });
    Gateway::start_text(&file.text(), &["--concurrency", "1"])
}

/// Status and body of a request for this authority.
#[track_caller]
fn get(gateway: &Gateway, authority: &str, more: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(gateway.address()).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n{more}\r\n"
    )
    .expect("the gateway reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    let status = page.get(9..12).and_then(|status| status.parse().ok());
    let (_, body) = page.split_once("\r\n\r\n").expect("a head");
    (status.expect("a status"), body.to_owned())
}

#[test]
fn hosts_are_asked_for_the_authority_of_each_call() {
    let authority = Authority::new("root");
    let host = host(&authority.issue(&["a.example"]));
    let context = json!({"common_tls_context": {}, "sni": "usual.example"});
    let names = json!({"auto_sni": true, "override_auto_sni_header": "X-Name"});
    let gateway = gateway(host, context, names);
    for (authority, more, answer) in [
        ("A.example:8443", "", "a.example 1"),
        // A name has connections of its own, and keeps them.
        ("b.example", "", "b.example 1"),
        ("a.example", "", "a.example 2"),
        ("a.example", "x-name: b.example\r\n", "b.example 2"),
        // An address is no server name.
        ("10.0.0.1", "", "usual.example 1"),
    ] {
        assert_eq!(
            get(&gateway, authority, more),
            (200, answer.into()),
            "{authority}"
        );
    }
}

#[test]
fn certificates_have_to_be_for_the_authority() {
    let authority = Authority::new("root");
    let host = host(&authority.issue(&["a.example", "10.0.0.1"]));
    let validation = merged(trusts(&authority), json!({}));
    let context = json!({"common_tls_context": {"validation_context": validation}});
    let names = json!({"auto_sni": true, "auto_san_validation": true});
    let strict = gateway(host, context, names.clone());
    assert_eq!(get(&strict, "a.example", ""), (200, "a.example 1".into()));
    assert_eq!(get(&strict, "b.example", "").0, 503);
    assert_eq!(get(&strict, "a.example", ""), (200, "a.example 2".into()));
    assert!(strict.stat("cluster.echo.ssl.fail_verify_san") >= 1);
    // Nobody vouches for the name: nothing is passed on.
    let lax = gateway(host, json!({"common_tls_context": {}}), names);
    assert_eq!(get(&lax, "a.example", "").0, 503);
}

#[test]
fn without_auto_sni_the_configured_name_is_asked_for() {
    let host = host(&Authority::new("root").issue(&["a.example"]));
    let context = json!({"common_tls_context": {}, "sni": "usual.example"});
    let gateway = gateway(host, context, json!({}));
    assert_eq!(
        get(&gateway, "b.example", ""),
        (200, "usual.example 1".into())
    );
    assert_eq!(
        get(&gateway, "c.example", ""),
        (200, "usual.example 2".into())
    );
}

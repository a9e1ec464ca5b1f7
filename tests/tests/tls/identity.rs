//! What hosts and rules are told of a caller's certificate.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use crossdock_tests::Gateway;
use serde_json::{Value, json};

use crate::authority::{Authority, Identity};
use crate::file::{File, chain, merged, mutual, rpc, trusts};
use crate::peer::Caller;
use crate::sha256;

/// A host of HTTP/1 that answers with what it is told of the caller, `-` for nothing.
fn host() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    // Ends with the process of the test.
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut writer = socket.try_clone().expect("it is open");
                let mut told = String::from("-");
                for line in BufReader::new(socket).lines().map_while(Result::ok) {
                    match line.split_once(": ") {
                        Some(("x-forwarded-client-cert", value)) => told = value.to_owned(),
                        None if line.is_empty() => {
                            let length = told.len();
                            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n");
                            let _ = write!(writer, "{head}\r\n{told}");
                            told = "-".to_owned();
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    address
}

/// A listener whose clients may show certificates of `authority`.
fn gateway(authority: &Authority, server: &Identity, manager: Value) -> Gateway {
    let context = mutual(server, trusts(authority));
    let file = File::chains(json!([chain(rpc(manager), context)]), &[host()]);
    Gateway::start_text(&file.text(), &[])
}

/// The body of the answer to a request that claims to be of somebody else.
#[track_caller]
fn get(gateway: &Gateway, caller: &Caller) -> String {
    let mut client = caller.connect(gateway.address()).expect("a handshake");
    let claim = "x-forwarded-client-cert: Hash=other\r\n";
    let get = format!("GET / HTTP/1.1\r\nhost: any\r\n{claim}connection: close\r\n\r\n");
    client.write(get.as_bytes());
    let page = client.rest().expect("an answer");
    let page = String::from_utf8(page).expect("text");
    let (head, body) = page.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{page}");
    body.to_owned()
}

#[test]
fn hosts_are_told_of_certificates_in_each_mode() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost", "spiffe://td/server"]);
    let client = authority.issue(&["spiffe://td/client", "client.example"]);
    let hash = sha256(&client.der);
    let own =
        format!("By=spiffe://td/server;Hash={hash};URI=spiffe://td/client;DNS=client.example");
    let (known, unknown) = (Caller::as_(&client), Caller::new("localhost"));
    for (mode, with, without) in [
        ("SANITIZE", "-".to_owned(), "-"),
        ("FORWARD_ONLY", "Hash=other".to_owned(), "-"),
        ("APPEND_FORWARD", format!("Hash=other,{own}"), "-"),
        ("SANITIZE_SET", own, "-"),
        ("ALWAYS_FORWARD_ONLY", "Hash=other".to_owned(), "Hash=other"),
    ] {
        let manager = json!({
            "forward_client_cert_details": mode,
            "set_current_client_cert_details": {"uri": true, "dns": true},
        });
        let gateway = gateway(&authority, &server, manager);
        assert_eq!(get(&gateway, &known), with, "{mode}");
        assert_eq!(get(&gateway, &unknown), without, "{mode}");
    }
}

#[test]
fn rules_and_header_changes_know_the_caller() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let client = authority.issue(&["spiffe://td/client"]);
    let says = |text: &str| json!({"status": 200, "body": {"inline_string": text}});
    let name =
        json!({"header": {"key": "x-forwarded-client-cert", "value": "%DOWNSTREAM_PEER_URI_SAN%"}});
    let routes = json!([
        {"match": {"prefix": "/", "tls_context": {"presented": false}}, "direct_response": says("nobody")},
        {"match": {"prefix": "/", "tls_context": {"presented": true, "validated": true}},
            "route": {"cluster": "echo"},
            "request_headers_to_add": [merged(name, json!({"append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}))]},
    ]);
    let table = json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]});
    let gateway = gateway(&authority, &server, json!({"route_config": table}));
    assert_eq!(get(&gateway, &Caller::new("localhost")), "nobody");
    assert_eq!(get(&gateway, &Caller::as_(&client)), "spiffe://td/client");
}

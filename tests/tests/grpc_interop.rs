//! gRPC's own interoperability cases between three implementations, each as client and as server: with nothing in
//! between, and through one port of the gateway. A row of what is told is `client -> server case`.

use std::net::SocketAddr;

use crossdock_tests::{Bootstrap, CASES, Certificates, Gateway, InteropServer, Kind, Peers, Turn};
use serde_json::{Value, json};

const KINDS: [Kind; 3] = [Kind::Go, Kind::JavaGrpc, Kind::PythonGrpc];

/// A server, and what the route table calls it.
struct Served {
    kind: Kind,
    server: InteropServer,
}

fn all_peers() -> Option<Vec<Peers>> {
    KINDS.into_iter().map(Peers::prepare).collect()
}

fn serve(peers: &[Peers], tls: Option<&Certificates>) -> Vec<Served> {
    let started = KINDS.into_iter().zip(peers);
    started
        .map(|(kind, peers)| {
            let options = tls.map_or_else(Vec::new, |tls| tls.server(kind));
            let server = InteropServer::start(peers, &options);
            Served { kind, server }
        })
        .collect()
}

/// What says to which server a call goes.
fn to(kind: Kind) -> String {
    format!("--additional_metadata=x-server:{}", kind.name())
}

fn gateway(servers: &[Served], tls: Option<&Certificates>) -> Gateway {
    let routes: Vec<Value> = servers
        .iter()
        .map(|served| {
            let server = json!({"name": "x-server", "string_match": {"exact": served.kind.name()}});
            json!({
                "match": {"prefix": "/grpc.testing.", "headers": [server]},
                "route": {"cluster": served.kind.name(), "timeout": "0s"},
            })
        })
        .chain([orca_out_of_band()])
        .collect();
    let more = tls.map_or_else(
        || json!({}),
        |tls| json!({"transport_socket": tls.upstream()}),
    );
    let mut bootstrap = Bootstrap::at(&["*"], Value::from(routes));
    for served in servers {
        let addresses = [served.server.address()];
        bootstrap = bootstrap.http2_cluster(served.kind.name(), &addresses, more.clone());
    }
    if let Some(tls) = tls {
        bootstrap = bootstrap.transport(tls.downstream());
    }
    Gateway::start(&bootstrap, &[])
}

/// The stream of load reports is the client's own and carries none of a call's metadata.
fn orca_out_of_band() -> Value {
    json!({
        "match": {"prefix": "/xds.service.orca.v3.OpenRcaService/"},
        "route": {"cluster": Kind::Go.name(), "timeout": "0s"},
    })
}

/// Runs a case. In `timeout_on_sleeping_server` both ends count the same millisecond, and a client that
/// hears of the server's reset before its own clock strikes calls that cancelled: it may try again.
fn run(peers: &Peers, case: &str, address: SocketAddr, options: &[String]) -> Result<(), String> {
    let more = if case == "timeout_on_sleeping_server" {
        2
    } else {
        0
    };
    let mut said = peers.case(case, address, options);
    for _ in 0..more {
        if said.is_err() {
            said = peers.case(case, address, options);
        }
    }
    said
}

/// Tries the cases and gives a row for each that does not hold.
fn failures(
    peers: &[Peers],
    servers: &[Served],
    tls: Option<&Certificates>,
    address: impl Fn(&Served) -> SocketAddr,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut rows = 0;
    for (client, peers) in KINDS.into_iter().zip(peers) {
        for served in servers {
            let mut options = tls.map_or_else(Vec::new, |tls| tls.client(client));
            options.push(to(served.kind));
            for case in CASES {
                rows += 1;
                if let Err(said) = run(peers, case, address(served), &options) {
                    let row = format!("{} -> {} {case}", client.name(), served.kind.name());
                    eprintln!("{row}: {said}");
                    failures.push(row);
                }
            }
        }
    }
    assert_eq!(rows, KINDS.len() * KINDS.len() * CASES.len());
    failures
}

#[test]
fn every_client_with_every_server() {
    let _turn = Turn::take();
    let Some(peers) = all_peers() else { return };
    let servers = serve(&peers, None);
    let failures = failures(&peers, &servers, None, |served| served.server.address());
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_client_with_every_server_through_one_port() {
    let _turn = Turn::take();
    let Some(peers) = all_peers() else { return };
    let servers = serve(&peers, None);
    let gateway = gateway(&servers, None);
    let address = gateway.address();
    let failures = failures(&peers, &servers, None, |_| address);
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_client_with_every_server_through_one_port_with_tls_on_both_sides() {
    let _turn = Turn::take();
    let Some(peers) = all_peers() else { return };
    let [_, java, _] = &*peers else {
        panic!("one of each kind")
    };
    let tls = Certificates::of(java);
    let servers = serve(&peers, Some(&tls));
    let gateway = gateway(&servers, Some(&tls));
    let address = gateway.address();
    let failures = failures(&peers, &servers, Some(&tls), |_| address);
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A case that not every implementation has: who is asked, who answers, its name, further options.
type Row = (Kind, Kind, &'static str, &'static [&'static str]);

const REPORTS: &[&str] = &[
    r#"--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#,
];
const SOAK: &[&str] = &[
    "--soak_iterations=100",
    "--soak_max_failures=0",
    "--soak_overall_timeout_seconds=30",
];

const FURTHER: &[Row] = &[
    (Kind::Go, Kind::Go, "rpc_soak", SOAK),
    (Kind::Go, Kind::Go, "channel_soak", SOAK),
    (Kind::Go, Kind::JavaGrpc, "rpc_soak", SOAK),
    (Kind::Go, Kind::JavaGrpc, "channel_soak", SOAK),
    (Kind::JavaGrpc, Kind::Go, "rpc_soak", SOAK),
    (Kind::JavaGrpc, Kind::Go, "channel_soak", SOAK),
    (Kind::JavaGrpc, Kind::JavaGrpc, "very_large_request", &[]),
    (
        Kind::JavaGrpc,
        Kind::JavaGrpc,
        "server_compressed_unary",
        &[],
    ),
    (
        Kind::JavaGrpc,
        Kind::JavaGrpc,
        "server_compressed_streaming",
        &[],
    ),
    (Kind::Go, Kind::Go, "orca_per_rpc", REPORTS),
    (Kind::Go, Kind::JavaGrpc, "orca_per_rpc", REPORTS),
    (Kind::Go, Kind::Go, "orca_oob", REPORTS),
];

#[test]
fn soaks_reports_and_compression_through_one_port() {
    let _turn = Turn::take();
    let Some(peers) = all_peers() else { return };
    let servers = serve(&peers, None);
    let gateway = gateway(&servers, None);
    let mut failures = Vec::new();
    for (client, server, case, options) in FURTHER {
        let client_peers = KINDS.iter().position(|kind| kind == client);
        let client_peers = client_peers
            .and_then(|at| peers.get(at))
            .expect("one of the kinds");
        let mut options: Vec<String> = options.iter().map(ToString::to_string).collect();
        options.push(to(*server));
        if let Err(said) = client_peers.case(case, gateway.address(), &options) {
            let row = format!("{} -> {} {case}", client.name(), server.name());
            eprintln!("{row}: {said}");
            failures.push(row);
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

//! How the program is given its configuration, and what Envoy's users give it besides.

use std::fs;
use std::process::Command;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{End, Gateway, Process, eventually, get};
use serde_json::{Value, json};

use crate::file::{File, everything_to};
use crate::upstream::{PATIENCE, Upstream};

/// A call over a connection of its own; the name of whoever answered.
#[track_caller]
fn who(gateway: &Gateway, wire: Wire) -> String {
    let mut client = Client::connect(gateway.address(), wire);
    client.write(&Call::new(wire, 1).octets());
    client
        .recv()
        .token()
        .expect("an upstream's answer")
        .to_owned()
}

const YAML: &str = r#"# The same as File::echo(), as people write it.
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  listeners:
  - name: rpc
    address: &any { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          statPrefix: rpc                  # protobuf's other spelling
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route: { cluster: echo, timeout: 0s }
"#;

const CLUSTER: &str = "
  clusters:
  - name: echo
    load_assignment:
      cluster_name: echo
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $PORT } } } }] }]
";

#[test]
fn the_same_in_json_and_in_yaml() {
    let upstream = Upstream::named("v1");
    let port = upstream.address().port().to_string();
    let yaml = [YAML, &CLUSTER.replace("$PORT", &port)].concat();
    for text in [File::echo(upstream.address()).text(), yaml] {
        let gateway = Gateway::start_text(&text, &[]);
        assert_eq!(who(&gateway, Wire::Dubbo), "v1");
        assert_eq!(who(&gateway, Wire::Bolt1), "v1");
    }
}

#[test]
fn a_text_on_the_command_line_is_merged_over_the_file_or_stands_alone() {
    let (old, new) = (Upstream::named("old"), Upstream::named("new"));
    let cluster = |upstream: &Upstream| {
        let port = upstream.address().port().to_string();
        format!("static_resources:{}", CLUSTER.replace("$PORT", &port))
    };
    // The cluster that the file lacks.
    let gateway = Gateway::start_text(YAML, &["--config-yaml", &cluster(&old)]);
    assert_eq!(who(&gateway, Wire::Dubbo), "old");
    drop(gateway);

    let whole = File::echo(new.address()).text();
    let alone = Gateway::start_with(|_| vec!["--config-yaml".into(), whole.into()]);
    assert_eq!(who(&alone, Wire::Dubbo), "new");
}

#[test]
fn the_admin_address_is_written_and_two_workers_serve() {
    let upstream = Upstream::named("v1");
    let text = File::echo(upstream.address()).text();
    let gateway = Gateway::start_text(&text, &["--concurrency", "2"]);
    let written = fs::read_to_string(gateway.folder().join("admin")).expect("it was written");
    assert!(written.starts_with("127.0.0.1:"), "{written}");
    let (_, info) = gateway.admin("GET", "/server_info");
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!(info["command_line_options"]["concurrency"], 2);
    assert_eq!(workers(&gateway), ["worker-1", "worker-2"]);

    // Sockets go to the worker with the fewest, so that each of the two has one, and each opens a
    // connection of its own to the host.
    let mut clients =
        [Wire::Dubbo, Wire::Dubbo].map(|wire| Client::connect(gateway.address(), wire));
    for client in &mut clients {
        client.write(&Call::new(Wire::Dubbo, 1).octets());
        assert_eq!(client.recv().token(), Some("v1"));
    }
    assert_eq!(gateway.stat("cluster.echo.upstream_cx_active"), 2);
}

/// The names of the worker threads.
fn workers(gateway: &Gateway) -> Vec<String> {
    let tasks = format!("/proc/{}/task", gateway.process.id());
    let tasks = fs::read_dir(tasks).expect("the process runs").flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<_> = names
        .map(|name| name.trim().to_owned())
        .filter(|name| name.starts_with("worker-"))
        .collect();
    names.sort();
    names
}

#[test]
fn the_version_is_told() {
    let told = Command::new(Gateway::program())
        .arg("--version")
        .output()
        .expect("it starts");
    assert_eq!(told.status.code(), Some(0));
    let version = concat!("crossdock ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8_lossy(&told.stdout), version);
}

#[test]
fn the_command_lines_of_envoys_users_are_taken() {
    let upstream = Upstream::named("v1");
    let text = File::echo(upstream.address()).text();
    // As Istio's agent starts Envoy.
    let agent = "--drain-time-s 45 --drain-strategy immediate --local-address-ip-version v4 \
                 --file-flush-interval-msec 1000 --disable-hot-restart --allow-unknown-static-fields \
                 --skip-deprecated-logs -l warning --component-log-level misc:error --concurrency 2";
    let others = "--service-cluster gateway --service-node node-1 --service-zone z --base-id 3 \
                  --use-dynamic-base-id --restart-epoch 0 --parent-shutdown-time-s 60 \
                  --log-format %v --log-level info --max-obj-name-len 200 --stats-tag a:b \
                  --reject-unknown-dynamic-fields --mode serve";
    for line in [agent, others] {
        let args: Vec<_> = line.split_whitespace().collect();
        let mut gateway = Gateway::start_text(&text, &args);
        assert_eq!(who(&gateway, Wire::Dubbo), "v1");
        assert_eq!(gateway.stop(PATIENCE), End::Code(0), "{line}");
    }
}

#[test]
fn names_of_strict_dns_clusters_are_looked_up() {
    let upstream = Upstream::named("v1");
    let port = upstream.address().port();
    let address = json!({"socket_address": {"address": "localhost", "port_value": port}});
    let text = File::new()
        .rpc(
            "rpc",
            json!({"route_config": everything_to("echo")}),
            json!({}),
        )
        .cluster_of(
            "echo",
            json!([{"endpoint": {"address": address}}]),
            json!({"type": "STRICT_DNS", "dns_refresh_rate": "0.05s"}),
        )
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let (_, clusters) = gateway.admin("GET", "/clusters");
    let line = format!("echo::127.0.0.1:{port}::hostname::localhost");
    assert!(clusters.lines().any(|found| found == line), "{clusters}");
    // Where `localhost` is `::1` too, nobody listens there: such a call goes to the other host.
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    for id in 0..20 {
        client.write(&Call::new(Wire::Dubbo, id).octets());
        assert_eq!(client.recv().token(), Some("v1"));
    }
}

/// Asks it to end while it looks names up for the first time; it has not served yet, and has nothing to drain.
#[test]
fn a_process_that_has_not_served_yet_ends_when_told_to() {
    // Names that resolve without any server; so many that they take a while.
    const NAMES: u16 = 12_000;
    let endpoint = |port: u16| {
        let address = json!({"address": "localhost", "port_value": port});
        json!({"endpoint": {"address": {"socket_address": address}}})
    };
    let text = File::new()
        .rpc(
            "rpc",
            json!({"route_config": everything_to("echo")}),
            json!({}),
        )
        .cluster_of(
            "echo",
            (1..=NAMES).map(endpoint).collect(),
            json!({"type": "STRICT_DNS"}),
        )
        .text();
    let name = format!("looking-up-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("the folder of temporary files can be written");
    let (config, admin) = (folder.join("bootstrap.json"), folder.join("admin"));
    fs::write(&config, text).expect("the folder can be written");
    let mut command = Command::new(Gateway::program());
    command.arg("-c").arg(&config);
    command.arg("--admin-address-path").arg(&admin);
    let mut process = Process::start("looking-up", &mut command, &folder).expect("it starts");
    let address = eventually(PATIENCE, || {
        fs::read_to_string(&admin).ok()?.trim().parse().ok()
    });
    let address = address.expect("the admin address is written before the look-up");
    let (status, state) = get(address, "GET", "/ready").expect("it answers meanwhile");
    assert_eq!((status, state.trim()), (503, "INITIALIZING"));
    process.terminate();
    assert_eq!(process.wait(PATIENCE), End::Code(0));
    let log = process.log_tail();
    assert!(log.contains("told to end before serving"), "{log}");
    drop(process);
    let _ = fs::remove_dir_all(&folder);
}

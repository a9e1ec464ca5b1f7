//! What the running process tells of itself: its admin endpoint and its standard output.

use std::net::SocketAddr;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{End, Gateway};
use serde_json::{Value, json};

use crate::file::{File, everything_to};
use crate::upstream::{PATIENCE, Upstream};

/// One answered call of each protocol.
fn call(address: SocketAddr) {
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let mut client = Client::connect(address, wire);
        client.write(&Call::new(wire, 1).octets());
        assert_eq!(client.recv().token(), Some("v1"), "{wire:?}");
    }
}

#[test]
fn the_admin_endpoint_tells_what_runs() {
    let echo = Upstream::named("v1");
    let gateway = Gateway::start_text(&File::echo(echo.address()).text(), &["-l", "warning"]);
    call(gateway.address());
    let page = |method: &str, path: &str| {
        let (status, body) = gateway.admin(method, path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    let json = |path: &str| -> Value { serde_json::from_str(&page("GET", path)).expect("JSON") };

    assert_eq!(page("GET", "/ready").trim(), "LIVE");
    let process = json("/server_info");
    assert_eq!(process["state"], "LIVE");
    assert_eq!(process["command_line_options"]["log_level"], "warning");

    let configs = json("/config_dump")["configs"].clone();
    let types = configs.as_array().expect("a list").iter();
    let types: Vec<_> = types.filter_map(|part| part["@type"].as_str()).collect();
    let bootstrap = "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump";
    assert!(types.contains(&bootstrap), "{types:?}");
    let listener = &configs[0]["bootstrap"]["static_resources"]["listeners"][0];
    assert_eq!(listener["name"], "rpc");

    let host = format!("echo::{}::health_flags::healthy", echo.address());
    let clusters = page("GET", "/clusters");
    assert!(clusters.lines().any(|line| line == host), "{clusters}");
    let total = page("GET", "/stats?filter=^cluster.echo.upstream_rq_total$");
    assert_eq!(total.trim(), "cluster.echo.upstream_rq_total: 2");
    let total = page("GET", "/stats/prometheus?filter=upstream_rq_total");
    let line = r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="echo"} 2"#;
    assert!(total.lines().any(|found| found == line), "{total}");

    assert!(page("POST", "/logging").contains("crossdock_dubbo: warning"));
    let quieter = page("POST", "/logging?crossdock_dubbo=error");
    assert!(quieter.contains("crossdock_dubbo: error"), "{quieter}");
    assert!(quieter.contains("crossdock_bolt: warning"), "{quieter}");
}

#[test]
fn calls_may_be_logged_to_standard_output() {
    let echo = Upstream::named("v1");
    let log = json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string": "%PROTOCOL% %UPSTREAM_HOST%\n"}},
        },
    }]);
    let manager = json!({"route_config": everything_to("echo"), "access_log": log});
    let text = File::new()
        .rpc("rpc", manager, json!({}))
        .cluster("echo", &[echo.address()], json!({}))
        .text();
    let mut gateway = Gateway::start_text(&text, &[]);
    call(gateway.address());
    assert_eq!(gateway.stop(PATIENCE), End::Code(0));
    let mut lines = [(); 2].map(|()| gateway.process.line(PATIENCE).expect("a line of each"));
    lines.sort_unstable();
    let expected = ["bolt", "dubbo"].map(|name| format!("{name} {}", echo.address()));
    assert_eq!(lines, expected);
}

//! Access logs of connections: those of a `tcp_proxy`, and those of a listener.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::path::PathBuf;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{Gateway, eventually};
use serde_json::{Value, json};

use super::{connect, greeter, next, rest};
use crate::file::{File, everything_to};
use crate::upstream::{PATIENCE, Upstream};

const FILE: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// Flags that have lines written soon.
pub(crate) const SOON: &[&str] = &["--file-flush-interval-msec", "10"];

/// An access log to a file beside the configuration, with further fields.
pub(crate) fn log(name: &str, format: Value, more: Value) -> Value {
    let typed = json!({"@type": FILE, "path": format!("FOLDER/{name}"), "log_format": {"json_format": format}});
    crate::file::merged(json!({"name": "file", "typed_config": typed}), more)
}

/// The lines of a log.
#[derive(Debug)]
pub(crate) struct Lines(PathBuf);

impl Lines {
    pub(crate) fn of(gateway: &Gateway, name: &str) -> Self {
        Self(gateway.folder().join(name))
    }

    /// All lines until now.
    fn all(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("each line is JSON")
    }

    /// The line of this number, when it has been written.
    #[track_caller]
    pub(crate) fn next(&self, at: usize) -> Value {
        let line = eventually(PATIENCE, || self.all().get(at).cloned());
        line.unwrap_or_else(|| panic!("line {at} does not come: {:?}", self.all()))
    }
}

#[test]
fn a_connection_is_logged_when_it_ends() {
    let server = greeter("hello");
    let format = json!({
        "type": "%ACCESS_LOG_TYPE%", "flags": "%RESPONSE_FLAGS%", "code": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%", "protocol": "%PROTOCOL%",
        "received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%", "duration": "%DURATION%",
        "up_received": "%UPSTREAM_WIRE_BYTES_RECEIVED%", "up_sent": "%UPSTREAM_WIRE_BYTES_SENT%",
        "host": "%UPSTREAM_HOST%", "cluster": "%UPSTREAM_CLUSTER%",
        "up_local": "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
        "peer": "%DOWNSTREAM_REMOTE_ADDRESS%", "local": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "path": "%REQ(:PATH)%", "tls": "%DOWNSTREAM_TLS_VERSION%", "sni": "%REQUESTED_SERVER_NAME%",
        "reason": "%DOWNSTREAM_LOCAL_CLOSE_REASON%", "time": "%RESPONSE_DURATION%",
    });
    let logs = json!([log("plain.log", format, json!({}))]);
    let text = File::new()
        .tcp("plain", json!({"cluster": "server", "access_log": logs}))
        .cluster("server", &[server], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, SOON);
    let address = gateway.address_of("plain");
    let mut client = connect(address);
    let own = client.local_addr().expect("connected");
    assert_eq!(next(&client, 5), "hello");
    client.write_all(&[b'x'; 1000]).expect("the gateway reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&client), " heard 1000 octets");
    let mut line = Lines::of(&gateway, "plain.log").next(0);
    let duration = line["duration"].take();
    assert!(duration.is_u64(), "{duration}");
    assert_eq!(
        line,
        json!({
            "type": "TcpConnectionEnd", "flags": "-", "code": 0, "details": null, "protocol": null,
            "received": 1000, "sent": 23, "up_received": 23, "up_sent": 1000, "duration": null,
            "host": server.to_string(), "cluster": "server", "up_local": "127.0.0.1",
            "peer": own.to_string(), "local": address.to_string(),
            "path": null, "tls": null, "sni": null, "reason": null, "time": null,
        })
    );
}

#[test]
fn a_connection_can_be_logged_on_its_way() {
    let format = json!({
        "type": "%ACCESS_LOG_TYPE%", "host": "%UPSTREAM_HOST%", "received": "%BYTES_RECEIVED%",
    });
    let only = |kind: &str| json!({"filter": {"log_type_filter": {"types": [kind]}}});
    let logs = json!([
        log("all.log", format.clone(), json!({})),
        log("end.log", format, only("TcpConnectionEnd")),
    ]);
    let options = json!({
        "flush_access_log_on_start": true,
        "flush_access_log_on_connected": true,
        "access_log_flush_interval": "0.05s",
    });
    let server = greeter("hello");
    let proxy = json!({"cluster": "server", "access_log": logs, "access_log_options": options});
    let text = File::new()
        .tcp("plain", proxy)
        .cluster("server", &[server], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, SOON);
    let mut client = connect(gateway.address_of("plain"));
    client.write_all(b"four").expect("the gateway reads");
    assert_eq!(next(&client, 5), "hello");
    let lines = Lines::of(&gateway, "all.log");
    let kind = |at: usize| lines.next(at)["type"].clone();
    assert_eq!(lines.next(0)["host"], Value::Null);
    assert_eq!(lines.next(1)["host"], server.to_string());
    assert_eq!(
        [kind(0), kind(1), kind(2), kind(3)],
        [
            "TcpConnectionStart",
            "TcpUpstreamConnected",
            "TcpPeriodic",
            "TcpPeriodic"
        ]
    );
    // The bytes have gone by the time of some line.
    let counted = eventually(PATIENCE, || {
        let counted = |line: &Value| line["type"] == "TcpPeriodic" && line["received"] == 4;
        lines.all().iter().any(counted).then_some(())
    });
    assert!(counted.is_some(), "{:?}", lines.all());
    drop(client);
    let ends = Lines::of(&gateway, "end.log");
    assert_eq!(ends.next(0)["type"], "TcpConnectionEnd");
    assert_eq!(ends.all().len(), 1);
}

#[test]
fn a_listener_logs_its_connections_whatever_they_carry() {
    let echo = Upstream::named("v1");
    let format = json!({
        "type": "%ACCESS_LOG_TYPE%", "received": "%BYTES_RECEIVED%", "host": "%UPSTREAM_HOST%",
        "peer": "%DOWNSTREAM_REMOTE_ADDRESS%", "code": "%RESPONSE_CODE%",
    });
    let server = greeter("hello");
    let listener = |name: &str| {
        let logs = json!([log(&format!("{name}.log"), format.clone(), json!({}))]);
        json!({"access_log": logs})
    };
    let text = File::new()
        .rpc(
            "rpc",
            json!({"route_config": everything_to("echo")}),
            listener("rpc"),
        )
        .tcp_of("plain", json!({"cluster": "server"}), listener("plain"))
        .cluster("echo", &[echo.address()], json!({}))
        .cluster("server", &[server], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, SOON);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.write(&Call::new(Wire::Dubbo, 1).octets());
    assert_eq!(client.recv().token(), Some("v1"));
    let calls = Lines::of(&gateway, "rpc.log");
    assert!(calls.all().is_empty(), "a call is no connection");
    drop(client);
    let line = calls.next(0);
    assert_eq!(
        (&line["type"], &line["code"]),
        (&json!("NotSet"), &json!(0))
    );
    assert_eq!(line["host"], Value::Null);

    let plain = connect(gateway.address_of("plain"));
    let own = plain.local_addr().expect("connected").to_string();
    assert_eq!(next(&plain, 5), "hello");
    (&plain).write_all(b"four").expect("the gateway reads");
    plain.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&plain), " heard 4 octets");
    assert_eq!(
        Lines::of(&gateway, "plain.log").next(0),
        json!({"type": "NotSet", "received": 4, "host": server.to_string(), "peer": own, "code": 0})
    );
}

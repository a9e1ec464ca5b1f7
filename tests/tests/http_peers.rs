//! What everybody has: curl, nghttp, h2load, and WebSockets, through one port to a host on Node.

use std::process::Command;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Tool, Turn};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway before a host that speaks HTTP/1.1 and, at paths below `/h2`, one that speaks HTTP/2.
struct Scene {
    gateway: Gateway,
    _providers: [Provider; 2],
}

impl Scene {
    fn start() -> Option<Self> {
        let node = Peers::prepare(Kind::NodeHttp)?;
        let one = Provider::start(&node, "v1", &[]);
        let two = Provider::start(&node, "v2", &["--wire", "h2"]);
        let routes = json!([
            {
                "match": {"prefix": "/h2/"},
                "route": {"cluster": "two", "prefix_rewrite": "/", "timeout": "0s"},
            },
            {"match": {"prefix": "/"}, "route": {"cluster": "one", "timeout": "0s"}},
        ]);
        let bootstrap = Bootstrap::at(&["*"], routes)
            .cluster("one", &[one.address()], with_trailers())
            .http2_cluster("two", &[two.address()], json!({}))
            .manager(json!({
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "http_protocol_options": {"enable_trailers": true},
            }));
        Some(Self {
            gateway: Gateway::start(&bootstrap, &[]),
            _providers: [one, two],
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.address())
    }
}

/// HTTP/1 has its trailers dropped unless they are wanted on both sides.
fn with_trailers() -> Value {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let options = json!({
        "@type": format!("type.googleapis.com/{name}"),
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
    });
    json!({"typed_extension_protocol_options": {name: options}})
}

/// The two versions downstream and the two upstream.
const WAYS: [(&str, &str); 4] = [
    ("--http1.1", ""),
    ("--http1.1", "/h2"),
    ("--http2-prior-knowledge", ""),
    ("--http2-prior-knowledge", "/h2"),
];

/// What a program printed.
fn run(tool: &Tool, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(tool.path());
    command.args(args);
    tool.output(&mut command, input, PATIENCE)
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).expect("the host answers in UTF-8")
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

#[test]
fn curl_over_both_versions_to_hosts_of_both() {
    let _turn = Turn::take();
    let (Some(scene), Some(curl)) = (Scene::start(), Tool::find("curl")) else {
        return;
    };
    for (version, host) in WAYS {
        eprintln!("curl {version} to {host:?}");
        let get = |path: &str, more: &[&str]| {
            let url = scene.url(&format!("{host}{path}"));
            let mut args = vec!["-sS", "--max-time", "30", version];
            args.extend(more);
            args.push(&url);
            run(&curl, &args, b"")
        };
        let label = if host.is_empty() { "v1" } else { "v2" };
        assert_eq!(text(get("/who", &[])), label);
        let seen: Value = serde_json::from_slice(&get("/seen?a=1&b=%20", &["-H", "x-one: 1"]))
            .expect("the host answers in JSON");
        assert_eq!(seen["url"], "/seen?a=1&b=%20");
        assert_eq!(seen["headers"]["x-one"], "1");
        assert_eq!(seen["headers"]["x-forwarded-proto"], "http", "{seen}");

        let head = text(get("/blob/12345", &["-I"]));
        assert_eq!(header(&head, "content-length"), Some("12345"), "{head}");
        assert_eq!(get("/blob/12345", &[]).len(), 12345);
        assert_eq!(get("/blob/33554432", &[]).len(), 32 * MIB);
        let missing = text(get(
            "/status/404",
            &["-o", "/dev/null", "-w", "%{http_code}"],
        ));
        assert_eq!(missing, "404");
    }
}

#[test]
fn curl_uploads() {
    let _turn = Turn::take();
    let (Some(scene), Some(curl)) = (Scene::start(), Tool::find("curl")) else {
        return;
    };
    let large: Vec<u8> = (0..8 * MIB).map(|i| (i % 251) as u8).collect();
    for (version, host) in WAYS {
        eprintln!("curl {version} to {host:?}");
        let post = |path: &str, more: &[&str], body: &[u8]| {
            let url = scene.url(&format!("{host}{path}"));
            let mut args = vec!["-sS", "--max-time", "30", version];
            args.extend(more);
            args.push(&url);
            run(&curl, &args, body)
        };
        let small = post("/echo", &["--data-binary", "@-"], b"small");
        assert_eq!(small, b"small");
        // With its length, and in pieces without.
        assert!(post("/echo", &["--data-binary", "@-"], &large) == large);
        assert!(post("/echo", &["-T", "-"], &large) == large);
        let expecting = ["-v", "-H", "expect: 100-continue", "--data-binary", "@-"];
        let seen = text(post("/seen", &expecting, &large[..MIB]));
        let seen: Value = serde_json::from_str(&seen).expect("the host answers in JSON");
        assert_eq!(seen["octets"], MIB, "{seen}");
    }
}

/// curl waits a second for `100 Continue`, and no longer here.
#[test]
fn an_expecting_client_is_told_to_go_on() {
    let _turn = Turn::take();
    let (Some(scene), Some(curl)) = (Scene::start(), Tool::find("curl")) else {
        return;
    };
    let url = scene.url("/seen");
    let args = [
        "-sS",
        "-i",
        "--http1.1",
        "--max-time",
        "30",
        "--expect100-timeout",
        "20",
        "-H",
        "expect: 100-continue",
        "--data-binary",
        "@-",
        &url,
    ];
    let said = text(run(&curl, &args, &[b'x'; MIB]));
    assert!(said.starts_with("HTTP/1.1 100 Continue"), "{said}");
    assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
    assert!(said.contains(r#""octets":1048576"#), "{said}");
}

#[test]
fn trailers_of_a_host_reach_curl() {
    let _turn = Turn::take();
    let (Some(scene), Some(curl)) = (Scene::start(), Tool::find("curl")) else {
        return;
    };
    for (version, host) in WAYS {
        let url = scene.url(&format!("{host}/blob/100000?chunked"));
        // With -i, curl writes trailers after the body as it writes headers before it.
        let args = [
            "-sS",
            "-i",
            "--max-time",
            "30",
            "--raw",
            version,
            "-H",
            "te: trailers",
            &url,
        ];
        let said = run(&curl, &args, b"");
        let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(100)..]).into_owned();
        assert!(tail.contains("x-after: blob"), "{version} {host}: {tail:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_whole_answer() {
    let _turn = Turn::take();
    let (Some(scene), Some(curl)) = (Scene::start(), Tool::find("curl")) else {
        return;
    };
    for (version, host) in WAYS {
        let url = scene.url(&format!("{host}/reset"));
        let mut command = Command::new(curl.path());
        command.args(["-sS", "--max-time", "30", version, &url]);
        let ended = curl.try_output(&mut command, b"", PATIENCE);
        let (code, _) = ended.expect_err("curl notices");
        // Transfer closed with data outstanding, stream not closed cleanly, receive error.
        assert!([18, 92, 56].contains(&code), "{version} {host}: {code}");
        // The connection for others was not harmed.
        let url = scene.url(&format!("{host}/who"));
        assert!(!run(&curl, &["-sS", version, &url], b"").is_empty());
    }
}

#[test]
fn websockets_both_ways() {
    let _turn = Turn::take();
    let (Some(scene), Some(node)) = (Scene::start(), Peers::prepare(Kind::NodeHttp)) else {
        return;
    };
    let mut client = Consumer::start(&node, &[]);
    let address = scene.gateway.address();
    client.refer(
        address,
        json!({"path": "/chat?x=1", "protocol": "echo.v1", "attachments": {"x-one": "1"}}),
    );
    let hello = client.call("hello", json!([]));
    let hello = hello.value();
    assert_eq!(
        (&hello["label"], &hello["url"]),
        (&json!("v1"), &json!("/chat?x=1"))
    );
    assert_eq!(hello["headers"]["x-one"], "1");
    assert_eq!(client.call("protocol", json!([])).value(), "echo.v1");
    for said in ["", "x", "grüß dich 你好"] {
        assert_eq!(client.call("echo", json!([said])).value(), said);
    }
    for size in [1, 125, 126, 65535, 65536, 4 * MIB] {
        assert_eq!(client.call("blob", json!([size])).value()["octets"], size);
    }
    assert_eq!(client.call("ping", json!(["there?"])).value(), "there?");

    // Either side ends it.
    client.refer_as("second", address, json!({"path": "/again"}));
    let closed = client.ask(json!({"op": "close", "ref": "second"}));
    assert!(closed.ok(), "{closed:?}");
    assert_eq!(client.call("close", json!([4001])).value(), 4001);
}

#[test]
fn a_websocket_that_is_not_allowed_is_refused() {
    let _turn = Turn::take();
    let Some(node) = Peers::prepare(Kind::NodeHttp) else {
        return;
    };
    let provider = Provider::start(&node, "v1", &[]);
    let gateway = Gateway::start(
        &Bootstrap::at(
            &["*"],
            json!([{"match": {"prefix": "/"}, "route": {"cluster": "one"}}]),
        )
        .cluster("one", &[provider.address()], json!({})),
        &[],
    );
    let mut client = Consumer::start(&node, &[]);
    let refused = json!({"address": gateway.address().to_string()});
    assert_eq!(client.call_with("refused", json!([]), refused).value(), 403);
}

#[test]
fn nghttp_gets_a_page_and_what_belongs_to_it() {
    let _turn = Turn::take();
    let (Some(scene), Some(nghttp)) = (Scene::start(), Tool::find("nghttp")) else {
        return;
    };
    for host in ["", "/h2"] {
        let urls =
            ["/who", "/blob/100000", "/seen"].map(|path| scene.url(&format!("{host}{path}")));
        let args = [
            "-v", "--no-dep", "-n", "-t", "30", &urls[0], &urls[1], &urls[2],
        ];
        let said = text(run(&nghttp, &args, b""));
        assert_eq!(said.matches(":status: 200").count(), 3, "{said}");
        assert!(!said.contains("recv GOAWAY"), "{said}");
    }
}

#[test]
fn h2load_bursts() {
    let _turn = Turn::take();
    let (Some(scene), Some(h2load)) = (Scene::start(), Tool::find("h2load")) else {
        return;
    };
    for (more, path) in [
        (&["-m", "40"][..], "/who"),
        (&["-m", "40"], "/h2/who"),
        (&["--h1"], "/who"),
        (&["--h1"], "/h2/who"),
        (&["-m", "32"], "/h2/blob/100000"),
        (&["-m", "32"], "/blob/100000"),
        (&["--h1"], "/h2/blob/100000"),
    ] {
        let url = scene.url(path);
        let mut args = vec!["-n", "5000", "-c", "20", "-T", "30"];
        args.extend(more);
        args.push(&url);
        let said = text(run(&h2load, &args, b""));
        let wanted = "requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(said.contains(wanted), "{more:?} {path}: {said}");
        assert!(
            said.contains("status codes: 5000 2xx"),
            "{more:?} {path}: {said}"
        );
    }
    // Nobody gave up, and no connection to a host was lost under its calls.
    for metric in [
        "http.rpc.downstream_rq_rx_reset",
        "cluster.one.upstream_cx_destroy_with_active_rq",
        "cluster.two.upstream_cx_destroy_with_active_rq",
        "cluster.two.upstream_rq_retry_unsent",
    ] {
        assert_eq!(scene.gateway.stat(metric), 0, "{metric}");
    }
}

#[test]
fn triple_in_json_over_http1() {
    let _turn = Turn::take();
    let (Some(dubbo), Some(curl)) = (Peers::prepare(Kind::JavaDubbo), Tool::find("curl")) else {
        return;
    };
    let provider = Provider::start(&dubbo, "v1", &["--protocol", "tri", "--version", "1.0"]);
    let version = json!({"name": "tri-service-version", "string_match": {"exact": "1.0"}});
    let routes = json!([
        {"match": {"prefix": "/peer.api.Echo/", "headers": [version]}, "route": {"cluster": "one"}},
    ]);
    let bootstrap = Bootstrap::at(&["*"], routes).cluster("one", &[provider.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, &[]);
    let base = format!("http://{}/peer.api.Echo", gateway.address());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let call = |method: &str, more: &[&str]| {
            let url = format!("{base}/{method}");
            let mut args = vec![
                "-sS",
                "--max-time",
                "30",
                version,
                "-H",
                "tri-service-version: 1.0",
            ];
            args.extend(more);
            args.push(&url);
            text(run(&curl, &args, b""))
        };
        let json = ["-H", "content-type: application/json"];
        let hello = [&json[..], &["-d", r#"["grüß"]"#]].concat();
        assert_eq!(call("echo", &hello), r#""grüß""#);
        assert_eq!(call("who", &json), r#""v1""#);
        let failed = [&json[..], &["-d", r#"["boom"]"#, "-w", " %{http_code}"]].concat();
        assert!(call("fail", &failed).ends_with(" 500"));
    }
    // A version that no route has.
    let url = format!("{base}/who");
    let args = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url];
    assert_eq!(text(run(&curl, &args, b"")), "404");
}

//! Where calls go, and what is changed on their way there and back.

use std::collections::BTreeMap;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Call, Client, Frame, Wire, headers};
use serde_json::{Value, json};

use crate::file::{File, everything_to, merged, table, when};
use crate::upstream::Upstream;

const WIRES: [Wire; 2] = [Wire::Dubbo, Wire::Bolt1];

/// Makes a call and returns its answer.
#[track_caller]
fn ask(client: &mut Client, call: &Call<'_>) -> Frame {
    client.write(&call.octets());
    let answer = client.recv();
    assert_eq!(answer.id, call.id, "the answer to this call");
    answer
}

fn to(cluster: &str) -> Value {
    json!({"route": {"cluster": cluster}})
}

/// A route for a path matcher and header matchers.
fn route(path: Value, headers: Value, cluster: &str) -> Value {
    merged(
        json!({"match": merged(path, json!({"headers": headers}))}),
        to(cluster),
    )
}

fn routes() -> Value {
    let any = || json!({"prefix": "/"});
    let header = |name: &str, rule: Value| json!([merged(json!({"name": name}), rule)]);
    let exact = |value: &str| json!({"string_match": {"exact": value}});
    let orders = json!([
        route(json!({"path": "/com.acme.Orders/cancel"}), json!([]), "cancel"),
        route(json!({"safe_regex": {"regex": "/com\\.acme\\.Orders/(create|update)V[0-9]+"}}), json!([]), "numbered"),
        route(any(), header("Tenant", exact("blue")), "blue"),
        route(any(), header("zone", json!({"string_match": {"prefix": "GRAY", "ignore_case": true}})), "gray"),
        route(any(), header("age", json!({"range_match": {"start": 18, "end": 65}})), "grown"),
        route(any(), header("known", json!({"present_match": true, "invert_match": true})), "unknown"),
        {"match": any(), "route": {"cluster": "orders"}},
    ]);
    let stock = json!([
        route(any(), header("x-dubbo-version", exact("1.0.0")), "dubbo"),
        route(any(), header("x-sofa-version", exact("1.0")), "sofa"),
    ]);
    json!({"virtual_hosts": [
        {"name": "orders", "domains": ["com.acme.Orders"], "routes": orders},
        {"name": "stock", "domains": ["*.Stock"], "routes": stock},
        {"name": "beta", "domains": ["com.acme.beta.*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "beta"}}]},
    ]})
}

const KNOWN: (&str, &str) = ("known", "yes");

/// Interface, method, headers, and whoever has to answer; nobody where there is no route.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

#[test]
fn calls_go_by_interface_method_and_header() {
    let names = [
        "cancel", "numbered", "blue", "gray", "grown", "unknown", "orders", "dubbo", "sofa", "beta",
    ];
    let upstreams = names.map(|name| (name, Upstream::named(name)));
    let rpc = File::new().rpc("rpc", json!({"route_config": routes()}), json!({}));
    let file = upstreams.iter().fold(rpc, |file, (name, at)| {
        file.cluster(name, &[at.address()], json!({}))
    });
    let gateway = Gateway::start_text(&file.text(), &[]);
    for wire in WIRES {
        let mut client = Client::connect(gateway.address(), wire);
        let stock = if wire == Wire::Dubbo { "dubbo" } else { "sofa" };
        let table: [Row; 13] = [
            ("com.acme.Orders", "cancel", &[KNOWN], Some("cancel")),
            ("com.acme.Orders", "createV2", &[KNOWN], Some("numbered")),
            ("com.acme.Orders", "createV2x", &[KNOWN], Some("orders")),
            (
                "com.acme.Orders",
                "create",
                &[("tenant", "blue"), KNOWN],
                Some("blue"),
            ),
            (
                "com.acme.Orders",
                "create",
                &[("TENANT", "blue"), KNOWN],
                Some("blue"),
            ),
            (
                "com.acme.Orders",
                "create",
                &[("tenant", "Blue"), KNOWN],
                Some("orders"),
            ),
            (
                "com.acme.Orders",
                "create",
                &[("zone", "gray-7"), KNOWN],
                Some("gray"),
            ),
            (
                "com.acme.Orders",
                "create",
                &[("age", "64"), KNOWN],
                Some("grown"),
            ),
            (
                "com.acme.Orders",
                "create",
                &[("age", "65"), KNOWN],
                Some("orders"),
            ),
            ("com.acme.Orders", "create", &[], Some("unknown")),
            ("org.acme.Stock", "reserve", &[], Some(stock)),
            ("com.acme.beta.Orders", "cancel", &[], Some("beta")),
            ("com.acme.Nobody", "cancel", &[], None),
        ];
        for (id, (service, method, headers, expected)) in table.into_iter().enumerate() {
            let call = Call::new(wire, id as u64).of(service, method).with(headers);
            let answer = ask(&mut client, &call);
            let what = format!("{wire:?} {service}.{method} {headers:?}");
            assert_eq!(answer.token(), expected, "{what}");
            let refused = answer.says("no route for com.acme.Nobody.cancel");
            // Bolt's content is of no grammar here, so that only a status can be told.
            let refused = refused || wire == Wire::Bolt1 && answer.status == 6;
            assert_eq!(refused, expected.is_none(), "{what}");
        }
    }
}

/// Of a body that is not read, rules know nothing: such a call takes the route that asks for nothing.
#[test]
fn a_call_in_an_unknown_serialization_takes_the_default_route() {
    const KRYO: u8 = 8;
    let (named, rest) = (Upstream::named("named"), Upstream::named("rest"));
    let path = json!({"path": "/com.acme.Echo/echo"});
    let everything = json!({"prefix": "/"});
    let routes = table(json!([
        route(path, json!([]), "named"),
        route(everything, json!([]), "rest"),
    ]));
    let text = File::new()
        .rpc("rpc", json!({"route_config": routes}), json!({}))
        .cluster("named", &[named.address()], json!({}))
        .cluster("rest", &[rest.address()], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    assert_eq!(
        ask(&mut client, &Call::new(Wire::Dubbo, 1)).token(),
        Some("named")
    );
    let mut opaque = Call::new(Wire::Dubbo, 2).octets();
    opaque[2] = opaque[2] & 0xe0 | KRYO;
    client.write(&opaque);
    let answer = client.recv();
    assert_eq!((answer.id, answer.token()), (2, Some("rest")));
}

#[test]
fn a_split_by_weight_is_kept_to() {
    let (v1, v2) = (Upstream::named("v1"), Upstream::named("v2"));
    let split = json!({"weighted_clusters": {"clusters": [
        {"name": "v1", "weight": 90},
        {"name": "v2", "weight": 10},
        {"name": "never", "weight": 0},
    ]}});
    let routes = table(json!([{"match": {"prefix": "/"}, "route": split}]));
    let text = File::new()
        .rpc("rpc", json!({"route_config": routes}), json!({}))
        .cluster("v1", &[v1.address()], json!({}))
        .cluster("v2", &[v2.address()], json!({}))
        .cluster("never", &[], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    for wire in WIRES {
        let mut client = Client::connect(gateway.address(), wire);
        let mut counts = BTreeMap::<String, u32>::new();
        for batch in 0..20 {
            let calls = (0..100).flat_map(|id| Call::new(wire, batch * 100 + id).octets());
            client.write(&calls.collect::<Vec<_>>());
            for _ in 0..100 {
                let answer = client.recv();
                *counts
                    .entry(answer.token().unwrap_or("refused").to_owned())
                    .or_default() += 1;
            }
        }
        // 200 of 2000, and five standard deviations of a binomial distribution to each side.
        assert!((133..=267).contains(&counts["v2"]), "{counts:?}");
        assert_eq!(counts["v1"] + counts["v2"], 2000, "{counts:?}");
    }
}

#[test]
fn headers_are_changed_on_the_way_there_and_back() {
    let upstream = Upstream::named("v1");
    let add = |key: &str, value: &str, action: &str| json!({"header": {"key": key, "value": value}, "append_action": action});
    let set = "OVERWRITE_IF_EXISTS_OR_ADD";
    let edits = json!({
        "request_headers_to_add": [
            add("x-zone", "east", "ADD_IF_ABSENT"),
            add("x-user", "nobody", "ADD_IF_ABSENT"),
            add("tenant", "red", set),
            add("x-seen-as", "%REQ(x-user)% by %PROTOCOL%", set),
        ],
        "request_headers_to_remove": ["password"],
        "response_headers_to_add": [add("x-route", "first", set)],
        "response_headers_to_remove": ["secret"],
    });
    let routes = everything_to("echo");
    let text = File::new()
        .rpc(
            "rpc",
            json!({"route_config": merged(routes, edits)}),
            json!({}),
        )
        .cluster("echo", &[upstream.address()], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    for (wire, protocol) in WIRES.into_iter().zip(["dubbo", "bolt"]) {
        let mut client = Client::connect(gateway.address(), wire);
        let given = [
            ("x-user", "ann"),
            ("Tenant", "blue"),
            ("password", "pw"),
            ("kept", "as it is"),
        ];
        let answer = ask(&mut client, &Call::new(wire, 7).with(&given));
        assert_eq!(answer.token(), Some("v1"));

        let arrived = upstream.calls().pop().expect("the upstream answered it");
        let arrived = headers(&arrived);
        let seen_as = format!("ann by {protocol}");
        let get = |key: &str| arrived.get(key).map(String::as_str);
        assert_eq!(get("x-zone"), Some("east"), "{arrived:?}");
        assert_eq!(get("x-user"), Some("ann"), "{arrived:?}");
        assert_eq!(get("x-seen-as"), Some(seen_as.as_str()), "{arrived:?}");
        assert_eq!(get("kept"), Some("as it is"), "{arrived:?}");
        assert_eq!(get("password"), None, "{arrived:?}");
        // One value, under whichever spelling.
        let tenants: Vec<_> = arrived
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case("tenant"))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(tenants, ["red"], "{arrived:?}");

        let came_back = headers(&answer);
        let get = |key: &str| came_back.get(key).map(String::as_str);
        assert_eq!(
            (get("x-route"), get("from"), get("secret")),
            (Some("first"), Some("v1"), None)
        );
    }
}

#[test]
fn a_direct_response_is_an_answer_in_the_callers_protocol() {
    let direct = |to: &str, status: u16, body: &str| {
        when(
            to,
            json!({"direct_response": {"status": status, "body": {"inline_string": body}}}),
        )
    };
    let routes = table(json!([
        direct("denied", 403, "not for you"),
        direct("busy", 429, "come back later"),
        direct("text", 200, "all is well"),
    ]));
    let text = File::new()
        .rpc("rpc", json!({"route_config": routes}), json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);

    let mut dubbo = Client::connect(gateway.address(), Wire::Dubbo);
    for (id, (to, said)) in [("denied", "not for you"), ("busy", "come back later")]
        .into_iter()
        .enumerate()
    {
        let answer = ask(
            &mut dubbo,
            &Call::new(Wire::Dubbo, id as u64).with(&[("to", to)]),
        );
        // Body flag 0, an exception, within a status that Dubbo does not repeat.
        assert_eq!((answer.status, answer.octets[16]), (20, 0x90), "{to}");
        assert!(
            answer.says(said) && answer.says("org.apache.dubbo.rpc.RpcException"),
            "{to}"
        );
    }
    let answer = ask(
        &mut dubbo,
        &Call::new(Wire::Dubbo, 9).with(&[("to", "text")]),
    );
    // Body flag 1, a value.
    assert_eq!((answer.status, answer.octets[16]), (20, 0x91));
    assert!(answer.says("all is well"));

    let mut bolt = Client::connect(gateway.address(), Wire::Bolt1);
    for (id, (to, status)) in [("denied", 2), ("busy", 4), ("text", 2)]
        .into_iter()
        .enumerate()
    {
        let answer = ask(
            &mut bolt,
            &Call::new(Wire::Bolt1, id as u64).with(&[("to", to)]),
        );
        assert_eq!(answer.status, status, "{to}");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_local_reply"), 6);
}

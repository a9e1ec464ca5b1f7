//! What callers ask for in `x-envoy-…` headers, and who is listened to.

use crossdock_framework::network::Network;

use super::*;

/// A caller of one's own network, if `trusted`, before a route without a policy.
fn asking(host: &Host, trusted: bool) -> Setup {
    Setup::to(host).http(|http| {
        http.edge = true;
        if trusted {
            let own = "127.0.0.0".parse().expect("an address");
            http.internal = Network::new(own, 8).into_iter().collect();
        }
    })
}

fn get(fields: &str) -> String {
    format!("GET /x HTTP/1.1\r\nhost: h\r\n{fields}\r\n")
}

#[test]
fn retries_are_granted_to_callers_of_ones_own_network() {
    for (trusted, fields, attempts) in [
        (true, "x-envoy-retry-on: 5xx, sometimes\r\n", 2),
        (
            true,
            "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\n",
            4,
        ),
        (
            true,
            "x-envoy-retry-on: reset\r\nx-envoy-max-retries: 3\r\n",
            1,
        ),
        (true, "x-envoy-max-retries: 3\r\n", 1),
        (false, "x-envoy-retry-on: 5xx\r\n", 1),
    ] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(asking(&host, trusted)).await;
            let got = play(host, &[Does::Says(503, "")]);
            let mut client = rig.client().await;
            assert_eq!(client.call(&get(fields)).await.status(), 503);
            let got = got.take();
            assert_eq!(got.len(), attempts, "{trusted} {fields}");
            let told = |request: &Message| {
                let mut names = request.fields.iter().map(|(name, _)| name);
                names.any(|name| name.contains("retr"))
            };
            assert!(!got.iter().any(told), "hosts are not told: {got:?}");
            rig.settled().await;
        });
    }
}

#[test]
fn words_of_grpc_have_a_header_of_their_own() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(asking(&host, true)).await;
        let script = ["grpc-status: 14\r\n", "grpc-status: 0\r\n"].map(|s| Does::Says(200, s));
        let got = play(host, &script);
        let mut client = rig.client().await;
        let asked = get("x-envoy-retry-grpc-on: unavailable\r\n");
        let answer = client.call(&asked).await;
        assert_eq!(answer.field("grpc-status"), Some("0"));
        assert_eq!(got.borrow().len(), 2);
    });
}

#[test]
fn times_are_granted_too() {
    run(async {
        let host = Host::bind();
        let mut setup = asking(&host, true);
        setup.timeout = Some(Duration::from_secs(60));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client
            .send(get("x-envoy-upstream-rq-timeout-ms: 4000\r\n\
                 x-envoy-upstream-rq-per-try-timeout-ms: 30\r\n\
                 x-envoy-retry-on: gateway-error\r\n"))
            .await;
        let mut first = host.accept().await;
        let asked = first.message().await;
        assert_eq!(asked.field("x-envoy-expected-rq-timeout-ms"), Some("30"));
        let mut second = host.accept().await;
        second.message().await;
        assert_eq!(client.message().await.status(), 504);
        assert_eq!(rig.upstream(ClusterMetric::RqTryTimeout), 2);
    });
}

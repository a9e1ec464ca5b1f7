//! How long attempts and pauses last, and who is told.

use super::*;

#[test]
fn an_attempt_that_takes_too_long_is_made_elsewhere() {
    run(async {
        let (slow, other) = (Host::bind(), Host::bind());
        let mut setup = Setup::to(&slow).also_to(&other);
        let mut elsewhere = policy(&["5xx"], 1);
        elsewhere.other_hosts = true;
        setup.way.retry = Some(Arc::new(elsewhere));
        setup.per_try = Some(Duration::from_millis(40));
        let rig = Rig::start(setup).await;
        let got = play(other, &[Does::Says(200, "")]);
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut up = slow.accept().await;
        up.message().await;
        assert_eq!(client.message().await.text(), "ans");
        assert_eq!(got.borrow().len(), 1);
        // What the first would have said reaches nobody.
        up.closed().await;
        client.silent().await;
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqTryTimeout), 1);
        assert_eq!(rig.upstream(ClusterMetric::RqTimeout), 0);
        assert_eq!(rig.upstream(ClusterMetric::RqRetrySuccess), 1);
    });
}

#[test]
fn attempts_that_all_take_too_long_end_in_504() {
    run(async {
        let host = Host::bind();
        let mut setup = retrying(&host, &["gateway-error"], 1);
        setup.per_try = Some(Duration::from_millis(30));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut first = host.accept().await;
        first.message().await;
        let mut second = host.accept().await;
        second.message().await;
        assert_eq!(client.message().await.status(), 504);
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqTryTimeout), 2);
        assert_eq!(rig.upstream(ClusterMetric::RqRetryLimit), 1);
    });
}

#[test]
fn the_time_of_an_attempt_begins_with_the_end_of_the_request() {
    run(async {
        let host = Host::bind();
        let mut setup = retrying(&host, &["5xx"], 1);
        setup.per_try = Some(Duration::from_millis(80));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nab")
            .await;
        let mut up = host.accept().await;
        up.head().await;
        sleep(Duration::from_millis(160)).await;
        client.send("cd").await;
        assert_eq!(up.bytes(4).await, b"abcd");
        up.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.message().await.text(), "ok");
        assert_eq!(rig.upstream(ClusterMetric::RqTryTimeout), 0);
    });
}

#[test]
fn the_whole_time_bounds_pauses() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::to(&host);
        let mut long = policy(&["5xx"], 9);
        long.back_off = BackOff::new(Duration::from_secs(3600), None);
        setup.way.retry = Some(Arc::new(long));
        setup.timeout = Some(Duration::from_millis(60));
        let rig = Rig::start(setup).await;
        let got = play(host, &[Does::Says(503, "")]);
        let mut client = rig.client().await;
        assert_eq!(client.call(GET).await.status(), 504);
        assert_eq!(got.borrow().len(), 1);
        rig.settled().await;
    });
}

#[test]
fn a_caller_that_leaves_ends_its_retries() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::to(&host);
        let mut long = policy(&["5xx"], 9);
        long.back_off = BackOff::new(Duration::from_millis(500), None);
        setup.way.retry = Some(Arc::new(long));
        let rig = Rig::start(setup).await;
        let mut client = H2Client::connect(rig.address).await;
        let request = Request::get("http://h/").body(()).expect("a request");
        let sent = client.sender.send_request(request, true).expect("sent");
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        reply(&mut respond, 503, "", None);
        eventually("it pauses", || rig.upstream(ClusterMetric::RqRetry) == 1).await;
        drop((client, sent));
        rig.deserted().await;
        sleep(QUIET).await;
        assert_eq!(rig.upstream(ClusterMetric::RqTotal), 1);
    });
}

#[test]
fn hosts_and_callers_are_told_of_attempts() {
    run(async {
        let host = Host::bind();
        let mut setup = retrying(&host, &["5xx"], 2);
        setup.timeout = Some(Duration::from_secs(9));
        setup.per_try = Some(Duration::from_secs(4));
        setup.way.attempt_count = AttemptCount {
            request: true,
            response: true,
        };
        let rig = Rig::start(setup).await;
        let got = play(host, &[Does::Says(503, ""), Does::Says(200, "")]);
        let mut client = rig.client().await;
        let answer = client.call(GET).await;
        assert_eq!(answer.field("x-envoy-attempt-count"), Some("2"));
        let got = got.take();
        let told: Vec<_> = got
            .iter()
            .map(|request| request.field("x-envoy-attempt-count"))
            .collect();
        assert_eq!(told, [Some("1"), Some("2")]);
        let time = |request: &Message| {
            let time = request.field("x-envoy-expected-rq-timeout-ms");
            time.map(str::to_owned)
        };
        assert_eq!(got.iter().filter_map(time).collect::<Vec<_>>(), ["4000"; 2]);
    });
}

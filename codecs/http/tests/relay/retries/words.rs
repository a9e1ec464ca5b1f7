//! What is tried again, and how often.

use super::*;

#[test]
fn answers_are_retried_by_their_status() {
    for (word, status, again) in [
        ("5xx", 200, false),
        ("5xx", 500, true),
        ("5xx", 503, true),
        ("5xx", 404, false),
        ("gateway-error", 502, true),
        ("gateway-error", 500, false),
        ("retriable-4xx", 409, true),
        ("retriable-4xx", 404, false),
        ("retriable-status-codes", 418, true),
        ("retriable-status-codes", 503, false),
        ("unavailable", 503, false),
        ("reset", 503, false),
        ("connect-failure", 503, false),
        ("refused-stream", 503, false),
        ("envoy-ratelimited", 503, false),
    ] {
        run(async move {
            let host = Host::bind();
            let mut setup = Setup::to(&host);
            let mut policy = policy(&[word], 2);
            policy.statuses = [418].into();
            setup.way.retry = Some(Arc::new(policy));
            let rig = Rig::start(setup).await;
            let got = play(host, &[Does::Says(status, "")]);
            let mut client = rig.client().await;
            let answer = client.call(GET).await;
            assert_eq!((answer.status(), answer.text()), (status, "ans"), "{word}");
            client.silent().await;
            let attempts = if again { 3 } else { 1 };
            assert_eq!(got.borrow().len(), attempts, "{word} {status}");
            rig.settled().await;
            assert_eq!(rig.upstream(ClusterMetric::RqTotal), attempts as u64);
            assert_eq!(rig.upstream(ClusterMetric::RqRetry), attempts as u64 - 1);
            let over = rig.upstream(ClusterMetric::RqRetryLimit);
            assert_eq!(over, u64::from(again), "used up");
            assert_eq!(rig.seen.take().len(), attempts, "each is concluded");
        });
    }
}

#[test]
fn what_breaks_is_retried_by_its_words() {
    for (word, does, again) in [
        ("reset", Does::Closes, true),
        ("5xx", Does::Closes, true),
        ("gateway-error", Does::Closes, true),
        ("connect-failure", Does::Closes, false),
        ("reset-before-request", Does::Closes, false),
        ("refused-stream", Does::Closes, false),
        ("reset", Does::Babbles, true),
        ("5xx", Does::Babbles, true),
        (
            "envoy-ratelimited",
            Does::Says(429, "x-envoy-ratelimited: true\r\n"),
            true,
        ),
        (
            "5xx",
            Does::Says(503, "x-envoy-ratelimited: true\r\n"),
            false,
        ),
        ("unavailable", Does::Says(200, "grpc-status: 14\r\n"), true),
        ("cancelled", Does::Says(200, "grpc-status: 1\r\n"), true),
        (
            "deadline-exceeded",
            Does::Says(200, "grpc-status: 4\r\n"),
            true,
        ),
        ("internal", Does::Says(200, "grpc-status: 13\r\n"), true),
        (
            "resource-exhausted",
            Does::Says(200, "grpc-status: 8\r\n"),
            true,
        ),
        ("unavailable", Does::Says(200, "grpc-status: 13\r\n"), false),
    ] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(retrying(&host, &[word], 1)).await;
            let got = play(host, &[does, Does::Says(200, "")]);
            let mut client = rig.client().await;
            // Not idempotent: what a word names is tried again all the same, as in Envoy.
            let post = "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody";
            let answer = client.call(post).await;
            client.silent().await;
            assert_eq!(
                got.borrow().len(),
                1 + usize::from(again),
                "{word} {does:?}"
            );
            if again {
                assert_eq!((answer.status(), answer.text()), (200, "ans"));
                assert_eq!(answer.field("grpc-status"), None);
            }
            assert!(got.take().iter().all(|request| request.text() == "body"));
            rig.settled().await;
            let (made, good) = (ClusterMetric::RqRetry, ClusterMetric::RqRetrySuccess);
            let made = (rig.upstream(made), rig.upstream(good));
            assert_eq!(made, (u64::from(again), u64::from(again)));
        });
    }
}

#[test]
fn num_retries_is_the_number_of_retries() {
    for retries in [0, 1, 2, 20] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(retrying(&host, &["5xx"], retries)).await;
            let got = play(host, &[Does::Says(503, "")]);
            let mut client = rig.client().await;
            assert_eq!(client.call(GET).await.status(), 503);
            assert_eq!(got.borrow().len(), usize::from(retries) + 1);
            rig.settled().await;
        });
    }
}

#[test]
fn hosts_that_refuse_connections_are_asked_again() {
    run(async {
        let absent = Host::absent();
        let rig = Rig::start(retrying(&absent, &["connect-failure"], 2)).await;
        let mut client = rig.client().await;
        assert_eq!(client.call(GET).await.status(), 503);
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 2);
        assert_eq!(rig.upstream(ClusterMetric::CxConnectFail), 3);
        assert_eq!(rig.seen.take().len(), 3);
    });
}

#[test]
fn an_answer_that_has_begun_is_not_retried() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(retrying(&host, &["5xx", "reset"], 3)).await;
        let got = play(host, &[Does::Breaks]);
        let mut client = rig.client().await;
        client.send(GET).await;
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.rest().await, b"ab");
        rig.settled().await;
        assert_eq!(got.borrow().len(), 1);
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 0);
    });
}

#[test]
fn a_status_in_trailers_comes_too_late() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(retrying(&host, &["unavailable"], 3)).await;
        let mut client = H2Client::connect(rig.address).await;
        let serve = async {
            let mut up = host.accept_h2().await;
            let (_, mut respond) = up.stream().await;
            let status = fields(&[("grpc-status", "14")]);
            reply(&mut respond, 200, "x", Some(status));
            up
        };
        let call = Request::post("http://h/s/m").header("content-type", "application/grpc");
        let (answer, _up) = tokio::join!(client.call(call, "", None), serve);
        assert_eq!(answer.trailers.expect("a status")["grpc-status"], "14");
        rig.settled().await;
        assert_eq!(rig.upstream(ClusterMetric::RqRetry), 0);
    });
}

#[test]
fn refused_streams_are_retried_beyond_those_that_cost_nothing() {
    for (word, attempts) in [("refused-stream", 5), ("connect-failure", 3)] {
        run(async move {
            let host = Host::bind();
            let rig = Rig::start(retrying(&host, &[word], 2)).await;
            let mut client = H2Client::connect(rig.address).await;
            let request = Request::get("http://h/").body(()).expect("a request");
            let (answer, _) = client.sender.send_request(request, true).expect("sent");
            let refused = Rc::new(RefCell::new(0));
            let count = Rc::clone(&refused);
            spawn(async move {
                loop {
                    let (mut up, count) = (host.accept_h2().await, Rc::clone(&count));
                    spawn(async move {
                        while let Some((_, mut respond)) = up.next_stream().await {
                            *count.borrow_mut() += 1;
                            respond.send_reset(h2::Reason::REFUSED_STREAM);
                        }
                    });
                }
            });
            let answer = H2Answer::read(answer.await.expect("an answer")).await;
            assert_eq!(answer.status, 503);
            rig.settled().await;
            let retries = rig.upstream(ClusterMetric::RqRetry);
            let resent = rig.upstream(ClusterMetric::RqResent);
            assert_eq!(*refused.borrow(), 1 + retries + resent, "{word}");
            match word {
                "refused-stream" => assert_eq!(retries, 2),
                _ => assert_eq!((retries, resent), (0, attempts - 1)),
            }
        });
    }
}

#[test]
fn limits_bound_what_is_tried_again_at_once() {
    for (limit, most) in [
        (RetryLimit::Most(2), 2),
        (RetryLimit::Most(0), 0),
        (
            RetryLimit::Budget {
                percent: 20.0,
                least: 0,
            },
            10,
        ),
    ] {
        run(async move {
            let host = Host::bind();
            let mut setup = Setup::to(&host);
            let mut slow = policy(&["5xx"], 1);
            // Longer than it takes all calls to fail for the first time.
            slow.back_off = BackOff::new(Duration::from_millis(1000), None);
            setup.way.retry = Some(Arc::new(slow));
            setup.retries = limit;
            let rig = Rig::start(setup).await;
            let client = H2Client::connect(rig.address).await;
            let mut answers = Vec::new();
            for _ in 0..50 {
                let request = Request::get("http://h/").body(()).expect("a request");
                let mut sender = client.sender.clone().ready().await.expect("it stands");
                answers.push(sender.send_request(request, true).expect("sent").0);
            }
            let mut up = host.accept_h2().await;
            let mut streams = Vec::new();
            for _ in 0..50 {
                streams.push(up.stream().await);
            }
            for (_, respond) in &mut streams {
                reply(respond, 503, "", None);
            }
            spawn(async move {
                while let Some((_, mut respond)) = up.next_stream().await {
                    reply(&mut respond, 200, "", None);
                }
            });
            let mut good = 0;
            for answer in answers {
                let answer = answer.await.expect("an answer");
                good += u64::from(answer.status() == 200);
            }
            rig.settled().await;
            let made = rig.upstream(ClusterMetric::RqRetry);
            assert_eq!(made, good);
            let refused = rig.upstream(ClusterMetric::RqRetryOverflow);
            assert_eq!(refused, 50 - made);
            assert!((most..=most + 2).contains(&made), "{limit:?}: {made}");
        });
    }
}

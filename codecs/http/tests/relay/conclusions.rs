//! That every attempt at a host is concluded once, and as what.

use crossdock_framework::{
    cluster::HostIx,
    outcome::{Failure, Outcome},
    status::Class,
};
use http::Request;

use crate::{
    peer::{H2Answer, H2Client, Host, fields, reply},
    rig::{QUIET, Rig, Setup, eventually, run},
};

const ONE: HostIx = HostIx(0);
const OTHER: HostIx = HostIx(1);
const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

fn answered(class: Class, http: u16) -> Outcome {
    Outcome::Answered {
        class,
        http,
        concealed: false,
    }
}

#[test]
fn answers_are_concluded_by_their_status() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut up = host.accept().await;
        for (status, class) in [
            (200, Class::Ok),
            (404, Class::NotFound),
            (503, Class::Unavailable),
            (504, Class::Timeout),
        ] {
            up.message().await;
            assert_eq!(rig.seen.take(), [], "before the answer");
            up.send(format!(
                "HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"
            ))
            .await;
            assert_eq!(client.message().await.status(), status);
            assert_eq!(rig.seen.take(), [(ONE, answered(class, status))]);
            client.send(GET).await;
        }
    });
}

#[test]
fn a_grpc_status_in_trailers_is_the_conclusion() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let request = Request::post("http://h/s/m").header("content-type", "application/grpc");
        let serve = async {
            let mut up = host.accept_h2().await;
            let (_, mut respond) = up.stream().await;
            let status = fields(&[("grpc-status", "14")]);
            reply(&mut respond, 200, "x", Some(status));
            up
        };
        let (answer, _up) = tokio::join!(client.call(request, "", None), serve);
        assert_eq!(answer.trailers.expect("a status")["grpc-status"], "14");
        let unavailable = answered(Class::Unavailable, 200);
        eventually("it is concluded", || {
            rig.seen.take() == [(ONE, unavailable)]
        })
        .await;
    });
}

#[test]
fn what_breaks_before_and_within_the_answer_is_lost() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let lost = [(ONE, Outcome::Failed(Failure::Lost))];
        for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"] {
            let mut client = rig.client().await;
            client.send(GET).await;
            let mut up = host.accept().await;
            up.message().await;
            up.send(begun).await;
            drop(up);
            client.head().await;
            eventually("it is concluded", || rig.seen.take() == lost).await;
        }
        rig.settled().await;
        assert_eq!(rig.seen.take(), []);
    });
}

#[test]
fn a_refused_stream_is_concluded_and_so_is_its_second_try() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let request = Request::get("http://h/").body(()).expect("a request");
        let (answer, _) = client
            .sender
            .send_request(request, true)
            .expect("it is sent");
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        let mut again = tokio::select! {
            stream = up.stream() => stream.1,
            mut up = host.accept_h2() => up.stream().await.1,
        };
        reply(&mut again, 200, "ok", None);
        let answer = H2Answer::read(answer.await.expect("an answer")).await;
        assert_eq!(answer.text(), "ok");
        let refused = (ONE, Outcome::Failed(Failure::Refused));
        let mut seen = Vec::new();
        eventually("both are concluded", || {
            seen.extend(rig.seen.take());
            seen == [refused, (ONE, answered(Class::Ok, 200))]
        })
        .await;
    });
}

#[test]
fn a_call_that_goes_elsewhere_is_concluded_at_both_hosts() {
    run(async {
        let (absent, host) = (Host::absent(), Host::bind());
        let rig = Rig::start(Setup::to(&absent).also_to(&host)).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut up = host.accept().await;
        up.message().await;
        up.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        client.message().await;
        let failed = (ONE, Outcome::Failed(Failure::Connect));
        assert_eq!(rig.seen.take(), [failed, (OTHER, answered(Class::Ok, 200))]);
    });
}

#[test]
fn time_that_is_over_is_concluded_as_such() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::to(&host);
        setup.timeout = Some(QUIET);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut up = host.accept().await;
        up.message().await;
        assert_eq!(client.message().await.status(), 504);
        let over = [(ONE, Outcome::Failed(Failure::Timeout))];
        assert_eq!(rig.seen.take(), over);
    });
}

#[test]
fn callers_that_leave_say_nothing_of_the_host() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let request = Request::get("http://h/").body(()).expect("a request");
        let sent = client.sender.send_request(request, true);
        let mut up = host.accept_h2().await;
        let _asked = up.stream().await;
        drop((client, sent));
        rig.deserted().await;
        assert_eq!(rig.seen.take(), [(ONE, Outcome::Unknown)]);
    });
}

//! Clients that begin and do not go on.

use std::time::Duration;

use crossdock_framework::snapshot::HttpMetric;

use crate::{
    peer::Host,
    rig::{Rig, Setup, run},
};

#[test]
fn a_request_whose_body_stops_is_answered_with_408() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| {
            http.request_timeout = Some(Duration::from_millis(200));
        });
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
        assert_eq!(client.message().await.status(), 408);
        client.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn a_head_that_stops_costs_its_connection() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| {
            http.headers_timeout = Duration::from_millis(300);
        });
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\nx-").await;
        client.closed().await;
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxFrameTimeout), 1);
    });
}

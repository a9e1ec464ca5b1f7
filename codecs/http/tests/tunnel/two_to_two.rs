//! From a client of HTTP/2 to a host of HTTP/2.

use crossdock_framework::snapshot::HttpMetric;

use crate::{
    peer::Host,
    rig::{Rig, Setup, run},
    streams::{accept, agree, client, connect, open, web_socket},
};

#[test]
fn tunnels_are_streams_whose_directions_end_on_their_own() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| (http.websocket, http.connect) = (true, true));
        let rig = Rig::start(setup).await;
        let client = client(rig.address).await;
        let mut up = None;
        for request in [web_socket(), connect()] {
            let web_socket = request.extensions().get::<h2::ext::Protocol>().is_some();
            let serving = async {
                if up.is_none() {
                    up = Some(accept(&host).await);
                }
                agree(up.as_mut().expect("accepted")).await
            };
            let (mut near, (asked, mut far)) = tokio::join!(open(&client, request), serving);
            assert_eq!(asked.method, "CONNECT");
            let protocol = asked.extensions.get::<h2::ext::Protocol>();
            assert_eq!(protocol.is_some(), web_socket);
            assert_eq!(near.status, 200);
            assert_eq!(near.headers.get("upgrade"), None);
            near.send("there");
            assert_eq!(far.bytes().await, "there");
            far.send("back");
            assert_eq!(near.bytes().await, "back");
            // The host ends first, and still takes something.
            far.end();
            assert!(near.next().await.is_none());
            near.send("still");
            assert_eq!(far.bytes().await, "still");
            assert_eq!(rig.http(HttpMetric::RqActive), 1);
            near.end();
            assert!(far.next().await.is_none());
            rig.settled().await;
        }
    });
}

//! WebSockets and tunnels between clients and hosts of both versions of HTTP.

#[path = "../relay/peer.rs"]
#[expect(dead_code, reason = "shared with the tests of calls")]
mod peer;
#[path = "../relay/rig.rs"]
#[expect(dead_code, reason = "shared with the tests of calls")]
mod rig;

mod one_to_two;
mod streams;
mod two_to_one;
mod two_to_two;

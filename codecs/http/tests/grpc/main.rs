//! What else is gRPC: gRPC-Web and Triple, with hosts and clients in the hands of the test.

#[path = "../relay/peer.rs"]
#[expect(dead_code, reason = "shared with the tests of calls")]
mod peer;
#[path = "../relay/rig.rs"]
#[expect(dead_code, reason = "shared with the tests of calls")]
mod rig;

mod grpc_web;
mod triple;

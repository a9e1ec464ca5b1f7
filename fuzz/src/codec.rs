//! The laws of the codecs: see [`laws::any_input_is_harmless`].

use crossdock_bolt::Bolt;
use crossdock_conformance::laws;
use crossdock_dubbo::Dubbo;
use crossdock_framework::codec::{Codec, Probe};

/// The start of a Bolt stream.
pub fn bolt(octets: &[u8]) {
    check::<Bolt>(octets);
}

/// The start of a Dubbo stream.
pub fn dubbo(octets: &[u8]) {
    check::<Dubbo>(octets);
}

fn check<C: Codec>(octets: &[u8]) {
    laws::any_input_is_harmless::<C>(octets).unwrap_or_else(|broken| panic!("{broken}"));
    let probes = [Bolt::probe(octets), Dubbo::probe(octets)];
    let claims = probes.iter().filter(|said| **said == Probe::Yes).count();
    assert!(claims <= 1, "both protocols claim the stream");
}

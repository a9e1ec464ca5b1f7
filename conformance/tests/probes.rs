//! Both protocols come through one port.

use crossdock_bolt::Bolt;
use crossdock_conformance::{
    laws,
    vectors::{Vector, bundled, load},
};
use crossdock_dubbo::Dubbo;
use crossdock_framework::codec::Codec;

const PROBES: [laws::ProbeFn; 2] = [("bolt", Bolt::probe), ("dubbo", Dubbo::probe)];

#[test]
fn probes_tell_every_frame_apart() {
    let mut vectors = load(&bundled()).expect("the vectors come with the crate");
    vectors.retain(|vector| owner(vector) != "neither");
    laws::probes_exclude_each_other(&vectors, &PROBES, owner).unwrap();
}

fn owner(vector: &Vector) -> &'static str {
    let name = &vector.name;
    if name.contains("bolt") {
        "bolt"
    } else if name.contains("dubbo") || name.starts_with("jd") {
        "dubbo"
    } else {
        "neither"
    }
}

#[test]
fn what_other_protocols_say_first_is_neither() {
    let others: [(&str, &[u8]); 9] = [
        ("http1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (
            "tls",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03rest of a ClientHello",
        ),
        ("proxy", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"),
        (
            "proxy2",
            b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c0123456789ab",
        ),
        ("redis", b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"),
        (
            "thrift",
            b"\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x01\x00",
        ),
        (
            "postgres",
            b"\x00\x00\x00\x08\x04\xd2\x16\x2f\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
        (
            "dns",
            b"\x01\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x01a\x00\x00\x01\x00\x01",
        ),
    ];
    let vectors = others.map(|(name, bytes)| Vector::new(name, bytes));
    laws::probes_exclude_each_other(&vectors, &PROBES, |_| "neither").unwrap();
}

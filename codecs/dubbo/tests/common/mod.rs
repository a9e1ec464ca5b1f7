//! Reading vectors and messages.
#![allow(dead_code, reason = "each test crate uses its own part")]

use std::{fs, path::PathBuf};

use bytes::BytesMut;
use crossdock_dubbo::{Dubbo, Head};
use crossdock_framework::{
    codec::{Codec as _, Decoded, FrameLimits},
    frame::Frame,
};

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../conformance/vectors"
    ))
}

pub(crate) fn octets(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = fs::read_to_string(&path).expect(name);
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::bytes)
        .collect();
    let hex = |digit: u8| char::from(digit).to_digit(16).expect("a hex digit") as u8;
    digits
        .chunks_exact(2)
        .map(|pair| hex(pair[0]) << 4 | hex(pair[1]))
        .collect()
}

pub(crate) fn frames(name: &str) -> Vec<Frame<Head>> {
    let mut buf = BytesMut::from(&octets(name)[..]);
    let mut frames = Vec::new();
    while !buf.is_empty() {
        match Dubbo::default().decode(&mut buf, &FrameLimits::default()) {
            Ok(Decoded::Frame(frame)) => frames.push(frame),
            other => panic!("{name}: {other:?}"),
        }
    }
    frames
}

pub(crate) fn frame(name: &str) -> Frame<Head> {
    frames(name).remove(0)
}

/// The only message in `octets`.
pub(crate) fn decode(octets: &[u8]) -> Frame<Head> {
    let mut buf = BytesMut::from(octets);
    match Dubbo::default().decode(&mut buf, &FrameLimits::default()) {
        Ok(Decoded::Frame(frame)) if buf.is_empty() => frame,
        other => panic!("{other:?}"),
    }
}

/// A message with this flag, status and body; its id is 1.
pub(crate) fn message(flag: u8, status: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xda, 0xbb, flag, status, 0, 0, 0, 0, 0, 0, 0, 1];
    octets.extend((body.len() as u32).to_be_bytes());
    octets.extend(body);
    octets
}

/// Every vector of the protocol.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the vectors")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".hex").map(str::to_owned))
        .filter(|name| name.contains("dubbo") || name.starts_with("jd"))
        .collect();
    names.sort();
    names
}

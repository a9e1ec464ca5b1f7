//! The laws, for Dubbo.

use crossdock_conformance::{
    laws,
    vectors::{Vector, bundled, load},
};
use crossdock_dubbo::{Dubbo, HEADER_LEN, Head, Serialization, inspect};
use crossdock_framework::frame::{Frame, Head as _, Kind};
use crossdock_hessian::{Grammar, Limits, Walker};

fn vectors() -> Vec<Vector> {
    let mut vectors = load(&bundled()).expect("the vectors come with the crate");
    vectors.retain(|vector| vector.name.contains("dubbo") || vector.name.starts_with("jd"));
    assert_eq!(vectors.len(), 73);
    vectors
}

#[test]
fn every_law_holds() {
    laws::all::<Dubbo>(&vectors()).unwrap();
}

#[test]
fn views_agree_with_what_java_wrote() {
    assert_eq!(laws::views_agree::<Dubbo>(&vectors()).unwrap(), 36);
}

#[test]
fn edits_leave_names_arguments_and_values_alone() {
    let edited = laws::edits_spare_the_payload::<Dubbo>(&vectors(), payload);
    assert_eq!(edited.unwrap(), 48);
}

/// What stands in front of the attachments, without the body flag of a response, which tells
/// whether there are any.
fn payload(frame: &Frame<Head>) -> Vec<u8> {
    let body = &frame.bytes[HEADER_LEN..];
    let starts = match frame.head.serialization() {
        Serialization::FASTJSON2 => jsonb_values(body),
        _ => hessian_values(body),
    };
    let last = *starts.last().expect("a body holds a value");
    if frame.head.kind() != Kind::Response {
        return body[..last].to_vec();
    }
    let behind_flag = starts.get(1).copied().unwrap_or(body.len());
    match inspect(frame).body_flag {
        Some(3..) => body[behind_flag..last].to_vec(),
        _ => body[behind_flag..].to_vec(),
    }
}

/// Where each value of the body begins.
fn hessian_values(body: &[u8]) -> Vec<usize> {
    let mut walker = Walker::new(body, Grammar::V2, Limits::DEFAULT);
    let mut starts = Vec::new();
    while !walker.at_end() {
        starts.push(walker.pos());
        walker.skip_value().expect("the vector is well formed");
    }
    starts
}

/// The same for fastjson2, where each value has its length in front of it.
fn jsonb_values(body: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(length) = body
        .get(starts[starts.len() - 1]..)
        .and_then(<[u8]>::first_chunk)
    {
        let length = u32::from_be_bytes(*length) as usize;
        starts.push(starts[starts.len() - 1] + 4 + length);
    }
    starts.pop();
    starts
}

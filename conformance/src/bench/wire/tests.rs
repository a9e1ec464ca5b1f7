use super::framed::Seen;
use super::*;

/// What a new server says to a frame.
fn serve(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    Service::default().serve(frame, out)
}

/// The octets that hexadecimal digits stand for.
fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(digits, 16).expect("hexadecimal")
        })
        .collect()
}

/// `echo("hello")` as Dubbo 3.3.6 sent it.
const DUBBO_ECHO: &str = "dabbc200ff53a6dba3fd09aa000000a105322e302e320d706565722e6170692e4563686f0531\
         2e302e30046563686f124c6a6176612f6c616e672f537472696e673b0568656c6c6f48047061\
         74680d706565722e6170692e4563686f1272656d6f74652e6170706c69636174696f6e0d7065\
         65722d636f6e73756d657209696e746572666163650d706565722e6170692e4563686f077665\
         7273696f6e05312e302e300774696d656f757404313030305a";

/// Its answer, from the same.
const DUBBO_ANSWER: &str = "dabb0214ff53a6dba3fd09aa00000023940568656c6c6f4805647562626f05322e302e320a78\
         2d70726f76696465720276315a";

/// `fired("22f299cbee8o")`, an asynchronous call, as SOFARPC 5.13.2 sent it.
const BOLT_FIRED: &str = "01010001010000001001000003e8002c01830000015e636f6d2e616c697061792e736f66612e\
         7270632e636f72652e726571756573742e536f66615265717565737400000018736f66615f68\
         6561645f7461726765745f7365727669636500000011706565722e6170692e4563686f3a312e\
         30000000036170700000000d706565722d636f6e73756d65720000001b7270635f7472616365\
         5f636f6e746578742e736f6661527063496400000001300000000870726f746f636f6c000000\
         04626f6c74000000167270635f74726163655f636f6e746578742e73616d7000000004747275\
         650000001d7270635f74726163655f636f6e746578742e736f6661547261636549640000001e\
         6330303030323032313739353432323339303535353130313631383339300000000773657276\
         69636500000011706565722e6170692e4563686f3a312e300000001d7270635f74726163655f\
         636f6e746578742e73797350656e4174747273000000000000001e7270635f74726163655f63\
         6f6e746578742e736f666150656e41747472730000000000000015736f66615f686561645f6d\
         6574686f645f6e616d6500000005666972656400000004747970650000000473796e634fbc63\
         6f6d2e616c697061792e736f66612e7270632e636f72652e726571756573742e536f66615265\
         7175657374950d7461726765744170704e616d650a6d6574686f644e616d6517746172676574\
         53657276696365556e697175654e616d650c7265717565737450726f70730d6d6574686f6441\
         7267536967736f904e05666972656411706565722e6170692e4563686f3a312e304d03617070\
         0d706565722d636f6e73756d65720870726f746f636f6c04626f6c74117270635f7472616365\
         5f636f6e746578744d09736f6661527063496401300473616d7004747275650b73797350656e\
         4174747273000b736f6661547261636549641e63303030303230323137393534323233393035\
         35353130313631383339300c736f666150656e4174747273007a04747970650473796e637a56\
         7400075b737472696e676e01106a6176612e6c616e672e537472696e677a0c32326632393963\
         626565386f";

#[test]
fn a_dubbo_request_is_what_java_writes() {
    let mut attachments = dubbo::ATTACHMENTS;
    attachments[4].1 = "1000";
    let (mut frame, mark) = dubbo::request(b"hello", &attachments[..5]);
    frame[4..12].copy_from_slice(&0xff53_a6db_a3fd_09aa_u64.to_be_bytes());
    assert_eq!(frame, octets(DUBBO_ECHO));
    assert_eq!(&frame[mark..mark + 5], b"hello");
}

#[test]
fn a_dubbo_answer_is_what_java_writes() {
    let mut answer = Vec::new();
    serve(&octets(DUBBO_ECHO), &mut answer).expect("a whole request");
    assert_eq!(answer, octets(DUBBO_ANSWER));
}

#[test]
fn a_bolt_request_is_what_java_writes() {
    // The map's order is a HashMap's: this call has the same eleven keys in another method's order.
    let mut headers = bolt::HEADERS;
    for (key, value) in &mut headers {
        if *key == "sofa_head_method_name" {
            *value = "fired";
        }
    }
    let trace = "c00002021795422390555101618390";
    let (mut frame, mark) = bolt::request("fired", b"22f299cbee8o", &headers, trace);
    frame[5..9].copy_from_slice(&16_u32.to_be_bytes());
    frame[10..14].copy_from_slice(&1000_u32.to_be_bytes());
    assert_eq!(frame, octets(BOLT_FIRED));
    assert_eq!(&frame[mark..], b"22f299cbee8o");
}

#[test]
fn a_server_answers_what_a_template_expects() {
    for wire in [Wire::Dubbo, Wire::Bolt] {
        for payload in [16, 31, 32, 128, 1023, 1024, 4096, 0x8000, 0x8001, 100_000] {
            let template = wire.template(payload);
            let (mut request, mut answer) = (Vec::new(), Vec::new());
            let id = 0xffff_fbb8;
            template.request.stamp(id, 77, &mut request);
            assert_eq!(
                Wire::length(&request),
                Ok(Some(request.len())),
                "{wire:?} {payload}"
            );
            serve(&request, &mut answer).expect("a whole request");
            assert_eq!(
                Wire::length(&answer),
                Ok(Some(answer.len())),
                "{wire:?} {payload}"
            );
            assert_eq!(framed::see(&answer), Seen::Answer(id));
            let right = |answer: &[u8], id, mark| template.answer.equals(answer, id, mark);
            assert!(right(&answer, id, 77), "{wire:?} {payload}");
            assert!(!right(&answer, id, 78), "another call's mark");
            assert!(!right(&answer, id + 1, 77), "another call's id");
            answer[3] ^= 1;
            assert!(!right(&answer, id, 77), "another status");
        }
    }
}

/// Cuts `bytes` into frames and gives them to `each`; they must end with one.
fn frames(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = Wire::length(rest).expect("good").expect("whole");
        each(&rest[..length]);
        rest = &rest[length..];
    }
}

/// A caller and a server that speak to each other without a proxy; what the caller hears.
fn converse(caller: &mut dyn Talk, server: &mut Service, mut out: Vec<u8>) -> Vec<Heard> {
    let mut heard = Vec::new();
    while !out.is_empty() {
        let mut answers = Vec::new();
        frames(&out, |frame| {
            server.serve(frame, &mut answers).expect("good");
        });
        out.clear();
        frames(&answers, |frame| {
            heard.push(caller.take(frame, &mut out).expect("good"));
        });
    }
    heard.retain(|h| *h != Heard::Nothing);
    heard
}

#[test]
fn every_wire_carries_calls_to_their_right_end() {
    for wire in [Wire::Dubbo, Wire::Bolt, Wire::Http1, Wire::Grpc] {
        for payload in [16, 128, 4096, 30_000] {
            let mut caller = wire.talk(Arc::new(wire.template(payload)), 1);
            let mut server = Service::default();
            let mut out = Vec::new();
            caller.greet(&mut out);
            for round in 0..400 {
                let marks = [3 * round, 3 * round + 1, 3 * round + 2];
                for mark in marks {
                    caller.call(mark, &mut out);
                }
                let heard = converse(&mut *caller, &mut server, std::mem::take(&mut out));
                let right = marks.map(|mark| Heard::End(mark, Verdict::Right));
                assert_eq!(heard, right, "{wire:?} {payload} {round}");
            }
        }
    }
}

#[test]
fn http1_answers_are_judged() {
    let call = || {
        let mut caller = Wire::Http1.talk(Arc::new(Wire::Http1.template(16)), 0);
        caller.call(0x5a, &mut Vec::new());
        caller
    };
    let hear = |answer: &[u8]| call().take(answer, &mut Vec::new()).expect("whole");
    let right = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 16\r\n\r\na500000000000000";
    assert_eq!(Wire::length(right), Ok(Some(right.len())));
    assert_eq!(hear(right), Heard::End(0x5a, Verdict::Right));
    let mut other = right.to_vec();
    *other.last_mut().expect("not empty") = b'1';
    assert!(matches!(hear(&other), Heard::End(0x5a, Verdict::Wrong(_))));
    let failed = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";
    assert!(matches!(hear(failed), Heard::End(0x5a, Verdict::Failed(_))));
    let mut answered = call();
    answered.take(right, &mut Vec::new()).expect("whole");
    let again = answered.take(right, &mut Vec::new()).expect("whole");
    assert!(matches!(again, Heard::Stray(_)));
}

#[test]
fn http1_bodies_need_a_length() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(Wire::length(chunked).is_err());
    assert!(Wire::length(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_err());
    assert!(Wire::length(&[b'H'; 20_000]).is_err(), "a head without end");
}

#[test]
fn heartbeats_are_answered_with_their_id() {
    let mut answer = Vec::new();
    serve(&octets("dabbe2000000000000000008000000014e"), &mut answer).expect("whole");
    assert_eq!(answer, octets("dabb22140000000000000008000000014e"));
    answer.clear();
    let ping = octets("01010000010000006401000003e80000000000000000");
    assert_eq!(framed::see(&ping), Seen::Heartbeat);
    serve(&ping, &mut answer).expect("whole");
    assert_eq!(answer, octets("0100000001000000640100000000000000000000"));
}

#[test]
fn no_prefix_of_a_frame_is_taken_for_a_frame() {
    for wire in [Wire::Dubbo, Wire::Bolt, Wire::Http1] {
        let mut frame = Vec::new();
        wire.template(128).request.stamp(1, 2, &mut frame);
        for end in 0..frame.len() {
            let length = Wire::length(&frame[..end]).expect("a prefix is not an error");
            assert!(length.is_none_or(|l| l == frame.len()), "{wire:?} {end}");
        }
    }
    assert!(Wire::length(b"GET / HTTP/1.1").is_err());
    assert!(Wire::length(&octets("dabbc2000000000000000000ffffffff")).is_err());
}

use super::*;

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
    Wire::serve(&octets(DUBBO_ECHO), &mut answer).expect("a whole request");
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
            let id = wire.first_id(3);
            template.call(id, 77, &mut request);
            assert_eq!(
                Wire::length(&request),
                Ok(Some(request.len())),
                "{wire:?} {payload}"
            );
            Wire::serve(&request, &mut answer).expect("a whole request");
            assert_eq!(
                Wire::length(&answer),
                Ok(Some(answer.len())),
                "{wire:?} {payload}"
            );
            assert_eq!(Wire::see(&answer), Seen::Answer(id));
            assert!(template.answered_by(&answer, id, 77), "{wire:?} {payload}");
            assert!(
                !template.answered_by(&answer, id, 78),
                "another call's mark"
            );
            assert!(
                !template.answered_by(&answer, id + 1, 77),
                "another call's id"
            );
            answer[3] ^= 1;
            assert!(!template.answered_by(&answer, id, 77), "another status");
        }
    }
}

#[test]
fn heartbeats_are_answered_with_their_id() {
    let mut answer = Vec::new();
    Wire::serve(&octets("dabbe2000000000000000008000000014e"), &mut answer).expect("whole");
    assert_eq!(answer, octets("dabb22140000000000000008000000014e"));
    answer.clear();
    let ping = octets("01010000010000006401000003e80000000000000000");
    assert_eq!(Wire::see(&ping), Seen::Heartbeat);
    Wire::serve(&ping, &mut answer).expect("whole");
    assert_eq!(answer, octets("0100000001000000640100000000000000000000"));
}

#[test]
fn no_prefix_of_a_frame_is_taken_for_a_frame() {
    for wire in [Wire::Dubbo, Wire::Bolt] {
        let mut frame = Vec::new();
        wire.template(128).call(1, 2, &mut frame);
        for end in 0..frame.len() {
            let length = Wire::length(&frame[..end]).expect("a prefix is not an error");
            assert!(length.is_none_or(|l| l == frame.len()), "{wire:?} {end}");
        }
    }
    assert!(Wire::length(b"GET / HTTP/1.1").is_err());
    assert!(Wire::length(&octets("dabbc2000000000000000000ffffffff")).is_err());
}

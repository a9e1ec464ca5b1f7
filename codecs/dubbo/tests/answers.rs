//! Local answers: what a consumer finds in them.
//!
//! The octets themselves were tried with Dubbo 3.3.6 and 2.7.23 consumers; what those throw and
//! how often they call stands in the documentation of `LocalReply`.

mod common;

use common::{decode, frame, message};
use crossdock_dubbo::{Dubbo, HEADER_LEN, Head, LocalReply, inspect};
use crossdock_framework::{
    codec::Codec as _,
    frame::{Frame, Head as _, Kind},
    out::Out,
    status::{Cause, Class, Status},
};
use crossdock_hessian::{Grammar, Limits, Walker};

const CAUSES: [Cause; 17] = [
    Cause::NoRoute,
    Cause::NoCluster,
    Cause::NoHost,
    Cause::Overload,
    Cause::RateLimited,
    Cause::Denied,
    Cause::Fault,
    Cause::DirectResponse,
    Cause::Timeout,
    Cause::ConnectFailed,
    Cause::ConnectionLost,
    Cause::BadRequest,
    Cause::BadResponse,
    Cause::RequestTooLarge,
    Cause::ResponseTooLarge,
    Cause::CannotEdit,
    Cause::Draining,
];

fn answer(mut codec: Dubbo, to: &Frame<Head>, status: &Status) -> Option<Frame<Head>> {
    let mut out = Out::default();
    codec.answer(to, status, &mut out);
    (!out.is_empty()).then(|| decode(&out.to_vec()))
}

/// Class, code and message of the exception in a response.
fn thrown(response: &Frame<Head>) -> (String, i32, String) {
    let body = &response.bytes[HEADER_LEN..];
    let mut walker = Walker::new(body, Grammar::V2, Limits::default());
    assert_eq!(walker.read_int(), Ok(0));
    let (mut code, mut message) = (None, None);
    let mut fields = walker.object().expect("an exception");
    let class = fields.class_name().to_cow().into_owned();
    while let Some(name) = fields.next_field().expect("a field") {
        match &*name.to_cow() {
            "code" => code = fields.value().read_int().ok(),
            "detailMessage" => message = fields.value().read_string().ok(),
            _ => {}
        }
    }
    assert!(walker.at_end());
    let message = message.expect("a message").to_cow().into_owned();
    (class, code.expect("a code"), message)
}

#[test]
fn every_answer_is_a_whole_response_to_the_request() {
    for name in ["jd33_h2_req_echo", "jd33_fj2_req_echo"] {
        let request = frame(name);
        for cause in CAUSES {
            for codec in [
                Dubbo::default(),
                Dubbo::with_local_reply(LocalReply::Status),
            ] {
                let status = Status::new(cause, "中😀 text");
                let response = answer(codec, &request, &status).expect("an answer");
                assert_eq!(response.head.kind(), Kind::Response, "{cause:?}");
                assert_eq!(response.head.id(), request.head.id(), "{cause:?}");
                let seen = inspect(&response);
                assert!(seen.walked, "{cause:?}: {:?}", seen.error);
            }
        }
    }
}

#[test]
fn refusals_are_exceptions_with_the_code_of_their_cause() {
    let request = frame("jd33_h2_req_echo");
    for (cause, code, class) in [
        (Cause::NoRoute, 6, Class::Unavailable),
        (Cause::NoCluster, 6, Class::Unavailable),
        (Cause::NoHost, 6, Class::Unavailable),
        (Cause::Overload, 7, Class::Overload),
        (Cause::RateLimited, 7, Class::Overload),
        (Cause::Denied, 4, Class::Client),
        (Cause::RequestTooLarge, 1, Class::Unavailable),
        (Cause::BadRequest, 5, Class::Codec),
        (Cause::BadResponse, 5, Class::Codec),
        (Cause::ResponseTooLarge, 5, Class::Codec),
        (Cause::CannotEdit, 5, Class::Codec),
    ] {
        let status = Status::new(cause, "why");
        let response = answer(Dubbo::default(), &request, &status).expect("an answer");
        assert_eq!((response.head.flag(), response.head.status()), (0x02, 20));
        let class_name = "org.apache.dubbo.rpc.RpcException".to_owned();
        assert_eq!(
            thrown(&response),
            (class_name, code, "why".to_owned()),
            "{cause:?}"
        );
        assert_eq!(Dubbo::classify(&response), class, "{cause:?}");
    }
}

#[test]
fn a_fastjson2_caller_gets_the_same_in_its_own_words() {
    let request = frame("jd33_fj2_req_echo");
    let status = Status::new(Cause::Overload, "full");
    let response = answer(Dubbo::default(), &request, &status).expect("an answer");
    assert_eq!((response.head.flag(), response.head.status()), (0x17, 20));
    let mut expected =
        b"\0\0\0\x01\0\0\0\0\x39\x92\x6aorg.apache.dubbo.rpc.RpcException\0".to_vec();
    expected.extend(b"\xa6\x4dcode\x07\x50message\x4dfull\xa5");
    assert_eq!(response.bytes[HEADER_LEN..], expected);
    assert_eq!(Dubbo::classify(&response), Class::Overload);
}

#[test]
fn what_another_try_may_get_around_is_a_status() {
    for name in ["jd33_h2_req_echo", "jd33_fj2_req_echo"] {
        let request = frame(name);
        for (cause, octet) in [
            (Cause::Timeout, 31),
            (Cause::ConnectFailed, 80),
            (Cause::ConnectionLost, 80),
            (Cause::Draining, 80),
        ] {
            let status = Status::new(cause, "why");
            let response = answer(Dubbo::default(), &request, &status).expect("an answer");
            assert_eq!(
                (response.head.flag(), response.head.status()),
                (0x02, octet)
            );
            assert_eq!(inspect(&response).text.as_deref(), Some("why"));
        }
    }
}

#[test]
fn rules_answer_by_the_http_status_they_name() {
    let request = frame("jd33_h2_req_echo");
    for (http, code) in [
        (400, 0),
        (403, 4),
        (404, 6),
        (429, 7),
        (500, 1),
        (503, 1),
        (504, 2),
    ] {
        let status = Status {
            http,
            ..Status::new(Cause::Fault, "why")
        };
        let response = answer(Dubbo::default(), &request, &status).expect("an answer");
        assert_eq!(thrown(&response).1, code, "{http}");
    }
    let status = Status {
        http: 200,
        ..Status::new(Cause::DirectResponse, "hello")
    };
    let response = answer(Dubbo::default(), &request, &status).expect("an answer");
    assert_eq!(response.bytes[HEADER_LEN..], *b"\x91\x05hello");
    let fast = answer(Dubbo::default(), &frame("jd33_fj2_req_echo"), &status);
    let fast = fast.expect("an answer");
    assert_eq!(
        fast.bytes[HEADER_LEN..],
        *b"\0\0\0\x01\x01\0\0\0\x06\x4ehello"
    );
}

#[test]
fn a_caller_in_another_serialization_gets_a_status() {
    let request = decode(&message(0xc8, 0, b"\x01\x02\x03"));
    let status = Status::new(Cause::NoRoute, "no route");
    let response = answer(Dubbo::default(), &request, &status).expect("an answer");
    assert_eq!((response.head.flag(), response.head.status()), (0x02, 60));
    assert_eq!(inspect(&response).text.as_deref(), Some("no route"));
    assert_eq!(Dubbo::classify(&response), Class::NotFound);
}

#[test]
fn a_header_is_enough_to_answer() {
    for name in ["jd33_h2_req_echo", "jd33_fj2_req_echo"] {
        let whole = frame(name);
        let request = Frame {
            head: whole.head,
            bytes: whole.bytes.slice(..HEADER_LEN),
        };
        let status = Status::new(Cause::RequestTooLarge, "too large");
        let response = answer(Dubbo::default(), &request, &status).expect("an answer");
        assert_eq!(response.head.id(), request.head.id());
        assert_eq!(response.head.status(), 20);
    }
}

#[test]
fn nothing_but_a_two_way_call_is_answered() {
    let status = Status::new(Cause::NoRoute, "no route");
    for name in [
        "jd33_h2_oneway",
        "jd33_h2_res_echo",
        "jd33_h2_heartbeat",
        "n_dubbo_heartbeat_ack",
        "n_dubbo_event_readonly",
    ] {
        assert!(
            answer(Dubbo::default(), &frame(name), &status).is_none(),
            "{name}"
        );
    }
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let status = Status::new(Cause::NoRoute, "中".repeat(10_000));
    let response = answer(Dubbo::default(), &frame("jd33_h2_req_echo"), &status);
    let (_, _, text) = thrown(&response.expect("an answer"));
    assert_eq!(text, "中".repeat(8 * 1024 / 3));
}

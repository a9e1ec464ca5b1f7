//! What a peer can do: a list of calls with what has to come of them, by the way named `default`. The same list
//! runs without the gateway and through it, which must make no difference.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Answer, Consumer, Tally, eventually};

/// A payload well below every limit.
pub const MIB: usize = 1 << 20;
/// A payload over the 8 MiB that Dubbo allows by default.
pub const OVER_LIMIT: usize = 9 * MIB;

/// Long enough for a call to arrive on a busy machine.
const ARRIVAL: Duration = Duration::from_secs(5);
const CALLS: u64 = 1000;
const EMOJI: &str = "\u{1f600}";

/// A Dubbo 3.3 consumer in Java.
pub fn java_dubbo(consumer: &mut Consumer) {
    dubbo(consumer);
    reply_attachments(consumer);
}

/// A Dubbo 2.7 consumer in Java, which shows no attachments of a reply.
pub fn java_dubbo27(consumer: &mut Consumer) {
    dubbo(consumer);
}

fn dubbo(consumer: &mut Consumer) {
    java(consumer);
    business_exception(&consumer.call("fail", json!(["boom"])));
    let unknown = consumer.call_with("nope", json!(["x"]), json!({"mode": "generic"}));
    assert_eq!(unknown.failure(), "RpcException/1", "{unknown:?}");
    // 3.3 and 2.7.
    let words = ["No such method nope", "peer.api.Echo.nope("];
    let told = words.iter().any(|words| unknown.message().contains(words));
    assert!(told, "{unknown:?}");
    generic(consumer);
    assert_eq!(
        consumer
            .call_with("echo", json!(["x"]), json!({"mode": "async"}))
            .value(),
        "x"
    );
    assert_eq!(consumer.call("$echo", json!(["ping"])).value(), "ping");
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert_eq!(late.failure(), "RpcException/2", "{late:?}");
}

/// A SOFARPC client in Java.
pub fn java_sofa(consumer: &mut Consumer) {
    java(consumer);
    reply_attachments(consumer);
    for mode in ["sync", "future", "callback"] {
        assert_eq!(
            consumer
                .call_with("echo", json!(["x"]), json!({"mode": mode}))
                .value(),
            "x"
        );
        business_exception(&consumer.call_with("fail", json!(["boom"]), json!({"mode": mode})));
    }
    let unknown = consumer.call_with("nope", json!(["x"]), json!({"mode": "generic"}));
    assert_eq!(unknown.failure(), "SofaRpcException/199", "{unknown:?}");
    assert!(
        unknown
            .message()
            .contains("Cannot find invoke method: [nope]"),
        "{unknown:?}"
    );
    generic(consumer);
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert_eq!(late.failure(), "SofaTimeOutException/200", "{late:?}");
}

/// A raw Bolt client in Java.
pub fn java_bolt(consumer: &mut Consumer) {
    java(consumer);
    reply_attachments(consumer);
    let failed = consumer.call("fail", json!(["boom"]));
    assert_eq!(failed.failure(), "InvokeServerException/-1", "{failed:?}");
    assert!(failed.caused_by("RpcServerException"), "{failed:?}");
    assert_eq!(
        consumer
            .call_with("echo", json!(["x"]), json!({"mode": "callback"}))
            .value(),
        "x"
    );
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert_eq!(late.failure(), "InvokeTimeoutException/-1", "{late:?}");
}

/// A client on Node, over Bolt or Dubbo.
pub fn node(consumer: &mut Consumer) {
    common(consumer);
    assert_eq!(consumer.call("blob", json!([MIB])).value()["octets"], MIB);
    long_text(consumer);
    let failed = consumer.call("fail", json!(["boom"]));
    assert!(failed.message().contains("boom"), "{failed:?}");
    assert!(!consumer.call("nope", json!([])).ok());
    one_way(consumer, &json!({"mode": "oneway"}));
    attachments(consumer);
}

/// A Bolt client in Python.
pub fn python_bolt(consumer: &mut Consumer) {
    common(consumer);
    long_text(consumer);
    assert!(!consumer.call("fail", json!(["boom"])).ok());
    assert!(!consumer.call("nope", json!(["x"])).ok());
    one_way(consumer, &json!({"mode": "oneway"}));
    attachments(consumer);
}

/// A Dubbo client on Node or in Python before a provider in Java. [`late`] is not in it and has to come last: the
/// client in Python reads no more once an answer comes that it no longer waits for.
pub fn dubbo_of_others(consumer: &mut Consumer) {
    plain(consumer);
    many(consumer);
    let failed = consumer.call("fail", json!(["boom"]));
    assert!(failed.message().contains("boom"), "{failed:?}");
    one_way(consumer, &json!({"mode": "oneway"}));
    attachments(consumer);
    let generic = json!({"mode": "generic"});
    assert_eq!(
        consumer
            .call_with("echo", json!(["x"]), generic.clone())
            .value(),
        "x"
    );
    let failed = consumer.call_with("fail", json!(["boom"]), generic.clone());
    assert!(failed.message().contains("boom"), "{failed:?}");
    let unknown = consumer.call_with("nope", json!(["x"]), generic);
    assert!(unknown.message().contains("nope"), "{unknown:?}");
}

/// Sends a payload over the limit, with further keys as in [`Consumer::call_with`], and returns what came of it.
/// The answer may be there before the payload has left: until it has, SOFABolt refuses calls on that connection
/// ("write overflow"), so this waits for a call that works.
pub fn request_over_limit(consumer: &mut Consumer, more: &Value) -> Answer {
    over_limit(consumer, ("size", json!([{"octets": OVER_LIMIT}])), more)
}

/// The same with a text, for callers that write no octets.
pub fn text_over_limit(consumer: &mut Consumer, more: &Value) -> Answer {
    over_limit(consumer, ("echo", json!([{"text": OVER_LIMIT}])), more)
}

fn over_limit(consumer: &mut Consumer, (method, args): (&str, Value), more: &Value) -> Answer {
    let answer = consumer.call_with(method, args, more.clone());
    let works = eventually(ARRIVAL, || {
        consumer
            .call_with("who", json!([]), more.clone())
            .ok()
            .then_some(())
    });
    assert!(works.is_some(), "the connection works after {answer:?}");
    answer
}

/// Asks for an answer over the limit.
pub fn response_over_limit(consumer: &mut Consumer, more: &Value) -> Answer {
    consumer.call_with("blob", json!([OVER_LIMIT]), more.clone())
}

/// What even the smallest client can do: calls, a timeout, and a thousand calls from fifty threads of which each
/// has to get its own answer.
pub fn common(consumer: &mut Consumer) {
    plain(consumer);
    late(consumer);
    many(consumer);
}

/// A call that waits for less time than its answer takes.
pub fn late(consumer: &mut Consumer) {
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert!(!late.ok(), "{late:?}");
}

fn plain(consumer: &mut Consumer) {
    assert_eq!(
        consumer.call("echo", json!(["grüß dich 你好"])).value(),
        "grüß dich 你好"
    );
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
}

fn many(consumer: &mut Consumer) {
    let many =
        json!({"op": "concurrent", "method": "echo", "n": CALLS, "threads": 50, "unique": true});
    all_answered(&consumer.ask(many).tally(), "echo");
}

fn java(consumer: &mut Consumer) {
    common(consumer);
    assert_eq!(consumer.call("echo", json!([EMOJI])).value(), EMOJI);
    let placed = consumer.call("place", json!([{"order": 3}]));
    assert_eq!(placed.value()["whole"], true, "{placed:?}");
    assert_eq!(placed.value()["state"], "placed by v1");
    assert!(
        placed.value()["notes"]["greeting"]
            .as_str()
            .is_some_and(|text| text.ends_with(EMOJI))
    );
    assert_eq!(consumer.call("blob", json!([MIB])).value()["octets"], MIB);
    assert_eq!(consumer.call("size", json!([{"octets": MIB}])).value(), MIB);
    one_way(consumer, &json!({}));
    attachments(consumer);
    let together = json!({"op": "concurrent", "method": "who", "n": CALLS, "mode": "async"});
    all_answered(&consumer.ask(together).tally(), "v1");
}

fn reply_attachments(consumer: &mut Consumer) {
    let answer = consumer.call("headers", json!([]));
    assert_eq!(answer.attachment("peer-reply"), Some("back"), "{answer:?}");
    assert_eq!(answer.attachment("peer-label"), Some("v1"));
}

/// What is sent beside the arguments arrives.
fn attachments(consumer: &mut Consumer) {
    let blue = json!({"attachments": {"tenant": "blue"}});
    let answer = consumer.call_with("headers", json!([]), blue);
    assert_eq!(answer.value()["tenant"], "blue");
}

/// Arrives exactly once.
fn one_way(consumer: &mut Consumer, more: &Value) {
    let fired = |consumer: &mut Consumer| consumer.call("fired", json!([])).value().as_u64();
    let before = fired(consumer).expect("a number");
    let fire = consumer.call_with("fire", json!(["x"]), more.clone());
    assert_eq!(fire.value(), &Value::Null);
    let after = eventually(ARRIVAL, || fired(consumer).filter(|count| *count != before));
    assert_eq!(after, Some(before + 1));
}

fn generic(consumer: &mut Consumer) {
    let answer = consumer.call_with("place", json!([{"order": 2}]), json!({"mode": "generic"}));
    assert_eq!(answer.value()["state"], "placed by v1");
}

fn long_text(consumer: &mut Consumer) {
    let text = consumer.call("echo", json!([{"text": MIB}]));
    assert_eq!(text.value().as_str().map(str::len), Some(MIB));
}

#[track_caller]
fn business_exception(answer: &Answer) {
    assert_eq!(answer.exception(), "peer.api.BizException");
    assert_eq!(answer.message(), "boom");
}

#[track_caller]
fn all_answered(tally: &Tally, value: &str) {
    assert_eq!(tally.answers.get(value), Some(&CALLS), "{tally:?}");
    assert_eq!((tally.failed(), tally.wrong), (0, 0), "{tally:?}");
}

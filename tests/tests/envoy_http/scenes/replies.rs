//! What `local_reply_config` makes of the proxy's own answers, and of nobody else's.

use serde_json::{Value, json};

use crate::{
    ask::{Ask, get, grpc},
    scene::Scene,
};

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        of(
            "reply_text",
            json!({"body_format": {"text_format": "%RESPONSE_CODE% at %REQ(:PATH)%\n"}}),
        ),
        of(
            "reply_typed",
            json!({"body_format": {
                "content_type": "text/html; charset=UTF-8",
                "text_format_source": {"inline_string": "<p>%RESPONSE_CODE% <b>%RESPONSE_FLAGS%</b> %REQ(X-NONE)%</p>"},
            }}),
        ),
        of(
            "reply_json",
            json!({"body_format": {"json_format": {
                "status": "%RESPONSE_CODE%", "path": "%REQ(:PATH)%", "method": "is %REQ(:METHOD)%",
            }}}),
        ),
        of(
            "reply_mapped",
            json!({
                "mappers": [
                    mapper(404, json!({
                        "status_code": 410,
                        "body": {"inline_string": "it is gone \"for\" good"},
                        "headers_to_add": [
                            added("x-plain", "a %REQ(:PATH)%", "APPEND_IF_EXISTS_OR_ADD"),
                            added("content-type", "text/own", "OVERWRITE_IF_EXISTS_OR_ADD"),
                            added("x-none", "b", "OVERWRITE_IF_EXISTS"),
                            added("x-absent", "c", "ADD_IF_ABSENT"),
                        ],
                    })),
                    mapper(503, json!({
                        "status_code": 429,
                        "body": {"inline_string": "come back later"},
                        "body_format_override": {"json_format": {"code": "%RESPONSE_CODE%", "text": "%LOCAL_REPLY_BODY%"}},
                    })),
                    mapper(403, json!({"body": {"inline_string": "no, %RESPONSE_CODE% is no format"}})),
                ],
                "body_format": {"text_format": "<%RESPONSE_CODE%: %LOCAL_REPLY_BODY%>"},
            }),
        ),
        of(
            "reply_first",
            json!({"mappers": [
                {"filter": {"and_filter": {"filters": [status(404, "GE"), status(410, "LE")]}},
                    "body": {"inline_string": "first"}},
                {"filter": status(400, "GE"), "status_code": 599, "body": {"inline_string": "second"}},
            ]}),
        ),
        of(
            "reply_by_flag",
            json!({"mappers": [{
                "filter": {"response_flag_filter": {"flags": ["NR"]}},
                "status_code": 400,
                "body": {"inline_string": "no such path"},
            }]}),
        ),
    ]
}

fn status(code: u32, op: &str) -> Value {
    let value = json!({"default_value": code, "runtime_key": "none"});
    json!({"status_code_filter": {"comparison": {"op": op, "value": value}}})
}

fn mapper(code: u32, mut says: Value) -> Value {
    says["filter"] = status(code, "EQ");
    says
}

fn added(key: &str, value: &str, action: &str) -> Value {
    json!({"header": {"key": key, "value": value}, "append_action": action})
}

fn of(name: &'static str, config: Value) -> Scene {
    let routes = json!([
        {"match": {"path": "/one"}, "route": {"cluster": "v1"}},
        {"match": {"prefix": "/p.Dead/"}, "route": {"cluster": "dead_two"}},
        {"match": {"path": "/dead"}, "route": {"cluster": "dead"}},
        {"match": {"path": "/empty"}, "route": {"cluster": "empty"}},
        {"match": {"path": "/not_you"}, "direct_response": {"status": 403, "body": {"inline_string": "not you"}}},
        {"match": {"path": "/fine"}, "direct_response": {"status": 200, "body": {"inline_string": "fine"}}},
        {"match": {"path": "/moved"}, "redirect": {"path_redirect": "/one"}},
    ]);
    let asks = [
        "/one",
        "/dead",
        "/empty",
        "/not_you",
        "/fine",
        "/moved",
        "/none",
        "/none?q='1'",
    ];
    let asks = asks
        .iter()
        .flat_map(|path| [get(path), get(path).two(), get(path).method("HEAD")]);
    let failing = [
        // What hosts say is theirs.
        get("/one").want("status=404;body=theirs"),
        get("/one").want("status=503"),
        grpc("/p.Dead/Say"),
        grpc("/p.None/Say"),
        grpc("/not_you"),
    ];
    let asks: Vec<Ask> = asks.chain(failing).collect();
    Scene::of(name, routes)
        .manager(json!({"local_reply_config": config}))
        .asks(asks)
}

//! Errors within answers whose status says success: counted where that is wanted.

use serde_json::json;

use crate::{Manner, Scene, Speech, policy};

const SPEECHES: [Speech; 3] = [Speech::Dubbo, Speech::Bolt, Speech::Grpc];

#[test]
fn an_error_within_a_success_ejects_only_where_that_is_wanted() {
    for speech in SPEECHES {
        let mut scene = Scene::start(speech, policy("300s"), &[]);
        scene.hosts[0].turn(Manner::Concealing);
        scene.calls(60);
        assert_eq!(scene.hosts[0].calls(), 20, "{speech:?}");
        assert_eq!(scene.stat("ejections_detected_consecutive_5xx"), 0);

        let counted = [("outlier_concealed_errors", json!(true))];
        let mut scene = Scene::start(speech, policy("300s"), &counted);
        scene.hosts[0].turn(Manner::Concealing);
        scene.calls(60);
        assert_eq!(scene.hosts[0].calls(), 3, "{speech:?}");
        assert_eq!(scene.stat("ejections_enforced_consecutive_5xx"), 1);
    }
}

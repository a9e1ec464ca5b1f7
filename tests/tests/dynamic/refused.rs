//! Files that are wrong.

use std::fs;
use std::process::Command;

use crossdock_tests::Gateway;
use crossdock_tests::fake::Wire;
use serde_json::json;

use crate::none;
use crate::world::{World, host};

/// Its reason stands in the log, in `/config_dump` and in a counter, and the last good one stays.
#[test]
fn a_broken_file_is_refused_whole() {
    let a = host("a");
    let world = World::simple(&a);
    let mut caller = world.client("rpc", Wire::Dubbo);
    caller.until("a");
    let folder = world.gateway.folder().display().to_string();

    world.put_text("rds", "{\"resources\": [");
    world.until("http.rpc.rds.r.update_rejected", 1);
    world.until_logged(&format!("{folder}/rds.json:1:"));
    let routes = world.dump("RoutesConfigDump");
    let route = &routes["dynamic_route_configs"][0];
    assert_eq!(route["route_config"]["name"], "r");
    assert_eq!(route["version_info"], "1");
    let details = route["error_state"]["details"].as_str().expect("why");
    assert!(
        details.starts_with(&format!("{folder}/rds.json:1:")),
        "{details}"
    );
    assert!(route["error_state"]["last_update_attempt"].is_string());

    // One wrong resource among good ones.
    let wrong = json!({"name": "wrong", "address": {"socket_address": {"address": "nowhere", "port_value": 1}}});
    let both = none().listener("rpc", "r").listener("new", "r");
    world.put("lds", &both.other("listener.v3.Listener", wrong), "2");
    world.until("listener_manager.lds.update_rejected", 1);
    let listeners = world.dump("ListenersConfigDump");
    assert_eq!(listeners["version_info"], "1");
    let list = listeners["dynamic_listeners"].as_array().expect("a list");
    let wrong = list
        .iter()
        .find(|it| it["name"] == "wrong")
        .expect("it is shown");
    let details = wrong["error_state"]["details"].as_str().expect("why");
    assert!(details.contains("resources[2]"), "{details}");
    assert_eq!(wrong["error_state"]["version_info"], "2");
    assert_eq!(
        world.page("/listeners?format=json")["listener_statuses"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    world.put("cds", &none().cluster("a").cluster("a"), "2");
    world.until("cluster_manager.cds.update_rejected", 1);
    world.put("eds", &none().endpoints("other", &[&a]), "2");
    world.until("cluster.a.update_rejected", 1);
    assert_eq!(caller.who().as_deref(), Some("a"));
    assert_eq!(world.client("rpc", Wire::Bolt1).who().as_deref(), Some("a"));

    // What comes next is taken, and the reason is gone.
    let b = host("b");
    world.put("eds", &none().endpoints("a", &[&b]), "3");
    caller.until("b");
    world.put("rds", &none().routes("r", "a"), "3");
    world.until("http.rpc.rds.r.update_success", 2);
    let routes = world.dump("RoutesConfigDump");
    assert_eq!(routes["dynamic_route_configs"][0].get("error_state"), None);
}

#[test]
fn fields_without_effect_are_told() {
    let a = host("a");
    let world = World::simple(&a);
    let clusters = none().cluster("a").other(
        "cluster.v3.Cluster",
        json!({"name": "b", "connect_timeout": "1s", "of_tomorrow": 1}),
    );
    world.put("cds", &clusters, "2");
    world.until("cluster_manager.cds.update_success", 2);
    let page = world.page("/unused?format=json");
    let fields = page["unused"].as_array().expect("a list");
    let told = fields
        .iter()
        .any(|field| field["field"] == "resources[1].of_tomorrow");
    assert!(told, "{page}");
}

/// `crossdock validate` reads the files that the bootstrap names, and those that they name.
#[test]
fn validate_reads_the_files_too() {
    let a = host("a");
    let world = World::simple(&a);
    let folder = world.gateway.folder();
    let validate = || {
        let file = folder.join("bootstrap.json");
        let output = Command::new(Gateway::program())
            .args(["validate", "-c"])
            .arg(file)
            .output()
            .expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), text)
    };
    let (code, text) = validate();
    assert_eq!(code, Some(0), "{text}");
    world.put_text("eds", "resources: 1");
    let (code, text) = validate();
    assert_eq!(code, Some(1), "{text}");
    let path = folder.join("eds.json");
    let expected = format!("error: {}:1:", path.display());
    assert!(text.starts_with(&expected), "{text}");
    fs::remove_file(folder.join("lds.json")).expect("it was there");
    let (code, text) = validate();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("dynamic_resources.lds_config"), "{text}");
}

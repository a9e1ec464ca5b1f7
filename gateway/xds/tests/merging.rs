//! `--config-yaml` over a file, and the same configuration in two languages.

use crossdock_xds::bootstrap::{Format, Loaded, Options, load_with, parse};

const FILE: &str = "\
node: { id: a, cluster: shop }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
static_resources:
  clusters:
  - { name: one, connect_timeout: 1s }
  listeners:
  - name: tcp
    address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
    metadata: { filter_metadata: { crossdock: { a: 1 }, other: { b: 2 } } }
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: x
          cluster: one
";

fn merged(over: &str) -> Loaded {
    let options = Options {
        config_yaml: Some(over.into()),
        ..Options::default()
    };
    parse("base.yaml", FILE, Format::Yaml, &options).unwrap_or_else(|rejected| panic!("{rejected}"))
}

#[test]
fn fields_replace_messages_merge_lists_append() {
    let loaded = merged(
        "node: { id: b }\n\
         static_resources: { clusters: [{ name: two, connect_timeout: 2s }] }\n",
    );
    let node = loaded.bootstrap.node.clone().unwrap();
    assert_eq!((node.id.as_str(), node.cluster.as_str()), ("b", "shop"));
    let clusters = loaded.bootstrap.static_resources.unwrap().clusters;
    assert_eq!(
        clusters.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["one", "two"]
    );
}

#[test]
fn each_field_is_found_in_the_text_that_set_it() {
    let loaded = merged(
        "node: { id: b }\n\
         static_resources:\n\
         \x20 clusters:\n\
         \x20 - { name: two, connect_timeout: 2s }\n",
    );
    let at = |path: &str| loaded.locate(path).to_string();
    assert_eq!(at("node.id"), "--config-yaml:1:9");
    assert_eq!(at("node.cluster"), "base.yaml:1:16");
    assert_eq!(at("static_resources.clusters[0].name"), "base.yaml:5:7");
    assert_eq!(at("static_resources.clusters[1].name"), "--config-yaml:4:7");
    assert_eq!(at("static_resources.listeners[0].name"), "base.yaml:7:5");
}

#[test]
fn the_other_member_of_a_oneof_and_an_entry_of_a_map_are_replaced() {
    let options = Options {
        config_yaml: Some("{\"node\": {\"metadata\": {\"y\": 3}}, \"admin\": {\"address\": {\"pipe\": {\"path\": \"/a\"}}}}".into()),
        ..Options::default()
    };
    let base = "node: { metadata: { x: { deep: 1 }, y: 2 } }\n\
                admin: { address: { socket_address: { address: h, port_value: 1 } } }\n";
    let loaded = parse("base.yaml", base, Format::Yaml, &options).unwrap();
    let pipe = loaded.locate("admin.address.pipe.path");
    assert_eq!(pipe.to_string(), "--config-yaml:1:65");
    let metadata = loaded.bootstrap.node.clone().unwrap().metadata.unwrap();
    assert_eq!(metadata.fields.len(), 2);
    assert_eq!(
        loaded.locate("node.metadata[\"y\"]").to_string(),
        "--config-yaml:1:24"
    );
    assert_eq!(
        loaded.locate("node.metadata[\"x\"][\"deep\"]").to_string(),
        "base.yaml:1:26"
    );
    // What was replaced is not found any more: the next field around it is.
    let replaced = loaded.locate("admin.address.socket_address.port_value");
    assert_eq!(replaced.to_string(), "base.yaml:2:10");
}

#[test]
fn problems_of_both_texts_are_listed_at_once() {
    let options = Options {
        config_yaml: Some("nod: {}".into()),
        ..Options::default()
    };
    let rejected = parse("base.yaml", "admn: {}", Format::Yaml, &options).unwrap_err();
    let lines: Vec<_> = rejected.problems.iter().map(|p| p.at.to_string()).collect();
    assert_eq!(lines, ["--config-yaml:1:1", "base.yaml:1:1"]);
}

#[test]
fn without_a_file_the_text_is_the_configuration() {
    let options = Options {
        config_yaml: Some(FILE.into()),
        ..Options::default()
    };
    let loaded = load_with(None, &options).unwrap();
    assert_eq!(loaded.bootstrap.node.unwrap().id, "a");
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = "\
node: { id: \"1\", metadata: { text: a, number: 1, fraction: 1.5, truth: true, nothing: ~, list: [1, b] } }
layered_runtime: { layers: [{ name: l, static_layer: { crossdock.x: 0.25 } }] }
static_resources:
  clusters:
  - name: a
    connect_timeout: 0.25s
    lb_policy: MAGLEV
    maglev_lb_config: { table_size: 65537 }
    common_lb_config: { healthy_panic_threshold: { value: 33.5 } }
";
    let json = r#"{
"node": { "id": "1", "metadata": { "text": "a", "number": 1, "fraction": 1.5, "truth": true, "nothing": null, "list": [1, "b"] } },
"layeredRuntime": { "layers": [{ "name": "l", "staticLayer": { "crossdock.x": 2.5e-1 } }] },
"staticResources": { "clusters": [{
    "name": "a", "connectTimeout": "0.250s", "lbPolicy": 5,
    "maglevLbConfig": { "tableSize": "65537" },
    "commonLbConfig": { "healthyPanicThreshold": { "value": "33.5" } } }] } }"#;
    let yaml = parse("f", yaml, Format::Yaml, &Options::default()).unwrap();
    let json = parse("f", json, Format::Json, &Options::default()).unwrap();
    assert_eq!(yaml.bootstrap, json.bootstrap);
    let paths = |loaded: &Loaded| {
        loaded
            .unused
            .iter()
            .map(|u| u.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&yaml), paths(&json));
}

#[test]
fn unknown_fields_are_reported_where_they_are_allowed() {
    let text = "node: { id: a, colour: red }\n";
    let options = Options {
        allow_unknown_fields: true,
        ..Options::default()
    };
    let loaded = parse("f.yaml", text, Format::Yaml, &options).unwrap();
    assert_eq!(
        loaded
            .unused
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["f.yaml:1:16: node.colour: not acted upon: envoy.config.core.v3.Node has no such field"]
    );
}

#[test]
fn words_that_envoy_takes_for_truth_values() {
    let text = "node: { id: n, cluster: on, metadata: { x: off, y: 'off' } }\n\
                static_resources: { clusters: [{ name: a, connection_pool_per_downstream_connection: yes }] }\n";
    let loaded = parse("f.yaml", text, Format::Yaml, &Options::default()).unwrap();
    let node = loaded.bootstrap.node.clone().unwrap();
    assert_eq!((node.id.as_str(), node.cluster.as_str()), ("n", "on"));
    assert!(
        loaded.bootstrap.static_resources.clone().unwrap().clusters[0]
            .connection_pool_per_downstream_connection
    );
    let notes: Vec<_> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "f.yaml:1:13: node.id: `n` is read as a text; Envoy takes it for a truth value and refuses it: put it in quotes",
            "f.yaml:1:25: node.cluster: `on` is read as a text; Envoy takes it for a truth value and refuses it: put it in quotes",
            "f.yaml:1:44: node.metadata[\"x\"]: `off` is read as false, as Envoy does: put it in quotes for the text",
        ]
    );
}

#[test]
fn a_typed_struct_of_a_known_type_is_that_type() {
    let with = |config: &str| {
        let text = format!(
            "static_resources: {{listeners: [{{address: {{socket_address: {{address: h, port_value: 1}}}}, \
             filter_chains: [{{filters: [{{name: tcp, typed_config: {config}}}]}}]}}]}}"
        );
        parse("f.yaml", &text, Format::Yaml, &Options::default())
    };
    let plain = with(
        "{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
         stat_prefix: x, cluster: c}",
    );
    let wrapped = with(
        "{'@type': type.googleapis.com/xds.type.v3.TypedStruct, \
         type_url: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
         value: {stat_prefix: x, cluster: c}}",
    );
    assert_eq!(plain.unwrap().bootstrap, wrapped.unwrap().bootstrap);
    let wrong = with(
        "{'@type': type.googleapis.com/xds.type.v3.TypedStruct, \
         type_url: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, \
         value: {stat_prefx: x}}",
    );
    let problem = wrong.unwrap_err().problems.swap_remove(0);
    assert!(
        problem.path.ends_with("filters[0].typed_config.stat_prefx"),
        "{problem}"
    );
    let foreign = with(
        "{'@type': type.googleapis.com/xds.type.v3.TypedStruct, \
         type_url: type.googleapis.com/example.Filter, value: {}}",
    );
    let problem = foreign.unwrap_err().problems.swap_remove(0);
    assert!(
        problem
            .reason
            .contains("this network filter is not in this version"),
        "{problem}"
    );
}

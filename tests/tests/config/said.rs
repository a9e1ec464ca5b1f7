//! What is said about files that can be served, and about a wrong command line.

use super::run::{Folder, Ran};

const HEAD: &str = r#"static_resources:
  listeners:
  - name: rpc
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    per_connection_buffer_limit_bytes: 65536
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: rpc
          codec_type: HTTP2
"#;

const REST: &str = r#"          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route:
                  cluster: echo
                  request_mirror_policies: [{ cluster: echo }]
                  hedge_policy: { hedge_on_per_try_timeout: true }
  clusters:
  - name: echo
    ignore_health_on_host_removal: true
"#;

#[test]
fn a_good_file_with_every_field_that_is_not_acted_upon() {
    let folder = Folder::with("good.yaml", &[HEAD, REST].concat());
    let route = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config\
                 .virtual_hosts[0].routes[0].route";
    let expected = [
        "warning: good.yaml:5:5: static_resources.listeners[0].per_connection_buffer_limit_bytes: \
         not acted upon: buffers are limited by `crossdock.*` keys",
        "note: good.yaml:12:11: static_resources.listeners[0].filter_chains[0].filters[0]\
         .typed_config.codec_type: without effect: the protocol of each connection is sniffed",
        &format!(
            "warning: good.yaml:21:19: {route}.request_mirror_policies: not acted upon: mirroring \
             is not in this version"
        ),
        &format!(
            "warning: good.yaml:22:19: {route}.hedge_policy: not acted upon: one attempt is made \
             at a time in this version"
        ),
        "warning: good.yaml:25:5: static_resources.clusters[0].ignore_health_on_host_removal: not \
         acted upon: health checks are not in this version; `health_status` is taken as it is",
        "OK: the configuration can be served; 4 fields are not acted upon",
    ];
    for args in [
        ["validate", "-c", "good.yaml"].as_slice(),
        &["--mode", "validate", "-c", "good.yaml"],
        &["--mode", "init_only", "--config-path", "good.yaml"],
    ] {
        let ran = folder.run(args);
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{args:?}");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn both_ways_to_validate_say_the_same_of_a_broken_file() {
    let text = [HEAD, REST]
        .concat()
        .replace("cluster: echo", "cluster: ecko")
        .replace("ignore_health", "type: EDS\n    ignore_health");
    let folder = Folder::with("bad.yaml", &text);
    let said = folder.run(&["validate", "-c", "bad.yaml"]);
    assert_eq!(Ran::errors(&said.stdout).len(), 2, "{}", said.stdout);
    let warnings = said
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning: "));
    assert_eq!(
        warnings.count(),
        4,
        "errors do not hide what is not acted upon"
    );
    let last = said.stdout.lines().last();
    assert_eq!(last, Some("2 errors; the configuration cannot be served"));
    let mode = folder.run(&["--mode", "validate", "-c", "bad.yaml"]);
    assert_eq!((mode.code, &mode.stdout), (Some(1), &said.stdout));
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), ""));
}

#[test]
fn fields_that_envoy_does_not_have_may_be_reported_instead_of_refused() {
    let text = [HEAD, REST].concat().replace(
        "stat_prefix: rpc",
        "stat_prefix: rpc\n          flavour: sweet",
    );
    let folder = Folder::with("odd.yaml", &text);
    let path = "odd.yaml:12:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config\
                .flavour: ";
    let name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager has \
                no such field";
    let refused = folder.run(&["validate", "-c", "odd.yaml"]);
    assert_eq!(Ran::errors(&refused.stdout), [format!("{path}{name}")]);
    assert_eq!(refused.code, Some(1));
    for flag in ["--allow-unknown-static-fields", "--allow-unknown-fields"] {
        let ran = folder.run(&["validate", "-c", "odd.yaml", flag]);
        let said = format!("warning: {path}not acted upon: {name}");
        assert!(
            ran.stdout.lines().any(|line| line == said),
            "{}",
            ran.stdout
        );
        assert_eq!(ran.code, Some(0));
    }
}

#[test]
fn a_word_that_other_readers_take_for_another_type_is_noted() {
    let text = [HEAD, REST]
        .concat()
        .replace("stat_prefix: rpc", "stat_prefix: no");
    let ran = Folder::with("words.yaml", &text).run(&["validate", "-c", "words.yaml"]);
    let about: Vec<_> = ran
        .stdout
        .lines()
        .filter(|line| line.contains("stat_prefix"))
        .collect();
    let note = "note: words.yaml:11:24: static_resources.listeners[0].filter_chains[0].filters[0]\
                .typed_config.stat_prefix: `no` is read as a text; Envoy takes it for a truth value and \
                refuses it: put it in quotes";
    assert_eq!(about, [note]);
}

#[test]
fn there_has_to_be_a_configuration() {
    let folder = Folder::fresh();
    let none = "--config-yaml:1:1: there is no configuration; name a file with -c";
    folder.run(&[]).assert_refused(&[none]);
    let missing = "no.yaml:1:1: cannot be read: No such file or directory (os error 2)";
    folder.run(&["-c", "no.yaml"]).assert_refused(&[missing]);
    let ran = folder.run(&["validate"]);
    assert_eq!((ran.code, Ran::errors(&ran.stdout)), (Some(1), vec![none]));
}

#[test]
fn a_text_that_is_merged_over_the_file_has_places_of_its_own() {
    let folder = Folder::with("good.yaml", &[HEAD, REST].concat());
    let over = "static_resources:\n  clusters:\n  - { name: echo, lb_polcy: MAGLEV }";
    let misspelt = "--config-yaml:3:19: static_resources.clusters[1].lb_polcy: \
                    envoy.config.cluster.v3.Cluster has no such field; did you mean `lb_policy`?";
    folder
        .run(&["-c", "good.yaml", "--config-yaml", over])
        .assert_refused(&[misspelt]);
    let twice = "--config-yaml:3:7: static_resources.clusters[1].name: there are two clusters 'echo'; \
                 rename one of them";
    let over = over.replace(", lb_polcy: MAGLEV", "");
    folder
        .run(&["-c", "good.yaml", "--config-yaml", &over])
        .assert_refused(&[twice]);
}

#[test]
fn an_access_log_that_cannot_be_written_keeps_the_gateway_closed() {
    let log = r#"          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: no/such/folder/calls.log
"#;
    let folder = Folder::with("log.yaml", &[HEAD, log, REST].concat());
    let reason = "log.yaml:17:15: static_resources.listeners[0].filter_chains[0].filters[0].typed_config\
                  .access_log[0].typed_config.path: the file cannot be opened: No such file or directory \
                  (os error 2); give a path that this process may append to";
    folder.run(&["-c", "log.yaml"]).assert_refused(&[reason]);
}

#[test]
fn a_wrong_command_line() {
    let folder = Folder::with("good.yaml", &[HEAD, REST].concat());
    let level =
        "log level 'loud' is unknown; use trace, debug, info, warning, error, critical or off";
    folder
        .run(&["-c", "good.yaml", "-l", "loud"])
        .assert_refused(&[level]);
    let admin = folder.run(&["-c", "good.yaml", "--no-such-flag"]);
    assert_eq!((admin.code, admin.stdout.as_str()), (Some(2), ""));
    assert!(admin.stderr.contains("--no-such-flag"), "{}", admin.stderr);
}

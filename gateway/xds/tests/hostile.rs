//! Files that are made to hurt: an error at a place, in bounded time and memory.

use crossdock_xds::{
    MAX_DEPTH, MAX_FILE_BYTES, MAX_PROBLEMS,
    bootstrap::{Format, Options, parse},
};

fn problem(text: &str, format: Format) -> String {
    let rejected = parse("f", text, format, &Options::default()).expect_err("refused");
    let mut problems = rejected.problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.swap_remove(0).to_string()
}

fn yaml(text: &str) -> String {
    problem(text, Format::Yaml)
}

#[test]
fn a_bomb_of_aliases() {
    let mut text = String::from("node: { metadata: {\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x],\n");
    for level in 1..30 {
        let alias = format!("*l{}, ", level - 1).repeat(10);
        text += &format!(
            "  l{level}: &l{level} [{}],\n",
            alias.trim_end_matches(", ")
        );
    }
    text += "} }\n";
    assert_eq!(
        yaml(&text),
        "f:7:47: more than 1000000 values, aliases counted as what they stand for; \
         split the file, or use fewer aliases"
    );
}

#[test]
fn deep_nesting() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        for depth in [MAX_DEPTH, 200, 300, 100_000] {
            let text = format!(
                "node: {{metadata: {}1{}}}",
                open.repeat(depth),
                close.repeat(depth)
            );
            let said = yaml(&text);
            let expected = ["more than 100 levels", "recursion limit exceeded"];
            assert!(expected.iter().any(|e| said.contains(e)), "{depth}: {said}");
        }
    }
    let block: String = (0..5000).map(|level| " ".repeat(level) + "a:\n").collect();
    assert!(yaml(&block).contains("more than 100 levels"));
    for depth in [MAX_DEPTH, 300, 100_000] {
        let text = format!("{{\"node\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let said = problem(&text, Format::Json);
        let expected = ["more than 100 levels", "maximum nesting depth"];
        assert!(expected.iter().any(|e| said.contains(e)), "{depth}: {said}");
    }
}

#[test]
fn aliases_do_not_add_up_to_more_depth() {
    let deep = "[".repeat(60) + &"]".repeat(60);
    let text = format!("a: &a {deep}\nb: {}*a{}", "[".repeat(60), "]".repeat(60));
    assert!(
        yaml(&text).contains("more than 100 levels"),
        "{}",
        yaml(&text)
    );
}

#[test]
fn too_large() {
    let text = "#".repeat(MAX_FILE_BYTES + 1);
    assert!(yaml(&text).contains("larger than 16777216 bytes"));
}

#[test]
fn many_values() {
    let text = format!(
        "node: {{ node_context_params: [{}] }}",
        "a,".repeat(1_000_001)
    );
    assert!(yaml(&text).contains("more than 1000000 values"));
    let text = format!("{{\"a\": [{}1]}}", "1,".repeat(1_000_001));
    assert!(problem(&text, Format::Json).contains("more than 1000000 values"));
}

#[test]
fn many_problems_are_counted_not_listed() {
    let text: String = (0..50_000).map(|n| format!("field{n}: 1\n")).collect();
    let rejected = parse("f", &text, Format::Yaml, &Options::default()).unwrap_err();
    assert_eq!(rejected.problems.len(), MAX_PROBLEMS + 1);
    assert!(
        rejected
            .to_string()
            .contains("more than 1000 problems; the rest is not listed")
    );
}

#[test]
fn huge_numbers_and_long_words() {
    let digits = "9".repeat(100_000);
    let said = yaml(&format!(
        "static_resources: {{clusters: [{{name: c, maglev_lb_config: {{table_size: {digits}}}}}]}}"
    ));
    assert!(said.contains("out of range") && said.len() < 400, "{said}");
    let said = yaml(
        "static_resources: {clusters: [{name: c, common_lb_config: {healthy_panic_threshold: {value: 1e999999}}}]}",
    );
    assert!(said.contains("1e999999 is out of range"), "{said}");
    let word = "x".repeat(1_000_000);
    assert!(yaml(&format!("{{? {word} : 1}}")).contains("a key of more than 1024 bytes"));
    assert!(yaml(&format!("static_resources: {{clusters: {word}}}")).len() < 400);
}

#[test]
fn bytes_of_all_kinds() {
    for text in [
        "",
        "\0",
        "%",
        "%YAML 3.0\n---\n",
        "\u{feff}",
        "\u{feff}{",
        "&",
        "*",
        "!",
        "|",
        ">",
        "?",
        "- - -",
        "[",
        "]",
        "{",
        "}",
        "{{}}: 1",
        "? [a]\n: b",
        "\"\\ud800\"",
        "'",
        "a: b: c",
        "---\n...\n---\n",
        "@",
        "`",
        "\u{85}",
        "<<: 1",
    ] {
        for format in [Format::Yaml, Format::Json] {
            assert!(
                parse("f", text, format, &Options::default()).is_err(),
                "{text:?} {format:?}"
            );
        }
    }
}

/// Every beginning of a good file is a file or an error, never a panic.
#[test]
fn truncations() {
    for (text, format) in [
        (include_str!("files/hash-policy.yaml"), Format::Yaml),
        (include_str!("files/istio-static.json"), Format::Json),
    ] {
        for end in (0..text.len())
            .step_by(211)
            .filter(|end| text.is_char_boundary(*end))
        {
            let _ = parse("f", &text[..end], format, &Options::default());
        }
    }
}

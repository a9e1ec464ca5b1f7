use super::*;

fn at(line: u32) -> At {
    At {
        line,
        column: line + 10,
    }
}

/// `a.b[1]`, `a.m["x.\"y\\"]`, from two files.
fn sample() -> Positions {
    let mut positions = Positions::new("one.yaml");
    let a = positions.field(Id::ROOT, "a", at(1));
    let b = positions.field(a, "b", at(2));
    positions.item(b, 1, at(3));
    let m = positions.field(a, "m", at(4));
    positions.entry(m, "x.\"y\\", at(5));
    positions.begin_file("two.yaml");
    positions.field(Id::ROOT, "c", at(6));
    positions
}

fn line(path: &str) -> u32 {
    sample().locate(path).line
}

#[test]
fn finds_what_is_set() {
    assert_eq!(line("a"), 1);
    assert_eq!(line("a.b"), 2);
    assert_eq!(line("a.b[1]"), 3);
    assert_eq!(line(r#"a.m["x.\"y\\"]"#), 5);
    assert_eq!(line("a.m"), 4);
    assert_eq!(sample().locate("c").to_string(), "two.yaml:6:16");
}

#[test]
fn falls_back_to_what_lies_around() {
    assert_eq!(line("a.b[0].name"), 2);
    assert_eq!(line("a.b[1].name[3].x"), 3);
    assert_eq!(sample().locate("zzz").to_string(), "one.yaml:1:1");
    assert_eq!(sample().locate("").to_string(), "one.yaml:1:1");
}

#[test]
fn a_plain_key_is_found_as_a_field_too() {
    let mut positions = sample();
    let m = positions.field(Id::ROOT, "m", at(7));
    positions.entry(m, "key", at(8));
    assert_eq!(positions.locate("m.key").line, 8);
    assert_eq!(positions.locate("m[\"key\"]").line, 8);
    assert!(positions.is_set("m.key"));
    assert!(!positions.is_set("m.other"));
    assert!(!positions.is_set("m.key["));
}

#[test]
fn text_that_is_no_path_does_no_harm() {
    for path in [
        "[",
        "[\"",
        "[\"x",
        "[\"x\"",
        "a.b[",
        "a.b[-1]",
        "a.b[99999999999]",
        "..",
        "a..b",
    ] {
        let _ = sample().locate(path);
    }
}

#[test]
fn paths_are_written_as_they_are_read() {
    let mut positions = sample();
    let a = positions.field(Id::ROOT, "a", at(1));
    let m = positions.field(a, "m", at(4));
    let key = positions.entry(m, "x.\"y\\", at(5));
    let path = positions.path(key);
    assert_eq!(path, r#"a.m["x.\"y\\"]"#);
    assert_eq!(positions.locate(&path).line, 5);
}

#[test]
fn what_is_forgotten_can_be_said_anew() {
    let mut positions = sample();
    positions.forget_field(Id::ROOT, "a");
    assert_eq!(positions.locate("a.b[1]").line, 1);
    positions.field(Id::ROOT, "a", at(9));
    assert_eq!(positions.locate("a.b[1]").to_string(), "two.yaml:9:19");
}

//! `crossdock-conformance frames` over the bundled vectors, and over files made here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crossdock_conformance::vectors::{Expected, bundled, load};
use serde_json::{Value, json};

/// The keys of a line, in order.
const KEYS: [&str; 12] = [
    "file", "protocol", "kind", "id", "service", "method", "version", "timeout", "headers",
    "status", "class", "ok",
];

/// The lines that the command prints, and whether it was content.
fn frames(dir: &Path) -> (Vec<Value>, bool) {
    let run = Command::new(env!("CARGO_BIN_EXE_crossdock-conformance"))
        .args(["frames".as_ref(), dir.as_os_str()])
        .output()
        .expect("the command runs");
    let text = String::from_utf8(run.stdout).expect("JSON is UTF-8");
    let lines = text.lines().map(|line| {
        let places = KEYS.map(|key| line.find(&format!("\"{key}\":")));
        assert!(places.is_sorted() && places[0].is_some(), "{line}");
        serde_json::from_str(line).expect("each line is JSON")
    });
    (lines.collect(), run.status.success())
}

/// A directory of its own with these files.
fn dir(name: &str, files: &[(&str, String)]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).expect("the directory is ours");
    for (name, text) in files {
        fs::write(dir.join(name), text).expect("the directory is ours");
    }
    dir
}

/// The hex of a bundled vector, without its first line.
fn hex(name: &str) -> String {
    let text = fs::read_to_string(bundled().join(name).with_extension("hex"));
    let text = text.expect("the vector is bundled");
    text.lines().skip(1).collect()
}

#[test]
fn every_vector_is_well_formed_but_the_one_that_is_not() {
    let (lines, content) = frames(&bundled());
    assert!(!content, "one vector is malformed");
    // 263 files, one of which holds two frames.
    assert_eq!(lines.len(), 264);
    let bad: Vec<&Value> = lines.iter().filter(|line| line["ok"] == false).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0]["file"], "n_dubbo_res_null_malformed.hex");
    assert_eq!(bad[0]["id"], 3);
    let values = lines.iter().filter(|line| line["kind"] == "value");
    assert_eq!(values.clone().count(), 122);
    assert!(values.clone().all(|line| line["protocol"].is_null()));
}

#[test]
fn every_value_is_the_one_that_the_index_tells() {
    let (lines, _) = frames(&bundled());
    let mut compared = 0;
    for vector in load(&bundled()).unwrap() {
        let Some(expected) = vector.expected else {
            continue;
        };
        let line = (lines.iter())
            .find(|line| line["file"] == format!("{}.hex", vector.name))
            .unwrap();
        compare(line, &expected);
        compared += 1;
    }
    assert_eq!(compared, 57);
}

fn compare(line: &Value, expected: &Expected) {
    let text = |name: &str| json!(expected.field(name));
    let number = |name: &str| {
        let field = expected.field(name).filter(|field| *field != "none");
        json!(field.map(|field| field.parse::<i64>().expect("a number")))
    };
    let file = &line["file"];
    for key in ["protocol", "kind", "service", "method", "version"] {
        assert_eq!(line[key], text(key), "{file} {key}");
    }
    for key in ["id", "timeout", "status"] {
        assert_eq!(line[key], number(key), "{file} {key}");
    }
    assert_eq!(line["headers"], json!(expected.headers()), "{file}");
    assert_eq!(line["class"], json!(expected.class()), "{file}");
    assert_eq!(line["ok"], true, "{file}");
}

#[test]
fn headers_stand_in_the_order_of_the_wire() {
    let dir = dir(
        "order",
        &[("a_bolt1.hex", format!("# x\n{}", hex("p_bolt1_pb_req")))],
    );
    let run = Command::new(env!("CARGO_BIN_EXE_crossdock-conformance"))
        .args(["frames".as_ref(), dir.as_os_str()])
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    let places = [
        "sofa_head_target_service",
        "sofa_head_method_name",
        "\"service\":\"com",
        "uid",
    ]
    .map(|name| text.rfind(name).unwrap());
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn frames_of_one_file_give_a_line_each() {
    let all = [
        hex("n_bolt1_h3_req_plus"),
        hex("n_bolt2crc_h4_res_int"),
        hex("jsofa_bolt1_heartbeat"),
    ];
    let dir = dir(
        "several",
        &[("frames.hex", format!("# x | y\n{}\n", all.concat()))],
    );
    let (lines, content) = frames(&dir);
    let seen: Vec<(&Value, &Value)> = (lines.iter())
        .map(|line| (&line["protocol"], &line["kind"]))
        .collect();
    assert!(content);
    assert_eq!(
        json!(seen),
        json!([
            ["bolt1", "request"],
            ["bolt2", "response"],
            ["bolt1", "heartbeat"]
        ])
    );
}

#[test]
fn what_is_broken_is_told_and_the_rest_still_read() {
    let crc = hex("n_bolt2crc_h3_req_plus");
    let wrong_crc = format!("{}00{}", &crc[..crc.len() - 8], hex("n_bolt1_h3_res_int"));
    // The last octet of the checksum is cut off instead: the frame takes it from the next one.
    let flipped = format!(
        "{}ffffffff{}",
        &crc[..crc.len() - 8],
        hex("n_bolt2_heartbeat_ack")
    );
    let short = hex("j_sofa3_sofa_bolt1_req");
    let request = hex("jd33_h2_req_echo");
    // Serialization 31 is unknown to the walker: the body is opaque.
    let opaque = format!("{}df{}", &request[..4], &request[6..]);
    let files = [
        ("a_bolt2crc.hex", format!("# x\n{wrong_crc}")),
        ("b_bolt2crc.hex", format!("# x\n{flipped}")),
        ("c_bolt1.hex", format!("# x\n{}", &short[..short.len() - 2])),
        ("d_dubbo.hex", format!("# x\n{opaque}")),
        ("e_value_h3.hex", "# x\n4d01619178".to_owned()),
        ("f_value_h3.hex", "# x\n4d0161917a".to_owned()),
        ("g_value.hex", "# x\nzz".to_owned()),
        (
            "h_sofa3_body.hex",
            format!("# x\n{}", hex("j_sofa3_sofa_body_req")),
        ),
    ];
    let (lines, content) = frames(&dir("broken", &files));
    assert!(!content);
    let seen: Vec<Value> = (lines.iter())
        .map(|line| json!([line["file"], line["kind"], line["ok"]]))
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["a_bolt2crc.hex", "request", false],
            ["a_bolt2crc.hex", null, false],
            ["b_bolt2crc.hex", "request", false],
            ["b_bolt2crc.hex", "heartbeat-ack", true],
            ["c_bolt1.hex", null, false],
            ["d_dubbo.hex", "request", true],
            ["e_value_h3.hex", "value", false],
            ["f_value_h3.hex", "value", true],
            ["g_value.hex", null, false],
            ["h_sofa3_body.hex", "value", true],
        ])
    );
}

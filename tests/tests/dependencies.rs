//! What Crossdock is built from: licences, duplicates, banned crates. Does cargo-deny's work
//! offline and in a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Licences that may be linked into what is shipped. A crate passes when one side of each of its
/// `OR`s is here, and every part of its `AND`s.
const LICENCES: [&str; 8] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Unicode-3.0",
];

/// Crates that must not come in, however deep, each with its reason.
const BANNED: [(&str, &str); 6] = [
    ("hessian_rs", "GPL-3.0, and a peer can overflow its stack"),
    ("hessian2", "a peer can overflow its stack; corrupts emoji"),
    ("openssl", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("serde_yaml", "no longer kept"),
];

/// Crates that are there in two versions, with the reason.
const DUPLICATES: [(&str, &str); 3] = [
    (
        "syn",
        "procedural macros at build time; not in any artifact",
    ),
    (
        "getrandom",
        "the older one for the keys of TLS, the newer one in tests alone",
    ),
    (
        "base64",
        "the older one for configuration, the newer one in tests alone",
    ),
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("cargo lists packages")
        .clone();
    assert!(packages.len() > 50, "the whole tree is listed");
    packages
}

fn text<'v>(package: &'v Value, key: &str) -> &'v str {
    package[key].as_str().unwrap_or_default()
}

/// SPDX as far as crates use it: `OR` (and the old `/`) over `AND`, with brackets around either.
fn allowed(expression: &str) -> bool {
    let bare = expression.replace(['(', ')'], "");
    let all_of = |part: &str| {
        part.split(" AND ")
            .all(|one| LICENCES.contains(&one.trim()))
    };
    match expression.contains(" AND ") {
        // `(A OR B) AND C`: every part of the conjunction has an allowed side.
        true if expression.starts_with('(') || expression.ends_with(')') => bare
            .split(" AND ")
            .all(|part| part.split(" OR ").any(all_of)),
        _ => bare.replace('/', " OR ").split(" OR ").any(all_of),
    }
}

#[test]
fn every_licence_may_be_shipped() {
    let refused: BTreeMap<_, _> = packages()
        .iter()
        .filter(|package| !allowed(text(package, "license")))
        .map(|package| {
            (
                text(package, "name").to_owned(),
                text(package, "license").to_owned(),
            )
        })
        .collect();
    assert!(refused.is_empty(), "not allowed: {refused:?}");
}

#[test]
fn licence_expressions_are_read() {
    for (expression, expected) in [
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-2.0", false),
        ("MIT/Apache-2.0", true),
        ("", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}

#[test]
fn no_banned_crate_comes_in() {
    for package in packages() {
        let banned = BANNED
            .iter()
            .find(|(name, _)| *name == text(&package, "name"));
        assert!(banned.is_none(), "banned: {banned:?}");
    }
}

#[test]
fn no_crate_comes_in_twice_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let (name, version) = (text(&package, "name"), text(&package, "version"));
        versions
            .entry(name.to_owned())
            .or_default()
            .insert(version.to_owned());
    }
    versions.retain(|name, versions| {
        versions.len() > 1 && !DUPLICATES.iter().any(|(known, _)| known == name)
    });
    // Platform crates are locked for systems that nothing is built for here.
    versions.retain(|name, _| !name.starts_with("windows"));
    assert!(versions.is_empty(), "twice: {versions:?}");
}

/// The walls of the house: who may depend on whom.
#[test]
fn dependencies_run_one_way() {
    let all = packages();
    let ours = |name: &str| -> BTreeSet<String> {
        let package = all.iter().find(|package| text(package, "name") == name);
        let package = package.unwrap_or_else(|| panic!("{name} is a member"));
        let dependencies = package["dependencies"].as_array().expect("a list").iter();
        dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(dependency, "name").to_owned())
            .filter(|dependency| dependency.starts_with("crossdock-"))
            .collect()
    };
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("crossdock-{name}"))
            .collect()
    };
    assert_eq!(ours("crossdock-framework"), set(&[]));
    assert_eq!(ours("crossdock-hessian"), set(&[]));
    assert_eq!(ours("crossdock-dubbo"), set(&["framework", "hessian"]));
    assert_eq!(ours("crossdock-bolt"), set(&["framework", "hessian"]));
    assert_eq!(ours("crossdock-routers"), set(&["framework"]));
    assert_eq!(ours("crossdock-xds"), set(&[]));
    assert!(!ours("crossdock-conformance").contains("crossdock-gateway"));
}

//! The policy of the four protocols is the same text, but for hosts, paths and names of clusters.

use std::fs;

use crate::{EXAMPLES, FIRST, SECOND, folder};

/// Words of each protocol's virtual host, and what stands for all of them. The longest come first.
const WORDS: [(&str, [&str; 4]); 5] = [
    ("/FIRST", FIRST),
    ("/SECOND", SECOND),
    (
        "HOST",
        [
            "com.acme.OrderService",
            "com.acme.StockService",
            "web.example",
            "chat.example",
        ],
    ),
    ("CLUSTER-", ["orders-", "stock-", "web-", "chat-"]),
    (
        "- name: NAME",
        [
            "- name: orders",
            "- name: stock",
            "- name: web",
            "- name: chat",
        ],
    ),
];

/// The virtual hosts of a file, without comments.
fn virtual_hosts(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines = text.lines().map(|line| {
        let line = line.split(" #").next().unwrap_or_default();
        line.trim_end()
    });
    let lines = lines.filter(|line| !line.trim_start().starts_with('#') && !line.is_empty());
    let mut lines = lines.skip_while(|line| line.trim() != "virtual_hosts:");
    let depth = indent(lines.next().expect("there are virtual hosts"));
    let start = format!("{}- ", " ".repeat(depth));
    let mut hosts: Vec<String> = Vec::new();
    for line in lines.take_while(|line| line.starts_with(&start) || indent(line) > depth) {
        match hosts.last_mut() {
            Some(host) if !line.starts_with(&start) => *host += &format!("\n{line}"),
            _ => hosts.push(line.to_owned()),
        }
    }
    hosts
}

#[test]
fn policies_are_the_same_word_for_word() {
    for name in EXAMPLES {
        // Routes that change are in a file of their own.
        let files = ["routes.yaml", "yaml"].map(|end| folder().join(format!("{name}.{end}")));
        let text = files.iter().find_map(|file| fs::read_to_string(file).ok());
        let text = text.expect("it is there");
        let hosts = virtual_hosts(&text);
        assert_eq!(hosts.len(), 4, "{name}: {hosts:#?}");
        let policies: Vec<String> = hosts
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let plain = WORDS.iter().fold(host.clone(), |host, (all, words)| {
                    host.replace(words[at], all)
                });
                assert!(plain.contains("domains: [HOST]"), "{name}: {plain}");
                plain
            })
            .collect();
        for policy in &policies {
            assert_eq!(*policy, policies[0], "{name}");
        }
    }
}

//! What is wanted to differ, each with its reason; docs/differences.md says the same to users.

use crate::ask::{Ask, Version, find};

/// A difference that is wanted.
struct Expected {
    /// The scenes that it shows in.
    scenes: &'static [&'static str],
    /// Of which requests, and which lines of what differs.
    of: fn(&Ask, &str) -> bool,
    /// Why.
    because: &'static str,
}

const EDGES: &[&str] = &["edge", "edge_hops", "edge_own", "keep_request_id"];
const NORMALISED: &[&str] = &[
    "normalised",
    "merged",
    "slashes_refused",
    "slashes_redirected",
    "slashes_unescaped",
];

const EXPECTED: &[Expected] = &[
    Expected {
        scenes: EDGES,
        of: |_, line| line.starts_with("seen x-forwarded-for") && line.ends_with("127.0.0.1\")"),
        because: "a caller on this machine is told as it came; Envoy tells an address of the machine",
    },
    Expected {
        scenes: &["host_from_path"],
        of: |ask, _| ask.path.starts_with("/api"),
        because: "an authority that is none is not sent; the path has nothing for it in these requests",
    },
    Expected {
        scenes: NORMALISED,
        of: |ask, _| ask.path.starts_with("/.."),
        because: "a path that leads above its root is refused",
    },
    Expected {
        scenes: &["direct"],
        of: |ask, line| ask.path == "/moved" && line.starts_with("told location"),
        because: "a direct response has the location that is configured; Envoy adds one of its own",
    },
    Expected {
        scenes: &["underscores_refused"],
        of: |ask, _| ask.version == Version::Two,
        because: "a refused stream gets its 400; Envoy resets it without a word",
    },
    Expected {
        scenes: &["broken_one", "timeouts", "not_found"],
        of: |ask, line| {
            is_grpc(ask)
                && ["seen protocol", "seen host", "told content-length"]
                    .iter()
                    .any(|it| line.starts_with(it))
        },
        because: "gRPC is spoken to hosts in HTTP/2, which it needs, where the cluster says nothing",
    },
    Expected {
        scenes: &["timeouts", "grpc_calls"],
        of: |_, line| line.starts_with("seen grpc-timeout"),
        because: "the host is told what is left of the caller's deadline",
    },
    Expected {
        scenes: &["timeouts"],
        of: |_, line| line == "told grpc-status: envoy Some(\"14\"), ours Some(\"4\")",
        because: "a gRPC call that took too long is DEADLINE_EXCEEDED; UNAVAILABLE would be tried again",
    },
    Expected {
        scenes: &["statuses"],
        of: |ask, line| {
            let want = find(&ask.headers, "x-want").unwrap_or_default();
            want.starts_with("header=connection:x-own") && line.starts_with("told x-own")
        },
        because: "what a host's `connection` names belongs to that connection (RFC 9110 section 7.6.1)",
    },
    Expected {
        scenes: &["statuses"],
        of: |_, line| line.starts_with("interim: envoy [], ours [10"),
        because: "interim answers are passed on (RFC 9110 section 15.2); Envoy drops them unless proxy_100_continue",
    },
    Expected {
        scenes: &["broken_one"],
        of: |ask, line| {
            ask.method == "GET" && line.starts_with("hosts: envoy [\"v1\"], ours [\"v1\", \"v1\"]")
        },
        because: "an idempotent request on a connection that had been idle is sent again when it breaks before the answer",
    },
    Expected {
        scenes: &["refused"],
        of: |ask, _| ask.method == "TRACE",
        because: "TRACE is refused: it would tell what others wrote into the request",
    },
    Expected {
        scenes: &["refused"],
        of: |ask, _| ask.path == "*",
        because: "`OPTIONS *` takes the route of /, so that a host can be asked; Envoy has no route for it",
    },
    Expected {
        scenes: &["refused"],
        of: |ask, _| ask.method == "BREW",
        because: "methods are any token",
    },
    Expected {
        scenes: &["refused", "queries"],
        of: |_, line| line.starts_with("told date") || line.starts_with("told server"),
        because: "what cannot be read is answered in the shortest form",
    },
    Expected {
        scenes: &["fault_by_grpc_status", "fault_aborts_by_header"],
        of: |ask, line| {
            !is_grpc(ask)
                && (line.starts_with("status: envoy 200")
                    || line.starts_with("told content-length"))
        },
        because: "a caller that is not of gRPC gets the HTTP status that stands for an abort's gRPC status; Envoy says 200",
    },
    Expected {
        scenes: &["fault_aborts_by_header"],
        of: |ask, _| {
            let wanted = find(&ask.headers, "x-envoy-fault-abort-grpc-request");
            wanted.is_some_and(|wanted| matches!(wanted, "0" | "17"))
        },
        because: "an abort by header has the gRPC status of an error",
    },
];

fn is_grpc(ask: &Ask) -> bool {
    find(&ask.headers, "content-type").is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Scenes that come to something else in sum, and why.
const SUMS: &[(&str, &str)] = &[
    (
        "eject_local",
        "a host that takes connections and breaks them is left out; in Envoy each connection starts the count anew",
    ),
    (
        "eject_dead",
        "a call that could not be sent goes to another host; Envoy fails it until the host is left out",
    ),
];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    wrong: Vec<String>,
    met: Vec<bool>,
}

impl Verdict {
    /// Notes what differs of one request.
    pub(crate) fn note(&mut self, scene: &str, ask: &Ask, found: &[String]) {
        self.met.resize(EXPECTED.len(), false);
        let mut wrong = Vec::new();
        for line in found {
            let known = EXPECTED
                .iter()
                .position(|expected| expected.scenes.contains(&scene) && (expected.of)(ask, line));
            match known {
                Some(at) => self.met[at] = true,
                None => wrong.push(format!("    {line}")),
            }
        }
        if !wrong.is_empty() {
            self.wrong
                .push(format!("{scene}: {ask}\n{}", wrong.join("\n")));
        }
    }

    /// Notes what a scene came to in sum, under Envoy and here, and whether that is the same.
    pub(crate) fn whole(&mut self, scene: &str, same: bool, sums: &impl std::fmt::Debug) {
        let expected = SUMS.iter().any(|(wanted, _)| *wanted == scene);
        if same == expected {
            self.wrong
                .push(format!("{scene}: envoy and ours came to {sums:?}"));
        }
    }

    /// Whether all is as it should be.
    pub(crate) fn finish(self) {
        let unmet: Vec<&str> = EXPECTED
            .iter()
            .zip(&self.met)
            .filter(|(_, met)| !**met)
            .map(|(expected, _)| expected.because)
            .collect();
        assert!(
            self.wrong.is_empty(),
            "{} requests differ:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
        assert!(unmet.is_empty(), "no longer different: {unmet:#?}");
    }
}

//! Configurations that are refused, as an operator meets them: the message of each fault, the exit code, and
//! that nothing was started.
//!
//! `broken/NAME.yaml` (or `.json`) is a file, `NAME.txt` everything that is wrong with it, one a line: place,
//! field, reason and cure. `$PORT`, `$PORT2`, ... and `$ADMIN` stand for ports of the kernel's choice.

mod run;
mod said;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use run::{Folder, Port, Ran};

/// In the order in which they are filled in: longer names first.
const PORTS: [&str; 5] = ["$PORT4", "$PORT3", "$PORT2", "$PORT", "$ADMIN"];

fn broken() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/broken");
    let files = fs::read_dir(folder).expect("it is part of the sources");
    let files = files.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "yaml" || end == "json")
        })
        .collect();
    files.sort();
    files
}

/// Serves nothing and says everything: `crossdock -c FILE` and `crossdock validate -c FILE` alike.
fn check(path: &Path) {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("UTF-8");
    let ports = PORTS.map(|word| (word, Port::reserve()));
    let fill = |text: String| {
        ports.iter().fold(text, |text, (word, port)| {
            text.replace(word, &port.number())
        })
    };
    let read = |path: &Path| fs::read_to_string(path).expect("it is part of the sources");
    let expected = fill(read(&path.with_extension("txt")));
    let expected: Vec<_> = expected.lines().collect();
    let folder = Folder::with(name, &fill(read(path)));
    let watched: Vec<_> = ports.iter().map(|(_, port)| port).collect();

    let served = folder.run_beside(&["-c", name, "--admin-address-path", "admin"], &watched);
    served.assert_refused(&expected);
    assert!(
        !folder.path("admin").exists(),
        "{name}: no admin endpoint was opened"
    );

    let validated = folder.run_beside(&["validate", "-c", name], &watched);
    assert_eq!(Ran::errors(&validated.stdout), expected, "{name}");
    let summary = match expected.len() {
        1 => "1 error; the configuration cannot be served".to_owned(),
        count => format!("{count} errors; the configuration cannot be served"),
    };
    assert_eq!(
        validated.stdout.lines().last(),
        Some(summary.as_str()),
        "{name}"
    );
    assert_eq!(
        (validated.code, validated.stderr.as_str()),
        (Some(1), ""),
        "{name}"
    );
}

#[test]
fn every_broken_file_gives_its_messages_and_starts_nothing() {
    let files = broken();
    assert!(files.len() >= 29, "{} files", files.len());
    for some in files.chunks(4) {
        thread::scope(|scope| {
            for path in some {
                scope.spawn(|| check(path));
            }
        });
    }
}

#[test]
fn an_admin_address_that_cannot_be_written_starts_nothing() {
    let port = Port::reserve();
    let text = bootstrap("$ADMIN", &[listener("one", &port.number())]);
    let admin = Port::reserve();
    let folder = Folder::with("a.yaml", &text.replace("$ADMIN", &admin.number()));
    let args = ["-c", "a.yaml", "--admin-address-path", "no/such/folder"];
    folder.run_beside(&args, &[&port, &admin]).assert_refused(&[
        "cannot write no/such/folder: No such file or directory (os error 2); give \
         --admin-address-path a file that this process may write",
    ]);
}

/// A listener that would serve, at this port.
fn listener(name: &str, port: &str) -> String {
    format!(
        "  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: {name}
          cluster: echo
"
    )
}

fn bootstrap(admin: &str, listeners: &[String]) -> String {
    format!(
        "admin:
  address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }}
static_resources:
  clusters: [{{ name: echo }}]
  listeners:
{}",
        listeners.concat()
    )
}

#[test]
fn a_port_in_use_keeps_every_listener_closed() {
    let listening = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = listening.local_addr().expect("bound");
    let (admin, free) = (Port::reserve(), Port::reserve());
    let in_use = taken.port().to_string();
    let listeners = [
        listener("first", &free.number()),
        listener("second", &in_use),
        listener("third", "0").replace("127.0.0.1", "192.0.2.1"),
    ];
    let folder = Folder::with("taken.yaml", &bootstrap(&admin.number(), &listeners));
    let ran = folder.run_beside(&["-c", "taken.yaml"], &[&admin, &free]);
    let second = format!(
        "listener 'second' cannot listen at {taken}: Address already in use (os error 98); \
         end the process that has it, or give another port"
    );
    let third = "listener 'third' cannot listen at 192.0.2.1:0: Cannot assign requested address \
                 (os error 99); give an address that this machine has";
    ran.assert_refused(&[&second, third]);
    // What the file itself says is right.
    let validated = folder.run(&["validate", "-c", "taken.yaml"]);
    assert_eq!(validated.stdout, "OK: the configuration can be served\n");
    assert_eq!(validated.code, Some(0));
}

#[test]
fn an_admin_port_in_use_keeps_every_listener_closed() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = taken.local_addr().map(|at| (at, taken)).expect("bound");
    let free = Port::reserve();
    let text = bootstrap(
        &taken.0.port().to_string(),
        &[listener("rpc", &free.number())],
    );
    let folder = Folder::with("admin.yaml", &text);
    let reason = format!(
        "the admin endpoint cannot listen at {}: Address already in use (os error 98); \
         end the process that has it, or give another port",
        taken.0
    );
    folder
        .run_beside(&["-c", "admin.yaml"], &[&free])
        .assert_refused(&[&reason]);
}

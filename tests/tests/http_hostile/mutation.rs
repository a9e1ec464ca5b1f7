//! Valid requests, changed at random, before two parsers that are not ours: whatever is passed on is
//! the same to both, and to a third that reads by the letter.
//!
//! `CROSSDOCK_MUTATIONS` is how many are tried (1000 unless said), `CROSSDOCK_SEED` where they begin.

use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Gateway, Process};
use fastrand::Rng;
use serde_json::json;

use crate::backend::{Backend, Reader, Seen};
use crate::client::Client;

/// How many clients try at the same time.
const THREADS: u64 = 4;

/// What is changed.
const VALID: &[&str] = &[
    "GET /a HTTP/1.1\r\nhost: h\r\n\r\n",
    "GET /a?b=c&d HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\nUser-Agent: x/1.0 (y)\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nhost: h\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\nA\r\nllo, world\r\n0\r\nx-sum: 1\r\n\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n",
    "PUT http://h/a HTTP/1.1\r\nhost: i\r\ncontent-length: 2\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\nok",
    "DELETE /a/../b/%2e/c HTTP/1.1\r\nhost: h\r\ncookie: a=1; b=2\r\n\r\n",
    "GET /a HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
];

/// What is put in.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "\0",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "0",
    "-",
    "+",
    "0x",
    "5",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "transfer-encoding:chunked\r\n",
    "content-length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length: 10\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
    " HTTP/1.1\r\n",
    "host: i\r\n",
    "connection: close\r\n",
    "connection: keep-alive\r\n",
    "connection: content-length\r\n",
    " chunked",
    ", chunked",
    "xchunked",
    "\"",
    "\\",
    "#",
    "?",
    "/../",
    "%00",
    "%2f",
    "HTTP/1.0",
    "Expect: 100-continue\r\n",
    "te: trailers\r\n",
    "\r\n folded",
    "x: ",
    "_",
    "CONNECT ",
    "OPTIONS * ",
    "GET ",
];

fn mutate(rng: &mut Rng) -> Vec<u8> {
    let valid = |rng: &mut Rng| VALID[rng.usize(..VALID.len())].as_bytes().to_vec();
    let mut bytes = valid(rng);
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..bytes.len());
        match rng.u8(..10) {
            0 => bytes[at] = rng.u8(..),
            1 => drop(bytes.remove(at)),
            2 => bytes[at] ^= 0x20,
            3 => {
                let end = (at + rng.usize(1..30)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, copy);
            }
            4 => {
                let end = (at + rng.usize(1..10)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let found = bytes.windows(2).skip(at).position(|two| two == b"\r\n");
                if let Some(found) = found {
                    bytes.remove(at + found + rng.usize(..2));
                }
            }
            6 => {
                let other = valid(rng);
                bytes.splice(at..at, other);
            }
            _ => {
                // Where lines begin is where most of it means something.
                let line = bytes.iter().skip(at).position(|byte| *byte == b'\n');
                let to = line.map_or(at, |found| if rng.bool() { at + found + 1 } else { at });
                let piece = PIECES[rng.usize(..PIECES.len())].as_bytes();
                bytes.splice(to..to, piece.iter().copied());
            }
        }
        if bytes.is_empty() {
            return valid(rng);
        }
    }
    bytes
}

/// What one client was told: what a host saw, or a status.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Saw(String),
    Status(u16),
    /// Nothing came, not even the end.
    Silence,
}

fn tell(address: SocketAddr, bytes: &[u8]) -> Vec<Told> {
    let mut client = Client::connect(address);
    client.send(bytes);
    client.half_close();
    let mut told = Vec::new();
    while let Some(answer) = client.answer(false) {
        match (answer.status, answer.field("x-saw")) {
            (100, _) => {}
            (_, Some(saw)) => told.push(Told::Saw(saw.to_owned())),
            (status, None) => told.push(Told::Status(status)),
        }
        if told.len() > 20 {
            break;
        }
    }
    if !client.ended() {
        told.push(Told::Silence);
    }
    told
}

/// Methods that every host knows.
const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// Whether they were told the same. A host may refuse what another takes, and with it all that
/// follows on that connection where the method is not one of those that all know.
fn agree(one: &[Told], other: &[Told]) -> bool {
    let mut pairs = one.iter().zip(other);
    let refused = pairs.by_ref().find_map(|pair| match pair {
        (Told::Saw(one), Told::Saw(other)) if one == other => None,
        (Told::Saw(_), Told::Saw(_)) | (Told::Silence, _) | (_, Told::Silence) => Some(false),
        (Told::Saw(saw), Told::Status(_)) | (Told::Status(_), Told::Saw(saw)) => {
            is_unknown(saw).then_some(true)
        }
        (Told::Status(_), Told::Status(_)) => None,
    });
    let shorter = one.len().min(other.len());
    let next = one.get(shorter).or_else(|| other.get(shorter));
    refused.unwrap_or_else(|| match next {
        None => true,
        Some(Told::Saw(saw)) => is_unknown(saw),
        Some(_) => false,
    })
}

fn is_unknown(saw: &str) -> bool {
    let method = saw.split(' ').next();
    method.is_some_and(|method| !KNOWN.contains(&method))
}

/// Tells what it saw by the letter, and nothing else.
fn by_the_letter(stream: TcpStream, _: &Seen) {
    let mut reader = Reader::new(stream);
    while let Some(start) = reader.line() {
        let Some(fields) = reader.fields() else {
            return;
        };
        let Ok(body) = reader.chunked_or_counted(&fields) else {
            return;
        };
        let start = String::from_utf8_lossy(&start).into_owned();
        let mut told = start.strip_suffix("HTTP/1.1").unwrap_or("? ").to_owned();
        body.iter()
            .for_each(|byte| write!(told, "{byte:02x}").expect("a text"));
        let answer = format!("HTTP/1.1 200 OK\r\nx-saw: {told}\r\ncontent-length: 0\r\n\r\n");
        if reader.stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn hosts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http_hostile/hosts")
}

/// A host on somebody else's parser; nothing if the machine has no such thing.
fn start(name: &str, mut command: Command, logs: &Path) -> Option<(Process, SocketAddr)> {
    let started = Process::start(name, &mut command, logs);
    let ready = started.ok().and_then(|mut process| {
        let line = process.line(Duration::from_secs(60))?;
        let port = line.strip_prefix("READY ")?.trim().parse::<u16>().ok()?;
        Some((process, (Ipv4Addr::LOCALHOST, port).into()))
    });
    if ready.is_none() {
        println!("SKIPPED {name} is not to be had");
        assert!(env::var_os("CROSSDOCK_REQUIRE_PEERS").is_none(), "{name}");
    }
    ready
}

fn gateway(host: SocketAddr) -> Gateway {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]);
    let bootstrap = Bootstrap::at(&["*"], routes).cluster("echo", &[host], json!({}));
    Gateway::start(&bootstrap, &["--concurrency", "1"])
}

#[test]
fn two_parsers_agree_on_what_is_passed_on() {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let count = number("CROSSDOCK_MUTATIONS").unwrap_or(1000);
    let seed = number("CROSSDOCK_SEED").unwrap_or(1);
    let strict = Backend::serving(by_the_letter);
    let mut gateways = vec![gateway(strict.address())];
    let logs = gateways[0].folder().to_owned();
    let mut node = Command::new("node");
    node.arg(hosts().join("node.js"));
    let program = logs.join("host");
    let mut build = Command::new("go");
    build
        .current_dir(hosts().join("go"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(".");
    let _ = build.env("GOFLAGS", "-mod=mod").status();
    let others = [
        start("node", node, &logs),
        start("go", Command::new(&program), &logs),
    ];
    gateways.extend(
        others
            .iter()
            .flatten()
            .map(|(_, address)| gateway(*address)),
    );
    let addresses: Vec<SocketAddr> = gateways.iter().map(Gateway::address).collect();
    let tries: Vec<_> = (0..THREADS)
        .map(|thread| {
            let addresses = addresses.clone();
            thread::spawn(move || {
                compare(&addresses, (thread..count).step_by(THREADS as usize), seed)
            })
        })
        .collect();
    let (mut wrong, mut passed) = (Vec::new(), 0);
    for one in tries {
        let (more, seen) = one.join().expect("it does not panic");
        wrong.extend(more);
        passed += seen;
    }
    assert!(
        wrong.is_empty(),
        "{} disagreements:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        passed > count / 10,
        "{passed} of {count} were passed on: the rest says little"
    );
}

fn compare(
    addresses: &[SocketAddr],
    numbers: impl Iterator<Item = u64>,
    seed: u64,
) -> (Vec<String>, u64) {
    let (mut wrong, mut passed) = (Vec::new(), 0);
    for number in numbers {
        let bytes = mutate(&mut Rng::with_seed(seed << 32 | number));
        let told: Vec<Vec<Told>> = addresses
            .iter()
            .map(|address| tell(*address, &bytes))
            .collect();
        let fine = told.iter().all(|other| agree(&told[0], other));
        let silent = told.iter().flatten().any(|told| *told == Told::Silence);
        if !fine || silent {
            wrong.push(format!("{number}: {}\n    {told:?}", bytes.escape_ascii()));
        }
        passed += u64::from(told[0].iter().any(|told| matches!(told, Told::Saw(_))));
    }
    (wrong, passed)
}

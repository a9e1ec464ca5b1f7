//! The command that runs a peer.

use std::path::Path;
use std::process::Command;

use crate::Kind;

/// What a peer does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Provider,
    Consumer,
}

/// Enough for payloads of a megabyte; small, because several run at once.
pub(crate) const JAVA: &[&str] = &[
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    // Hessian sets the fields of Java's own classes; without these an exception arrives without its message.
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.math=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.time=ALL-UNNAMED",
];

/// The command for a peer that was built in `folder`. `settings` are system properties of a Java peer, such as
/// `bolt.tcp.heartbeat.interval=500`; other peers have none. Files that a framework writes go to `scratch`.
pub(crate) fn command(
    kind: Kind,
    role: Role,
    folder: &Path,
    scratch: &Path,
    settings: &[&str],
) -> Command {
    let mut command = match kind {
        Kind::JavaDubbo | Kind::JavaDubbo27 => java(
            "peer.dubbo",
            role,
            &["dubbo.application.logger=jdk"],
            scratch,
            settings,
        ),
        Kind::JavaSofa => java(
            "peer.sofa",
            role,
            &["invoke.baggage.enable=true"],
            scratch,
            settings,
        ),
        Kind::JavaBolt => java("peer.bolt", role, &[], scratch, settings),
        Kind::Node | Kind::NodeHttp => script("node", &format!("{}.js", word(role))),
        Kind::Python => script("venv/bin/python", &format!("{}.py", word(role))),
        Kind::Go => script("bin/echo", word(role)),
        Kind::JavaGrpc => java("peer.grpc", role, &[], scratch, settings),
        Kind::PythonGrpc | Kind::H2spec | Kind::Envoy => {
            panic!("{} has programs of its own", kind.name())
        }
    };
    command.current_dir(folder);
    command
}

fn java(package: &str, role: Role, own: &[&str], scratch: &Path, settings: &[&str]) -> Command {
    let scratch = scratch.display();
    let mut command = Command::new("java");
    command.args(JAVA);
    // SOFARPC logs below the home directory unless told, Dubbo dumps its threads there.
    command.arg(format!("-Djava.io.tmpdir={scratch}"));
    command.arg(format!("-Dlogging.path={scratch}"));
    command.args(
        own.iter()
            .chain(settings)
            .map(|setting| format!("-D{setting}")),
    );
    command.args(["-cp", "target/classes:target/lib/*"]);
    command.arg(match role {
        Role::Provider => format!("{package}.ProviderMain"),
        Role::Consumer => format!("{package}.ConsumerMain"),
    });
    command
}

fn script(program: &str, file: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(file);
    command
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::Consumer => "consumer",
    }
}

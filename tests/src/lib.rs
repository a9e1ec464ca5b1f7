//! Process-level tests: the binary `crossdock` against real peers.
//!
//! A *peer* is a small program on somebody else's framework (Dubbo, SOFARPC, SOFABolt, their Node and Python
//! kin) that provides or calls one service, `peer.api.Echo`. Peers live in `peers/`, each in a folder with
//! pinned versions, and talk with the tests by lines: see `peers/README.md`.
//!
//! A test reads so: [`Peers::prepare`] builds a kind of peer once per machine (or names what is missing),
//! [`Provider::start`] and [`Consumer::start`] run it, [`Consumer::ask`] gives a command and returns the
//! [`Answer`]. [`Gateway::start`] puts the binary between the two. Everything that is waited for has a limit,
//! and every process ends with the value that stands for it.

mod admin;
mod answer;
mod bootstrap;
mod build;
pub mod calls;
mod deadline;
pub mod fake;
mod gateway;
mod launch;
mod peers;
mod process;
pub mod quartet;
mod tap;
mod turn;
mod unused_port;

pub use admin::get;
pub use answer::{Answer, Tally};
pub use bootstrap::Bootstrap;
pub use deadline::{Deadline, eventually};
pub use gateway::Gateway;
pub use peers::{CASES, Certificates, Consumer, InteropServer, Peers, Provider, Report, Tool};
pub use process::{End, Process};
pub use tap::Tap;
pub use turn::Turn;
pub use unused_port::UnusedPort;

/// The kinds of peers, by the folder that each lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Dubbo 3.3 in Java: provider and consumer, hessian2 and fastjson2.
    JavaDubbo,
    /// Apache Dubbo 2.7 in Java: provider and consumer, hessian2.
    JavaDubbo27,
    /// SOFARPC in Java over Bolt v1: provider and consumer.
    JavaSofa,
    /// SOFABolt in Java without SOFARPC: server and client, v1 and v2 with and without CRC.
    JavaBolt,
    /// sofa-rpc-node: provider and consumer of Bolt v1, v2 with CRC, and Dubbo.
    Node,
    /// anthunder (Bolt, octets) and dubbo-ssl-python (Dubbo client).
    Python,
    /// grpc-go: provider and consumer, and the interoperability programs.
    Go,
    /// grpc-java: a provider, and the interoperability programs.
    JavaGrpc,
    /// grpcio: the interoperability programs.
    PythonGrpc,
    /// An HTTP server with WebSocket, and a WebSocket client, on Node.
    NodeHttp,
    /// The conformance client for HTTP/2 of that name.
    H2spec,
    /// Envoy, which reads the same files.
    Envoy,
}

impl Kind {
    /// The name of the folder below `peers/`, and of the kind in everything that is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::JavaDubbo => "java-dubbo",
            Self::JavaDubbo27 => "java-dubbo27",
            Self::JavaSofa => "java-sofa",
            Self::JavaBolt => "java-bolt",
            Self::Node => "node",
            Self::Python => "python",
            Self::Go => "go",
            Self::JavaGrpc => "java-grpc",
            Self::PythonGrpc => "python-grpc",
            Self::NodeHttp => "node-http",
            Self::H2spec => "h2spec",
            Self::Envoy => "envoy",
        }
    }
}

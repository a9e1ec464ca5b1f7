//! Sample services of four protocols and callers of them, for `quickstart` and `example`.
//!
//! A service says which version it is, and a caller tells what came back in the words of its own
//! protocol.

pub(crate) mod calls;
pub(crate) mod framed;
pub(crate) mod grpc;
pub(crate) mod table;
pub(crate) mod web;
pub(crate) mod wire;

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

/// The longest that a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where services listen, by the ports that stand for them in a configuration.
pub(crate) type Ports = Vec<(&'static str, SocketAddr)>;

/// The configuration with the ports that services really have. The kernel chose them, so that
/// nothing has to be free.
pub(crate) fn place(config: &str, ports: &Ports) -> String {
    ports
        .iter()
        .fold(config.to_owned(), |config, (configured, address)| {
            config.replace(
                &format!("port_value: {configured}}}"),
                &format!("port_value: {}}}", address.port()),
            )
        })
}

/// What a sample service is, and whether it can be relied upon.
#[derive(Debug)]
pub(crate) struct Service {
    version: &'static str,
    flaky: bool,
    calls: AtomicU64,
}

impl Service {
    /// A service that answers every call.
    pub(crate) fn steady(version: &'static str) -> Self {
        Self {
            version,
            flaky: false,
            calls: AtomicU64::new(0),
        }
    }

    /// A service that fails every other call, the first one too, in its protocol's own way.
    pub(crate) fn flaky(version: &'static str) -> Self {
        Self {
            flaky: true,
            ..Self::steady(version)
        }
    }

    /// Whether the call that has come fails.
    fn fails(&self) -> bool {
        self.flaky && self.calls.fetch_add(1, Relaxed).is_multiple_of(2)
    }

    /// What it says when it has done something.
    fn done(&self, what: &str) -> String {
        format!("{what} by {}", self.version)
    }
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    /// How the call ended, in the words of its protocol: `status 20 OK`, `504 Gateway Timeout`.
    pub(crate) outcome: String,
    /// The version of the service that answered; nothing where no service did, or one that failed.
    pub(crate) by: Option<String>,
}

impl Told {
    fn failed(outcome: impl Into<String>) -> Self {
        Self {
            outcome: outcome.into(),
            by: None,
        }
    }

    /// An answer with what [`Service::done`] says.
    fn done(outcome: impl Into<String>, text: &str) -> Self {
        let by = text.rsplit_once(" by ");
        Self {
            outcome: outcome.into(),
            by: by.map(|(_, version)| version.trim_end().to_owned()),
        }
    }
}

/// Connects to the gateway.
async fn connect(gateway: SocketAddr) -> Result<TcpStream, String> {
    let connected = async {
        let socket = TcpStream::connect(gateway).await?;
        // A caller waits for each answer before it goes on.
        socket.set_nodelay(true)?;
        Ok::<_, io::Error>(socket)
    };
    let socket = connected.await;
    socket.map_err(|error| format!("cannot connect to the gateway: {error}"))
}

/// Takes the next connection of a service; nothing when there will be no more.
async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let (socket, _) = listener.accept().await.ok()?;
    // As for callers; one that has gone already is noticed when it is read from.
    let _ = socket.set_nodelay(true);
    Some(socket)
}

/// What went wrong with a call that has no answer at all.
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

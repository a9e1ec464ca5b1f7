//! The same call in four protocols: hosts that do what a call's header `do` says (`do: fail,answer` with a `key` for
//! a call that comes more than once, each time the next), callers that are told the same
//! words of every answer, and a configuration that is the same for all four but for host and path.
//!
//! For what has to hold whatever the protocol is. Nothing here is the gateway's own code, so that both cannot be
//! wrong in the same way.

mod file;
mod frames;
mod grpc;
mod http;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use file::{File, otherwise, when};

use crate::fake::Host;

/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a host takes that was told to be [`Deed::Slow`].
pub const SLOW: Duration = Duration::from_millis(150);

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Dubbo2.
    Dubbo,
    /// SOFARPC over version 1 of Bolt.
    Bolt,
    /// HTTP/1.1.
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dubbo, Self::Bolt, Self::Http, Self::Grpc];

    /// The name of its cluster and virtual host.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dubbo => "dubbo",
            Self::Bolt => "bolt",
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// What its callers call: the interface, or the authority.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Dubbo => "com.acme.DubboEcho",
            Self::Bolt => "com.acme.BoltEcho",
            Self::Http => "http.acme.com",
            Self::Grpc => "grpc.acme.com",
        }
    }

    /// Whether its answers go over a connection that carries other calls at the same time.
    #[must_use]
    pub fn is_framed(self) -> bool {
        matches!(self, Self::Dubbo | Self::Bolt)
    }
}

/// What a host does with a call: the value of the header `do`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Answers well.
    Answer,
    /// Answers well after [`SLOW`].
    Slow,
    /// Answers that it cannot serve.
    Fail,
    /// Answers never.
    Hang,
    /// Closes the connection.
    Cut,
    /// Answers with octets that are no answer, and closes the connection.
    Babble,
    /// Breaks the call off, and the connection where there is no other way.
    Reset,
}

impl Deed {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Slow => "slow",
            Self::Fail => "fail",
            Self::Hang => "hang",
            Self::Cut => "cut",
            Self::Babble => "babble",
            Self::Reset => "reset",
        }
    }

    fn of(word: Option<&str>) -> Self {
        let all = [
            Self::Slow,
            Self::Fail,
            Self::Hang,
            Self::Cut,
            Self::Babble,
            Self::Reset,
        ];
        let found = all.into_iter().find(|deed| Some(deed.word()) == word);
        found.unwrap_or(Self::Answer)
    }
}

/// What a host has seen.
#[derive(Debug, Default)]
struct Log {
    received: AtomicU64,
    /// How often each call has come, by its header `key`.
    tries: Mutex<HashMap<String, usize>>,
}

impl Log {
    /// Notes a call with these headers, and tells what is to be done with it.
    fn take<'h>(&self, header: impl Fn(&str) -> Option<&'h str>) -> Deed {
        self.received.fetch_add(1, Ordering::SeqCst);
        let deeds = header("do").unwrap_or_default();
        let Some(key) = header("key") else {
            return Deed::of(Some(deeds));
        };
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = tries.entry(key.to_owned()).or_default();
        *tries += 1;
        let all: Vec<&str> = deeds.split(',').collect();
        Deed::of(all.get(*tries - 1).or_else(|| all.last()).copied())
    }
}

/// An answer in words that all protocols share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It worked.
    Good,
    /// It did not: the protocol's own status. HTTP's, gRPC's, Dubbo's or Bolt's.
    Failed(u16),
    /// The connection ended instead.
    Gone,
}

/// A host of one protocol. It ends, and its connections with it, when dropped.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    log: Arc<Log>,
    _running: Running,
}

#[derive(Debug)]
enum Running {
    Framed { _host: Host },
    Http { _server: http::Server },
    Grpc { _server: grpc::Server },
}

impl Service {
    /// Starts one on a port of the kernel's choice.
    #[must_use]
    pub fn start(protocol: Protocol) -> Self {
        let log = Arc::<Log>::default();
        let count = Arc::clone(&log);
        let (address, running) = match protocol {
            Protocol::Dubbo | Protocol::Bolt => {
                let host = frames::host(count);
                (host.address(), Running::Framed { _host: host })
            }
            Protocol::Http => {
                let server = http::Server::start(count);
                (server.address, Running::Http { _server: server })
            }
            Protocol::Grpc => {
                let server = grpc::Server::start(count);
                (server.address, Running::Grpc { _server: server })
            }
        };
        Self {
            address,
            log,
            _running: running,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls that have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.log.received.load(Ordering::SeqCst)
    }
}

/// A caller with one connection, which makes one call after the other.
#[derive(Debug)]
pub struct Caller(Line);

#[derive(Debug)]
enum Line {
    Framed(frames::Caller),
    Http(http::Caller),
    Grpc(grpc::Caller),
}

impl Caller {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect(protocol: Protocol, address: SocketAddr) -> Self {
        Self(match protocol {
            Protocol::Dubbo | Protocol::Bolt => {
                Line::Framed(frames::Caller::connect(protocol, address))
            }
            Protocol::Http => Line::Http(http::Caller::connect(address)),
            Protocol::Grpc => Line::Grpc(grpc::Caller::connect(address)),
        })
    }

    /// Makes a call with these headers, or attachments, and waits for its answer.
    ///
    /// # Panics
    /// When nothing comes within [`PATIENCE`].
    #[track_caller]
    pub fn call(&mut self, headers: &[(&str, &str)]) -> Answer {
        let answered = match &mut self.0 {
            Line::Framed(caller) => caller.call(headers),
            Line::Http(caller) => caller.call(headers),
            Line::Grpc(caller) => caller.call(headers),
        };
        answered.unwrap_or_else(|silence| panic!("no answer to {headers:?}: {silence}"))
    }

    /// Makes a call that the host is to treat so.
    #[track_caller]
    pub fn ask(&mut self, deed: Deed) -> Answer {
        self.call(&[("do", deed.word())])
    }

    /// Makes a call and leaves without waiting for its answer.
    pub fn leave(self, headers: &[(&str, &str)]) {
        match self.0 {
            Line::Framed(caller) => caller.leave(headers),
            Line::Http(caller) => caller.leave(headers),
            Line::Grpc(caller) => caller.leave(headers),
        }
    }

    /// Sends octets that break the protocol, and waits for what comes of it.
    pub fn babble(self) -> Answer {
        match self.0 {
            Line::Framed(caller) => caller.babble(),
            Line::Http(caller) => caller.babble(),
            Line::Grpc(_) => Answer::Gone,
        }
    }
}

/// Nothing came in time.
fn silence() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

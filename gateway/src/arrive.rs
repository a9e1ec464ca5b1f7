//! From an accepted socket to the filter chain that serves it: listener filters, the choice of the
//! chain, the TLS handshake.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use crossdock_framework::{codec::Probe, protocol::Io, route::Facts, worker::Worker};
use tokio::net::TcpStream;

use crate::{
    chains::Seen,
    compile::{ChainPlan, ListenFor, Proxied, Serves},
    listen::{ListenerMetric, Site},
    proxied::{self, Introduced, Version},
    serve::{self, first_bytes, read},
    tcp::{self, Arrived, Outcome},
    tls::{Ear, Heard, Hello, MAX_HELLO, ServerTls},
};

/// How HTTP/2 begins where it was not agreed upon before.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The longest method of HTTP that is looked for.
const METHOD: usize = 20;

/// Protocols of RPC are served where HTTP is: a chain that asks for these is theirs too.
const HTTP: [&str; 2] = ["http/1.1", "h2c"];

/// What the listener filters found out.
#[derive(Debug, Default)]
struct Told {
    hello: Option<Box<Hello>>,
    server_name: Option<String>,
    /// Protocols that the connection wants to speak, most wanted first.
    applications: Vec<Box<[u8]>>,
}

/// Serves an accepted connection to its end, and says what became of it where it went on as plain
/// bytes. What TLS tells of it is added to `facts`.
pub(crate) async fn serve(
    site: &Site,
    mut socket: TcpStream,
    facts: &mut Facts,
    worker: &Worker,
) -> Outcome {
    let mut prefix = BytesMut::new();
    // What a connection does once stands in a box of its own: an idle one pays for none of it.
    let inspecting = Box::pin(inspect(site, &mut socket, &mut prefix, facts, worker));
    let Some(told) = inspecting.await else {
        return Outcome::default();
    };
    let ends = facts.ends;
    let seen = Seen {
        local: ends.local,
        peer: ends.peer,
        direct: ends.direct_peer,
        tls: told.hello.is_some(),
        server_name: told.server_name.as_deref(),
        applications: &told.applications,
    };
    let Some(chain) = site.plan().choose(&seen) else {
        site.stats.inc(worker.shard(), ListenerMetric::NoChain);
        tracing::debug!(listener = %site.name, peer = %ends.peer, "no filter chain matches");
        return Outcome::default();
    };
    let mut arrived = Arrived {
        io: Io::Tcp(socket),
        prefix,
        ends,
        tls: None,
        began: facts.began,
        drain: Arc::clone(&chain.drain),
    };
    if let Some(tls) = &chain.tls {
        let shaking = Box::pin(shake_hands(tls, told.hello, arrived, worker));
        arrived = match tokio::time::timeout(chain.handshake, shaking).await {
            Ok(Some(secured)) => secured,
            Ok(None) => return Outcome::default(),
            Err(_) => {
                site.stats.inc(worker.shard(), ListenerMetric::TlsTimeout);
                return Outcome::default();
            }
        };
        facts.tls.clone_from(&arrived.tls);
    }
    match &chain.serves {
        Serves::Rpc(rpc) => serve::serve_rpc(site, rpc, arrived, worker).await,
        Serves::Tcp(plan) => Box::pin(tcp::serve(plan, arrived, worker)).await,
    }
}

/// Runs the listener filters. `None` when there is nothing left to serve.
async fn inspect(
    site: &Site,
    socket: &mut TcpStream,
    prefix: &mut BytesMut,
    facts: &mut Facts,
    worker: &Worker,
) -> Option<Told> {
    let mut told = Told::default();
    // Not the whole plan: a connection that waits holds no chain that is gone meanwhile.
    let inspection = Arc::clone(&site.plan().inspection);
    let port = facts.ends.local.port();
    let concerned = |filter: &&ListenFor| filter.concerns(port);
    let hello = inspection.hello.as_ref().filter(concerned);
    let protocol = inspection.protocol.as_ref().filter(concerned);
    let proxied = inspection.proxied.as_ref().filter(|it| it.concerns(port));
    if hello.is_none() && protocol.is_none() && proxied.is_none() {
        return Some(told);
    }
    // Callers connect long before their first call: the time to look at what they say begins with
    // their first byte.
    let first = first_bytes(socket, prefix, &site.drain, worker);
    let in_time = match tokio::time::timeout(inspection.silence, first).await {
        Ok(Some(())) => {
            let listener = Listening {
                site,
                socket,
                prefix,
                worker,
            };
            let looking = async {
                let mut listener = listener;
                if let Some(proxied) = proxied {
                    listener.introduce(proxied, facts).await?;
                }
                listener.look(hello, protocol.is_some(), &mut told).await
            };
            match tokio::time::timeout(inspection.timeout, looking).await {
                Ok(None) => return None,
                Ok(Some(())) => true,
                Err(_) => false,
            }
        }
        Ok(None) => return None,
        Err(_) => false,
    };
    if in_time {
        return Some(told);
    }
    site.stats
        .inc(worker.shard(), ListenerMetric::DetectTimeout);
    inspection.go_on.then_some(told)
}

/// A connection whose first bytes are looked at.
struct Listening<'l> {
    site: &'l Site,
    socket: &'l mut TcpStream,
    prefix: &'l mut BytesMut,
    worker: &'l Worker,
}

impl Listening<'_> {
    /// Takes the word of a proxy in front for who calls; `None` when the connection goes no further.
    async fn introduce(&mut self, filter: &Proxied, facts: &mut Facts) -> Option<()> {
        let count = |metric| self.site.stats.inc(self.worker.shard(), metric);
        loop {
            match proxied::read(self.prefix, filter) {
                Ok(Introduced::More) => {}
                Ok(Introduced::Absent) => {
                    count(ListenerMetric::ProxyNone);
                    return Some(());
                }
                Ok(Introduced::By(header)) => {
                    count(match header.version {
                        Version::One => ListenerMetric::ProxyOne,
                        Version::Two => ListenerMetric::ProxyTwo,
                    });
                    if let Some((peer, local)) = header.ends {
                        (facts.ends.peer, facts.ends.local) = (peer, local);
                        facts.source = Some(peer);
                    }
                    return self.skip(header.length).await;
                }
                Err(why) => {
                    count(ListenerMetric::ProxyError);
                    tracing::debug!(peer = %facts.ends.peer, "PROXY protocol: {why}");
                    return None;
                }
            }
            self.more().await?;
        }
    }

    /// Takes the header away, however long the rest of it is.
    async fn skip(&mut self, mut length: usize) -> Option<()> {
        while self.prefix.len() < length {
            length -= self.prefix.len();
            self.prefix.clear();
            self.more().await?;
        }
        self.prefix.advance(length);
        // What follows has to be waited for by those who look at it.
        Some(())
    }

    async fn more(&mut self) -> Option<usize> {
        let read = read(self.socket, self.prefix, self.worker).await;
        read.ok().filter(|read| *read > 0)
    }

    /// Finds out what there is to know; `None` when the connection goes no further.
    async fn look(self, hello: Option<&ListenFor>, protocol: bool, told: &mut Told) -> Option<()> {
        let Self {
            site,
            socket,
            prefix,
            worker,
        } = self;
        if let Some(filter) = hello {
            let mut ear = Ear::new(filter.limit);
            match hear(&mut ear, socket, prefix, worker).await? {
                Heard::Hello(hello) => {
                    told.server_name = hello.server_name();
                    told.applications = hello.applications();
                    told.hello = Some(hello);
                    return Some(());
                }
                Heard::TooLong => {
                    site.stats.inc(worker.shard(), ListenerMetric::HelloTooLong);
                    return None;
                }
                Heard::Broken(..) if filter.strict => return None,
                Heard::Broken(..) | Heard::Other | Heard::More => {}
            }
        }
        if protocol {
            loop {
                if let Some(applications) = applications(&site.plan().plans, prefix) {
                    told.applications = applications;
                    break;
                }
                read(socket, prefix, worker)
                    .await
                    .ok()
                    .filter(|read| *read > 0)?;
            }
        }
        Some(())
    }
}

/// Reads until it is clear whether the connection begins with a ClientHello; `None` when the peer
/// leaves before.
async fn hear(
    ear: &mut Ear,
    socket: &mut TcpStream,
    prefix: &mut BytesMut,
    worker: &Worker,
) -> Option<Heard> {
    loop {
        match ear.hear(prefix) {
            Heard::More => {}
            heard => return Some(heard),
        }
        read(socket, prefix, worker)
            .await
            .ok()
            .filter(|read| *read > 0)?;
    }
}

/// Shakes hands with the client of a chain with TLS. `None` when it goes no further, which has been
/// counted.
async fn shake_hands(
    tls: &ServerTls,
    hello: Option<Box<Hello>>,
    mut arrived: Arrived,
    worker: &Worker,
) -> Option<Arrived> {
    let shard = worker.shard();
    let Io::Tcp(mut socket) = arrived.io else {
        return None;
    };
    let mut prefix = std::mem::take(&mut arrived.prefix);
    let hello = match hello {
        Some(hello) => hello,
        None => {
            let mut ear = Ear::new(MAX_HELLO);
            match hear(&mut ear, &mut socket, &mut prefix, worker).await? {
                Heard::Hello(hello) => hello,
                heard => {
                    tls.refuse(heard, &socket, shard);
                    return None;
                }
            }
        }
    };
    let (io, told) = tls.accept(*hello, &prefix, socket, shard).await?;
    Some(Arrived {
        io,
        tls: Some(told),
        ..arrived
    })
}

/// The protocols that plain bytes are of, as ALPN would name them; none when they are of no
/// protocol that a chain of the listener serves. `None` while that is open.
fn applications(plans: &[Arc<ChainPlan>], prefix: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let named = |names: &[&str]| names.iter().map(|name| name.as_bytes().into()).collect();
    if prefix.starts_with(PREFACE) {
        return Some(named(&["h2c"]));
    }
    let method = prefix.iter().take_while(|byte| byte.is_ascii_uppercase());
    let method = method.count();
    if PREFACE.starts_with(prefix) || method == prefix.len() && method <= METHOD {
        return None;
    }
    if (1..=METHOD).contains(&method) && prefix.get(method) == Some(&b' ') {
        return Some(named(&["http/1.1", "http/1.0"]));
    }
    let mut open = false;
    let protocols = plans.iter().flat_map(|plan| match &plan.serves {
        Serves::Rpc(rpc) => rpc.protocols.as_slice(),
        Serves::Tcp(_) => &[],
    });
    for protocol in protocols {
        match protocol.probe(prefix) {
            Probe::Yes => return Some(named(&[protocol.name(), HTTP[0], HTTP[1]])),
            Probe::More => open = true,
            Probe::No => {}
        }
    }
    (!open).then(Vec::new)
}

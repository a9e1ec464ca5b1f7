//! The callers of the examples: one for each protocol, with a connection of its own.

use std::net::SocketAddr;

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;

use crate::sample::{
    Told,
    calls::Caller as Framed,
    grpc, web,
    wire::{Call, Wire},
};

/// What a protocol's virtual host is about, and what its callers say.
#[derive(Debug)]
pub(super) struct Site {
    /// The protocol, for people.
    pub(super) protocol: &'static str,
    /// The name of the virtual host, with which the names of its clusters begin.
    pub(super) name: &'static str,
    /// The authority that callers name.
    pub(super) host: &'static str,
    /// The paths that they ask for.
    pub(super) paths: [&'static str; 2],
    /// What a caller is told when its call worked.
    well: &'static str,
}

impl Site {
    /// A metric of one of its clusters.
    pub(super) fn counter(&self, version: &str, counter: &str) -> String {
        format!("cluster.{}-{version}.{counter}", self.name)
    }

    /// What belongs to this site among one of each, in the order of [`SITES`].
    pub(super) fn among(&self, each: [&'static str; 4]) -> &'static str {
        let all = SITES.iter().zip(each);
        let own = all.filter(|(site, _)| site.name == self.name);
        own.map(|(_, own)| own).next().unwrap_or_default()
    }

    /// What a caller is told when a version has served it.
    pub(super) fn served(&self, version: &str) -> Told {
        Told {
            outcome: self.well.to_owned(),
            by: Some(version.to_owned()),
        }
    }
}

/// One for each protocol.
pub(super) const SITES: [Site; 4] = [
    Site {
        protocol: "Dubbo",
        name: "orders",
        host: "com.acme.OrderService",
        paths: [
            "/com.acme.OrderService/create",
            "/com.acme.OrderService/cancel",
        ],
        well: "status 20 OK",
    },
    Site {
        protocol: "SOFARPC",
        name: "stock",
        host: "com.acme.StockService",
        paths: [
            "/com.acme.StockService/reserve",
            "/com.acme.StockService/release",
        ],
        well: "status 0 SUCCESS",
    },
    Site {
        protocol: "HTTP",
        name: "web",
        host: "web.example",
        paths: ["/hello", "/goodbye"],
        well: "200 OK",
    },
    Site {
        protocol: "gRPC",
        name: "chat",
        host: "chat.example",
        paths: ["/com.acme.Chat/Say", "/com.acme.Chat/Talk"],
        well: "grpc-status 0 OK",
    },
];

/// What a caller asks for: the same of each site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Which of [`Site::paths`].
    pub(super) path: usize,
    /// Attachment, entry of the header map, or header.
    pub(super) header: Option<(&'static str, &'static str)>,
}

impl Ask {
    /// A call of the first path.
    pub(super) const FIRST: Self = Self {
        path: 0,
        header: None,
    };

    /// A call of the second path.
    pub(super) const SECOND: Self = Self {
        path: 1,
        header: None,
    };

    /// The same with a header.
    pub(super) const fn with(self, name: &'static str, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// The path at a site.
    pub(super) fn path_at(self, site: &Site) -> &'static str {
        site.paths.get(self.path).copied().unwrap_or("/")
    }
}

/// A caller.
#[derive(Debug)]
pub(super) enum Caller {
    Dubbo(Framed<Dubbo>),
    Sofarpc(Framed<Bolt>),
    Http(web::Caller),
    Grpc(grpc::Caller),
}

impl Caller {
    /// One for each of [`SITES`].
    pub(super) async fn connect(gateway: SocketAddr) -> Result<[Self; 4], String> {
        Ok([
            Self::Dubbo(Framed::connect(gateway).await?),
            Self::Sofarpc(Framed::connect(gateway).await?),
            Self::Http(web::Caller::connect(gateway).await?),
            Self::Grpc(grpc::Caller::connect(gateway).await?),
        ])
    }

    /// Makes a call at its site, and says what it is told.
    pub(super) async fn call(&mut self, site: &Site, ask: Ask) -> Result<Told, String> {
        let path = ask.path_at(site);
        match self {
            Self::Dubbo(caller) => framed(caller, site, path, ask).await,
            Self::Sofarpc(caller) => framed(caller, site, path, ask).await,
            Self::Http(caller) => caller.get(site.host, path, ask.header).await,
            Self::Grpc(caller) => caller.say(site.host, path, ask.header).await,
        }
    }
}

async fn framed<C: Wire>(
    caller: &mut Framed<C>,
    site: &Site,
    path: &str,
    ask: Ask,
) -> Result<Told, String> {
    let call = Call {
        service: site.host,
        method: path.rsplit('/').next().unwrap_or_default(),
        argument: "42",
        header: ask.header,
    };
    caller.call(&call).await
}

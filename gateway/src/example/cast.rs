//! Sample services and a gateway, started for an example.

use std::net::SocketAddr;

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;
use crossdock_xds::bootstrap::{self, Format};
use std::process::ExitCode;
use tokio::{sync::mpsc, task::JoinHandle};

use super::plays::Example;
use crate::{
    run::{CannotStart, Gateway},
    sample::{self, Ports, Service, framed, grpc, web},
    server::{Order, ProcessSettings},
};

/// A gateway that serves.
#[derive(Debug)]
pub(super) struct Running {
    /// Where its listener is.
    pub(super) gateway: SocketAddr,
    /// Where its admin endpoint is.
    pub(super) admin: SocketAddr,
    orders: mpsc::Sender<Order>,
    serving: JoinHandle<ExitCode>,
}

impl Running {
    /// Starts services of every protocol, and the gateway in front of them with the example's
    /// configuration.
    pub(super) async fn start(
        example: &Example,
        settings: ProcessSettings,
    ) -> Result<Self, Vec<String>> {
        let services = services().await;
        let ports =
            services.map_err(|error| vec![format!("a sample service cannot start: {error}")])?;
        let config = sample::place(example.config, &ports);
        let loaded = bootstrap::parse(example.name, &config, Format::Yaml, &crate::file_options())
            .map_err(|rejected| {
                let problems = rejected.problems.iter();
                problems.map(ToString::to_string).collect::<Vec<_>>()
            })?;
        let gateway = Gateway::start(loaded, settings).await;
        let gateway = gateway.map_err(|CannotStart(lines)| lines)?;
        let bound = gateway.bound();
        let listener = bound.first().map(|listener| listener.address);
        let (Some(address), Some(admin)) = (listener, gateway.admin_address()) else {
            return Err(vec![
                "an example has a listener and an admin endpoint".into(),
            ]);
        };
        Ok(Self {
            gateway: address,
            admin,
            orders: gateway.orders(),
            serving: tokio::spawn(gateway.serve()),
        })
    }

    /// Ends it; whether it ended well.
    pub(super) async fn end(self) -> bool {
        // One that has ended by itself takes no orders.
        let _ = self.orders.send(Order::Quit).await;
        self.ended().await
    }

    /// Waits for its end; whether it ended well.
    pub(super) async fn ended(self) -> bool {
        matches!(self.serving.await, Ok(code) if code == ExitCode::SUCCESS)
    }
}

/// Two versions of each service and a flaky one, and any port for the gateway's own.
async fn services() -> std::io::Result<Ports> {
    let v1 = || Service::steady("v1");
    let v2 = || Service::steady("v2");
    let flaky = || Service::flaky("flaky");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(vec![
        ("9901", any),
        ("10000", any),
        ("20881", framed::start::<Dubbo>(v1()).await?),
        ("20882", framed::start::<Dubbo>(v2()).await?),
        ("20883", framed::start::<Dubbo>(flaky()).await?),
        ("12201", framed::start::<Bolt>(v1()).await?),
        ("12202", framed::start::<Bolt>(v2()).await?),
        ("12203", framed::start::<Bolt>(flaky()).await?),
        ("8081", web::start(v1()).await?),
        ("8082", web::start(v2()).await?),
        ("8083", web::start(flaky()).await?),
        ("50051", grpc::start(v1()).await?),
        ("50052", grpc::start(v2()).await?),
        ("50053", grpc::start(flaky()).await?),
    ])
}

//! Sample services and a gateway, started for an example.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;
use crossdock_xds::bootstrap::{self, Format};
use tokio::{sync::mpsc, task::JoinHandle};

use super::plays::Example;
use crate::{
    run::{CannotStart, Gateway},
    sample::{self, Ports, Service, framed, grpc, web},
    server::{Order, ProcessSettings},
};

/// How long a gateway has to become ready.
const READY: (u32, Duration) = (1000, Duration::from_millis(10));

/// A gateway that serves.
#[derive(Debug)]
pub(super) struct Running {
    /// Where its listener is.
    pub(super) gateway: SocketAddr,
    /// Where its admin endpoint is.
    pub(super) admin: SocketAddr,
    /// The file that the configuration names, if it names one.
    file: Option<File>,
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
        let mut config = sample::place(example.config, &ports);
        let file = match example.file {
            Some((name, text)) => {
                let file = File::new(name, text);
                let file = file.map_err(|error| vec![format!("cannot write {name}: {error}")])?;
                let path = file.path.display().to_string();
                config = config.replace(&format!("examples/{name}"), &path);
                Some(file)
            }
            None => None,
        };
        let options = crate::file_options();
        let loaded = bootstrap::parse(example.name, &config, Format::Yaml, &options).map_err(
            |rejected| {
                let problems = rejected.problems.iter();
                problems.map(ToString::to_string).collect::<Vec<_>>()
            },
        )?;
        let gateway = Gateway::start(loaded, settings).await;
        let gateway = gateway.map_err(|CannotStart(lines)| lines)?;
        let Some(admin) = gateway.admin_address() else {
            return Err(vec!["an example has an admin endpoint".into()]);
        };
        let orders = gateway.orders();
        let serving = tokio::spawn(gateway.serve());
        let address = listener(admin).await.map_err(|text| vec![text])?;
        Ok(Self {
            gateway: address,
            admin,
            file,
            orders,
            serving,
        })
    }

    /// The file that the configuration names, if it names one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Writes a new file beside the one that the configuration names, and moves it into its place.
    pub(super) fn replace_file(&self, text: &str) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("the configuration names no file".into());
        };
        let replaced = file.replace(text);
        replaced.map_err(|error| format!("cannot replace {}: {error}", file.path.display()))
    }

    /// Every counter that has counted something.
    pub(super) async fn metrics(&self) -> Result<BTreeMap<String, u64>, String> {
        let page = web::page(self.admin, "/stats?usedonly&type=Counters").await?;
        let lines = page.lines().filter_map(|line| line.split_once(": "));
        let counters =
            lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Ok(counters.collect())
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

/// Where the listener is, once the gateway serves.
async fn listener(admin: SocketAddr) -> Result<SocketAddr, String> {
    let (looks, pause) = READY;
    for _ in 0..looks {
        if web::page(admin, "/ready").await.is_ok() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    // A line is `NAME::ADDRESS`.
    let listeners = web::page(admin, "/listeners").await?;
    let addresses = listeners.lines().filter_map(|line| line.split_once("::"));
    let mut addresses = addresses.filter_map(|(_, address)| address.parse().ok());
    addresses
        .next()
        .ok_or_else(|| "the gateway has no listener".into())
}

/// A file in a folder of its own, which goes with it.
#[derive(Debug)]
struct File {
    path: PathBuf,
    folder: PathBuf,
}

impl File {
    fn new(name: &str, text: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(format!("crossdock-example-{process}-{count}"));
        fs::create_dir(&folder)?;
        let file = Self {
            path: folder.join(name),
            folder,
        };
        file.replace(text)?;
        Ok(file)
    }

    /// In one step, so that nobody reads half of it.
    fn replace(&self, text: &str) -> io::Result<()> {
        let new = self.folder.join("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
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

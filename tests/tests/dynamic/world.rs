//! A gateway whose resources lie in four files beside its bootstrap, and what they say.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crossdock_tests::fake::{Client, Frame, Host, Kind, Wire};
use crossdock_tests::{Gateway, eventually};
use serde_json::{Value, json};

/// How long is waited for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const TYPES: &str = "type.googleapis.com/envoy.config";
const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// The running gateway. Its files are `lds`, `cds`, `rds` and `eds`, each with `.json`.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
}

/// What a file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources(Vec<Value>);

impl World {
    /// Starts a gateway with these files.
    pub(crate) fn start(files: &[(&str, Resources)]) -> Self {
        let gateway = Gateway::start_with(|folder| {
            for (name, resources) in files {
                put(folder, name, &resources.text(folder, "1"));
            }
            fs::write(folder.join("bootstrap.json"), bootstrap(folder)).expect("writable");
            let file = folder.join("bootstrap.json");
            let args = ["--concurrency", "2", "-c"].map(OsString::from);
            args.into_iter().chain([file.into()]).collect()
        });
        Self { gateway }
    }

    /// A listener `rpc` whose routes send everything to the cluster `a`, which has this host.
    pub(crate) fn simple(host: &Host) -> Self {
        Self::start(&[
            ("eds", Resources::default().endpoints("a", &[host])),
            ("rds", Resources::default().routes("r", "a")),
            ("cds", Resources::default().cluster("a")),
            ("lds", Resources::default().listener("rpc", "r")),
        ])
    }

    /// Moves a new file into place.
    pub(crate) fn put(&self, name: &str, resources: &Resources, version: &str) {
        let folder = self.gateway.folder();
        put(folder, name, &resources.text(folder, version));
    }

    /// Moves any text into place.
    pub(crate) fn put_text(&self, name: &str, text: &str) {
        put(self.gateway.folder(), name, text);
    }

    /// A client of a listener.
    pub(crate) fn client(&self, listener: &str, wire: Wire) -> Caller {
        Caller {
            client: Client::connect(self.gateway.address_of(listener), wire),
            id: Cell::new(0),
        }
    }

    /// Waits until a counter or gauge has this value.
    #[track_caller]
    pub(crate) fn until(&self, name: &str, value: u64) {
        let reached = eventually(PATIENCE, || {
            (self.gateway.stat(name) == value).then_some(())
        });
        let log = self.gateway.process.log_tail();
        let now = self.gateway.stat(name);
        assert!(reached.is_some(), "{name} is {now} and not {value}; {log}");
    }

    /// A page of the admin endpoint as JSON.
    pub(crate) fn page(&self, path: &str) -> Value {
        let (status, body) = self.gateway.admin("GET", path);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// A section of `/config_dump`, such as `ListenersConfigDump`.
    pub(crate) fn dump(&self, section: &str) -> Value {
        let page = self.page("/config_dump?include_eds");
        let kind = format!("type.googleapis.com/envoy.admin.v3.{section}");
        let configs = page["configs"].as_array().expect("sections");
        let section = configs
            .iter()
            .find(|config| config["@type"] == kind.as_str());
        section
            .cloned()
            .unwrap_or_else(|| panic!("no {kind}: {page}"))
    }

    /// Waits until the log says something.
    #[track_caller]
    pub(crate) fn until_logged(&self, text: &str) {
        let said = eventually(PATIENCE, || {
            self.gateway.process.log_tail().contains(text).then_some(())
        });
        let log = self.gateway.process.log_tail();
        assert!(said.is_some(), "{text:?} is not in {log}");
    }
}

fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!(".{name}.new"));
    fs::write(&new, text).expect("the folder can be written");
    fs::rename(new, folder.join(format!("{name}.json"))).expect("the folder can be written");
}

fn file(folder: &Path, name: &str) -> Value {
    json!({"path_config_source": {"path": folder.join(format!("{name}.json"))}})
}

/// A bootstrap that finds everything in files.
pub(crate) fn bootstrap(folder: &Path) -> String {
    let any_port = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let text = json!({
        "node": {"id": "gateway", "cluster": "tests"},
        "admin": {"address": any_port},
        "dynamic_resources": {
            "lds_config": file(folder, "lds"),
            "cds_config": file(folder, "cds"),
        },
    });
    text.to_string()
}

impl Resources {
    fn add(mut self, kind: &str, mut resource: Value) -> Self {
        resource["@type"] = format!("{TYPES}.{kind}").into();
        self.0.push(resource);
        self
    }

    /// A listener on a port of the kernel's choice, with these routes of RDS.
    pub(crate) fn listener(self, name: &str, routes: &str) -> Self {
        let manager = json!({
            "@type": MANAGER,
            "stat_prefix": name,
            "rds": {"route_config_name": routes, "config_source": "FILE rds"},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        });
        let filter = json!({"name": "hcm", "typed_config": manager});
        let listener = json!({
            "name": name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"filters": [filter]}],
        });
        self.add("listener.v3.Listener", listener)
    }

    /// A cluster of EDS.
    pub(crate) fn cluster(self, name: &str) -> Self {
        let cluster = json!({
            "name": name,
            "type": "EDS",
            "connect_timeout": "5s",
            "eds_cluster_config": {"eds_config": "FILE eds"},
        });
        self.add("cluster.v3.Cluster", cluster)
    }

    /// The first resource.
    pub(crate) fn first(&self) -> &Value {
        &self.0[0]
    }

    /// Anything else, the kind as in `cluster.v3.Cluster`.
    pub(crate) fn other(self, kind: &str, resource: Value) -> Self {
        self.add(kind, resource)
    }

    /// The hosts of a cluster.
    pub(crate) fn endpoints(self, cluster: &str, hosts: &[&Host]) -> Self {
        let endpoints = hosts.iter().map(|host| endpoint(host.address()));
        let endpoints = json!([{"lb_endpoints": endpoints.collect::<Vec<_>>()}]);
        let assignment = json!({"cluster_name": cluster, "endpoints": endpoints});
        self.add("endpoint.v3.ClusterLoadAssignment", assignment)
    }

    /// Routes that send everything to one cluster.
    pub(crate) fn routes(self, name: &str, cluster: &str) -> Self {
        let route = json!({"match": {"prefix": "/"}, "route": {"cluster": cluster}});
        let host = json!({"name": "all", "domains": ["*"], "routes": [route]});
        self.add(
            "route.v3.RouteConfiguration",
            json!({"name": name, "virtual_hosts": [host]}),
        )
    }

    /// The file.
    pub(crate) fn text(&self, folder: &Path, version: &str) -> String {
        let mut text = json!({"version_info": version, "resources": self.0}).to_string();
        for name in ["rds", "eds"] {
            let source = file(folder, name).to_string();
            text = text.replace(&format!("\"FILE {name}\""), &source);
        }
        text
    }
}

fn endpoint(address: SocketAddr) -> Value {
    json!({"endpoint": {"address": {"socket_address":
        {"address": address.ip().to_string(), "port_value": address.port()}}}})
}

/// A host that answers every call with its own name.
pub(crate) fn host(name: &'static str) -> Host {
    Host::start(move |mut link| {
        while let Some(frame) = link.take() {
            let well = match frame.kind {
                Kind::Request => link.send(&named(&frame, name)),
                _ => link.answer(&frame),
            };
            if !well {
                return;
            }
        }
    })
}

fn named(frame: &Frame, name: &str) -> Vec<u8> {
    frame.wire.response(frame.id, &format!("<<{name}>>"))
}

/// A client that asks who answers.
pub(crate) struct Caller {
    pub(crate) client: Client,
    id: Cell<u64>,
}

impl Caller {
    /// The name of the host that answers; `None` for an answer that is not good.
    #[track_caller]
    pub(crate) fn who(&mut self) -> Option<String> {
        let id = self.id.get() + 1;
        self.id.set(id);
        let request = self.client.wire().request(id, "<<who>>");
        self.client.write(&request);
        let answer = self.client.recv();
        assert_eq!(answer.id, id, "the answer to this call");
        answer
            .is_good()
            .then(|| answer.token().unwrap_or_default().to_owned())
    }

    /// Calls until this host answers. Every answer has to be good.
    #[track_caller]
    pub(crate) fn until(&mut self, name: &str) {
        let mut last = String::new();
        let reached = eventually(PATIENCE, || {
            last = self.who().expect("no call fails");
            (last == name).then_some(())
        });
        assert!(reached.is_some(), "{last} answers and not {name}");
    }
}

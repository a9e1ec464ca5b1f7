use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::UNIX_EPOCH,
};

use super::*;
use crate::bootstrap::{self, Format};

/// Takes everything but resources with a name that begins with `bad`.
#[derive(Default)]
struct Lenient {
    wanted: Resources,
}

impl Judge for Lenient {
    fn wanted(&self) -> &Resources {
        &self.wanted
    }

    fn consider<M: Discovered>(&mut self, update: &Update<M>) -> Result<Resources, Vec<Problem>> {
        let bad = update
            .changed
            .iter()
            .filter(|it| it.name.starts_with("bad"));
        let bad: Vec<_> = bad
            .map(|it| it.origin.problem(M::NAME_FIELD, "is bad", ""))
            .collect();
        if !bad.is_empty() {
            return Err(bad);
        }
        let mut wanted = self.wanted.clone();
        wanted.take(update);
        Ok(wanted)
    }

    fn want(&mut self, resources: Resources) {
        self.wanted = resources;
    }
}

/// A feed with its files.
struct Fixture {
    folder: PathBuf,
    feed: Feed,
    judge: Lenient,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("crossdock-feed-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

/// Resources of one kind, each the rest of a mapping that begins with its type.
fn file(kind: Kind, resources: &[&str]) -> String {
    let resources = resources.iter();
    let resources = resources.map(|rest| {
        let name = kind.type_name();
        format!("- {{\"@type\": type.googleapis.com/{name}, {rest}}}\n")
    });
    format!(
        "version_info: v\nresources:\n{}",
        resources.collect::<String>()
    )
}

impl Fixture {
    /// LDS and CDS that are empty, and have been read.
    fn new() -> Self {
        let folder = folder();
        fs::write(folder.join("lds.yaml"), "resources: []").unwrap();
        fs::write(folder.join("cds.yaml"), "resources: []").unwrap();
        let text = format!(
            "dynamic_resources:\n  lds_config: {{path: {0}/lds.yaml}}\n  \
             cds_config: {{path_config_source: {{path: {0}/cds.yaml}}}}",
            folder.display()
        );
        let loaded = bootstrap::parse("b", &text, Format::Yaml, &Default::default()).unwrap();
        let mut feed = Feed::new(&loaded, Options::default()).unwrap();
        let mut judge = Lenient::default();
        let reports = feed.start(&mut judge, UNIX_EPOCH).unwrap();
        assert_eq!(reports.len(), 2);
        Self {
            folder,
            feed,
            judge,
        }
    }

    /// Writes files, and has them read. What became of each file.
    fn put(&mut self, files: &[(&str, String)]) -> Vec<String> {
        for (name, text) in files {
            fs::write(self.folder.join(name), text).unwrap();
        }
        let names = files.iter().map(|(name, _)| *name);
        self.read(&names.collect::<Vec<_>>())
    }

    fn read(&mut self, names: &[&str]) -> Vec<String> {
        let sources = self.feed.sources().into_iter();
        let named = |source: &FileSource| names.iter().any(|name| source.path.ends_with(name));
        let sources = sources.filter(named).collect();
        let reports = self.feed.read(&sources, &mut self.judge, UNIX_EPOCH);
        reports.iter().map(|report| self.show(report)).collect()
    }

    fn show(&self, report: &Report) -> String {
        let outcome = match &report.outcome {
            Outcome::Unchanged => "unchanged".to_owned(),
            Outcome::Accepted {
                changed,
                removed,
                unasked,
                ..
            } => format!(
                "+{} -{} ?{}",
                changed.join(","),
                removed.join(","),
                unasked.join(",")
            ),
            Outcome::Refused(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                problems
                    .join("; ")
                    .replace(&format!("{}/", self.folder.display()), "")
            }
        };
        format!("{}: {outcome}", report.kind.service())
    }

    fn wanted<M: Discovered>(&self) -> String {
        let names = M::among(&self.judge.wanted).keys();
        names.map(|name| &**name).collect::<Vec<_>>().join(",")
    }

    fn cluster(&self, name: &str) -> String {
        format!(
            "name: {name}, type: EDS, eds_cluster_config: {{eds_config: {{path_config_source: \
             {{path: {}/eds.yaml}}}}}}",
            self.folder.display()
        )
    }

    fn listener(&self, name: &str, routes: &str) -> String {
        format!(
            "name: {name}, address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}, \
             filter_chains: [{{filters: [{{name: hcm, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
             HttpConnectionManager, stat_prefix: in, rds: {{route_config_name: {routes}, \
             config_source: {{path: {}/rds.yaml}}}}}}}}]}}]",
            self.folder.display()
        )
    }
}

type Cluster = envoy_types::pb::envoy::config::cluster::v3::Cluster;
type Endpoints = envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
type Listener = envoy_types::pb::envoy::config::listener::v3::Listener;
type Routes = envoy_types::pb::envoy::config::route::v3::RouteConfiguration;

#[test]
fn what_is_named_is_read_too_in_the_order_in_which_it_is_needed() {
    let mut fixture = Fixture::new();
    let cds = file(
        Kind::Cluster,
        &[&fixture.cluster("a"), &fixture.cluster("b")],
    );
    let eds = file(
        Kind::Endpoints,
        &["cluster_name: a", "cluster_name: b", "cluster_name: c"],
    );
    let lds = file(Kind::Listener, &[&fixture.listener("l", "r")]);
    let rds = file(Kind::Routes, &["name: r"]);
    let names = ["rds.yaml", "lds.yaml", "eds.yaml", "cds.yaml"];
    let files: Vec<_> = names.into_iter().zip([rds, lds, eds, cds]).collect();
    assert_eq!(
        fixture.put(&files),
        [
            "CDS: +a,b - ?",
            "EDS: +a,b - ?c",
            "LDS: +l - ?",
            "RDS: +r - ?"
        ]
    );
    assert_eq!(fixture.feed.sources().len(), 4);
    let wanted = (fixture.wanted::<Endpoints>(), fixture.wanted::<Routes>());
    assert_eq!(wanted, ("a,b".into(), "r".into()));
    let prefixes = &fixture.feed.demands()[&(Kind::Routes, "r".into())].stat_prefixes;
    assert!(prefixes.contains("in"));
    // Once more the same.
    assert_eq!(
        fixture.read(&names),
        [
            "CDS: unchanged",
            "EDS: unchanged",
            "LDS: unchanged",
            "RDS: unchanged"
        ]
    );
    let counts = fixture.feed.subscriptions().endpoints["a"].counts();
    assert_eq!(
        (counts.attempt, counts.success, counts.no_rebuild),
        (2, 2, 1)
    );

    // Who is gone asks for nothing any more.
    let cds = file(Kind::Cluster, &[&fixture.cluster("b")]);
    let lds = file(Kind::Listener, &[]).replace("resources:\n", "");
    assert_eq!(
        fixture.put(&[("cds.yaml", cds), ("lds.yaml", lds)]),
        ["CDS: + -a ?", "LDS: + -l ?"]
    );
    assert_eq!(fixture.wanted::<Cluster>(), "b");
    let wanted = (fixture.wanted::<Endpoints>(), fixture.wanted::<Routes>());
    assert_eq!(wanted, ("b".into(), String::new()));
    assert_eq!(fixture.feed.sources().len(), 3);
    assert_eq!(fixture.feed.said().count(), 3);
}

#[test]
fn a_broken_file_is_refused_whole() {
    let mut fixture = Fixture::new();
    let good = file(Kind::Cluster, &["name: a"]);
    fixture.put(&[("cds.yaml", good)]);
    let broken = [
        ("resources: [", "cds.yaml:2:1: not YAML: "),
        (
            "of_tomorrow: {}\nresources: 1",
            "cds.yaml:2:12: resources: expected a list",
        ),
        (
            &*file(Kind::Cluster, &["name: good", "name: bad"]),
            "cds.yaml:4:66: resources[1].name: is bad",
        ),
    ];
    for (text, problem) in broken {
        let said = fixture.put(&[("cds.yaml", text.to_owned())]);
        assert_eq!(said.len(), 1);
        let start = format!("CDS: {problem}");
        assert!(said[0].starts_with(&start), "{} for {start}", said[0]);
        assert_eq!(fixture.wanted::<Cluster>(), "a");
    }
    fs::remove_file(fixture.folder.join("cds.yaml")).unwrap();
    assert!(fixture.read(&["cds.yaml"])[0].starts_with("CDS: cds.yaml:1:1: cannot be read"));
    assert_eq!(fixture.wanted::<Cluster>(), "a");
    let subscription = fixture.feed.subscriptions().clusters.as_ref().unwrap();
    let counts = subscription.counts();
    assert_eq!((counts.attempt, counts.success), (6, 2));
    assert_eq!((counts.rejected, counts.failure), (3, 1));
    assert!(
        subscription
            .failure()
            .unwrap()
            .details
            .contains("cannot be read")
    );
    let problems: Vec<_> = fixture
        .feed
        .said()
        .map(|(_, said)| said.problems.len())
        .collect();
    assert_eq!(problems, [1, 0]);
}

#[test]
fn who_is_not_in_a_shared_file_is_told_and_the_others_are_served() {
    let mut fixture = Fixture::new();
    let cds = file(
        Kind::Cluster,
        &[&fixture.cluster("a"), &fixture.cluster("b")],
    );
    let eds = file(Kind::Endpoints, &["cluster_name: b"]);
    let said = fixture.put(&[("eds.yaml", eds), ("cds.yaml", cds)]);
    assert_eq!(
        said,
        [
            "CDS: +a,b - ?",
            "EDS: eds.yaml:2:1: resources: there is no load assignment 'a' among its resources: \
             it has 'b'"
        ]
    );
    assert_eq!(fixture.wanted::<Endpoints>(), "b");
    let subscriptions = &fixture.feed.subscriptions().endpoints;
    let rejected = ["a", "b"].map(|name| subscriptions[name].counts().rejected);
    assert_eq!(rejected, [1, 0]);
}

#[test]
fn a_file_may_come_later() {
    let mut fixture = Fixture::new();
    let cds = file(Kind::Cluster, &[&fixture.cluster("a")]);
    let said = fixture.put(&[("cds.yaml", cds)]);
    assert_eq!(said[0], "CDS: +a - ?");
    assert!(
        said[1].starts_with("EDS: eds.yaml:1:1: cannot be read"),
        "{said:?}"
    );
    let eds = file(Kind::Endpoints, &["cluster_name: a"]);
    assert_eq!(fixture.put(&[("eds.yaml", eds)]), ["EDS: +a - ?"]);
}

#[test]
fn a_source_that_cannot_be_asked_has_its_file_refused() {
    let mut fixture = Fixture::new();
    let other = fixture.listener("m", "r").replace("rds.yaml", "other.yaml");
    let lds = file(Kind::Listener, &[&fixture.listener("l", "r"), &other]);
    let said = fixture.put(&[("lds.yaml", lds)]);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("the route configuration 'r' is to be found in"),
        "{said:?}"
    );
    assert_eq!(fixture.wanted::<Listener>(), "");
}

#[test]
fn a_file_that_is_read_at_intervals_is_looked_at_when_it_differs() {
    let mut fixture = Fixture::new();
    let polled = fixture
        .cluster("a")
        .replace("eds.yaml", "eds.yaml, poll_interval: 1s");
    let eds = file(Kind::Endpoints, &["cluster_name: a"]);
    let cds = file(Kind::Cluster, &[&polled]);
    fixture.put(&[("eds.yaml", eds.clone()), ("cds.yaml", cds)]);
    assert!(fixture.read(&["eds.yaml"]).is_empty());
    let counts = fixture.feed.subscriptions().endpoints["a"].counts();
    assert_eq!(counts.attempt, 1);
    let said = fixture.put(&[("eds.yaml", format!("# other\n{eds}"))]);
    assert_eq!(said, ["EDS: unchanged"]);
}

#[test]
fn what_the_bootstrap_says_has_the_last_word() {
    let folder = folder();
    let cds = file(
        Kind::Cluster,
        &["name: fixed, lb_policy: MAGLEV", "name: other"],
    );
    fs::write(folder.join("cds.yaml"), cds).unwrap();
    let text = format!(
        "dynamic_resources: {{cds_config: {{path: {}/cds.yaml}}}}\n\
         static_resources: {{clusters: [{{name: fixed}}]}}",
        folder.display()
    );
    let loaded = bootstrap::parse("b", &text, Format::Yaml, &Default::default()).unwrap();
    let mut feed = Feed::new(&loaded, Options::default()).unwrap();
    let mut judge = Lenient {
        wanted: Resources::of_bootstrap(&loaded),
    };
    let reports = feed.start(&mut judge, UNIX_EPOCH).unwrap();
    let [report] = &reports[..] else {
        panic!("one file");
    };
    let Outcome::Accepted { shadowed, .. } = &report.outcome else {
        panic!("it is taken");
    };
    assert_eq!(shadowed[..], ["fixed".into()]);
    assert_eq!(judge.wanted.clusters["fixed"].message.lb_policy, 0);
    assert_eq!(judge.wanted.clusters.len(), 2);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_files_of_the_bootstrap_have_to_be_there() {
    let text = "dynamic_resources:\n  lds_config: {path: /no/such/lds.yaml}\n";
    let loaded = bootstrap::parse("b", text, Format::Yaml, &Default::default()).unwrap();
    let problems = Feed::new(&loaded, Options::default()).unwrap_err();
    let problem = problems[0].to_string();
    let start = "b:2:3: dynamic_resources.lds_config: /no/such/lds.yaml cannot be read: ";
    assert!(problem.starts_with(start), "{problem}");
}

//! `kill -9` of one of three hosts under load.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, File, Protocol, Service, otherwise, when};
use crossdock_tests::{Gateway, eventually};
use serde_json::json;

use rustix::process::{Pid, Signal, kill_process};

use crate::WORKERS;

/// Says which protocol a child serves.
const SERVE: &str = "CROSSDOCK_SERVE_AS_HOST";
const CALLERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);

/// A host in a process of its own: this program, told to run [`serves_when_told_to`]. Killed by its id when dropped.
struct Host {
    process: Child,
    address: SocketAddr,
    /// Not read any more, but open: a test that cannot print ends.
    _said: BufReader<ChildStdout>,
}

impl Host {
    fn start(protocol: Protocol) -> Self {
        let mut process = Command::new(env::current_exe().expect("this program"))
            .args(["killed::serves_when_told_to", "--exact", "--nocapture"])
            .env(SERVE, protocol.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(process.stdout.take().expect("a pipe"));
        let address = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("serves at ")?.1.trim().parse().ok())
            .expect("it says where it serves");
        Self {
            process,
            address,
            _said: said,
        }
    }

    /// SIGSTOP: it takes calls, as far as the kernel does, and answers none.
    fn freeze(&self) {
        let id = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        kill_process(id.expect("it has an id"), Signal::STOP).expect("it runs");
    }

    /// `kill -9`.
    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is gone");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The host itself, where this program is told to be one: it serves until it is killed, or its parent has gone.
#[test]
fn serves_when_told_to() {
    let Ok(name) = env::var(SERVE) else { return };
    let mut all = Protocol::ALL.into_iter();
    let protocol = all.find(|protocol| protocol.name() == name);
    let service = Service::start(protocol.expect("one of the four"));
    println!("serves at {}", service.address());
    let mut line = String::new();
    // Ends when the other end of the pipe does.
    while matches!(std::io::stdin().read_line(&mut line), Ok(1..)) {}
}

/// Calls that the gateway has in flight at a host.
fn in_flight(gateway: &Gateway, host: &Host) -> u64 {
    let (_, body) = gateway.admin("GET", "/clusters");
    let name = format!("::{}::rq_active::", host.address);
    let found = body.lines().find_map(|line| line.split_once(&name));
    found
        .and_then(|(_, value)| value.trim().parse().ok())
        .expect("a gauge for each host")
}

/// Calls until told to stop, half of the callers by the route with a policy, and counts those that fail by each.
fn load(protocol: Protocol, address: SocketAddr, stop: &AtomicBool) -> [u64; 3] {
    let [with, without, all] = [(); 3].map(|()| AtomicU64::new(0));
    thread::scope(|scope| {
        for caller in 0..2 * CALLERS {
            let (to, failed) = match caller % 2 {
                0 => ("retried", &with),
                _ => ("once", &without),
            };
            let all = &all;
            scope.spawn(move || {
                let mut caller = Caller::connect(protocol, address);
                while !stop.load(Ordering::Relaxed) {
                    all.fetch_add(1, Ordering::Relaxed);
                    let answer = caller.call(&[("to", to)]);
                    if answer != Answer::Good {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    [with, without, all].map(AtomicU64::into_inner)
}

#[test]
fn the_calls_in_flight_are_all_that_a_killed_host_costs() {
    let policy = json!({
        "retry_on": "reset,connect-failure,refused-stream",
        "num_retries": 3,
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type":
                "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }],
        "host_selection_retry_max_attempts": 5,
    });
    let retried = json!({"route": {"cluster": "CLUSTER", "retry_policy": policy}});
    // Building it may take longer than hosts should wait.
    let _ = Gateway::program();
    let routes = json!([when("retried", &retried), otherwise()]);
    let mut hosts: Vec<(Protocol, Vec<Host>)> = Protocol::ALL
        .into_iter()
        .map(|protocol| (protocol, (0..3).map(|_| Host::start(protocol)).collect()))
        .collect();
    let breakers = json!({"circuit_breakers": {"thresholds": [{"max_retries": 1000}]}});
    let mut file = File::new(&routes);
    for (protocol, hosts) in &hosts {
        let addresses: Vec<_> = hosts.iter().map(|host| host.address).collect();
        file = file.cluster(*protocol, "", &addresses, &breakers);
    }
    let gateway = Gateway::start_text(&file.text(), &WORKERS);
    let address = gateway.address();
    for (protocol, hosts) in &mut hosts {
        let stop = AtomicBool::new(false);
        let [with, without, all] = thread::scope(|scope| {
            let load = scope.spawn(|| load(*protocol, address, &stop));
            thread::sleep(Duration::from_millis(500));
            hosts[1].kill();
            thread::sleep(Duration::from_millis(500));
            stop.store(true, Ordering::Relaxed);
            load.join().expect("every call is answered")
        });
        println!("{protocol:?}: {all} calls, {with} and {without} failed");
        assert_eq!(with, 0, "{protocol:?}: {all} calls");
        let callers = CALLERS as u64;
        assert!(without <= callers, "{protocol:?}: {without} of {all}");
        assert!(all > 100, "{protocol:?}: there was load: {all}");
        exactly_those(*protocol, &gateway, &mut hosts[2]);
    }
}

/// What is in flight at a host cannot be counted while it changes. One that is frozen first gets a call of every
/// caller and keeps it: these fail when it is killed, and no other.
fn exactly_those(protocol: Protocol, gateway: &Gateway, host: &mut Host) {
    let callers = CALLERS as u64;
    let stop = AtomicBool::new(false);
    let address = gateway.address();
    let [with, without, all] = thread::scope(|scope| {
        let load = scope.spawn(|| load(protocol, address, &stop));
        thread::sleep(Duration::from_millis(100));
        host.freeze();
        let there = || in_flight(gateway, host);
        let stuck = eventually(PATIENCE, || (there() == 2 * callers).then_some(()));
        assert!(stuck.is_some(), "{protocol:?}: {} at work", there());
        // The last of them is counted a moment before its bytes leave, until when it may go elsewhere.
        thread::sleep(Duration::from_millis(100));
        host.kill();
        thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        load.join().expect("every call is answered")
    });
    assert_eq!(with, 0, "{protocol:?}: of {all}");
    // A GET on a connection that was used before goes elsewhere as it is.
    let least = if protocol == Protocol::Http {
        0
    } else {
        callers
    };
    assert!(
        (least..=callers).contains(&without),
        "{protocol:?}: {without} of {all}"
    );
}

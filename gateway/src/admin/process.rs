//! Pages about the process as a whole.

use std::time::{Duration, SystemTime};

use crossdock_xds::to_json;
use hyper::StatusCode;
use serde_json::json;

use super::{Server, query::Query, reply::Reply};
use crate::server::State;

/// `/ready`.
pub(super) fn ready(server: &Server, _: &Query) -> Reply {
    let state = server.state();
    let status = match state {
        State::Live => StatusCode::OK,
        State::Draining | State::Initializing => StatusCode::SERVICE_UNAVAILABLE,
    };
    Reply {
        status,
        ..Reply::text(format!("{}\n", state_name(state)))
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Live => "LIVE",
        State::Draining => "DRAINING",
        State::Initializing => "INITIALIZING",
    }
}

/// `/server_info`: `envoy.admin.v3.ServerInfo`.
pub(super) fn server_info(server: &Server, _: &Query) -> Reply {
    let uptime = format!("{}s", uptime(server).as_secs());
    let node = server
        .bootstrap
        .node
        .as_ref()
        .map_or_else(|| json!({}), to_json);
    Reply::json(&json!({
        "version": concat!("crossdock/", env!("CARGO_PKG_VERSION")),
        "state": state_name(server.state()),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": {
            "concurrency": server.concurrency,
            "drain_time": format!("{}s", server.drain_time.as_secs()),
            "log_level": server.log_level.current(),
            "mode": "Serve",
            "disable_hot_restart": true,
        },
        "node": node,
    }))
}

/// How long the process runs.
pub(super) fn uptime(server: &Server) -> Duration {
    // Zero after the clock was set back.
    SystemTime::now()
        .duration_since(server.started)
        .unwrap_or_default()
}

/// `/memory`: `envoy.admin.v3.Memory`, as far as the kernel tells.
pub(super) fn memory(_: &Server, _: &Query) -> Reply {
    let resident = resident_bytes().to_string();
    Reply::json(&json!({"allocated": resident, "total_physical_bytes": resident}))
}

/// The resident memory of the process; 0 where the kernel does not tell.
pub(super) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

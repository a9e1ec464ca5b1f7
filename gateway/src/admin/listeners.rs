//! `/listeners`.

use serde_json::json;

use super::{Server, query::Query, reply::Reply};

/// Names and addresses, with the ports that the kernel gave.
pub(super) fn page(server: &Server, query: &Query) -> Reply {
    let bound = server.bound();
    if query.get("format") == Some("json") {
        let statuses: Vec<_> = bound
            .iter()
            .map(|listener| {
                let address = super::clusters::socket_address(listener.address);
                json!({"name": listener.name, "local_address": address})
            })
            .collect();
        return Reply::json(&json!({"listener_statuses": statuses}));
    }
    let lines = bound
        .iter()
        .map(|listener| format!("{}::{}\n", listener.name, listener.address));
    Reply::text(lines.collect::<String>())
}

//! Pages that change what the process does.

use crossdock_xds::envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use hyper::StatusCode;

use super::{Server, query::Query, reply::Reply};
use crate::server::Order;

/// `/drain_listeners`: as Envoy's, this never ends the process; whoever asks for it does.
pub(super) fn drain_listeners(server: &Server, query: &Query) -> Reply {
    if query.has("inboundonly") {
        let resources = server.bootstrap.static_resources.as_ref();
        let listeners = resources.map_or(&[][..], |resources| &resources.listeners);
        let inbound = |direction| direction == TrafficDirection::Inbound;
        let count = listeners
            .iter()
            .filter(|listener| inbound(listener.traffic_direction()))
            .count();
        if count == 0 {
            return Reply::text("OK\n");
        }
        if count < listeners.len() {
            let text = "listeners of both directions: inboundonly is not supported; nothing was \
                        drained";
            return Reply::refuse(StatusCode::NOT_IMPLEMENTED, text);
        }
    }
    send(server, Order::Drain { exit: false })
}

/// `/quitquitquit`.
pub(super) fn quit(server: &Server, _: &Query) -> Reply {
    send(server, Order::Quit)
}

fn send(server: &Server, order: Order) -> Reply {
    match server.orders.try_send(order) {
        Ok(()) => Reply::text("OK\n"),
        Err(_) => Reply::refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "earlier orders are still being carried out",
        ),
    }
}

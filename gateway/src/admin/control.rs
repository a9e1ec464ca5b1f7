//! Pages that change what the process does.

use crossdock_framework::worker::DrainScope;
use hyper::StatusCode;

use super::{Server, query::Query, reply::Reply};
use crate::server::Order;

/// `/drain_listeners`: as Envoy's, this never ends the process; whoever asks for it does.
pub(super) fn drain_listeners(server: &Server, query: &Query) -> Reply {
    let scope = match query.has("inboundonly") {
        true => DrainScope::Inbound,
        false => DrainScope::All,
    };
    send(server, Order::Drain { exit: false, scope })
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

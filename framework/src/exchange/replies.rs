//! Answers that need no host.

use super::seen::{Edited, Local};
use crate::{
    edits::{Edit, Edits},
    route::{Facts, Redirect, Route, Scene},
    status::{Cause, Status},
    view::RoutingView,
};

/// The answer of a redirect.
pub(super) fn redirected(
    redirect: &Redirect,
    route: &Route,
    request: &dyn RoutingView,
    facts: &Facts,
) -> Status {
    let scene = Scene {
        message: request,
        request,
        facts,
        route,
        cluster: None,
        host: None,
    };
    let location = redirect.location.of(&scene).into();
    let mut status = Status::new(Cause::DirectResponse, "");
    status.http = redirect.status;
    status.headers.push(Edit::Set("location".into(), location));
    status
}

/// Applies the route's response changes to an answer of the gateway itself.
pub(super) fn edit_reply(
    route: &Route,
    (inner, edits): (&dyn RoutingView, &Edits),
    facts: &Facts,
    status: &mut Status,
) {
    if route.response_edits.is_empty() {
        return;
    }
    let scene = Scene {
        message: &Local,
        request: &Edited { inner, edits },
        facts,
        route,
        cluster: None,
        host: None,
    };
    route.response_edits.apply(&scene, &mut status.headers);
}

/// The answer to a call that no route matches.
pub(super) fn no_route(request: &dyn RoutingView) -> Status {
    let text = match (request.service(), request.method()) {
        (Some(service), Some(method)) => format!("no route for {service}.{method}"),
        (Some(service), None) => format!("no route for {service}"),
        _ => "no route: the request names no service that could be read".to_owned(),
    };
    Status::new(Cause::NoRoute, text)
}

//! What a look-up costs, counted in rules evaluated: it does not grow with the table.

use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;

use super::*;

const MANY: usize = 10_000;

/// The route that a call takes, and how many rules were evaluated for it.
fn cost(table: &RouteTable, call: &Call) -> (String, usize) {
    let mut tried = 0;
    let id = table.find(call, &facts(0), || tried += 1);
    let name = id.map_or_else(|| "-".into(), |id| table.get(id).name.to_string());
    (name, tried)
}

/// Every service of a table of `MANY` is found as the only one of a table of one is.
fn assert_flat(routes: impl Fn(usize) -> RouteMessage, call: impl Fn(usize) -> Call) {
    let table = |count: usize| {
        let mut routes: Vec<_> = (0..count).map(&routes).collect();
        routes.push(route(prefix("/"), "rest"));
        compile(vec![host(&["*"], routes)])
    };
    let (one, many) = (table(1), table(MANY));
    let (_, least) = cost(&one, &call(0));
    for at in [0, 1, MANY / 2, MANY - 1] {
        assert_eq!(cost(&many, &call(at)), (format!("c{at}"), least));
    }
    assert_eq!(cost(&many, &Call::http("x", "/none/x")), ("rest".into(), 1));
}

fn service(at: usize) -> String {
    format!("com.acme.Service{at}")
}

fn name(at: usize) -> String {
    format!("c{at}")
}

#[test]
fn ten_thousand_virtual_hosts_cost_as_much_as_one() {
    let hosts = (0..MANY).map(|at| host(&[&service(at)], vec![route(prefix("/"), &name(at))]));
    let table = compile(hosts.collect());
    for at in [0, MANY / 2, MANY - 1] {
        assert_eq!(cost(&table, &Call::rpc(&service(at), "get")), (name(at), 1));
    }
    assert_eq!(cost(&table, &Call::rpc("other", "get")), ("-".into(), 0));
}

#[test]
fn ten_thousand_methods_cost_as_much_as_one() {
    assert_flat(
        |at| route(path(&format!("/s/m{at}")), &name(at)),
        |at| Call::rpc("s", &format!("m{at}")),
    );
}

#[test]
fn ten_thousand_services_by_prefix_cost_as_much_as_one() {
    assert_flat(
        |at| route(prefix(&format!("/{}/", service(at))), &name(at)),
        |at| Call::rpc(&service(at), "get"),
    );
}

#[test]
fn ten_thousand_prefixes_without_a_last_slash_cost_as_much_as_one() {
    // Padded, so that none is a prefix of another.
    assert_flat(
        |at| route(prefix(&format!("/s{at:05}")), &name(at)),
        |at| Call::http("x", &format!("/s{at:05}/get")),
    );
}

#[test]
fn ten_thousand_separated_prefixes_cost_as_much_as_one() {
    assert_flat(
        |at| {
            route(
                PathSpecifier::PathSeparatedPrefix(format!("/api/{at}")),
                &name(at),
            )
        },
        |at| Call::http("x", &format!("/api/{at}/get?x")),
    );
}

#[test]
fn ten_thousand_services_that_ignore_case_cost_as_much_as_one() {
    assert_flat(
        |at| {
            let mut route = route(prefix(&format!("/{}/", service(at))), &name(at));
            matcher(&mut route).case_sensitive = Some(BoolValue { value: false });
            route
        },
        |at| Call::rpc(&service(at).to_uppercase(), "get"),
    );
}

#[test]
fn expressions_are_tried_only_behind_their_literal_start() {
    let table = compile(vec![host(
        &["*"],
        (0..200)
            .map(|at| {
                let regex = format!(r"/com\.acme\.Service{at}/get.*");
                let regex = RegexMatcher {
                    regex,
                    ..RegexMatcher::default()
                };
                route(PathSpecifier::SafeRegex(regex), &name(at))
            })
            .collect(),
    )]);
    assert_eq!(
        cost(&table, &Call::rpc(&service(199), "getAll")),
        (name(199), 1)
    );
    assert_eq!(cost(&table, &Call::rpc("other", "getAll")), ("-".into(), 0));
}

//! Redirects, with the answers of Envoy 1.40 to the same requests.

use std::sync::Arc;

use crossdock_framework::{
    protocol::Tls,
    route::{Facts, Scene},
};
use envoy_types::pb::envoy::{
    config::route::v3::{
        RedirectAction,
        redirect_action::{
            PathRewriteSpecifier as PathTo, RedirectResponseCode as Code,
            SchemeRewriteSpecifier as SchemeTo,
        },
        virtual_host::TlsRequirementType,
    },
    r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher},
};

use super::*;

/// Status and location of the answer, or `None` if the call is not redirected.
fn answer(table: &RouteTable, call: &Call, facts: &Facts) -> Option<(u16, String)> {
    let route = table.get(table.route(call, facts)?);
    let Action::Redirect(redirect) = &route.action else {
        return None;
    };
    let scene = Scene {
        message: call,
        request: call,
        facts,
        route,
        cluster: None,
        host: None,
    };
    Some((redirect.status, redirect.location.of(&scene)))
}

fn to(specifier: PathSpecifier, action: RedirectAction) -> RouteTable {
    let mut route = route(specifier, "r");
    route.action = Some(ActionMessage::Redirect(action));
    compile(vec![host(&["*"], vec![route])])
}

fn location(action: RedirectAction, authority: &str, path: &str) -> String {
    let table = to(prefix("/"), action);
    let call = Call::http(authority, path).with("x-p", "vv");
    answer(&table, &call, &facts(0)).expect("a redirect").1
}

fn none() -> RedirectAction {
    RedirectAction::default()
}

fn scheme(scheme: &str) -> RedirectAction {
    RedirectAction {
        scheme_rewrite_specifier: Some(SchemeTo::SchemeRedirect(scheme.into())),
        ..none()
    }
}

fn https() -> RedirectAction {
    RedirectAction {
        scheme_rewrite_specifier: Some(SchemeTo::HttpsRedirect(true)),
        ..none()
    }
}

fn port(port: u32) -> RedirectAction {
    RedirectAction {
        port_redirect: port,
        ..none()
    }
}

fn path_to(specifier: PathTo) -> RedirectAction {
    RedirectAction {
        path_rewrite_specifier: Some(specifier),
        ..none()
    }
}

fn path(text: &str) -> RedirectAction {
    path_to(PathTo::PathRedirect(text.into()))
}

fn format(text: &str) -> RedirectAction {
    path_to(PathTo::PathRewrite(text.into()))
}

fn stripped(action: RedirectAction) -> RedirectAction {
    RedirectAction {
        strip_query: true,
        ..action
    }
}

#[test]
fn each_part_of_the_address_may_change() {
    let host = |host: &str| RedirectAction {
        host_redirect: host.into(),
        ..none()
    };
    for (action, wanted) in [
        (https(), "https://h.com/x?y=1"),
        (scheme("ftp"), "ftp://h.com/x?y=1"),
        (scheme("HTTPS"), "HTTPS://h.com/x?y=1"),
        (host("new.com"), "http://new.com/x?y=1"),
        (port(8443), "http://h.com:8443/x?y=1"),
        (path("/n"), "http://h.com/n?y=1"),
        (path("n"), "http://h.com/n?y=1"),
        (path("/n#f"), "http://h.com/n#f?y=1"),
        (path("/z?"), "http://h.com/z?"),
        (stripped(path("/n?z=1")), "http://h.com/n?z=1"),
        (stripped(none()), "http://h.com/x"),
        (format("/n%REQ(x-p)%"), "http://h.com/nvv?y=1"),
        (format("%REQ(none)%"), "http://h.com/x?y=1"),
        (stripped(format("/n%REQ(none)%")), "http://h.com/n"),
        (stripped(format("/z?k=1")), "http://h.com/z?k=1"),
        (stripped(format("z#f")), "http://h.com/z#f"),
        (
            RedirectAction {
                port_redirect: 8443,
                ..https()
            },
            "https://h.com:8443/x?y=1",
        ),
        (
            RedirectAction {
                port_redirect: 80,
                ..host("n.com:99")
            },
            "http://n.com:99:80/x?y=1",
        ),
    ] {
        assert_eq!(location(action, "h.com", "/x?y=1"), wanted);
    }
}

#[test]
fn what_the_rule_matched_may_be_replaced() {
    let new = |text: &str| path_to(PathTo::PrefixRewrite(text.into()));
    let separated = PathSpecifier::PathSeparatedPrefix("/ss".into());
    let regex = |pattern: &str, substitution: &str| {
        path_to(PathTo::RegexRewrite(RegexMatchAndSubstitute {
            pattern: Some(RegexMatcher {
                regex: pattern.into(),
                ..RegexMatcher::default()
            }),
            substitution: substitution.into(),
        }))
    };
    for (specifier, action, asked, wanted) in [
        (prefix("/g"), new("/n"), "/g/x?y=1", "/n/x?y=1"),
        (prefix("/g"), new("norel"), "/g/b", "/norel/b"),
        (prefix("/l"), stripped(new("/n")), "/l/x?y=1", "/n/x"),
        (separated.clone(), new("/"), "/ss", "/"),
        (separated, new("/"), "/ss/a", "//a"),
        (
            prefix("/h"),
            regex("^/h(.*)$", r"/n\1"),
            "/h/x?y=1",
            "/n/x?y=1",
        ),
        (prefix("/e"), regex(".", ""), "/e?y=1", "/e?y=1"),
    ] {
        let table = to(specifier, action);
        let told = answer(&table, &Call::http("h.com", asked), &facts(0));
        assert_eq!(
            told,
            Some((301, format!("http://h.com{wanted}"))),
            "{asked}"
        );
    }
}

#[test]
fn a_port_goes_with_the_scheme_that_it_belongs_to() {
    for (host, to_https, to_port, to_path, to_ftp) in [
        (
            "h.com:80",
            "https://h.com/",
            "h.com:8443",
            "h.com:80",
            "ftp://h.com/",
        ),
        (
            "h.com:443",
            "https://h.com:443/",
            "h.com:8443",
            "h.com:443",
            "ftp://h.com:443/",
        ),
        (
            "h.com:8080",
            "https://h.com:8080/",
            "h.com:8443",
            "h.com:8080",
            "ftp://h.com:8080/",
        ),
        (
            "[::1]:80",
            "https://[::1]/",
            "[::1]:8443",
            "[::1]:80",
            "ftp://[::1]/",
        ),
        (
            "[::1]",
            "https://[::1]/",
            "[::1]:8443",
            "[::1]",
            "ftp://[::1]/",
        ),
    ] {
        assert_eq!(location(https(), host, "/"), to_https);
        assert_eq!(
            location(port(8443), host, "/"),
            format!("http://{to_port}/")
        );
        assert_eq!(
            location(path("/n"), host, "/"),
            format!("http://{to_path}/n")
        );
        assert_eq!(location(scheme("ftp"), host, "/"), to_ftp);
    }
}

#[test]
fn every_status_of_a_redirect_is_known() {
    for (code, status) in [
        (Code::MovedPermanently, 301),
        (Code::Found, 302),
        (Code::SeeOther, 303),
        (Code::TemporaryRedirect, 307),
        (Code::PermanentRedirect, 308),
    ] {
        let table = to(
            prefix("/"),
            RedirectAction {
                response_code: code as i32,
                ..none()
            },
        );
        let told = answer(&table, &Call::http("h", "/"), &facts(0));
        assert_eq!(told.expect("a redirect").0, status);
    }
}

#[test]
fn a_virtual_host_may_require_tls() {
    let requiring = |requirement| {
        let mut host = host(&["*"], vec![route(prefix("/a"), "a")]);
        host.require_tls = requirement as i32;
        compile(vec![host])
    };
    let all = requiring(TlsRequirementType::All);
    let external = requiring(TlsRequirementType::ExternalOnly);
    let mut over_tls = facts(0);
    over_tls.tls = Some(Arc::new(Tls::default()));
    let call = || Call::http("tls.com", "/p?q");
    let said = |proto| call().with("x-forwarded-proto", proto);
    let there = Some((301, "https://tls.com/p?q".to_owned()));
    for table in [&all, &external] {
        assert_eq!(answer(table, &call(), &facts(0)), there);
        assert_eq!(
            answer(table, &said("HTTPS"), &facts(0)).map(|it| it.0),
            Some(301)
        );
        assert_eq!(answer(table, &said("http"), &over_tls), there);
        assert_eq!(answer(table, &said("https"), &facts(0)), None);
        assert_eq!(answer(table, &call(), &over_tls), None);
        assert_eq!(
            taken(
                table,
                &Call::http("x", "/a").with("x-forwarded-proto", "https")
            ),
            "a"
        );
    }
    let with_port = answer(&all, &Call::http("tls.com:80", "/"), &facts(0));
    assert_eq!(with_port, Some((301, "https://tls.com:80/".to_owned())));
    let internal = call().with("x-envoy-internal", "true");
    assert_eq!(answer(&all, &internal, &facts(0)), there);
    assert_eq!(answer(&external, &internal, &facts(0)), None);
    let id = all.route(&call(), &facts(0)).expect("the redirect");
    assert_eq!(all.origin(id).route, 1);
    assert!(all.get(id).response_edits.is_empty(), "as in Envoy");
}

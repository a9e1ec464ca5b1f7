use crossdock_framework::{
    edits::Effect,
    protocol::{PeerCertificate, Tls},
};
use envoy_types::pb::{
    envoy::config::core::v3::{
        HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction as Append,
    },
    google::protobuf::BoolValue,
};

use super::*;
use crate::{
    problem::{Place, Problems},
    testing::{Call, applied, facts, idle_route},
};

fn add(name: &str, value: &str, action: Append) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.into(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        append_action: action as i32,
        ..HeaderValueOption::default()
    }
}

fn compiled(add: &[HeaderValueOption], remove: &[&str]) -> Arc<Level> {
    let mut problems = Problems::default();
    let remove: Vec<_> = remove.iter().map(|name| (*name).to_owned()).collect();
    let level = level(
        Side::Request,
        (add, "add"),
        (&remove, "remove"),
        &Place::ROOT,
        &mut problems,
    );
    assert_eq!(problems.or(()), Ok(()));
    level.expect("it changes something")
}

fn request_edits(levels: &[&Arc<Level>], call: &Call) -> Edits {
    let levels: Vec<_> = levels.iter().map(|level| Some(*level)).collect();
    let mut edits = Edits::none();
    applied(&*template(Side::Request, &levels), call, call, &mut edits);
    edits
}

/// The value that one format gives for a call.
fn value(format: &str, call: &Call) -> String {
    let mut option = add("out", format, Append::OverwriteIfExistsOrAdd);
    option.keep_empty_value = true;
    let edits = request_edits(&[&compiled(&[option], &[])], call);
    match edits.effect("out", None) {
        Effect::Become(value) => value,
        other => panic!("{format}: {other:?}"),
    }
}

#[test]
fn formats_know_the_call() {
    let call = Call::rpc("com.acme.Foo", "get").with("x-user", "j\u{fc}rgen");
    for (format, wanted) in [
        ("plain", "plain"),
        ("100%%", "100%"),
        ("%REQ(X-User)%", "j\u{fc}rgen"),
        ("%REQ(X-User):2%", "j"),
        ("%REQ(x-none?x-user):1%!", "j!"),
        ("%REQ(x-none)%", ""),
        (
            "%REQ(:path)% at %REQ(:authority)%",
            "/com.acme.Foo/get at com.acme.Foo",
        ),
        ("%RESP(x-user)%", ""),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.1.2.3"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "10.1.2.3:40123"),
        ("%DOWNSTREAM_REMOTE_PORT%", "40123"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.1.2.3:40123"),
        (
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
            "10.1.2.3",
        ),
        ("%DOWNSTREAM_LOCAL_ADDRESS%", "10.9.8.7:12200"),
        ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.9.8.7"),
        ("%DOWNSTREAM_LOCAL_PORT%", "12200"),
        ("%DOWNSTREAM_TLS_VERSION%%DOWNSTREAM_PEER_SUBJECT%", ""),
        ("%REQUESTED_SERVER_NAME%", ""),
        ("%UPSTREAM_CLUSTER%", "outbound"),
        ("%ROUTE_NAME%:3", "route:3"),
        ("%ROUTE_NAME:3%", "rou"),
        ("%ENVIRONMENT(NO_SUCH_VARIABLE)%", "-"),
        ("%QUERY_PARAM(q)%", ""),
        ("%PATH(NQ)%", "/com.acme.Foo/get"),
        ("%PROTOCOL%", "test"),
    ] {
        assert_eq!(value(format, &call), wanted, "{format}");
    }
}

#[test]
fn every_action_becomes_its_edit() {
    let level = compiled(
        &[
            add("A", "1", Append::AppendIfExistsOrAdd),
            add("b", "2", Append::AddIfAbsent),
            add("c", "3", Append::OverwriteIfExistsOrAdd),
            add("d", "4", Append::OverwriteIfExists),
        ],
        &["E"],
    );
    let edits = request_edits(&[&level], &Call::default());
    // Removals first, then what overwrites, then what adds.
    assert_eq!(
        edits.iter().cloned().collect::<Vec<_>>(),
        [
            Edit::Remove("e".into()),
            Edit::Set("c".into(), "3".into()),
            Edit::OverwriteIfExists("d".into(), "4".into()),
            Edit::Append("a".into(), "1".into()),
            Edit::AddIfAbsent("b".into(), "2".into()),
        ]
    );
}

#[test]
#[allow(deprecated, reason = "configurations in use still have `append`")]
fn the_older_append_is_understood() {
    for (append, edit) in [
        (true, Edit::Append("a".into(), "1".into())),
        (false, Edit::Set("a".into(), "1".into())),
    ] {
        let mut option = add("a", "1", Append::AppendIfExistsOrAdd);
        option.append = Some(BoolValue { value: append });
        let edits = request_edits(&[&compiled(&[option], &[])], &Call::default());
        assert_eq!(edits.iter().collect::<Vec<_>>(), [&edit]);
    }
}

#[test]
fn empty_values_change_nothing_unless_kept() {
    let mut option = add("a", "%REQ(none)%", Append::OverwriteIfExistsOrAdd);
    let edits = request_edits(
        &[&compiled(std::slice::from_ref(&option), &[])],
        &Call::default(),
    );
    assert!(edits.is_empty());
    option.keep_empty_value = true;
    let edits = request_edits(&[&compiled(&[option], &[])], &Call::default());
    assert_eq!(
        edits.iter().collect::<Vec<_>>(),
        [&Edit::Set("a".into(), "".into())]
    );
}

#[test]
fn values_see_removals_and_earlier_levels_but_not_their_own() {
    let set = |name, value| add(name, value, Append::OverwriteIfExistsOrAdd);
    let first = compiled(
        &[set("a", "new"), set("b", "<%REQ(a)%%REQ(gone)%>")],
        &["gone"],
    );
    let second = compiled(&[set("c", "<%REQ(a)%%REQ(b)%>")], &[]);
    let call = Call::default().with("a", "old").with("gone", "x");
    let edits = request_edits(&[&first, &second], &call);
    assert_eq!(edits.effect("b", None), Effect::Become("<old>".into()));
    assert_eq!(edits.effect("c", None), Effect::Become("<new<old>>".into()));
}

#[test]
fn responses_see_both_messages() {
    let level = compiled(
        &[add("a", "%REQ(x)%%RESP(x)%", Append::AppendIfExistsOrAdd)],
        &[],
    );
    let (request, response) = (
        Call::default().with("x", "q"),
        Call::default().with("x", "s"),
    );
    let mut edits = Edits::none();
    let template = template(Side::Response, &[None, Some(&level)]);
    applied(&*template, &response, &request, &mut edits);
    assert_eq!(edits.effect("a", None), Effect::Become("qs".into()));
}

#[test]
fn raw_values_are_text() {
    let raw = |bytes: &[u8]| {
        let mut option = add("a", "", Append::AppendIfExistsOrAdd);
        option.header.as_mut().expect("`add` sets it").raw_value = bytes.to_vec();
        let mut problems = Problems::default();
        let level = level(
            Side::Request,
            (&[option], "add"),
            (&[], "remove"),
            &Place::ROOT,
            &mut problems,
        );
        problems.or(level)
    };
    assert!(raw(b"text").is_ok());
    assert_eq!(
        raw(&[0xff]).expect_err("not text")[0].path,
        "add[0].header.raw_value"
    );
}

#[test]
fn several_values_are_seen_as_their_first() {
    let call = Call::http("h", "/a?q=12&q=3").with("m", "1").with("m", "2");
    for (format, wanted) in [
        ("%REQ(m)%", "1"),
        ("%QUERY_PARAM(q):1%", "1"),
        ("%PATH%", "/a?q=12&q=3"),
        ("%PATH(NQ:PATH)%|%PATH(WQ:ORIG)%", "/a|"),
        ("%PATH(NQ)%", "/a"),
    ] {
        assert_eq!(value(format, &call), wanted, "{format}");
    }
    let first = compiled(&[add("m", "3", Append::AppendIfExistsOrAdd)], &["gone"]);
    let second = compiled(&[add("n", "%REQ(m)%", Append::AppendIfExistsOrAdd)], &[]);
    let edits = request_edits(&[&first, &second], &call);
    assert_eq!(edits.effect("n", None), Effect::Become("1".into()));
}

#[test]
fn the_start_of_a_call_has_any_format() {
    let call = Call::default();
    let iso = value("%START_TIME%", &call);
    assert_eq!(iso.len(), "2026-01-31T23:59:59.999Z".len(), "{iso}");
    let seconds: u64 = value("%START_TIME(%s)%", &call).parse().expect("seconds");
    assert!(seconds > 1_700_000_000);
}

#[test]
fn the_peer_of_a_tls_connection_is_known() {
    let mut facts = facts(0);
    facts.tls = Some(Arc::new(Tls {
        server_name: Some("sni.example".into()),
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        peer: Some(PeerCertificate {
            subject: "CN=client".into(),
            issuer: "CN=ca".into(),
            serial: "0a".into(),
            fingerprint: "ff".into(),
            uris: ["spiffe://a".into(), "spiffe://b".into()].into(),
            dns: ["d".into()].into(),
            ..PeerCertificate::default()
        }),
        ..Tls::default()
    }));
    let (call, route) = (Call::default(), idle_route());
    let scene = Scene {
        message: &call,
        request: &call,
        facts: &facts,
        route: &route,
        cluster: None,
        host: None,
    };
    for (operator, wanted) in [
        ("REQUESTED_SERVER_NAME", "sni.example"),
        ("DOWNSTREAM_TLS_VERSION", "TLSv1.3"),
        ("DOWNSTREAM_TLS_CIPHER", "TLS_AES_128_GCM_SHA256"),
        ("DOWNSTREAM_PEER_SUBJECT", "CN=client"),
        ("DOWNSTREAM_PEER_ISSUER", "CN=ca"),
        ("DOWNSTREAM_PEER_SERIAL", "0a"),
        ("DOWNSTREAM_PEER_FINGERPRINT_256", "ff"),
        ("DOWNSTREAM_PEER_URI_SAN", "spiffe://a,spiffe://b"),
        ("DOWNSTREAM_PEER_DNS_SAN", "d"),
    ] {
        let format = format!("%{operator}%");
        let level = compiled(&[add("out", &format, Append::OverwriteIfExistsOrAdd)], &[]);
        let mut edits = Edits::none();
        template(Side::Request, &[Some(&level)]).apply(&scene, &mut edits);
        assert_eq!(edits.effect("out", None), Effect::Become(wanted.into()));
    }
}

#[test]
fn answers_know_the_host_that_gave_them() {
    let option = add(
        "a",
        "%UPSTREAM_HOST% %UPSTREAM_REMOTE_PORT%",
        Append::AddIfAbsent,
    );
    let mut problems = Problems::default();
    let level = level(
        Side::Response,
        (&[option], "add"),
        (&[], "remove"),
        &Place::ROOT,
        &mut problems,
    );
    assert_eq!(problems.or(()), Ok(()));
    let mut edits = Edits::none();
    let call = Call::default();
    applied(
        &*template(Side::Response, &[level.as_ref()]),
        &call,
        &call,
        &mut edits,
    );
    let wanted = "10.0.0.2:8080 8080".to_owned();
    assert_eq!(edits.effect("a", None), Effect::Become(wanted));
}

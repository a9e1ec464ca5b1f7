use super::*;

#[test]
fn durations() {
    assert_eq!(parse_duration("0s"), Some((0, 0)));
    assert_eq!(parse_duration("1.5s"), Some((1, 500_000_000)));
    assert_eq!(parse_duration("-0.000000001s"), Some((0, -1)));
    assert_eq!(parse_duration("99999999999999999999s"), Some((i64::MAX, 0)));
    for wrong in [
        "",
        "s",
        "1",
        "1.s",
        ".5s",
        "1.0000000001s",
        "+1s",
        "1 s",
        "--1s",
        "1e3s",
        "5ms",
    ] {
        assert_eq!(parse_duration(wrong), None, "{wrong}");
    }
}

#[test]
fn other_units_are_turned_into_seconds() {
    assert_eq!(in_seconds("250ms").as_deref(), Some("0.25s"));
    assert_eq!(in_seconds("5m").as_deref(), Some("300s"));
    assert_eq!(in_seconds("3").as_deref(), Some("3s"));
    assert_eq!(in_seconds("soon"), None);
}

#[test]
fn a_type_of_another_version_is_recognised() {
    assert_eq!(
        similar_type(
            "envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager"
        ),
        "did you mean `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`?"
    );
    assert_eq!(
        similar_type("envoy.extensions.filters.http.router.v3.Ruoter"),
        "did you mean `envoy.extensions.filters.http.router.v3.Router`?"
    );
    assert_eq!(
        similar_type("some.thing.Else"),
        "Envoy's API has no such message"
    );
    assert_eq!(similar_type(""), "Envoy's API has no such message");
}

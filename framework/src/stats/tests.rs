//! Groups and their scopes.

use std::sync::Arc;

use super::*;

metrics! {
    enum Pair {
        /// Things
        /// seen.
        counter Total = "total",
        gauge Active = "active",
        completed Done = "done",
        class2 Well = "done_2xx",
        codes Each = "done",
        histogram Time = "time",
        histogram Length = "length",
    }
}

metrics! {
    enum Other {
        counter Total = "total",
    }
}

#[test]
fn cells_are_summed_over_workers() {
    let registry = Registry::new(2);
    let group = registry.group::<Pair>("cluster", "a");
    group.inc(Shard(1), Pair::Total);
    group.inc(Shard(2), Pair::Total);
    group.inc(Shard(1), Pair::Active);
    group.dec(Shard(2), Pair::Active);
    group.add(Shard(9), Pair::Total, 5);
    group.respond(Shard(1), 201);
    group.respond(Shard(2), 201);
    group.respond(Shard(2), 503);
    group.respond(Shard(2), 0);
    group.record(Shard(0), Pair::Length, 7);
    group.record(Shard(2), Pair::Length, 9);
    assert_eq!(group.get(Pair::Total), 2);
    let read: Vec<_> = group.read().map(|(def, sum)| (def.name, sum)).collect();
    let expected = [("total", 2), ("active", 0), ("done", 3), ("done_2xx", 2)];
    assert_eq!(read, expected);
    let codes: Vec<_> = group
        .codes()
        .map(|(_, code, count)| (code, count))
        .collect();
    assert_eq!(codes, [(201, 2), (503, 1)]);
    assert_eq!((group.get(Pair::Time), group.get(Pair::Length)), (0, 2));
    let answers = [Pair::Done, Pair::Well, Pair::Each];
    assert_eq!(answers.map(|metric| group.get(metric)), [3, 2, 3]);
    let times: Vec<_> = group
        .times()
        .map(|(def, times)| (def.name, times.read().1))
        .collect();
    assert_eq!(times, [("time", 0), ("length", 16)]);
}

#[test]
fn what_documents_a_metric_is_its_help() {
    assert_eq!(Pair::DEFS[0].help, "Things seen.");
    assert_eq!(Pair::DEFS[1].help, "");
}

#[test]
fn a_gauge_below_zero_reads_as_zero() {
    let group = Registry::new(1).group::<Pair>("cluster", "a");
    group.dec(Shard(1), Pair::Active);
    assert!(
        group
            .read()
            .any(|(def, sum)| def.name == "active" && sum == 0)
    );
}

#[test]
fn a_group_is_made_once() {
    let registry = Registry::new(1);
    let group = registry.group::<Pair>("cluster", "a");
    assert!(Arc::ptr_eq(&group, &registry.group::<Pair>("cluster", "a")));
    let other = registry.group::<Other>("cluster", "a");
    other.inc(Shard(0), Other::Total);
    assert_eq!((group.get(Pair::Total), other.get(Other::Total)), (0, 1));
    assert_eq!(registry.groups().len(), 2);
}

#[test]
fn what_is_gone_is_forgotten() {
    let registry = Registry::new(1);
    let kept = registry.group::<Pair>("cluster", "kept");
    drop(registry.group::<Pair>("cluster", "gone"));
    drop(registry.group::<Pair>("codec", "stays"));
    registry.forget_unused(&["cluster"]);
    let left: Vec<_> = registry
        .groups()
        .iter()
        .map(|group| group.scope().to_string())
        .collect();
    assert_eq!(left, ["cluster.kept", "codec.stays"]);
    assert_eq!(kept.get(Pair::Total), 0);
}

#[test]
fn scopes_are_written_as_envoy_writes_them() {
    for (kind, labels, written) in [
        ("server", &[][..], "server"),
        ("server", &[""], "server"),
        ("cluster", &["a"], "cluster.a"),
        (
            "listener.*.http.*",
            &["1.2.3.4_5", "in"],
            "listener.1.2.3.4_5.http.in",
        ),
        ("*.http_local_rate_limit", &["p"], "p.http_local_rate_limit"),
        ("vhost.*.vcluster.*", &["v", "c"], "vhost.v.vcluster.c"),
    ] {
        assert_eq!(Scope::new(kind, labels).to_string(), written);
    }
}

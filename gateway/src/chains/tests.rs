use crossdock_framework::network::Network;

use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a test's own address")
}

fn range(text: &str) -> Network {
    let (first, length) = text.split_once('/').expect("a range");
    let first = first.parse().expect("an address");
    Network::new(first, length.parse().expect("a number")).expect("not too long")
}

/// The protocols of a client.
fn wants(names: &[&str]) -> &'static [Box<[u8]>] {
    let names: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
    names.leak()
}

fn seen() -> Seen<'static> {
    Seen {
        local: address("10.0.0.1:443"),
        peer: address("10.9.0.7:5000"),
        direct: address("10.9.0.7:5000"),
        tls: true,
        server_name: Some("a.b.example"),
        applications: wants(&["h2", "http/1.1"]),
    }
}

fn names(names: &[&str]) -> Criteria {
    let names = names.iter().map(|name| match name.strip_prefix('*') {
        Some(suffix) => ServerName::Below(suffix.into()),
        None => ServerName::Exact((*name).into()),
    });
    Criteria {
        server_names: names.collect(),
        ..Criteria::default()
    }
}

fn applications(names: &[&str]) -> Criteria {
    Criteria {
        applications: names.iter().map(|name| name.as_bytes().into()).collect(),
        ..Criteria::default()
    }
}

fn find(criteria: &[Criteria], seen: &Seen<'_>) -> Option<usize> {
    Chains::new(criteria.to_vec(), None).find(seen)
}

#[test]
fn the_longest_name_wins_and_an_exact_one_before() {
    let chains = [
        Criteria::default(),
        names(&["*.example"]),
        names(&["*.b.example", "x"]),
        names(&["a.b.example"]),
    ];
    for (name, chain) in [
        (Some("a.b.example"), 3),
        (Some("c.b.example"), 2),
        (Some("d.c.b.example"), 2),
        (Some("b.example"), 1),
        (Some("x"), 2),
        (Some("example"), 0),
        (Some(".example"), 0),
        (None, 0),
    ] {
        let seen = Seen {
            server_name: name,
            ..seen()
        };
        assert_eq!(find(&chains, &seen), Some(chain), "{name:?}");
    }
}

#[test]
fn a_choice_is_never_taken_back() {
    let port = Criteria {
        port: Some(443),
        ..names(&["other.example"])
    };
    let chains = [port.clone(), names(&["a.b.example"])];
    assert_eq!(find(&chains, &seen()), None, "the port decided");
    let with_default = Chains::new(vec![port, names(&["a.b.example"])], Some(2));
    assert_eq!(with_default.find(&seen()), Some(2));
}

#[test]
fn destinations_and_sources_are_told_by_the_longest_prefix() {
    let to = |ranges: &[&str]| Criteria {
        destinations: ranges.iter().map(|text| range(text)).collect(),
        ..Criteria::default()
    };
    let chains = [to(&["10.0.0.0/8"]), to(&["10.0.0.0/30", "::/0"]), to(&[])];
    assert_eq!(find(&chains, &seen()), Some(1));
    for (local, chain) in [
        ("10.0.0.5:1", 0),
        ("11.0.0.1:1", 2),
        ("[fe80::1]:1", 1),
        ("[::ffff:10.0.0.2]:1", 1),
    ] {
        let seen = Seen {
            local: address(local),
            ..seen()
        };
        assert_eq!(find(&chains, &seen), Some(chain), "{local}");
    }
    let from = |text: &str, ports: &[u16]| Criteria {
        sources: vec![range(text)],
        source_ports: ports.to_vec(),
        ..Criteria::default()
    };
    let chains = [from("10.9.0.0/16", &[]), from("10.9.0.0/16", &[5000, 5001])];
    assert_eq!(find(&chains, &seen()), Some(1));
    let other = Seen {
        peer: address("10.9.0.7:1"),
        ..seen()
    };
    assert_eq!(find(&chains, &other), Some(0));
    let stranger = Seen {
        peer: address("10.8.0.7:5000"),
        ..seen()
    };
    assert_eq!(find(&chains, &stranger), None);
}

#[test]
fn the_protocol_that_the_client_wants_most_decides() {
    let chains = [applications(&["http/1.1"]), applications(&["h2"])];
    assert_eq!(find(&chains, &seen()), Some(1));
    let other = Seen {
        applications: wants(&["http/1.1", "h2"]),
        ..seen()
    };
    assert_eq!(find(&chains, &other), Some(0));
    let none = Seen {
        applications: wants(&[]),
        ..seen()
    };
    assert_eq!(find(&chains, &none), None);
}

#[test]
fn plain_text_and_the_own_machine_are_told_apart() {
    let chains = [true, false].map(|tls| Criteria {
        tls: Some(tls),
        ..Criteria::default()
    });
    assert_eq!(find(&chains, &seen()), Some(0));
    let plain = Seen {
        tls: false,
        ..seen()
    };
    assert_eq!(find(&chains, &plain), Some(1));
    let chains = [SourceType::Local, SourceType::External].map(|source_type| Criteria {
        source_type,
        ..Criteria::default()
    });
    assert_eq!(find(&chains, &seen()), Some(1));
    for peer in ["127.0.0.1:1", "10.0.0.1:1"] {
        let local = Seen {
            peer: address(peer),
            ..seen()
        };
        assert_eq!(find(&chains, &local), Some(0), "{peer}");
    }
    let direct = Criteria {
        direct: vec![range("192.168.0.0/16")],
        ..Criteria::default()
    };
    let proxied = Seen {
        direct: address("192.168.3.4:9"),
        ..seen()
    };
    let chains = [Criteria::default(), direct];
    assert_eq!(find(&chains, &proxied), Some(1));
    assert_eq!(find(&chains, &seen()), Some(0));
}

#[test]
fn chains_that_ask_for_the_same_are_found() {
    let both = |one, other| Chains::new(vec![Criteria::default(), one, other], None).ambiguous();
    assert_eq!(both(names(&["a", "b"]), names(&["b", "c"])), Some((1, 2)));
    assert_eq!(both(names(&["a"]), names(&["*.a"])), None);
    assert_eq!(both(names(&["a"]), applications(&["a"])), None);
    assert_eq!(both(Criteria::default(), names(&["a"])), Some((0, 1)));
}

#[test]
fn the_whole_range_and_one_address_are_ranges() {
    for text in [
        "0.0.0.0/0",
        "10.0.0.1/32",
        "::/0",
        "::ffff:0:0/96",
        "::1/128",
    ] {
        let _ = range(text);
    }
    assert_eq!(range("10.1.2.3/8"), range("10.0.0.0/8"));
    assert!(Network::new(address("10.0.0.1:0").ip(), 33).is_none());
}

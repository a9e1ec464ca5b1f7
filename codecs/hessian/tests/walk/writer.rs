//! The writer against the octets of Java, and against the walker.

use crossdock_hessian::{Error, Grammar, Kind, Limits, Walker, Writer};

use crate::common::named;

fn written(grammar: Grammar, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out, grammar));
    out
}

#[test]
fn numbers_are_those_of_java() {
    let ints = [
        0,
        -16,
        47,
        -17,
        48,
        -2048,
        2047,
        -2049,
        2048,
        -262_144,
        262_143,
        -262_145,
        262_144,
        i32::MIN,
        i32::MAX,
    ];
    let stream = written(Grammar::V2, |writer| {
        ints.iter().for_each(|&int| writer.int(int))
    });
    assert_eq!(stream, named("j_lite_ints").stream);

    let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
    let longs = [
        0,
        -8,
        15,
        -9,
        16,
        -2048,
        2047,
        -2049,
        2048,
        -262_144,
        262_143,
        -262_145,
        262_144,
        min,
        max,
        2_147_483_648,
        i64::MIN,
        i64::MAX,
    ];
    let stream = written(Grammar::V3, |writer| {
        longs.iter().for_each(|&long| writer.long(long))
    });
    assert_eq!(stream, named("j_sofa3_longs").stream);
    let stream = written(Grammar::V2, |writer| writer.long(max));
    assert_eq!(stream, b"Y\x7f\xff\xff\xff");
}

#[test]
fn strings_are_those_of_java() {
    let boundary = "a".repeat(32_767) + "😀" + &"b".repeat(10);
    for (name, text) in [
        ("j_lite_str_0", String::new()),
        ("j_lite_str_mixed", "héllo 中文 😀".to_owned()),
        ("j_lite_str_emoji_boundary", boundary.clone()),
        ("j_lite_str_emoji_35000", "😀".repeat(35_000)),
        ("j_sofa3_str_emoji_boundary", boundary),
    ] {
        let vector = named(name);
        let units: Vec<u16> = text.encode_utf16().collect();
        let stream = written(vector.grammar, |writer| writer.string(&text));
        assert!(stream == vector.stream, "{name}");
        let stream = written(vector.grammar, |writer| writer.string_units(&units));
        assert!(stream == vector.stream, "{name}, from units");
    }
    for name in [
        "j_lite_str_1023",
        "j_lite_str_1024",
        "j_lite_str_32768",
        "j_sofa3_str_32",
        "j_sofa3_str_1023",
        "j_sofa3_str_32769",
    ] {
        let vector = named(name);
        let text = vector.walker().read_string().unwrap().to_string();
        let stream = written(vector.grammar, |writer| writer.string(&text));
        assert!(stream == vector.stream, "{name}");
    }
}

#[test]
fn maps_are_those_of_java() {
    for name in ["j_lite_hashmap", "j_sofa3_hashmap"] {
        let vector = named(name);
        let stream = written(vector.grammar, |writer| {
            writer.begin_map();
            writer.string("a");
            writer.int(1);
            writer.end_map();
        });
        assert_eq!(stream, vector.stream, "{name}");
    }
    for name in ["j_lite_map_self", "j_sofa3_map_self"] {
        let vector = named(name);
        let key = vector
            .walker()
            .map()
            .unwrap()
            .next_key()
            .unwrap()
            .flatten()
            .unwrap();
        let stream = written(vector.grammar, |writer| {
            let this = writer.begin_map();
            writer.string(&key.to_cow());
            writer.refer(this);
            writer.end_map();
        });
        assert_eq!(stream, vector.stream, "{name}");
    }
}

#[test]
fn a_framework_error_is_that_of_sofarpc() {
    for name in [
        "j_sofa3_sofa_bolt1_res_rpcerr",
        "j_sofa4_sofa_bolt1_res_rpcerr",
    ] {
        let vector = named(name);
        let stream = written(vector.grammar, |writer| {
            let class = "com.alipay.sofa.rpc.core.response.SofaResponse";
            let fields = ["isError", "errorMsg", "appResponse", "responseProps"];
            let class = writer.define_class(class, &fields);
            writer.object(class);
            writer.bool(true);
            writer.string_or_null(Some("RPC-010060013: can not found service"));
            writer.string_or_null(None);
            writer.null();
        });
        assert_eq!(stream, vector.stream, "{name}");
    }
}

#[test]
fn a_throwable_has_the_shape_of_javas() -> Result<(), Error> {
    for grammar in [Grammar::V2, Grammar::V3] {
        let class = "org.apache.dubbo.rpc.RpcException";
        let stream = written(grammar, |writer| {
            writer.throwable(class, &[("code", 2)], "too slow: 😀")
        });
        let mut walker = Walker::new(&stream, grammar, Limits::default());
        let mut fields = walker.object()?;
        assert!(fields.class_name().eq_str(class));
        let mut names = Vec::new();
        while let Some(name) = fields.next_field()? {
            names.push(name.to_string());
            let value = fields.value();
            match names.len() {
                1 => assert_eq!(value.read_int()?, 2),
                2 => assert!(value.read_string()?.eq_str("too slow: 😀")),
                3 => assert_eq!(value.peek_kind()?, Kind::Reference),
                _ => assert!(value.list()?.next_item()?.is_none()),
            }
        }
        assert_eq!(names, ["code", "detailMessage", "cause", "stackTrace"]);
        assert!(walker.at_end());
    }
    Ok(())
}

#[test]
fn classes_lists_and_references_are_numbered_alike_by_writer_and_walker() -> Result<(), Error> {
    for grammar in [Grammar::V2, Grammar::V3] {
        let stream = written(grammar, |writer| {
            let classes: Vec<_> = (0..20)
                .map(|_| writer.define_class("com.example.Größe", &["wert"]))
                .collect();
            for class in classes {
                writer.object(class);
                writer.null();
            }
            for count in [0, 7, 8, 300] {
                let list = writer.begin_list("[object", count);
                (0..count).for_each(|_| writer.refer(list));
                writer.end_list();
            }
            // Past what one octet, and two, can number.
            let mut last = writer.begin_list("t", 0);
            writer.end_list();
            for _ in 0..70_000 {
                last = writer.begin_map();
                writer.end_map();
            }
            writer.refer(last);
        });
        let mut walker = Walker::new(&stream, grammar, Limits::default());
        let mut values = 0;
        while !walker.at_end() {
            walker.skip_value()?;
            values += 1;
        }
        assert_eq!(values, 20 + 4 + 1 + 70_000 + 1);
    }
    Ok(())
}

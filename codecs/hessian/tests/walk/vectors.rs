//! Streams of other implementations: every value is walked to the last octet.

use crossdock_hessian::{Error, Grammar, Kind};

use crate::common::{all, named, skip_all};

#[test]
fn every_stream_is_skipped_to_its_last_octet() {
    let vectors = all();
    assert!(vectors.len() > 190, "only {} vectors", vectors.len());
    for vector in vectors {
        let values = skip_all(vector.walker());
        assert!(
            values.is_ok_and(|values| values > 0),
            "{}: {values:?}",
            vector.name
        );
    }
}

#[test]
fn the_first_octet_of_an_object_tells_the_grammar() {
    for name in ["j_sofa3_sofa_body_req", "j_sofa4_sofa_body_req"] {
        let vector = named(name);
        assert_eq!(Grammar::of_object(vector.stream[0]), Some(vector.grammar));
    }
}

#[test]
fn a_sofa_request_is_read_by_field_name() -> Result<(), Error> {
    for name in [
        "j_sofa3_sofa_body_req",
        "j_sofa4_sofa_body_req",
        "n_bolt1_h3_req_plus",
    ] {
        let vector = named(name);
        let mut walker = vector.walker();
        let class = walker.peek_class()?.map(|class| class.to_string());
        assert_eq!(
            class.as_deref(),
            Some("com.alipay.sofa.rpc.core.request.SofaRequest")
        );
        let (mut method, mut service, mut arguments) = (None, None, Vec::new());
        let mut fields = walker.object()?;
        while let Some(field) = fields.next_field()? {
            match &*field.to_cow() {
                "methodName" => method = fields.value().read_string_or_null()?,
                "targetServiceUniqueName" => service = fields.value().read_string_or_null()?,
                "methodArgSigs" => {
                    let mut items = fields.value().list()?;
                    while let Some(item) = items.next_item()? {
                        arguments.push(item.read_string()?.to_string());
                    }
                }
                _ => {}
            }
        }
        assert!(method.is_some_and(|method| method.eq_str("plus")), "{name}");
        assert!(
            service.is_some_and(|name| name.eq_str("com.example.EchoService:1.0")),
            "{name}"
        );
        assert_eq!(arguments, ["int", "int"], "{name}");
        assert_eq!((walker.read_int()?, walker.read_int()?), (1, 2), "{name}");
        assert!(walker.at_end(), "{name}");
    }
    Ok(())
}

#[test]
fn a_sofa_response_shows_whether_it_carries_a_throwable() -> Result<(), Error> {
    for (name, response) in [
        ("j_sofa3_sofa_bolt1_res", None),
        ("j_sofa3_sofa_bolt1_res_bizexc", Some("com.example.Biz")),
        ("j_sofa4_sofa_bolt1_res_bizexc", Some("com.example.Biz")),
        ("n_bolt1_h4_res_int", None),
    ] {
        let vector = named(name);
        let mut walker = vector.walker();
        let (mut is_error, mut class) = (None, None);
        let mut fields = walker.object()?;
        while let Some(field) = fields.next_field()? {
            if field.eq_str("isError") {
                is_error = Some(fields.value().read_bool()?);
            } else if field.eq_str("appResponse") {
                class = fields.value().peek_class()?;
            }
        }
        assert_eq!(is_error, Some(false), "{name}");
        assert_eq!(
            class.map(|class| class.to_string()).as_deref(),
            response,
            "{name}"
        );
        assert!(walker.at_end(), "{name}");
    }
    Ok(())
}

#[test]
fn a_reference_reaches_back_over_skipped_values() -> Result<(), Error> {
    let vector = named("j_lite_dubbo_req_sharedref");
    let mut walker = vector.walker();
    for _ in 0..7 {
        walker.skip_value()?;
    }
    let mut keys = Vec::new();
    let mut references = 0;
    let mut entries = walker.map()?;
    while let Some(key) = entries.next_key()? {
        keys.extend(key.map(|key| key.to_string()));
        references += usize::from(entries.value().peek_kind()? == Kind::Reference);
    }
    assert!(keys.contains(&"path".to_owned()), "{keys:?}");
    assert_eq!(references, 1);
    assert!(walker.at_end());
    Ok(())
}

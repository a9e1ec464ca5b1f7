//! `/certs`: the certificates in use.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Server, query::Query, reply::Reply};
use crate::{access_log::TimeFormat, tls::Shown};

/// `envoy.admin.v3.Certificates`: one entry for each TLS context.
pub(super) fn page(server: &Server, _: &Query) -> Reply {
    let now = SystemTime::now();
    let contexts = server.certificates.shown();
    let contexts = contexts.iter().map(|shown| {
        let of = |authority: bool| -> Vec<Value> {
            let wanted = shown.iter().filter(|shown| shown.authority == authority);
            wanted.map(|shown| details(shown, now)).collect()
        };
        json!({"ca_cert": of(true), "cert_chain": of(false)})
    });
    Reply::json(&json!({"certificates": contexts.collect::<Vec<_>>()}))
}

fn details(shown: &Shown, now: SystemTime) -> Value {
    let says = &shown.says;
    let dns = says.dns.iter().map(|name| json!({"dns": name}));
    let uris = says.uris.iter().map(|uri| json!({"uri": uri}));
    json!({
        "path": shown.file,
        "serial_number": says.serial,
        "subject_alt_names": dns.chain(uris).collect::<Vec<_>>(),
        "days_until_expiration": shown.days_left(now).max(0).to_string(),
        "valid_from": time(says.not_before),
        "expiration_time": time(says.not_after),
    })
}

/// A time as protobuf's JSON has it.
fn time(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let mut text = Vec::new();
    TimeFormat::parse("%Y-%m-%dT%H:%M:%SZ")
        .expect("every piece is known")
        .write(SystemTime::UNIX_EPOCH + since, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

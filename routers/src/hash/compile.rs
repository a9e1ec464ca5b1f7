//! Compiles the hash policies of a route.

use crossdock_framework::route::{HashPolicy, HashSource};
use envoy_types::pb::envoy::config::route::v3::route_action::{
    HashPolicy as Message,
    hash_policy::{Cookie as CookieMessage, Header as HeaderMessage, PolicySpecifier},
};

use super::{Cookie, Header, QueryParameter, SourceIp};
use crate::{
    problem::{Place, Problems},
    rewrite::Substitute,
};

/// The policy of a message; `None` if it hashes nothing, or was refused.
pub(crate) fn policy(
    message: &Message,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<HashPolicy> {
    let (field, reason) = match &message.policy_specifier {
        Some(PolicySpecifier::Header(header)) if header.header_name.is_empty() => {
            ("header", "no header is named")
        }
        Some(PolicySpecifier::Header(header)) => {
            let source = of_header(header, &place.field("header"), problems)?;
            return Some(made(message, source));
        }
        Some(PolicySpecifier::ConnectionProperties(properties)) if properties.source_ip => {
            return Some(made(message, SourceIp));
        }
        // Envoy takes it for no policy at all.
        Some(PolicySpecifier::ConnectionProperties(_)) => return None,
        Some(PolicySpecifier::Cookie(cookie)) if cookie.name.is_empty() => {
            ("cookie", "no cookie is named")
        }
        Some(PolicySpecifier::Cookie(cookie)) => {
            let source = of_cookie(cookie, &place.field("cookie"), problems)?;
            return Some(made(message, source));
        }
        Some(PolicySpecifier::QueryParameter(parameter)) if parameter.name.is_empty() => {
            ("query_parameter", "no parameter is named")
        }
        Some(PolicySpecifier::QueryParameter(parameter)) => {
            return Some(made(
                message,
                QueryParameter(parameter.name.as_str().into()),
            ));
        }
        Some(PolicySpecifier::FilterState(_)) => (
            "filter_state",
            "no filter leaves a state here that could be hashed",
        ),
        None => ("header", "a hash policy that hashes nothing"),
    };
    let cure = "use header, cookie, query_parameter, or connection_properties with source_ip: true";
    problems.add(&place.field(field), reason, cure);
    None
}

fn made(message: &Message, source: impl HashSource + 'static) -> HashPolicy {
    HashPolicy {
        terminal: message.terminal,
        source: Box::new(source),
    }
}

fn of_header(
    message: &HeaderMessage,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Header> {
    let rewrite = match &message.regex_rewrite {
        None => None,
        Some(rewrite) => {
            let place = place.field("regex_rewrite");
            Some(Substitute::compile(rewrite, &place, problems)?)
        }
    };
    Some(Header {
        name: message.header_name.to_ascii_lowercase().into(),
        rewrite,
    })
}

fn of_cookie(
    message: &CookieMessage,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Cookie> {
    let whole = |text: &str| {
        !text
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b';')
    };
    let texts = message
        .attributes
        .iter()
        .flat_map(|it| [&it.name, &it.value]);
    let mut texts = texts.chain([&message.name, &message.path]);
    if !texts.all(|text| whole(text)) {
        let reason = "name, path and attributes of a cookie have no ; and no control characters";
        problems.add(place, reason, "remove them");
        return None;
    }
    let given = match &message.ttl {
        None => None,
        Some(ttl) => {
            let Ok(seconds) = u64::try_from(ttl.seconds) else {
                let reason = "a cookie cannot live for less than no time";
                problems.add(&place.field("ttl"), reason, "use 0s for a session");
                return None;
            };
            Some(behind(message, seconds).into())
        }
    };
    Some(Cookie {
        name: message.name.as_str().into(),
        given,
    })
}

/// What stands behind name and value of the cookie that a caller is given.
fn behind(message: &CookieMessage, seconds: u64) -> String {
    let mut text = String::new();
    if seconds > 0 {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    if !message.path.is_empty() {
        text.push_str(&format!("; Path={}", message.path));
    }
    for attribute in &message.attributes {
        text.push_str(&format!("; {}", attribute.name));
        if !attribute.value.is_empty() {
            text.push_str(&format!("={}", attribute.value));
        }
    }
    text.push_str("; HttpOnly");
    text
}

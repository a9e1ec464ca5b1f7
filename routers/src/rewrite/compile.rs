//! Compiles the rewrites of a route's action.

use envoy_types::pb::envoy::{
    config::{
        core::v3::TypedExtensionConfig,
        route::v3::{
            RedirectAction, RouteAction, redirect_action::PathRewriteSpecifier,
            route_action::HostRewriteSpecifier,
        },
    },
    extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig,
};

use super::{HostRewrite, PathRewrite, Substitute};
use crate::{
    changes::{Missing, Side, Value},
    problem::{Place, Problems},
    rules::path::{self, PathRule},
};

/// What a route does to `:authority`, but for `auto_host_rewrite`.
pub(crate) fn host(
    action: &RouteAction,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<HostRewrite> {
    match action.host_rewrite_specifier.as_ref()? {
        HostRewriteSpecifier::AutoHostRewrite(_) => None,
        HostRewriteSpecifier::HostRewriteLiteral(host) => {
            (!host.is_empty()).then(|| HostRewrite::Literal(host.as_str().into()))
        }
        HostRewriteSpecifier::HostRewriteHeader(name) => {
            (!name.is_empty()).then(|| HostRewrite::Header(name.to_ascii_lowercase().into()))
        }
        HostRewriteSpecifier::HostRewritePathRegex(message) => {
            let place = place.field("host_rewrite_path_regex");
            Substitute::compile(message, &place, problems).map(HostRewrite::FromPath)
        }
        HostRewriteSpecifier::HostRewrite(format) => {
            let place = place.field("host_rewrite");
            Value::compile(Side::Request, format, Missing::Dash, &place, problems)
                .map(HostRewrite::Format)
        }
    }
}

/// What a route does to `:path`.
pub(crate) fn path(
    action: &RouteAction,
    rule: Option<&PathRule>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<PathRewrite> {
    let used = [
        ("prefix_rewrite", !action.prefix_rewrite.is_empty()),
        ("regex_rewrite", action.regex_rewrite.is_some()),
        ("path_rewrite", !action.path_rewrite.is_empty()),
        ("path_rewrite_policy", action.path_rewrite_policy.is_some()),
    ];
    let mut used = used
        .iter()
        .filter_map(|(field, used)| used.then_some(*field));
    let field = used.next()?;
    if let Some(other) = used.next() {
        problems.add(
            &place.field(other),
            format!("{field} is set too, and a path is rewritten once"),
            "leave only one of them",
        );
    }
    if let Some(message) = &action.regex_rewrite {
        let place = place.field("regex_rewrite");
        return Substitute::compile(message, &place, problems).map(PathRewrite::Regex);
    }
    if let Some(policy) = &action.path_rewrite_policy {
        return template(policy, rule, &place.field("path_rewrite_policy"), problems);
    }
    if !action.path_rewrite.is_empty() {
        let (format, place) = (&action.path_rewrite, place.field("path_rewrite"));
        return Value::compile(Side::Request, format, Missing::Nothing, &place, problems)
            .map(PathRewrite::Format);
    }
    Some(prefix(&action.prefix_rewrite, rule))
}

/// What a redirect does to the path with `prefix_rewrite` or `regex_rewrite`.
pub(crate) fn redirect_path(
    message: &RedirectAction,
    rule: Option<&PathRule>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<PathRewrite> {
    match message.path_rewrite_specifier.as_ref()? {
        PathRewriteSpecifier::PrefixRewrite(new) if !new.is_empty() => Some(prefix(new, rule)),
        PathRewriteSpecifier::RegexRewrite(message) => {
            let place = place.field("regex_rewrite");
            Substitute::compile(message, &place, problems).map(PathRewrite::Regex)
        }
        PathRewriteSpecifier::PrefixRewrite(_)
        | PathRewriteSpecifier::PathRedirect(_)
        | PathRewriteSpecifier::PathRewrite(_) => None,
    }
}

fn template(
    policy: &TypedExtensionConfig,
    rule: Option<&PathRule>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<PathRewrite> {
    let place = place.field("typed_config");
    let Some(config) = path::typed::<UriTemplateRewriteConfig>(policy) else {
        problems.add(
            &place,
            "no other extension that rewrites paths than UriTemplateRewriteConfig is supported",
            "use it, or regex_rewrite",
        );
        return None;
    };
    let place = place.field("path_template_rewrite");
    let rewrite = match rule {
        Some(PathRule::Template(regex, _)) => {
            Substitute::of_template(regex, &config.path_template_rewrite)
        }
        _ => Err("the route has no path_match_policy".to_owned()),
    };
    match rewrite {
        Ok(substitute) => Some(PathRewrite::Regex(substitute)),
        Err(reason) => {
            let cure = "write it as /a/{name}, with variables of the path_match_policy";
            problems.add(&place, reason, cure);
            None
        }
    }
}

/// Another text instead of what the route's path rule matched: a prefix, or all of the path.
fn prefix(new: &str, rule: Option<&PathRule>) -> PathRewrite {
    match rule {
        Some(PathRule::Prefix(prefix) | PathRule::Separated(prefix)) => {
            PathRewrite::Prefix(prefix.len(), new.into())
        }
        _ => PathRewrite::Whole(new.into()),
    }
}

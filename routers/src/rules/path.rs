//! The path of a route: `path`, `prefix`, `path_separated_prefix` and `safe_regex`.
//!
//! As in Envoy, all of them look at the path without its query and fragment.

use ::regex::Regex;
use envoy_types::pb::envoy::{
    config::{
        core::v3::TypedExtensionConfig,
        route::v3::{RouteMatch, route_match::PathSpecifier},
    },
    extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig,
    r#type::matcher::v3::RegexMatcher,
};

use super::{regex, template::Template};
use crate::problem::{Place, Problems};

/// What a route asks of the path.
#[derive(Debug)]
pub(crate) enum PathRule {
    /// The whole path.
    Exact(Box<str>),
    /// Its start; `""` asks for nothing.
    Prefix(Box<str>),
    /// Its start, up to a `/` or to the end.
    Separated(Box<str>),
    /// An expression for the whole path, and the text that it can only start with.
    Regex(Regex, Box<str>),
    /// The same, made of a URI template.
    Template(Regex, Box<str>),
    /// Any path or none, of CONNECT requests.
    Connect,
}

impl PathRule {
    /// The path rule of a `RouteMatch`; in lower case if case does not count.
    pub(crate) fn compile(
        matcher: &RouteMatch,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let fold = ignores_case(matcher);
        let text = |text: &str| -> Box<str> {
            if fold {
                text.to_ascii_lowercase().into()
            } else {
                text.into()
            }
        };
        match &matcher.path_specifier {
            Some(PathSpecifier::Path(path)) => Some(Self::Exact(text(path))),
            Some(PathSpecifier::Prefix(prefix)) => Some(Self::Prefix(text(prefix))),
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                let fine = prefix.starts_with('/')
                    && !prefix.ends_with('/')
                    && !prefix.contains(['?', '#']);
                if fine {
                    return Some(Self::Separated(text(prefix)));
                }
                problems.add(
                    &place.field("path_separated_prefix"),
                    "it has to start with /, not to end with it, and to have no ? or #",
                    "write it as /a/b, or use prefix",
                );
                None
            }
            Some(PathSpecifier::SafeRegex(matcher)) => {
                let regex = regex::compile(matcher, &place.field("safe_regex"), problems)?;
                let literal = regex::literal_prefix(&matcher.regex);
                Some(Self::Regex(regex, literal.into()))
            }
            Some(PathSpecifier::ConnectMatcher(_)) => Some(Self::Connect),
            Some(PathSpecifier::PathMatchPolicy(policy)) => {
                template(policy, &place.field("path_match_policy"), problems)
            }
            None => {
                problems.add(
                    place,
                    "a route without a path rule",
                    "set prefix: \"/\" to match every path",
                );
                None
            }
        }
    }

    /// Whether it asks for nothing that a request of any protocol could lack.
    pub(crate) fn asks_nothing(&self) -> bool {
        match self {
            Self::Prefix(prefix) => matches!(&**prefix, "" | "/"),
            Self::Connect => true,
            Self::Exact(_) | Self::Separated(_) | Self::Regex(..) | Self::Template(..) => false,
        }
    }
}

fn template(
    policy: &TypedExtensionConfig,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<PathRule> {
    let place = place.field("typed_config");
    let Some(config) = typed::<UriTemplateMatchConfig>(policy) else {
        problems.add(
            &place,
            "no other extension of path matching than UriTemplateMatchConfig is supported",
            "use it, or safe_regex",
        );
        return None;
    };
    let place = place.field("path_template");
    match Template::read(&config.path_template) {
        Ok(template) => {
            let matcher = RegexMatcher {
                regex: template.regex,
                ..RegexMatcher::default()
            };
            let regex = regex::compile(&matcher, &place, problems)?;
            Some(PathRule::Template(regex, template.literal.into()))
        }
        Err(reason) => {
            problems.add(&place, reason, "write it as /a/{name}/*/{rest=**}");
            None
        }
    }
}

/// The configuration of an extension, if it is of that type.
pub(crate) fn typed<M: prost::Name + Default>(config: &TypedExtensionConfig) -> Option<M> {
    let any = config.typed_config.as_ref()?;
    let name = any.type_url.rsplit('/').next()?;
    (name == M::full_name()).then(|| M::decode(any.value.as_slice()).ok())?
}

/// Whether the texts of a path rule ignore ASCII case. Expressions say that themselves.
pub(crate) fn ignores_case(matcher: &RouteMatch) -> bool {
    let sensitive = matcher.case_sensitive.as_ref();
    sensitive.is_some_and(|sensitive| !sensitive.value)
        && !matches!(
            matcher.path_specifier,
            Some(PathSpecifier::SafeRegex(_) | PathSpecifier::PathMatchPolicy(_))
        )
}

/// `path` without query and fragment.
pub(crate) fn bare(path: &str) -> &str {
    let end = memchr::memchr2(b'?', b'#', path.as_bytes());
    end.map_or(path, |end| &path[..end])
}

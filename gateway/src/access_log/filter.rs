//! Which calls are written.

use std::sync::Arc;

use crossdock_routers::HeaderRules;
use crossdock_xds::envoy_types::pb::envoy::{
    config::accesslog::v3::{
        AccessLogFilter, ComparisonFilter, access_log_filter::FilterSpecifier,
        comparison_filter::Op,
    },
    r#type::v3::fractional_percent::DenominatorType,
};

use super::{Problems, operator::Line, outcome};

/// The most filters within each other.
const MAX_DEPTH: usize = 16;

/// A condition on an ended call.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    Always,
    Never,
    Status(Comparison),
    /// In milliseconds.
    Duration(Comparison),
    /// Any of these flags; none given stands for any flag at all.
    Flags(Vec<String>),
    /// This many of so many calls.
    Share {
        of: u64,
        taken: u64,
    },
    /// Moments of a call or connection, by the numbers of Envoy's `AccessLogType`.
    Moments {
        listed: Vec<i32>,
        exclude: bool,
    },
    /// Headers of the request.
    Headers(Arc<HeaderRules>),
    /// These gRPC statuses, or all others.
    Grpc {
        listed: Vec<i32>,
        exclude: bool,
    },
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// A comparison with a fixed number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    op: Op,
    with: u64,
}

impl Comparison {
    fn holds(self, value: u64) -> bool {
        match self.op {
            Op::Eq => value == self.with,
            Op::Ge => value >= self.with,
            Op::Le => value <= self.with,
            Op::Ne => value != self.with,
        }
    }
}

impl Filter {
    /// Compiles a filter; no filter lets every call through.
    pub(super) fn compile(
        filter: Option<&AccessLogFilter>,
        problems: &mut Problems,
    ) -> Option<Self> {
        match filter {
            None => Some(Self::Always),
            Some(filter) => compile(filter, MAX_DEPTH, problems),
        }
    }

    /// Whether the call or connection is written.
    pub(super) fn passes(&self, line: Line<'_>) -> bool {
        let record = line.record;
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Status(comparison) => comparison.holds(record.http.into()),
            Self::Duration(comparison) => {
                comparison.holds(u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Flags(wanted) => {
                let mut flags = record.flags.iter();
                flags.any(|flag| {
                    wanted.is_empty() || wanted.iter().any(|wanted| wanted == flag.short())
                })
            }
            Self::Share { of, taken } => spread(record.facts.random) % of < *taken,
            Self::Moments { listed, exclude } => {
                listed.contains(&(line.moment() as i32)) != *exclude
            }
            Self::Headers(rules) => rules.match_all(record.request),
            Self::Grpc { listed, exclude } => {
                let status = outcome::grpc_status(record).and_then(|status| status.parse().ok());
                let other = || match record.request.protocol().starts_with("HTTP/") {
                    true => outcome::grpc_of_http(record.http),
                    // What stands for the outcome of an RPC.
                    false => record.class.grpc().cast_signed(),
                };
                let status = status.unwrap_or_else(other);
                listed.contains(&status) != *exclude
            }
            Self::All(filters) => filters.iter().all(|filter| filter.passes(line)),
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(line)),
        }
    }
}

/// A number that tells nothing about what else was drawn from `random`, such as the cluster: or
/// all calls that are written would have gone to the same one.
fn spread(random: u64) -> u64 {
    random.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

fn compile(filter: &AccessLogFilter, depth: usize, problems: &mut Problems) -> Option<Filter> {
    let Some(depth) = depth.checked_sub(1) else {
        problems.add(
            format!("more than {MAX_DEPTH} filters within each other"),
            "use fewer",
        );
        return None;
    };
    let mut inner = |field: &'static str, filters: &[AccessLogFilter]| {
        let filters = filters.iter().enumerate().map(|(ix, filter)| {
            problems.within(&format!("{field}.filters[{ix}]"), |problems| {
                compile(filter, depth, problems)
            })
        });
        filters
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Option<Vec<_>>>()
    };
    let Some(specifier) = filter.filter_specifier.as_ref() else {
        problems.add(
            "the filter has no condition",
            "name one, or remove the filter",
        );
        return None;
    };
    Some(match specifier {
        FilterSpecifier::AndFilter(and) => Filter::All(inner("and_filter", &and.filters)?),
        FilterSpecifier::OrFilter(or) => Filter::Any(inner("or_filter", &or.filters)?),
        other => return single(other, problems),
    })
}

fn single(filter: &FilterSpecifier, problems: &mut Problems) -> Option<Filter> {
    Some(match filter {
        FilterSpecifier::StatusCodeFilter(status) => {
            Filter::Status(comparison(status.comparison.as_ref(), problems)?)
        }
        FilterSpecifier::DurationFilter(duration) => {
            Filter::Duration(comparison(duration.comparison.as_ref(), problems)?)
        }
        // Heartbeats are answered hop by hop and never become calls.
        FilterSpecifier::NotHealthCheckFilter(_) => Filter::Always,
        // No call is traced.
        FilterSpecifier::TraceableFilter(_) => Filter::Never,
        FilterSpecifier::ResponseFlagFilter(flags) => {
            if let Some(flag) = flags
                .flags
                .iter()
                .find(|flag| !FLAGS.contains(&flag.as_str()))
            {
                let reason = format!("'{flag}' is not a response flag");
                problems.add(reason, format!("use one of {}", FLAGS.join(", ")));
                return None;
            }
            Filter::Flags(flags.flags.clone())
        }
        FilterSpecifier::RuntimeFilter(runtime) => {
            let percent = runtime.percent_sampled.unwrap_or_default();
            let of = match percent.denominator() {
                DenominatorType::Hundred => 100,
                DenominatorType::TenThousand => 10_000,
                DenominatorType::Million => 1_000_000,
            };
            Filter::Share {
                of,
                taken: percent.numerator.into(),
            }
        }
        FilterSpecifier::LogTypeFilter(types) => Filter::Moments {
            listed: types.types.clone(),
            exclude: types.exclude,
        },
        FilterSpecifier::HeaderFilter(header) => {
            let matchers: Vec<_> = header.header.iter().cloned().collect();
            if matchers.is_empty() {
                problems.add("no header is named", "give header_filter.header");
                return None;
            }
            match HeaderRules::compile(&matchers) {
                Ok(rules) => Filter::Headers(Arc::new(rules)),
                Err(wrong) => {
                    for problem in wrong {
                        let field = problem.path.replacen("headers[0]", "header", 1);
                        problems.within(&format!("header_filter.{field}"), |problems| {
                            problems.add(problem.reason, problem.cure);
                        });
                    }
                    return None;
                }
            }
        }
        FilterSpecifier::GrpcStatusFilter(statuses) => Filter::Grpc {
            listed: statuses.statuses.clone(),
            exclude: statuses.exclude,
        },
        other => {
            let reason = format!("the filter {} is not supported", name(other));
            problems.add(
                reason,
                "use status_code_filter, duration_filter, response_flag_filter, runtime_filter, \
                 log_type_filter, not_health_check_filter, header_filter, grpc_status_filter, \
                 and_filter or or_filter",
            );
            return None;
        }
    })
}

/// Envoy's flags. Some can never be true here; asking for one is no mistake in a file that Envoy
/// may serve as well.
const FLAGS: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

fn comparison(
    comparison: Option<&ComparisonFilter>,
    problems: &mut Problems,
) -> Option<Comparison> {
    let found = comparison.and_then(|comparison| {
        let with = comparison.value.as_ref()?.default_value.into();
        Some(Comparison {
            op: comparison.op(),
            with,
        })
    });
    if found.is_none() {
        problems.add(
            "there is nothing to compare with",
            "give comparison.value.default_value",
        );
    }
    found
}

fn name(filter: &FilterSpecifier) -> &'static str {
    match filter {
        FilterSpecifier::ExtensionFilter(_) => "extension_filter",
        FilterSpecifier::MetadataFilter(_) => "metadata_filter",
        _ => "of this kind",
    }
}

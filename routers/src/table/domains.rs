//! Which virtual host an authority belongs to.
//!
//! As in Envoy: the whole name, then the longest `*suffix`, then the longest `prefix*`, then `*`;
//! ASCII case does not count, and a `*` stands for at least one character.

use smallvec::SmallVec;

use super::bytes::BytesMap;
use crate::problem::{Place, Problems};

/// The longest wildcard domain, in bytes without its `*`. No DNS name is longer, and it bounds
/// the number of lookups for one request.
pub(crate) const WILDCARD_LIMIT: usize = 255;

/// Domains of all virtual hosts.
#[derive(Debug, Default)]
pub(super) struct Domains {
    exact: BytesMap<u32>,
    suffixes: Wildcards,
    prefixes: Wildcards,
    any: Option<u32>,
    ignore_port: bool,
}

/// The fixed parts of wildcards, and their lengths from long to short.
#[derive(Debug, Default)]
struct Wildcards {
    fixed: BytesMap<u32>,
    lengths: Vec<usize>,
}

impl Domains {
    /// No domains yet. `ignore_port` takes the port off every authority that is looked up.
    pub(super) fn new(ignore_port: bool) -> Self {
        Self {
            ignore_port,
            ..Self::default()
        }
    }

    /// Adds a domain of virtual host `host`.
    pub(super) fn insert(
        &mut self,
        domain: &str,
        host: u32,
        place: &Place<'_>,
        problems: &mut Problems,
    ) {
        let lower = domain.to_ascii_lowercase();
        let taken = if lower == "*" {
            self.any.replace(host).is_some()
        } else if let Some(suffix) = lower.strip_prefix('*') {
            self.suffixes.insert(suffix, host, place, problems)
        } else if let Some(prefix) = lower.strip_suffix('*') {
            self.prefixes.insert(prefix, host, place, problems)
        } else {
            self.exact.insert(lower.as_bytes().into(), host).is_some()
        };
        if taken {
            problems.add(
                place,
                format!("the domain `{domain}` belongs to an earlier entry already"),
                "let each domain, upper and lower case being equal, stand once in the whole table",
            );
        }
        if domain.is_empty() {
            problems.add(
                place,
                "an empty domain matches nothing",
                "write * for any authority",
            );
        }
    }

    /// Makes the domains ready to be asked.
    pub(super) fn finish(&mut self) {
        self.suffixes.finish();
        self.prefixes.finish();
    }

    /// The virtual host of `authority`; without one, only `*` is left.
    pub(super) fn find(&self, authority: Option<&str>) -> Option<u32> {
        let named = self.exact.len() + self.suffixes.fixed.len() + self.prefixes.fixed.len();
        let Some(authority) = authority.filter(|_| named > 0) else {
            return self.any;
        };
        let authority = if self.ignore_port {
            without_port(authority)
        } else {
            authority
        };
        let mut lower: SmallVec<[u8; 256]> = SmallVec::from_slice(authority.as_bytes());
        lower.make_ascii_lowercase();
        let host = &lower[..];
        self.exact
            .get(host)
            .copied()
            .or_else(|| {
                self.suffixes
                    .find(|length| &host[host.len() - length..], host.len())
            })
            .or_else(|| self.prefixes.find(|length| &host[..length], host.len()))
            .or(self.any)
    }
}

impl Wildcards {
    fn insert(
        &mut self,
        fixed: &str,
        host: u32,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> bool {
        if fixed.len() > WILDCARD_LIMIT {
            problems.add(
                place,
                format!("a wildcard domain of more than {WILDCARD_LIMIT} characters"),
                "shorten it, or write the whole name",
            );
        }
        self.fixed.insert(fixed.as_bytes().into(), host).is_some()
    }

    fn finish(&mut self) {
        self.lengths = self.fixed.keys().map(|fixed| fixed.len()).collect();
        self.lengths.sort_unstable_by(|left, right| right.cmp(left));
        self.lengths.dedup();
    }

    /// The host of the longest wildcard whose fixed part `cut` finds in a name of `length`.
    fn find<'n>(&self, cut: impl Fn(usize) -> &'n [u8], length: usize) -> Option<u32> {
        let shorter = self.lengths.iter().filter(|fixed| **fixed < length);
        shorter
            .copied()
            .find_map(|fixed| self.fixed.get(cut(fixed)).copied())
    }
}

/// `authority` without `:port`; an IPv6 address has its own colons in brackets.
fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if authority.rfind(']').is_none_or(|bracket| bracket < colon) => {
            &authority[..colon]
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(list: &[&str], ignore_port: bool) -> Result<Domains, Vec<crate::Problem>> {
        let mut domains = Domains::new(ignore_port);
        let mut problems = Problems::default();
        for (at, domain) in list.iter().enumerate() {
            let host = Place::ROOT.item("virtual_hosts", at);
            domains.insert(domain, at as u32, &host.item("domains", 0), &mut problems);
        }
        domains.finish();
        problems.or(domains)
    }

    #[test]
    fn the_search_goes_from_special_to_general() {
        let list = ["a.b.c", "*.b.c", "*b.c", "a.*", "a.b.*", "*", "X.Y"];
        let domains = domains(&list, false).expect("valid");
        for (authority, host) in [
            ("a.b.c", 0),
            ("A.B.C", 0),
            ("z.b.c", 1),
            (".b.c", 2),
            ("zb.c", 2),
            ("b.c", 5),
            ("a.z", 3),
            ("a.b.z", 4),
            ("a.", 5),
            ("", 5),
            ("x.y", 6),
            ("x.y:80", 5),
        ] {
            assert_eq!(domains.find(Some(authority)), Some(host), "{authority}");
        }
        assert_eq!(domains.find(None), Some(5));
    }

    #[test]
    fn without_a_star_the_rest_finds_nothing() {
        let domains = domains(&["a", "*.b"], false).expect("valid");
        assert_eq!(domains.find(Some("c")), None);
        assert_eq!(domains.find(None), None);
    }

    #[test]
    fn ports_are_taken_off_where_configured() {
        let domains = domains(&["a", "[::1]", "b:80"], true).expect("valid");
        assert_eq!(domains.find(Some("a:12200")), Some(0));
        assert_eq!(domains.find(Some("a")), Some(0));
        assert_eq!(domains.find(Some("[::1]:80")), Some(1));
        assert_eq!(domains.find(Some("[::1]")), Some(1));
        assert_eq!(
            domains.find(Some("b:80")),
            None,
            "Envoy keeps the domain's own port"
        );
    }

    #[test]
    fn duplicates_are_refused() {
        let problems = domains(&["a.b", "*", "A.B", "*.c", "*.C", "d*", "d*", "*"], false);
        let problems = problems.expect_err("four duplicates");
        let paths: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [2, 4, 6, 7].map(|at| format!("virtual_hosts[{at}].domains[0]"))
        );
        assert_eq!(
            problems[0].reason,
            "the domain `A.B` belongs to an earlier entry already"
        );
    }

    #[test]
    fn long_wildcards_and_empty_domains_are_refused() {
        let long = format!("*{}", "a".repeat(WILDCARD_LIMIT + 1));
        assert_eq!(domains(&[&long, ""], false).expect_err("two").len(), 2);
        assert!(domains(&[&long[..=WILDCARD_LIMIT]], false).is_ok());
    }

    #[test]
    fn ten_thousand_names_cost_as_many_lookups_as_one() {
        let names: Vec<_> = (0..10_000).map(|at| format!("s{at:05}.acme.com")).collect();
        let wild: Vec<_> = (0..10_000)
            .map(|at| format!("*.t{at:05}.acme.com"))
            .collect();
        let list: Vec<_> = names.iter().chain(&wild).map(String::as_str).collect();
        let domains = domains(&list, false).expect("valid");
        assert_eq!(
            domains.suffixes.lengths.len(),
            1,
            "one lookup for all wildcards"
        );
        assert_eq!(domains.find(Some("s09999.acme.com")), Some(9_999));
        assert_eq!(domains.find(Some("x.t09999.acme.com")), Some(19_999));
    }
}

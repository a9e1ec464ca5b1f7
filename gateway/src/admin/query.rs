//! The parameters behind the `?` of a request.

use regex::{Regex, RegexBuilder};

use super::reply::Reply;

/// The most memory that a compiled expression may take.
const REGEX_BYTES: usize = 1024 * 1024;

/// The parameters of a request, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`. Only `%XX` is decoded: a `+` stays one, because it means
    /// something in the expressions that stand here, and pilot-agent sends those as they are.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(
            pairs
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// The first parameter of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether there is a parameter of this name, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every parameter with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The parameter as a regular expression, to be searched for.
    ///
    /// # Errors
    ///
    /// The answer to a request whose expression is wrong.
    pub(super) fn regex(&self, name: &str) -> Result<Option<Regex>, Reply> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let regex = RegexBuilder::new(text).size_limit(REGEX_BYTES).build();
        regex
            .map(Some)
            .map_err(|error| Reply::bad_request(format!("Invalid re2 regex: {error}")))
    }
}

fn decode(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let (octet, left) = match (first, escape(behind)) {
            (b'%', Some(octet)) => (octet, &behind[2..]),
            _ => (*first, behind),
        };
        octets.push(octet);
        rest = left;
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The octet that two hexadecimal digits stand for.
fn escape(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        Query::parse(text).0
    }

    #[test]
    fn parameters_have_names_and_perhaps_values() {
        let query = Query::parse("usedonly&filter=a=b&x=&filter=c");
        assert!(query.has("usedonly") && query.has("x") && !query.has("y"));
        assert_eq!(query.get("filter"), Some("a=b"));
        assert_eq!(query.get("usedonly"), Some(""));
        assert_eq!(pairs(""), []);
        assert_eq!(pairs("&&a"), [("a".to_owned(), String::new())]);
    }

    #[test]
    fn escapes_are_decoded_and_nothing_else() {
        for (text, decoded) in [
            ("^(a\\.b|c)$", "^(a\\.b|c)$"),
            ("%5E%28a%7cb%29+", "^(a|b)+"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(pairs(text)[0].0, decoded, "{text}");
        }
    }

    #[test]
    fn expressions_are_searched_within_limits() {
        let regex = |text: &str| Query::parse(text).regex("filter");
        let found = regex("filter=rq_total$")
            .expect("it is right")
            .expect("it is there");
        assert!(found.is_match("cluster.a.upstream_rq_total"));
        assert!(regex("filter=").expect("nothing to compile").is_none());
        let refused = regex("filter=(").expect_err("it is open");
        assert!(refused.body.starts_with("Invalid re2 regex"), "{refused:?}");
        assert!(regex("filter=(a{1000}){1000}").is_err());
    }
}

//! "Did you mean": the name that was probably meant.

/// The cure for a field that is known to be no field, of Envoy's former API or of other YAML.
pub(crate) fn known(key: &str) -> Option<&'static str> {
    Some(match key {
        "@type" => "it belongs only where the type is open, as in `typed_config`",
        "<<" => "neither YAML 1.2 nor Envoy knows merge keys: write the fields out",
        "config" => {
            "since API v3 it is `typed_config`, with the type of the message in `\"@type\"`"
        }
        "hosts" => "since API v3 it is `load_assignment`",
        "tls_context" => "since API v3 it is `transport_socket`",
        "regex" => "since API v3 it is `safe_regex`",
        "regex_match" => "since API v3 it is `string_match` with `safe_regex`",
        _ => return None,
    })
}

/// The candidate with the fewest edits, if they are few for the length of the word.
///
/// Case and `_` are not counted, so `clusterName` finds `cluster_name`. Equal distances go to
/// the first candidate.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = fold(word);
    if word.is_empty() || word.len() > 200 {
        return None;
    }
    let most = word.len().div_ceil(3).min(4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most + 8)
        .map(|candidate| (distance(&word, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["lb_policy", "load_assignment", "connect_timeout", "name"];

    #[test]
    fn finds_slips() {
        assert_eq!(closest("lb_polcy", NAMES), Some("lb_policy"));
        assert_eq!(closest("conect_timeuot", NAMES), Some("connect_timeout"));
        assert_eq!(closest("LoadAssignments", NAMES), Some("load_assignment"));
    }

    #[test]
    fn keeps_silent_about_other_words() {
        assert_eq!(closest("x", NAMES), None);
        assert_eq!(closest("", NAMES), None);
        assert_eq!(closest("routes", NAMES), None);
        assert_eq!(closest(&"y".repeat(100_000), NAMES), None);
    }
}

//! Finds the rules that may match a path, in the order of the configuration, without walking all
//! rules.
//!
//! Every rule with a literal path stands in a hash map: under the whole path, or under its prefix
//! cut at the last `/`. A request looks up its path, and its head at each `/` that is deep enough
//! to matter. What remains behind the last `/` of a prefix (`/api/v` has `v`) is looked up among the
//! prefixes with the same head (`tails.rs`). The lists found are merged by rule number, so that the
//! first rule of the configuration wins.

use smallvec::SmallVec;

use super::{bytes::BytesMap, tails::Tails};
use crate::rules::path::PathRule;

/// Numbers of rules in one virtual host, ascending.
type Numbers = Vec<u32>;

/// The rules of one virtual host by path.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    strict: Shelf,
    /// Rules that ignore ASCII case, under texts in lower case.
    fold: Shelf,
    /// Rules that ask for nothing, for requests whose path cannot be read.
    pathless: Numbers,
}

/// Paths compared in one way.
#[derive(Debug, Default)]
struct Shelf {
    exact: BytesMap<Numbers>,
    heads: BytesMap<Shared>,
    /// How many `/` the keys of `heads` have, ascending.
    depths: Vec<usize>,
}

/// Prefixes with a common head.
#[derive(Debug, Default)]
struct Shared {
    /// Rules whose prefix ends with the head.
    whole: Numbers,
    /// The others, by what follows.
    tails: Tails,
}

impl PathIndex {
    /// Files one rule. Rules come in the order of the configuration.
    pub(super) fn insert(&mut self, number: u32, rule: &PathRule, ignores_case: bool) {
        if rule.asks_nothing() {
            self.pathless.push(number);
        }
        let shelf = if ignores_case {
            &mut self.fold
        } else {
            &mut self.strict
        };
        match rule {
            PathRule::Exact(path) => shelf.insert_exact(path, number),
            PathRule::Prefix(prefix) => shelf.insert_prefix(prefix, number),
            PathRule::Separated(prefix) => {
                shelf.insert_exact(prefix, number);
                shelf.insert_prefix(&format!("{prefix}/"), number);
            }
            PathRule::Regex(_, literal) | PathRule::Template(_, literal) => {
                shelf.insert_prefix(literal, number)
            }
            PathRule::Connect => shelf.insert_prefix("", number),
        }
    }

    /// Makes the index ready to be asked.
    pub(super) fn finish(&mut self) {
        self.strict.finish();
        self.fold.finish();
    }

    /// The rules that may match `path`, which has no query, in the order of the configuration.
    /// Only expressions have still to be tried; every literal rule among them does match.
    pub(super) fn candidates(&self, path: Option<&str>) -> Candidates<'_> {
        let mut found = Candidates::default();
        let Some(path) = path else {
            found.push(&self.pathless);
            return found;
        };
        self.strict.collect(path.as_bytes(), &mut found);
        if !self.fold.is_empty() {
            let mut lower: SmallVec<[u8; 256]> = SmallVec::from_slice(path.as_bytes());
            lower.make_ascii_lowercase();
            self.fold.collect(&lower, &mut found);
        }
        found
    }
}

impl Shelf {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.heads.is_empty()
    }

    fn insert_exact(&mut self, path: &str, number: u32) {
        let rules = self.exact.entry(path.as_bytes().into()).or_default();
        rules.push(number);
    }

    fn insert_prefix(&mut self, prefix: &str, number: u32) {
        let cut = prefix.rfind('/').map_or(0, |slash| slash + 1);
        let (head, tail) = prefix.split_at(cut);
        let shared = self.heads.entry(head.as_bytes().into()).or_default();
        if tail.is_empty() {
            shared.whole.push(number);
        } else {
            shared.tails.insert(tail.as_bytes(), number);
        }
    }

    fn finish(&mut self) {
        for shared in self.heads.values_mut() {
            shared.tails.finish();
        }
        let slashes = |head: &[u8]| head.iter().filter(|byte| **byte == b'/').count();
        self.depths = self.heads.keys().map(|head| slashes(head)).collect();
        self.depths.sort_unstable();
        self.depths.dedup();
    }

    fn collect<'i>(&'i self, path: &[u8], found: &mut Candidates<'i>) {
        if let Some(rules) = self.exact.get(path) {
            found.push(rules);
        }
        let mut depths = self.depths.iter().copied().peekable();
        if depths.next_if_eq(&0).is_some() {
            self.collect_head(path, 0, found);
        }
        let Some(&deepest) = self.depths.last() else {
            return;
        };
        let slashes = memchr::memchr_iter(b'/', path);
        for (depth, at) in (1..=deepest).zip(slashes) {
            if depths.next_if_eq(&depth).is_some() {
                self.collect_head(path, at + 1, found);
            }
        }
    }

    fn collect_head<'i>(&'i self, path: &[u8], cut: usize, found: &mut Candidates<'i>) {
        let (head, rest) = path.split_at(cut);
        if let Some(shared) = self.heads.get(head) {
            found.push(&shared.whole);
            shared.tails.collect(rest, |rules| found.push(rules));
        }
    }
}

/// Rule numbers in ascending order, merged from the lists that an index found.
#[derive(Debug, Default)]
pub(super) struct Candidates<'i> {
    lists: SmallVec<[&'i [u32]; 12]>,
}

impl<'i> Candidates<'i> {
    fn push(&mut self, list: &'i [u32]) {
        if !list.is_empty() {
            self.lists.push(list);
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let lists = self.lists.iter_mut().filter(|list| !list.is_empty());
        let list = lists.min_by_key(|list| list[0])?;
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(rules: &[PathRule]) -> PathIndex {
        let mut index = PathIndex::default();
        for (number, rule) in rules.iter().enumerate() {
            index.insert(number as u32, rule, false);
        }
        index.finish();
        index
    }

    fn found(index: &PathIndex, path: &str) -> Vec<u32> {
        index.candidates(Some(path)).collect()
    }

    #[test]
    fn rules_come_in_configured_order() {
        let index = index(&[
            PathRule::Prefix("/a/b".into()),
            PathRule::Exact("/a/b/c".into()),
            PathRule::Prefix("/".into()),
            PathRule::Separated("/a/b".into()),
            PathRule::Prefix("".into()),
            PathRule::Prefix("/a/".into()),
            PathRule::Prefix("/a/bc".into()),
            PathRule::Prefix("/a/b".into()),
        ]);
        assert_eq!(found(&index, "/a/b/c"), [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(found(&index, "/a/b"), [0, 2, 3, 4, 5, 7]);
        assert_eq!(found(&index, "/a/bcd"), [0, 2, 4, 5, 6, 7]);
        assert_eq!(found(&index, "/a/bb"), [0, 2, 4, 5, 7]);
        assert_eq!(found(&index, "/a"), [2, 4]);
        assert_eq!(found(&index, "*"), [4]);
        assert_eq!(index.candidates(None).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_path_of_slashes_is_looked_at_only_as_deep_as_the_rules_go() {
        let index = index(&[PathRule::Prefix("/a/".into())]);
        assert_eq!(index.strict.depths, [2]);
        assert_eq!(found(&index, &"/".repeat(10_000)), [] as [u32; 0]);
    }
}

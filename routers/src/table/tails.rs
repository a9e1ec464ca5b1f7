//! Prefixes by hash: the longest of them that a text starts with, in as many look-ups as the
//! number of different lengths has binary digits, however many prefixes there are.
//!
//! The search halves the range of lengths: a hit at one length says that a longer prefix may be
//! there, a miss that none is. For that, every prefix leaves a marker at each length at which the
//! search for it turns to longer ones, and a marker knows the longest prefix that it starts with
//! (Waldvogel and others, "Scalable high speed IP routing lookups", SIGCOMM 1997).

use super::bytes::BytesMap;

/// Rules by what stands behind a common head of their prefixes.
#[derive(Debug, Default)]
pub(super) struct Tails {
    /// Before [`Tails::finish`], in the order of the rules; then sorted by text, without it.
    tails: Vec<Tail>,
    /// Texts and markers: the longest tail that each starts with.
    longest: BytesMap<Option<u32>>,
    /// The lengths of all tails, ascending.
    lengths: Vec<usize>,
}

#[derive(Debug)]
struct Tail {
    text: Box<[u8]>,
    rules: Vec<u32>,
    /// The longest other tail that this one starts with.
    parent: Option<u32>,
}

impl Tails {
    /// Adds a rule. Rules come in the order of the configuration.
    pub(super) fn insert(&mut self, text: &[u8], number: u32) {
        self.tails.push(Tail {
            text: text.into(),
            rules: vec![number],
            parent: None,
        });
    }

    /// Makes the tails ready to be asked.
    pub(super) fn finish(&mut self) {
        self.sort();
        self.lengths = self.tails.iter().map(|tail| tail.text.len()).collect();
        self.lengths.sort_unstable();
        self.lengths.dedup();
        self.mark();
        // Found by hash from here on.
        self.tails
            .iter_mut()
            .for_each(|tail| tail.text = Box::default());
    }

    /// Calls `each` with the rules of every tail that `rest` starts with.
    pub(super) fn collect<'t>(&'t self, rest: &[u8], mut each: impl FnMut(&'t [u32])) {
        let (mut low, mut high) = (0, self.lengths.len());
        let mut at = None;
        while low < high {
            let middle = low.midpoint(high);
            let text = self
                .lengths
                .get(middle)
                .and_then(|length| rest.get(..*length));
            match text.and_then(|text| self.longest.get(text)) {
                Some(longest) => {
                    at = *longest;
                    low = middle + 1;
                }
                None => high = middle,
            }
        }
        while let Some(tail) = at.and_then(|at| self.tails.get(at as usize)) {
            each(&tail.rules);
            at = tail.parent;
        }
    }

    /// Sorts by text, joins equal texts, and finds the parents: in sorted order, the tails that a
    /// text starts with form a stack.
    fn sort(&mut self) {
        let mut all = std::mem::take(&mut self.tails);
        all.sort_by(|left, right| left.text.cmp(&right.text));
        let mut open: Vec<u32> = Vec::new();
        for mut tail in all {
            if let Some(last) = self.tails.last_mut().filter(|last| last.text == tail.text) {
                last.rules.append(&mut tail.rules);
                continue;
            }
            while let Some(&last) = open.last() {
                if tail.text.starts_with(&self.tails[last as usize].text) {
                    break;
                }
                open.pop();
            }
            tail.parent = open.last().copied();
            open.push(self.tails.len() as u32);
            self.tails.push(tail);
        }
    }

    /// Leaves texts and markers where the search passes.
    fn mark(&mut self) {
        for (at, tail) in self.tails.iter().enumerate() {
            let (mut low, mut high) = (0, self.lengths.len());
            while low < high {
                let middle = low.midpoint(high);
                let length = self.lengths[middle];
                if length > tail.text.len() {
                    high = middle;
                    continue;
                }
                let text = &tail.text[..length];
                let longest = self.longest_of(at as u32, length);
                self.longest.insert(text.into(), longest);
                low = middle + 1;
            }
        }
    }

    /// The longest tail that the first `length` bytes of tail `at` start with: one of its
    /// ancestors, or itself.
    fn longest_of(&self, at: u32, length: usize) -> Option<u32> {
        let mut at = Some(at);
        while let Some(tail) = at {
            if self.tails[tail as usize].text.len() <= length {
                break;
            }
            at = self.tails[tail as usize].parent;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tails(texts: &[&str]) -> Tails {
        let mut tails = Tails::default();
        for (number, text) in texts.iter().enumerate() {
            tails.insert(text.as_bytes(), number as u32);
        }
        tails.finish();
        tails
    }

    fn found(tails: &Tails, rest: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tails.collect(rest.as_bytes(), |rules| found.extend(rules));
        found.sort_unstable();
        found
    }

    #[test]
    fn every_tail_of_a_text_is_found() {
        let tails = tails(&["a", "ab", "abb", "abc", "abcd", "b", "ab", "xyzxyz"]);
        assert_eq!(found(&tails, "abcc"), [0, 1, 3, 6]);
        assert_eq!(found(&tails, "abcd"), [0, 1, 3, 4, 6]);
        assert_eq!(found(&tails, "ac"), [0]);
        assert_eq!(found(&tails, "xyzxy"), [] as [u32; 0]);
        assert_eq!(found(&tails, "xyzxyzz"), [7]);
        assert_eq!(found(&tails, ""), [] as [u32; 0]);
    }

    #[test]
    fn a_marker_without_a_tail_misleads_no_search() {
        // The search for `abcdefg` leaves markers that `abcdx` meets on its way to `a`.
        let tails = tails(&["a", "xb", "xbc", "xbcd", "xbcde", "xbcdef", "abcdefg"]);
        for rest in ["abcdx", "ab", "abcdefx", "a"] {
            assert_eq!(found(&tails, rest), [0], "{rest}");
        }
        assert_eq!(found(&tails, "abcdefgh"), [0, 6]);
    }

    #[test]
    fn a_search_is_as_long_as_the_lengths_are_many() {
        let texts: Vec<_> = (0..10_000).map(|at| format!("com.acme.S{at}")).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let tails = tails(&texts);
        assert_eq!(tails.lengths, [11, 12, 13, 14], "three look-ups at most");
        assert_eq!(found(&tails, "com.acme.S4321/get"), [4, 43, 432, 4321]);
    }
}

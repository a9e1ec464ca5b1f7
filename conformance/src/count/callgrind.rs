//! The files that callgrind writes.

use std::collections::HashMap;

/// What a process did between two dumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    /// Calls that ask an allocator for memory.
    pub(crate) allocations: u64,
}

/// Reads a profile: its total, and the calls into an allocator from outside of it.
///
/// A name stands once in full, `fn=(7) name`, and later as its number alone, `fn=(7)`. The line
/// `calls=` counts calls from the last `fn` to the last `cfn`.
pub(crate) fn read(profile: &str) -> Counts {
    let mut names: HashMap<&str, bool> = HashMap::new();
    let mut counts = Counts::default();
    let (mut inside, mut called) = (false, false);
    for line in profile.lines() {
        if let Some(rest) = line.strip_prefix("fn=") {
            inside = allocates(rest, &mut names);
        } else if let Some(rest) = line.strip_prefix("cfn=") {
            called = allocates(rest, &mut names);
        } else if let Some(rest) = line.strip_prefix("calls=") {
            if called && !inside {
                counts.allocations += first_number(rest);
            }
        } else if let Some(rest) = line.strip_prefix("totals:") {
            counts.instructions = first_number(rest);
        }
    }
    counts
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

fn allocates<'a>(reference: &'a str, names: &mut HashMap<&'a str, bool>) -> bool {
    match reference.split_once(' ') {
        Some((number, name)) => {
            let answer = is_allocator(name);
            names.insert(number, answer);
            answer
        }
        None => names.get(reference).copied().unwrap_or(false),
    }
}

/// Whether a function hands out memory: the C library's, or mimalloc's.
fn is_allocator(name: &str) -> bool {
    const C: [&str; 7] = [
        "malloc",
        "calloc",
        "realloc",
        "reallocarray",
        "memalign",
        "posix_memalign",
        "aligned_alloc",
    ];
    let name = name.split('\'').next().unwrap_or(name);
    let mimalloc = (name.starts_with("mi_") || name.starts_with("_mi_")) && name.contains("alloc");
    mimalloc || C.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two functions allocate; one allocation goes through three functions of the allocator; a
    /// freeing and a call of something else do not count.
    const PROFILE: &str = "\
version: 1
creator: callgrind-3.19.0
events: Ir

fl=(1) gateway.rs
fn=(1) serve
10 40
cfi=(2) alloc.c
cfn=(2) mi_malloc_aligned
calls=3 20
11 90
cfn=(5) mi_free
calls=3 20
11 9

fl=(2)
fn=(2)
20 30
cfn=(3) mi_malloc
calls=3 30
21 60

fn=(3)
30 40
cfn=(4) _mi_malloc_generic
calls=1 40
31 20

fn=(6) drain
50 1
cfn=(7) realloc'2
calls=2 60
51 10
cfn=(1)
calls=9 10
52 10
totals: 12345
";

    #[test]
    fn only_calls_from_outside_the_allocator_count() {
        assert_eq!(
            read(PROFILE),
            Counts {
                instructions: 12345,
                allocations: 5
            }
        );
    }

    #[test]
    fn a_file_that_is_no_profile_counts_nothing() {
        assert_eq!(read("calls=x\nfn=\ncfn=(9)\n"), Counts::default());
    }
}

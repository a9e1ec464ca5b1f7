//! Every target over its corpus, and over small changes of it, without a fuzzer.

use std::fs;
use std::path::Path;

use crossdock_fuzz::TARGETS;

/// Changed inputs tried for each input of a corpus.
const CHANGES: usize = 500;

#[test]
fn every_target_holds_on_its_corpus_and_near_it() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(folder).expect("each target has a corpus") {
            let input = fs::read(entry.expect("an entry").path()).expect("an input");
            target(&input);
            (0..=input.len()).for_each(|cut| target(&input[..cut]));
            changed(&input).for_each(|input| target(&input));
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of {name} is empty");
    }
}

/// Copies of `input` with one to four octets changed; the same ones in every run.
fn changed(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ input.len() as u64;
    let mut next = move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let changes = if input.is_empty() { 0 } else { CHANGES };
    (0..changes).map(move |_| {
        let mut copy = input.to_vec();
        for _ in 0..=next() % 4 {
            let at = next() % copy.len();
            copy[at] = next() as u8;
        }
        copy
    })
}

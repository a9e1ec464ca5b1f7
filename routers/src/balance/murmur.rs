//! MurmurHash2, 64 bits, as the ring of Envoy's `MURMUR_HASH_2` uses it (that is `std::hash` of
//! strings in GNU's C++ library).

const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
const SEED: u64 = 0xc70f_6907;

/// The hash of `bytes`.
pub(super) fn murmur2(bytes: &[u8]) -> u64 {
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = shift(u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER));
        hash ^= mixed.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    shift(shift(hash).wrapping_mul(MULTIPLIER))
}

fn shift(value: u64) -> u64 {
    value ^ (value >> 47)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `std::hash<std::string>` of GCC 12's library.
    #[test]
    fn hashes_are_those_of_the_c_plus_plus_library() {
        for (text, hash) in [
            ("", 0x553e_9390_1e46_2a6e),
            ("a", 0x454d_dee4_88c1_ed6b),
            ("foo", 0x85a8_e535_edf1_1e5a),
            ("12345678", 0x8c5b_90a3_3a04_dca5),
            ("127.0.0.1:27211_0", 0x50d4_f747_757d_6c22),
            ("127.0.0.1:27215_1024", 0x696b_52b7_4f31_5729),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
        }
    }
}

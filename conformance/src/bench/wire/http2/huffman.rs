//! The Huffman code of header texts (RFC 7541, appendix B), for the characters that headers have.

/// Characters by the length of their codes. The code is canonical: codes of one length are
/// consecutive in this order, and the first of the next length follows the last of this one.
const CODES: [(u32, &[u8]); 10] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
];

/// The text that `code` stands for; nothing when it has characters that headers do not have.
pub(super) fn decode(code: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(code.len() * 2);
    let mut bits: u64 = 0;
    let mut have = 0;
    let mut octets = code.iter();
    loop {
        while have <= 48 {
            let Some(octet) = octets.next() else { break };
            bits = bits << 8 | u64::from(*octet);
            have += 8;
        }
        match character(bits, have) {
            Some((octet, used)) => {
                text.push(octet);
                have -= used;
            }
            None => {
                // What is left is padding: fewer than eight bits, all ones.
                let ones = (1 << have) - 1;
                return (have < 8 && bits & ones == ones).then_some(text);
            }
        }
    }
}

/// The character whose code begins the lowest `have` bits of `bits`, and the length of its code.
fn character(bits: u64, have: u32) -> Option<(u8, u32)> {
    let (mut first, mut before) = (0, CODES[0].0);
    for (length, octets) in CODES {
        first <<= length - before;
        before = length;
        let rest = have.checked_sub(length)?;
        let code = bits >> rest & ((1 << length) - 1);
        if let Some(octet) = octets.get((code - first) as usize) {
            return Some((*octet, length));
        }
        first += octets.len() as u64;
    }
    None
}

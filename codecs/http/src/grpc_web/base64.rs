//! Base64 (RFC 4648 section 4) as it comes: in pieces, each of which may end with padding.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// All of `bytes`, padded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let octet = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS.get((bits >> shift & 63) as usize);
            text.push(match digit.filter(|_| at <= group.len()) {
                Some(digit) => char::from(*digit),
                None => '=',
            });
        }
    }
    text
}

/// Digits of a group of four that has not come to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoder {
    bits: u32,
    digits: u8,
    padding: u8,
}

/// What cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotBase64;

impl Decoder {
    /// The bytes that are complete with `text`. Line ends between digits are skipped.
    ///
    /// # Errors
    ///
    /// When another octet stands there, or padding where none can be.
    pub(crate) fn decode(&mut self, text: &[u8]) -> Result<Vec<u8>, NotBase64> {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
        for octet in text {
            match octet {
                b'=' if self.digits >= 2 => self.padding += 1,
                b'\r' | b'\n' => continue,
                _ if self.padding > 0 => return Err(NotBase64),
                octet => {
                    self.bits = self.bits << 6 | value(*octet).ok_or(NotBase64)?;
                    self.digits += 1;
                }
            }
            if self.digits + self.padding == 4 {
                let bits = self.bits << (6 * self.padding);
                let group = bits.to_be_bytes();
                let count = usize::from(self.digits) - 1;
                bytes.extend(group.iter().skip(1).take(count));
                *self = Self::default();
            }
        }
        Ok(bytes)
    }

    /// Whether nothing is incomplete.
    pub(crate) fn is_complete(&self) -> bool {
        self.digits == 0
    }
}

fn value(octet: u8) -> Option<u32> {
    Some(u32::from(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            // In pieces of every size.
            for size in 1..=text.len().max(1) {
                let mut decoder = Decoder::default();
                let pieces = text.as_bytes().chunks(size);
                let decoded: Vec<u8> = pieces
                    .flat_map(|piece| decoder.decode(piece).expect("base64"))
                    .collect();
                assert_eq!(decoded, bytes.as_bytes());
                assert!(decoder.is_complete());
            }
        }
        let all: Vec<u8> = (0..=255).collect();
        let decoded = Decoder::default().decode(encode(&all).as_bytes());
        assert_eq!(decoded, Ok(all));
    }

    #[test]
    fn pieces_may_be_padded_each() {
        let decoded = Decoder::default().decode(b"Zg==Zm8=\r\nZm9v");
        assert_eq!(decoded, Ok(b"ffofoo".to_vec()));
    }

    #[test]
    fn what_is_no_base64() {
        for text in ["Z===", "=", "Zg=a", "Zm9*", "Zm9-", "\u{e9}aaa"] {
            let decoded = Decoder::default().decode(text.as_bytes());
            assert_eq!(decoded, Err(NotBase64), "{text}");
        }
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"Zm9vZg"), Ok(b"foo".to_vec()));
        assert!(!decoder.is_complete());
    }
}

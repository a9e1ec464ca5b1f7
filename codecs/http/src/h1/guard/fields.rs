//! The fields of a head, line by line.

use super::{Limits, Refusal, State, bad};

/// What the lines of a head have said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// The first line has come.
    pub(super) began: bool,
    /// It is HTTP/1.0.
    pub(super) old: bool,
    /// The status of an answer.
    pub(super) status: u16,
    /// CONNECT.
    pub(super) tunnel: bool,
    /// What follows may be something else than HTTP.
    pub(super) switches: bool,
    /// Bytes of the target, of names and of values.
    pub(super) bytes: usize,
    count: u32,
    length: Option<u64>,
    chunked: bool,
}

impl Fields {
    /// Judges the line of a field, and notes what it says of the message's framing.
    pub(super) fn judge(&mut self, line: &[u8], limits: Limits) -> Result<(), Refusal> {
        let (name, value) = split(line)?;
        self.count += 1;
        self.bytes += name.len() + value.len();
        if self.count > limits.fields {
            return Err(Refusal::of(431, super::TOO_MANY_FIELDS));
        }
        self.judge_size(limits)?;
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.switches = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return bad("several Content-Length fields");
                }
                self.length = Some(length(value)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked {
                    return bad("several Transfer-Encoding fields");
                }
                self.chunked = true;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::of(501, "an unknown transfer coding"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Judges a trailer: it may not say anything of the message's framing or way.
    pub(super) fn judge_trailer(&mut self, line: &[u8], limits: Limits) -> Result<(), Refusal> {
        self.judge(line, limits)?;
        let (name, _) = split(line)?;
        let framing = self.length.is_some() || self.chunked;
        match framing || name.eq_ignore_ascii_case(b"host") {
            true => bad("a trailer that belongs into the head"),
            false => Ok(()),
        }
    }

    /// Judges what has come so far.
    pub(super) fn judge_size(&self, limits: Limits) -> Result<(), Refusal> {
        match self.bytes > limits.bytes as usize {
            true => Err(Refusal::of(431, "the head is too long")),
            false => Ok(()),
        }
    }

    /// Judges what a complete head says of its framing.
    pub(super) fn judge_framing(&self) -> Result<(), Refusal> {
        if self.chunked && self.length.is_some() {
            return bad(super::TWO_LENGTHS);
        }
        if self.chunked && self.old {
            return bad("Transfer-Encoding in HTTP/1.0");
        }
        if self.tunnel && (self.chunked || self.length.is_some()) {
            return bad("a CONNECT with a body");
        }
        Ok(())
    }

    /// What the head says of its body.
    pub(super) fn body(&self) -> Option<State> {
        match (self.chunked, self.length) {
            (true, _) => Some(State::Size),
            (false, length) => length.map(State::Length),
        }
    }
}

/// Name and value of a field; only tabs and printable bytes are left in the value.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return bad("a folded line");
    }
    let end = line.iter().position(|byte| !is_token(*byte));
    let Some((name, value)) = end.and_then(|end| line.split_at_checked(end)) else {
        return bad("a field without a colon");
    };
    if name.is_empty() || value.first() != Some(&b':') {
        return bad("the name of a field is not a token and a colon");
    }
    if has_control(value) {
        return bad("a field has control characters");
    }
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// A length: digits, fewer than would overflow.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.parse() {
        Ok(length) if digits => Ok(length),
        _ => bad("Content-Length is not a number"),
    }
}

/// Whether there are control characters. Eight bytes are looked at together.
pub(super) fn has_control(bytes: &[u8]) -> bool {
    // The last eight overlap those before them.
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().any(|byte| is_control(*byte));
    };
    let (eights, _) = bytes.as_chunks();
    let mut eights = eights.iter().chain(std::iter::once(last));
    eights.any(|eight| may_have_control(*eight)) && bytes.iter().any(|byte| is_control(*byte))
}

/// Whether one of eight bytes is a tab or a control character.
fn may_have_control(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_ne_bytes(bytes);
    // A difference borrows from its high bit where it is below zero; one that has a high bit of its
    // own is none (Warren, Hacker's Delight, section 6-1).
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    let deletes = word ^ (ONES * 0x7f);
    let delete = deletes.wrapping_sub(ONES) & !deletes;
    (low | delete) & HIGH != 0
}

/// Control characters other than tabs.
fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// What may stand in a name or a method (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < 256 {
            let byte = at as u8;
            table[at] = byte.is_ascii_alphanumeric();
            at += 1;
        }
        let others = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_found_wherever_they_stand() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for other in [b' ', b'~', 0x80, 0xff, b'\t'] {
                        let mut bytes = vec![other; length];
                        bytes[at] = byte;
                        assert_eq!(has_control(&bytes), is_control(byte), "{bytes:?}");
                    }
                }
            }
        }
    }
}

//! Calls of any service with any headers, and the headers of what arrives; octet by octet, like [`Frame`]s.

use std::collections::BTreeMap;

use super::{Frame, Wire};

const DUBBO_HEADER: usize = 16;

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// Dubbo, or version 1 of Bolt.
    pub wire: Wire,
    /// Its id.
    pub id: u64,
    /// The service.
    pub service: &'c str,
    /// Its method.
    pub method: &'c str,
    /// Attachments, or entries of the header map.
    pub headers: &'c [(&'c str, &'c str)],
    /// Milliseconds, where the protocol has a place for them.
    pub timeout: i32,
}

impl<'c> Call<'c> {
    /// A call of `com.acme.Echo.echo`.
    #[must_use]
    pub fn new(wire: Wire, id: u64) -> Self {
        Self {
            wire,
            id,
            service: "com.acme.Echo",
            method: "echo",
            headers: &[],
            timeout: -1,
        }
    }

    /// The same call of another method.
    #[must_use]
    pub fn of(self, service: &'c str, method: &'c str) -> Self {
        Self {
            service,
            method,
            ..self
        }
    }

    /// The same call with these attachments or entries of the header map.
    #[must_use]
    pub fn with(self, headers: &'c [(&'c str, &'c str)]) -> Self {
        Self { headers, ..self }
    }

    /// Its octets.
    ///
    /// # Panics
    /// For another protocol than these two.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        match self.wire {
            Wire::Dubbo => self.dubbo(),
            Wire::Bolt1 => self.bolt(),
            other => panic!("{other:?} is not made here"),
        }
    }

    fn dubbo(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [
            "2.0.2",
            self.service,
            "1.0.0",
            self.method,
            "Ljava/lang/String;",
            "<<call>>",
        ] {
            string(&mut body, word);
        }
        body.push(b'H');
        for (key, value) in [("path", self.service)].iter().chain(self.headers) {
            string(&mut body, key);
            string(&mut body, value);
        }
        body.push(b'Z');
        dubbo(0xc2, 0, self.id, &body)
    }

    fn bolt(&self) -> Vec<u8> {
        let service = format!("{}:1.0", self.service);
        let known = [
            ("sofa_head_target_service", service.as_str()),
            ("sofa_head_method_name", self.method),
        ];
        let map = header_map(known.iter().chain(self.headers));
        let class = b"com.alipay.sofa.rpc.core.request.SofaRequest";
        bolt(1, self.id, &self.timeout.to_be_bytes(), class, &map)
    }
}

/// A good answer with a token and these attachments or header entries.
#[must_use]
pub fn answer(to: &Frame, token: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    match to.wire {
        Wire::Dubbo => {
            // A value with attachments.
            let mut body = vec![0x94];
            string(&mut body, &format!("<<{token}>>"));
            body.push(b'H');
            for (key, value) in headers {
                string(&mut body, key);
                string(&mut body, value);
            }
            body.push(b'Z');
            dubbo(0x02, 20, to.id, &body)
        }
        _ => {
            let token = format!("<<{token}>>");
            let map = header_map([("token", token.as_str())].iter().chain(headers));
            let class = b"com.alipay.sofa.rpc.core.response.SofaResponse";
            bolt(0, to.id, &[0, 0], class, &map)
        }
    }
}

/// The attachments or header entries of a call or of an answer.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn headers(frame: &Frame) -> BTreeMap<String, String> {
    match (frame.wire, frame.octets.get(2)) {
        (Wire::Dubbo, Some(flag)) => {
            let mut rest = &frame.octets[DUBBO_HEADER..];
            let texts = if flag & 0x80 == 0 { 1 } else { 6 };
            rest = rest.strip_prefix(&[0x94]).unwrap_or(rest);
            for _ in 0..texts {
                take_string(&mut rest);
            }
            take_map(rest)
        }
        (Wire::Bolt1, _) => {
            let (lengths, start) = if frame.octets[1] == 0 {
                (12, 20)
            } else {
                (14, 22)
            };
            let length = |at: usize| {
                usize::from(u16::from_be_bytes([frame.octets[at], frame.octets[at + 1]]))
            };
            let from = start + length(lengths);
            take_entries(&frame.octets[from..from + length(lengths + 2)])
        }
        other => panic!("{other:?} is not read here"),
    }
}

fn dubbo(flag: u8, status: u8, id: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xda, 0xbb, flag, status];
    frame.extend(id.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// Version 1; `rest` is the timeout of a request, the status of a response.
fn bolt(kind: u8, id: u64, rest: &[u8], class: &[u8], map: &[u8]) -> Vec<u8> {
    let command = if kind == 0 { 2 } else { 1 };
    let mut frame = vec![1, kind, 0, command, 1];
    frame.extend((id as u32).to_be_bytes());
    frame.push(1);
    frame.extend(rest);
    frame.extend((class.len() as u16).to_be_bytes());
    frame.extend((map.len() as u16).to_be_bytes());
    frame.extend(0_u32.to_be_bytes());
    frame.extend([class, map].concat());
    frame
}

fn header_map<'h>(entries: impl Iterator<Item = &'h (&'h str, &'h str)>) -> Vec<u8> {
    let mut map = Vec::new();
    for text in entries.flat_map(|(key, value)| [key, value]) {
        map.extend((text.len() as u32).to_be_bytes());
        map.extend(text.as_bytes());
    }
    map
}

fn take_entries(mut rest: &[u8]) -> BTreeMap<String, String> {
    let mut texts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (text, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        texts.push(String::from_utf8(text.to_vec()).expect("a test's own text"));
        rest = after;
    }
    texts
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

/// Hessian 2.0's string; ASCII, so that characters are octets.
fn string(body: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ ..32 => body.push(short as u8),
        long => {
            body.push(b'S');
            body.extend((long as u16).to_be_bytes());
        }
    }
    body.extend(text.as_bytes());
}

fn take_string(rest: &mut &[u8]) -> String {
    let (length, after) = match *rest {
        [short @ ..32, after @ ..] => (usize::from(*short), after),
        [long @ 0x30..=0x33, low, after @ ..] => {
            (usize::from(long - 0x30) << 8 | usize::from(*low), after)
        }
        [b'S', high, low, after @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), after),
        other => panic!("no string: {:02x?}", &other[..other.len().min(8)]),
    };
    let (text, after) = after.split_at(length);
    *rest = after;
    String::from_utf8(text.to_vec()).expect("a test's own text")
}

/// A repeated key is legal, and the last one wins.
fn take_map(rest: &[u8]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let mut rest = match rest {
        [] => return map,
        [b'H', after @ ..] => after,
        other => panic!("no map: {:02x?}", &other[..other.len().min(8)]),
    };
    while rest.first() != Some(&b'Z') {
        let key = take_string(&mut rest);
        map.insert(key, take_string(&mut rest));
    }
    map
}

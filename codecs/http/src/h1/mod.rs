//! HTTP/1: over hyper to clients, by itself to hosts.

pub(crate) mod client;
mod ending;
pub(crate) mod guard;
mod hush;
mod length;
mod server;

use crossdock_framework::{
    codec::Probe,
    protocol::{Connection, LocalFuture, Protocol},
    worker::Worker,
};

pub(crate) use hush::Hush;

/// Header fields that hyper allows without an allocation for each message.
const USUAL_HEADERS: u32 = 100;

/// The longest method that is waited for.
const METHOD: usize = 32;

/// HTTP/1.1, and HTTP/1.0 where it is allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http1;

impl Protocol for Http1 {
    fn name(&self) -> &'static str {
        "http1"
    }

    /// A method and a space; empty lines before it are allowed (RFC 9112 section 2.2). HTTP/2's
    /// preface begins like one and is not.
    fn probe(&self, prefix: &[u8]) -> Probe {
        let line = prefix.trim_ascii_start();
        let blank = prefix.len() - line.len();
        let empty_lines = prefix.iter().take(blank).all(|byte| b"\r\n".contains(byte));
        if !empty_lines || blank > 4 {
            return Probe::No;
        }
        let method = line.iter().take_while(|byte| is_token(**byte)).count();
        match line.get(method) {
            _ if method > METHOD => Probe::No,
            None => Probe::More,
            Some(b' ') if method == 0 => Probe::No,
            Some(b' ') if is_http2(line) => match line.len() {
                0..15 => Probe::More,
                _ => Probe::No,
            },
            Some(b' ') => Probe::Yes,
            Some(_) => Probe::No,
        }
    }

    fn serve(&self, connection: Connection, worker: Worker) -> LocalFuture {
        Box::pin(server::serve(connection, worker))
    }
}

fn is_http2(line: &[u8]) -> bool {
    let preface = b"PRI * HTTP/2.0\r";
    let seen = line.len().min(preface.len());
    line.get(..seen) == preface.get(..seen)
}

/// What may stand in a method (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h2::Http2;

    #[test]
    fn probes_tell_the_versions_apart() {
        for (bytes, one, two) in [
            (&b""[..], Probe::More, Probe::More),
            (b"G", Probe::More, Probe::No),
            (b"GET", Probe::More, Probe::No),
            (b"GET ", Probe::Yes, Probe::No),
            (b"\r\nGET /", Probe::Yes, Probe::No),
            (b"P", Probe::More, Probe::More),
            (b"PRI * HTTP/2.0", Probe::More, Probe::More),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Probe::No, Probe::Yes),
            (b"PRI /x", Probe::Yes, Probe::No),
            (b"POST /", Probe::Yes, Probe::No),
            (b" GET", Probe::No, Probe::No),
            (b"\x16\x03\x01", Probe::No, Probe::No),
            (b"\xda\xbb", Probe::No, Probe::No),
            (b"\x01\x01\x00", Probe::No, Probe::No),
            (
                b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                Probe::No,
                Probe::No,
            ),
        ] {
            assert_eq!(Http1.probe(bytes), one, "{bytes:?}");
            assert_eq!(Http2.probe(bytes), two, "{bytes:?}");
        }
    }
}

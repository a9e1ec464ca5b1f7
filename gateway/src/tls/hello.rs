//! The first message of a TLS client, which says whom it wants before anything is encrypted.

use std::fmt;

use rustls::server::{Accepted, AcceptedAlert, Acceptor};

/// The most octets of a ClientHello. Browsers send below 2 KiB; with a post-quantum key share and a
/// ticket that holds a certificate chain it may be 6 KiB.
pub(crate) const MAX_HELLO: usize = 16 * 1024;

/// Type of a record that holds handshake messages, and the major version, which never changed
/// (RFC 8446, 5.1).
const HANDSHAKE: [u8; 2] = [22, 3];

/// Listens for a ClientHello.
pub(crate) struct Ear {
    acceptor: Acceptor,
    /// Octets that the acceptor has had.
    fed: usize,
    /// Octets that it may have.
    limit: usize,
}

/// A ClientHello.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(super) accepted: Accepted,
    /// Octets from the start of the connection that belong to it.
    pub(super) fed: usize,
}

/// What the beginning of a connection is.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Not to be told yet.
    More,
    /// TLS.
    Hello(Box<Hello>),
    /// Something else.
    Other,
    /// A ClientHello over the limit.
    TooLong,
    /// It begins like TLS, but no client says such things.
    Broken(rustls::Error, AcceptedAlert),
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").finish_non_exhaustive()
    }
}

impl Ear {
    /// Nothing has been heard. A ClientHello may have `limit` octets.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            acceptor: Acceptor::default(),
            fed: 0,
            limit,
        }
    }

    /// Judges all that has come since the start of the connection. Not to be asked again after
    /// another answer than [`Heard::More`].
    pub(crate) fn hear(&mut self, all: &[u8]) -> Heard {
        if all
            .iter()
            .zip(&HANDSHAKE)
            .any(|(octet, wanted)| octet != wanted)
        {
            return Heard::Other;
        }
        if all.len() < HANDSHAKE.len() {
            return Heard::More;
        }
        let end = all.len().min(self.limit);
        while let Some(mut rest) = all.get(self.fed..end).filter(|rest| !rest.is_empty()) {
            match self.acceptor.read_tls(&mut rest) {
                Ok(1..) => self.fed = end - rest.len(),
                // Its buffer holds more than any ClientHello.
                Ok(0) | Err(_) => return Heard::TooLong,
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let fed = self.fed;
                    return Heard::Hello(Box::new(Hello { accepted, fed }));
                }
                Err((error, alert)) => return Heard::Broken(error, alert),
            }
        }
        match self.fed >= self.limit {
            true => Heard::TooLong,
            false => Heard::More,
        }
    }
}

impl Hello {
    /// The server name that is asked for (SNI), in lower case.
    pub(crate) fn server_name(&self) -> Option<String> {
        let hello = self.accepted.client_hello();
        hello.server_name().map(str::to_ascii_lowercase)
    }

    /// The protocols that the client offers (ALPN), most wanted first.
    pub(crate) fn applications(&self) -> Vec<Box<[u8]>> {
        let hello = self.accepted.client_hello();
        let offered = hello.alpn().into_iter().flatten();
        offered.map(Into::into).collect()
    }
}

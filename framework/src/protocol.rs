//! The one dynamic boundary of a connection: which protocol serves it.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    codec::Probe,
    drain::ChainDrain,
    snapshot::{Ends, PolicyIx},
    worker::Worker,
};

/// A future that stays on its worker.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A protocol that a listener serves. Erased once per connection; inside, everything is
/// monomorphic.
pub trait Protocol: fmt::Debug + Send + Sync + 'static {
    /// The name used in configuration, such as `dubbo`.
    fn name(&self) -> &'static str;

    /// Judges the first bytes of a connection.
    fn probe(&self, prefix: &[u8]) -> Probe;

    /// Serves the connection to its end.
    fn serve(&self, connection: Connection, worker: Worker) -> LocalFuture;
}

/// An accepted connection whose first bytes have been looked at.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub io: Io,
    /// Bytes read while the protocol was found out.
    pub prefix: BytesMut,
    /// Its two ends.
    pub ends: Ends,
    /// Which policy its calls are under.
    pub policy: PolicyIx,
    /// The drain of its filter chain.
    pub drain: Arc<ChainDrain>,
    /// What TLS told of the peer; `None` for plain text.
    pub tls: Option<Arc<Tls>>,
}

/// What the TLS handshake of a connection told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The server name that the client asked for (SNI), in lower case.
    pub server_name: Option<Box<str>>,
    /// The protocol that both sides agreed upon (ALPN).
    pub alpn: Option<Box<[u8]>>,
    /// The protocol version, such as `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its OpenSSL name, as Envoy logs it.
    pub cipher: &'static str,
    /// The session goes on from an earlier one.
    pub resumed: bool,
    /// The subject of our own certificate in RFC 2253 form.
    pub local_subject: Option<Arc<str>>,
    /// The URIs among the subject alternative names of our own certificate.
    pub local_uris: Arc<[Box<str>]>,
    /// The peer's certificate, once it has been verified.
    pub peer: Option<PeerCertificate>,
}

/// A verified certificate of a peer, in the words of rules, logs and
/// `x-forwarded-client-cert`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject in RFC 2253 form.
    pub subject: Box<str>,
    /// The issuer in RFC 2253 form.
    pub issuer: Box<str>,
    /// The serial number in hexadecimal.
    pub serial: Box<str>,
    /// SHA-256 of the certificate in hexadecimal.
    pub fingerprint: Box<str>,
    /// Subject alternative names that are URIs, such as SPIFFE ids.
    pub uris: Box<[Box<str>]>,
    /// Subject alternative names that are DNS names.
    pub dns: Box<[Box<str>]>,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// The certificate itself, in DER.
    pub der: Box<[u8]>,
}

impl PeerCertificate {
    /// The certificate in URL-encoded PEM, as `x-forwarded-client-cert` and logs have it.
    pub fn pem(&self) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::with_capacity(self.der.len() * 3 / 2 + 80);
        text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
        // Lines of 64 digits (RFC 7468).
        for line in self.der.chunks(48) {
            for group in line.chunks(3) {
                let octet = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
                let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
                for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
                    let digit = (bits >> shift & 63) as usize;
                    match DIGITS.get(digit).filter(|_| at <= group.len()) {
                        None => text.push_str("%3D"),
                        Some(b'+') => text.push_str("%2B"),
                        Some(b'/') => text.push_str("%2F"),
                        Some(digit) => text.push(char::from(*digit)),
                    }
                }
            }
            text.push_str("%0A");
        }
        text.push_str("-----END%20CERTIFICATE-----%0A");
        text
    }
}

/// The socket of a connection, or what stands for one.
pub enum Io {
    /// A plain TCP connection.
    Tcp(TcpStream),
    /// Anything else that reads and writes: TLS, or a pipe in a test.
    Other(Box<dyn Stream>),
}

/// What [`Io::Other`] holds.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Other(_) => "Other",
        })
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Other(other) => Pin::new(other).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Other(other) => Pin::new(other).poll_write(cx, buf),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Other(other) => other.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Other(other) => Pin::new(other).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Other(other) => Pin::new(other).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Other(other) => Pin::new(other).poll_shutdown(cx),
        }
    }
}

//! A TLS connection as a stream of plain bytes.

use std::{
    cell::RefCell,
    fmt,
    io::{self, BufRead as _, IoSlice},
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use rustls::{ConnectionCommon, SideData};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Octets that one read asks the socket for: two full records.
const READ: usize = 33 * 1024;

thread_local! {
    /// Where ciphertext is read to. Connections of a worker take turns with it, so that an idle
    /// one holds no buffer.
    static BLOCK: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// A socket with the TLS session over it. `S` is the session of a client or of a server.
///
/// Ciphertext that the socket does not take stays in the session, at most 64 KiB;
/// `poll_flush` says when it has gone. The end is told to the peer when the stream is shut or
/// dropped.
pub(super) struct TlsStream<S: Session> {
    socket: TcpStream,
    session: S,
    /// Ciphertext that was read and for whose plaintext there was no room.
    unread: BytesMut,
    /// The socket has ended.
    ended: bool,
    /// The peer was told that nothing more comes.
    closed: bool,
}

/// The session of a client or of a server.
pub(super) trait Session:
    Deref<Target = ConnectionCommon<Self::Side>> + DerefMut + Unpin
{
    /// What only that side knows.
    type Side: SideData;
}

impl Session for rustls::ServerConnection {
    type Side = rustls::server::ServerConnectionData;
}

impl Session for rustls::ClientConnection {
    type Side = rustls::client::ClientConnectionData;
}

/// Why a handshake failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The socket broke or ended.
    Io(io::Error),
    /// One side refused the other.
    Tls(rustls::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<S: Session> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}

impl<S: Session> TlsStream<S> {
    /// A stream whose handshake is still to be done. `unread` has come already, and the session has
    /// not seen it.
    pub(super) fn new(socket: TcpStream, session: S, unread: &[u8]) -> Self {
        Self {
            socket,
            session,
            unread: unread.into(),
            ended: false,
            closed: false,
        }
    }

    /// The session.
    pub(super) fn session(&self) -> &S {
        &self.session
    }

    /// Shakes hands.
    ///
    /// # Errors
    ///
    /// When the peer leaves, or one side refuses the other; then the peer has been told why.
    pub(super) async fn handshake(&mut self) -> Result<(), Failure> {
        std::future::poll_fn(|cx| self.poll_handshake(cx)).await
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let written = self.poll_write_out(cx)?;
            if !self.session.is_handshaking() {
                // The last flight may still be on its way; whoever writes next pushes it on.
                return Poll::Ready(Ok(()));
            }
            if written.is_pending() {
                return Poll::Pending;
            }
            if self.ended {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
            let received = ready!(self.poll_receive(cx, &mut ReadBuf::new(&mut [])));
            if let Err(failure) = received {
                // The alert that says why; the peer may be gone.
                let _ = self.poll_write_out(cx);
                return Poll::Ready(Err(failure));
            }
        }
    }

    /// Decrypts what is there, or what comes with one read of the socket, into `buf`. After the
    /// end of the socket the session knows that no more comes.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Failure>> {
        let Self {
            socket,
            session,
            unread,
            ended,
            ..
        } = self;
        if !unread.is_empty() {
            let mut rest: &[u8] = unread;
            let decrypted = decrypt(session, &mut rest, buf);
            let left = rest.len();
            unread.advance(unread.len() - left);
            if left == 0 {
                *unread = BytesMut::new();
            }
            return Poll::Ready(decrypted);
        }
        BLOCK.with_borrow_mut(|block| {
            let mut read = ReadBuf::new(block);
            ready!(Pin::new(socket).poll_read(cx, &mut read))?;
            let mut received: &[u8] = read.filled();
            if received.is_empty() {
                *ended = true;
                session.read_tls(&mut io::empty())?;
                session.process_new_packets().map_err(Failure::Tls)?;
                return Poll::Ready(Ok(()));
            }
            let decrypted = decrypt(session, &mut received, buf);
            unread.extend_from_slice(received);
            Poll::Ready(decrypted)
        })
    }

    /// Gives the socket what it takes. `Pending` when ciphertext is left.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        let Self {
            socket, session, ..
        } = self;
        while session.wants_write() {
            let mut writer = Writer { socket, cx };
            match session.write_tls(&mut writer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Poll::Pending);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Takes plaintext by `write` and gives the socket what it takes.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // One batch at a time, so that what is buffered stays below the session's limit.
        ready!(self.poll_write_out(cx).map_err(into_io)?);
        let taken = write(&mut self.session)?;
        let _: Poll<()> = self.poll_write_out(cx).map_err(into_io)?;
        Poll::Ready(Ok(taken))
    }
}

/// Decrypts `received` into `buf` as long as there is room; what is left stays in it.
fn decrypt<S: Session>(
    session: &mut S,
    received: &mut &[u8],
    buf: &mut ReadBuf<'_>,
) -> Result<(), Failure> {
    loop {
        match take_plain(session, buf)? {
            Plain::End => {
                // After the peer's last word nothing counts any more.
                *received = &[];
                return Ok(());
            }
            Plain::More => return Ok(()),
            Plain::Nothing => {}
        }
        if received.is_empty() || !session.wants_read() {
            return Ok(());
        }
        session.read_tls(received)?;
        session.process_new_packets().map_err(Failure::Tls)?;
    }
}

/// What is left of the plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    /// Nothing yet.
    Nothing,
    /// More than there was room for.
    More,
    /// Nothing, and no more comes.
    End,
}

/// Moves plaintext that is there into `buf`.
///
/// # Errors
///
/// When the socket has ended without the peer's last word.
fn take_plain<S: Session>(session: &mut S, buf: &mut ReadBuf<'_>) -> io::Result<Plain> {
    let mut reader = session.reader();
    loop {
        let chunk = match reader.fill_buf() {
            Ok([]) => return Ok(Plain::End),
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Plain::Nothing),
            Err(error) => return Err(error),
        };
        let Some(taken) = chunk
            .get(..buf.remaining())
            .or(Some(chunk))
            .filter(|t| !t.is_empty())
        else {
            return Ok(Plain::More);
        };
        buf.put_slice(taken);
        let taken = taken.len();
        reader.consume(taken);
    }
}

fn into_io(failure: Failure) -> io::Error {
    match failure {
        Failure::Io(error) => error,
        Failure::Tls(error) => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

impl<S: Session> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let mut plain = take_plain(&mut this.session, buf)?;
        // Every record that has come goes into the buffer at once.
        while plain == Plain::Nothing && buf.filled().len() == before {
            if let Err(failure) = ready!(this.poll_receive(cx, buf)) {
                // The alert that says why.
                let _ = this.poll_write_out(cx);
                return Poll::Ready(Err(into_io(failure)));
            }
            // What the session answers by itself: tickets, key updates.
            let _: Poll<()> = this.poll_write_out(cx).map_err(into_io)?;
            plain = take_plain(&mut this.session, buf)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Session> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_send(cx, |session| io::Write::write(&mut session.writer(), buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, |session| {
            io::Write::write_vectored(&mut session.writer(), bufs)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.get_mut().poll_write_out(cx).map_err(into_io)?;
        written.map(Ok)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closed {
            this.closed = true;
            this.session.send_close_notify();
        }
        ready!(this.poll_write_out(cx).map_err(into_io)?);
        match ready!(Pin::new(&mut this.socket).poll_shutdown(cx)) {
            // The peer has gone already.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Gives the socket what it takes at once: the last ciphertext and the word that nothing follows,
/// without which the peer has to suspect that someone cut the connection.
impl<S: Session> Drop for TlsStream<S> {
    fn drop(&mut self) {
        if !self.closed && !self.session.is_handshaking() {
            self.session.send_close_notify();
        }
        let socket = &self.socket;
        while self.session.wants_write() {
            if !matches!(self.session.write_tls(&mut Trying(socket)), Ok(1..)) {
                return;
            }
        }
    }
}

/// The socket as a writer that does not wait.
pub(super) struct Trying<'s>(pub(super) &'s TcpStream);

impl io::Write for Trying<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket as a writer that has its task woken when there is room again.
struct Writer<'w, 'cx> {
    socket: &'w mut TcpStream,
    cx: &'w mut Context<'cx>,
}

impl io::Write for Writer<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write(self.cx, buf) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write_vectored(self.cx, bufs) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Dubbo and Bolt.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use super::{Answer, Deed, Log, PATIENCE, Protocol, SLOW, silence};
use crate::fake::{self, Call, Client, Frame, Host, Kind, Link, TimedOut, Wire};

/// A host that counts its calls and does what they say. It sees to one connection's calls one by one, but for
/// those that take time.
pub(super) fn host(log: Arc<Log>) -> Host {
    Host::start(move |mut link| {
        while let Some(frame) = link.take() {
            let deed = match frame.kind {
                Kind::Request | Kind::Oneway => {
                    let headers = fake::headers(&frame);
                    log.take(|name| headers.get(name).map(String::as_str))
                }
                _ => Deed::Answer,
            };
            if !serve(&mut link, &frame, deed) {
                return;
            }
        }
    })
}

/// Whether the connection goes on.
fn serve(link: &mut Link, frame: &Frame, deed: Deed) -> bool {
    if frame.kind != Kind::Request {
        return link.answer(frame);
    }
    let good = || fake::answer(frame, "done", &[]);
    match deed {
        Deed::Answer => link.send(&good()),
        Deed::Slow => {
            thread::sleep(SLOW);
            link.send(&good())
        }
        Deed::Fail => {
            // Dubbo's SERVICE_ERROR, Bolt's SERVER_EXCEPTION.
            let status = if frame.wire == Wire::Dubbo { 70 } else { 1 };
            link.send(&frame.wire.status(frame.id, status))
        }
        Deed::Hang => true,
        Deed::Cut | Deed::Reset => false,
        Deed::Babble => {
            link.send(b"no frame begins like this");
            false
        }
    }
}

/// A caller with one connection.
#[derive(Debug)]
pub(super) struct Caller {
    client: Client,
    service: &'static str,
    last: u64,
}

impl Caller {
    pub(super) fn connect(protocol: Protocol, address: SocketAddr) -> Self {
        let wire = match protocol {
            Protocol::Dubbo => Wire::Dubbo,
            _ => Wire::Bolt1,
        };
        Self {
            client: Client::connect(address, wire),
            service: protocol.service(),
            last: 0,
        }
    }

    fn octets(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        self.last += 1;
        let call = Call::new(self.client.wire(), self.last);
        call.of(self.service, "echo").with(headers).octets()
    }

    pub(super) fn call(&mut self, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let octets = self.octets(headers);
        if !self.client.offer(&octets) {
            return Ok(Answer::Gone);
        }
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Answer> {
        match self.client.next(PATIENCE) {
            Err(TimedOut) => Err(silence()),
            Ok(None) => Ok(Answer::Gone),
            Ok(Some(frame)) => {
                assert_eq!(frame.id, self.last, "an answer to another call: {frame:?}");
                Ok(match well(&frame) {
                    true => Answer::Good,
                    false => Answer::Failed(frame.status),
                })
            }
        }
    }

    pub(super) fn leave(mut self, headers: &[(&str, &str)]) {
        let octets = self.octets(headers);
        self.client.offer(&octets);
        self.client.reset();
    }

    pub(super) fn babble(mut self) -> Answer {
        // A good frame, so that the protocol is known, and then none.
        let octets = [self.octets(&[]), b"no frame begins like this".to_vec()].concat();
        self.client.offer(&octets);
        let _ = self.answer();
        self.answer().unwrap_or(Answer::Good)
    }
}

/// Whether an answer is a good one of a host: a value with attachments.
fn well(frame: &Frame) -> bool {
    frame.token() == Some("done")
}

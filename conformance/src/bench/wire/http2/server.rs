//! The server's side of a connection. It does not read requests' headers: whatever is asked, the body
//! comes back.

use super::super::Garbled;
use super::flow::Flow;
use super::hpack::Writer;
use super::{DATA, END_HEADERS, END_STREAM, HEADERS, Head, RST_STREAM, begin, data, finish};

/// What answers begin and end with, and the numbers of these fields on the connection.
const HEAD: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
const TRAILERS: [(&str, &str); 1] = [("grpc-status", "0")];
/// The most that may be open of bodies that come in parts.
const MAX_OPEN: usize = 1024;

/// A connection's state.
#[derive(Default)]
pub(in super::super) struct Server {
    flow: Flow,
    writer: Writer,
    /// Bodies of which a part has come.
    open: Vec<(u32, Vec<u8>)>,
}

impl Server {
    pub(in super::super) fn greet(&mut self, out: &mut Vec<u8>) {
        Flow::greet(false, out);
    }

    pub(in super::super) fn serve(
        &mut self,
        frame: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Garbled> {
        let head = Head::read(frame).ok_or(Garbled("half a frame"))?;
        let payload = head.content(frame)?;
        match head.kind {
            HEADERS if head.has(END_STREAM) => Err(Garbled("a call without a message")),
            HEADERS => Ok(()),
            DATA => {
                self.flow.received(head.length, out);
                self.body(head, payload, out)
            }
            RST_STREAM => {
                self.open.retain(|(stream, _)| *stream != head.stream);
                Ok(())
            }
            _ => self.flow.manage(head, payload, &mut self.writer, out),
        }
    }

    fn body(&mut self, head: Head, part: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
        let place = self.open.iter().position(|(id, _)| *id == head.stream);
        match (place, head.has(END_STREAM)) {
            (None, true) => self.answer(head.stream, part, out),
            (Some(at), true) => {
                let (_, mut whole) = self.open.swap_remove(at);
                whole.extend_from_slice(part);
                self.answer(head.stream, &whole, out);
            }
            (None, false) if self.open.len() < MAX_OPEN => {
                self.open.push((head.stream, part.to_vec()));
            }
            (None, false) => return Err(Garbled("too many bodies in parts")),
            (Some(at), false) => self.open[at].1.extend_from_slice(part),
        }
        Ok(())
    }

    fn answer(&mut self, stream: u32, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let head = begin(HEADERS, END_HEADERS, stream, out);
        self.writer.fields(0, &HEAD, out);
        finish(head, out);
        data(stream, 0, body, out);
        let trailers = begin(HEADERS, END_HEADERS | END_STREAM, stream, out);
        self.writer.fields(HEAD.len(), &TRAILERS, out);
        finish(trailers, out);
        self.flow.send(start, body.len(), out);
    }
}

//! The caller's side of a connection: unary gRPC calls.

use super::super::{Garbled, HOST, Heard, PATH, Talk, Template, Verdict, excerpt};
use super::flow::Flow;
use super::hpack::{Fields, Reader, Writer};
use super::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Head, PREFACE, RST_STREAM, begin, data, finish, number,
};
use std::sync::Arc;

/// What every call begins with, as grpc-go writes it for a call without a deadline.
const FIELDS: [(&str, &str); 7] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", PATH),
    (":authority", HOST),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.76.0"),
    ("te", "trailers"),
];

/// A connection's calls.
pub(in super::super) struct Caller {
    template: Arc<Template>,
    flow: Flow,
    writer: Writer,
    reader: Reader,
    next: u32,
    open: Vec<Stream>,
    /// The message of the call that is being written.
    message: Vec<u8>,
}

/// A call that waits for its answer, or for the rest of it.
struct Stream {
    id: u32,
    mark: u64,
    status: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl Caller {
    pub(in super::super) fn new(template: Arc<Template>) -> Self {
        Self {
            template,
            flow: Flow::default(),
            writer: Writer::default(),
            reader: Reader::default(),
            next: 1,
            open: Vec::new(),
            message: Vec::new(),
        }
    }
}

impl Talk for Caller {
    fn greet(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        Flow::greet(true, out);
    }

    fn call(&mut self, mark: u64, out: &mut Vec<u8>) {
        let id = self.next;
        self.next += 2;
        let start = out.len();
        let head = begin(HEADERS, END_HEADERS, id, out);
        self.writer.fields(0, &FIELDS, out);
        finish(head, out);
        self.message.clear();
        self.template.request.stamp(0, mark, &mut self.message);
        data(id, END_STREAM, &self.message, out);
        self.flow.send(start, self.message.len(), out);
        self.open.push(Stream {
            id,
            mark,
            status: None,
            body: Vec::new(),
        });
    }

    fn take(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<Heard, Garbled> {
        let head = Head::read(frame).ok_or(Garbled("half a frame"))?;
        let payload = head.content(frame)?;
        // The peer's table changes with every block, also with one that is for no open call.
        let fields = match head.kind {
            HEADERS if !head.has(END_HEADERS) => return Err(Garbled("a header block in parts")),
            HEADERS => self.reader.read(payload)?,
            DATA => {
                self.flow.received(head.length, out);
                Fields::default()
            }
            RST_STREAM => Fields::default(),
            _ => {
                self.flow.manage(head, payload, &mut self.writer, out)?;
                return Ok(Heard::Nothing);
            }
        };
        let Some(place) = self.open.iter().position(|call| call.id == head.stream) else {
            return Ok(Heard::Stray(format!(
                "frame {} of no open call, stream {}",
                head.kind, head.stream
            )));
        };
        let call = &mut self.open[place];
        let ended = match head.kind {
            DATA => {
                call.body.extend_from_slice(payload);
                head.has(END_STREAM)
            }
            HEADERS => {
                if call.status.is_none() {
                    call.status.clone_from(&fields.status);
                }
                head.has(END_STREAM)
            }
            _ => true,
        };
        if !ended {
            return Ok(Heard::Nothing);
        }
        let call = self.open.swap_remove(place);
        let verdict = if head.kind == RST_STREAM {
            Verdict::Failed(format!("reset with error {}", number(payload)?))
        } else {
            call.judge(&fields, &self.template)
        };
        Ok(Heard::End(call.mark, verdict))
    }
}

impl Stream {
    /// Judges a call that ended with these trailers.
    fn judge(&self, trailers: &Fields, template: &Template) -> Verdict {
        let status = self.status.as_deref().unwrap_or(b"none");
        let grpc = trailers.grpc_status.as_deref().unwrap_or(b"none");
        if (status, grpc) != (b"200", b"0") {
            let message = trailers.grpc_message.as_deref().unwrap_or_default();
            let told = [status, grpc, message].map(excerpt).join(" ");
            Verdict::Failed(format!("status, grpc-status: {told}"))
        } else if template.answer.equals(&self.body, 0, self.mark) {
            Verdict::Right
        } else {
            Verdict::Wrong(format!("another call's message, stream {}", self.id))
        }
    }
}

//! The caller of protocols whose frames carry an id: Dubbo and Bolt.

use super::{Garbled, Heard, Talk, Template, Verdict, Wire, at, bolt, dubbo, excerpt};
use std::sync::Arc;

/// What a frame on the caller's side is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The answer to the call with this id.
    Answer(u64),
    /// A heartbeat that wants an answer.
    Heartbeat,
    /// Anything else, such as a read-only event: nothing is owed.
    Notice,
}

/// One connection's calls.
pub(super) struct Caller {
    wire: Wire,
    template: Arc<Template>,
    /// The id of the next call.
    next: u64,
    /// Ids and marks of calls that wait for their answers.
    open: Vec<(u64, u64)>,
}

impl Caller {
    /// Connections share four first ids, so that ids of different callers collide as those of real
    /// processes do; Bolt's wrap within a run.
    pub(super) fn new(wire: Wire, template: Arc<Template>, connection: usize) -> Self {
        let start = (connection % 4) as u64 * 1000;
        let next = match wire {
            Wire::Bolt => 0xffff_f000 + start,
            _ => 0xff53_a6db_a3fd_0900_u64.wrapping_add(start),
        };
        Self {
            wire,
            template,
            next,
            open: Vec::new(),
        }
    }

    /// The next id, in this protocol's width.
    const fn id(&mut self) -> u64 {
        let id = self.next;
        let width = match self.wire {
            Wire::Bolt => 0xffff_ffff,
            _ => u64::MAX,
        };
        self.next = self.next.wrapping_add(1) & width;
        id
    }
}

impl Talk for Caller {
    fn call(&mut self, mark: u64, out: &mut Vec<u8>) {
        let id = self.id();
        self.template.request.stamp(id, mark, out);
        self.open.push((id, mark));
    }

    fn take(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<Heard, Garbled> {
        let id = match see(frame) {
            Seen::Heartbeat => return serve(frame, out).map(|()| Heard::Nothing),
            Seen::Notice => return Ok(Heard::Nothing),
            Seen::Answer(id) => id,
        };
        let Some(place) = self.open.iter().position(|(open, _)| *open == id) else {
            return Ok(Heard::Stray(format!(
                "an answer to no open call, id {id:x}"
            )));
        };
        let (_, mark) = self.open.swap_remove(place);
        let verdict = if self.template.answer.equals(frame, id, mark) {
            Verdict::Right
        } else if succeeded(frame) {
            Verdict::Wrong(format!("another call's bytes, id {id:x}"))
        } else {
            Verdict::Failed(describe(frame))
        };
        Ok(Heard::End(mark, verdict))
    }
}

/// What a whole frame is to a caller.
pub(super) fn see(frame: &[u8]) -> Seen {
    match frame.first() {
        Some(&dubbo::FIRST) => dubbo::see(frame),
        _ => bolt::see(frame),
    }
}

/// Answers a heartbeat.
fn serve(frame: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    match frame.first() {
        Some(&dubbo::FIRST) => dubbo::serve(frame, out),
        _ => bolt::serve(frame, out),
    }
}

/// Whether a whole answer says that the call succeeded.
fn succeeded(frame: &[u8]) -> bool {
    match frame.first() {
        Some(&dubbo::FIRST) => at(frame, 3) == 20 && matches!(at(frame, 16), 0x91 | 0x94),
        _ => at(frame, 10) == 0 && at(frame, 11) == 0,
    }
}

/// The status in an answer and what text it carries, for a message.
fn describe(frame: &[u8]) -> String {
    let (status, text) = match frame.first() {
        Some(&dubbo::FIRST) => (u16::from(at(frame, 3)), frame.get(16..)),
        _ => (
            u16::from_be_bytes([at(frame, 10), at(frame, 11)]),
            frame.get(20..),
        ),
    };
    format!("status {status}: {}", excerpt(text.unwrap_or_default()))
}
